//! A profile of AWS, as its own tools keep it in `~/.aws`: keys and a region where the environment has none.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::PathBuf;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

/// What a profile says.
#[derive(Default)]
pub(super) struct Profile(HashMap<String, String>);

impl Profile {
    /// The profile that the environment names, or else the default one; empty where there is none.
    pub(super) fn of_user() -> Self {
        let name = env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
        let file = |variable: &str, file: &str| {
            let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".aws").join(file));
            let path = env::var_os(variable).map(PathBuf::from).or_else(home);
            path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
        };
        let mut profile = Self::default();
        // In one file the names of profiles have a word before them.
        profile.read(&file("AWS_CONFIG_FILE", "config"), &[&format!("profile {name}"), &name]);
        profile.read(&file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), &[&name]);
        profile
    }

    fn read(&mut self, text: &str, names: &[&str]) {
        let mut is_ours = false;
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
                is_ours = names.contains(&name.trim());
            } else if let Some((key, value)) = line.split_once('=').filter(|_| is_ours && !line.starts_with(['#', ';']))
            {
                self.0.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }

    /// Gives a builder what it lacks. Keys are taken together or not at all: halves of two would fit nowhere.
    pub(super) fn complete(&self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
        use AmazonS3ConfigKey::{AccessKeyId, DefaultRegion, Endpoint, Region, RoleArn, SecretAccessKey, Token};
        let lacks = |builder: &AmazonS3Builder, keys: &[AmazonS3ConfigKey]| {
            keys.iter().all(|key| builder.get_config_value(key).is_none())
        };
        let take = |builder: AmazonS3Builder, name: &str, key| match self.0.get(name) {
            Some(value) => builder.with_config(key, value),
            None => builder,
        };
        if lacks(&builder, &[Region, DefaultRegion]) {
            builder = take(builder, "region", Region);
        }
        if lacks(&builder, &[Endpoint]) {
            builder = take(builder, "endpoint_url", Endpoint);
        }
        if lacks(&builder, &[AccessKeyId, SecretAccessKey, RoleArn]) {
            builder = take(builder, "aws_access_key_id", AccessKeyId);
            builder = take(builder, "aws_secret_access_key", SecretAccessKey);
            builder = take(builder, "aws_session_token", Token);
        }
        builder
    }
}
