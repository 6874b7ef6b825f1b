//! The clients of stores, made of addresses, the environment, profiles and options: the last has the last word.

use std::str::FromStr;
use std::sync::{Arc, Once};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};

use super::profile::Profile;
use super::{Address, Fault, Protocol, StoreOptions};
use crate::error::{Error, OptionName, Result, quoted};

/// How long a machine is asked for credentials of its own, which answers at once where it has some.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(5);

/// Checks the settings: each has to be known to one of the stores.
pub(super) fn check(options: &StoreOptions) -> Result<()> {
    options.retry_timeout()?;
    for (name, _) in options.of_clients() {
        let is_known = name.parse::<AmazonS3ConfigKey>().is_ok()
            || name.parse::<GoogleConfigKey>().is_ok()
            || name.parse::<AzureConfigKey>().is_ok()
            || name.parse::<ClientConfigKey>().is_ok();
        if !is_known {
            let problem = format!(
                "{} is not a setting of a store; they are named as in the environment, as aws_region",
                quoted(name)
            );
            return Err(Error::Option { option: OptionName::StoreOptions, problem });
        }
    }
    Ok(())
}

/// The client for the bucket of an address.
pub(super) fn of(address: &Address, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>, Fault> {
    use_ring();
    let retry = retry(options.retry_timeout().map_err(|error| Fault::Refused(error.to_string()))?);
    let client: Result<Arc<dyn ObjectStore>, object_store::Error> = match address.protocol {
        Protocol::S3 => amazon(address, options, retry),
        Protocol::Google => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(&address.root).with_retry(retry);
            let builder =
                with(builder, options, |builder, key: GoogleConfigKey, value| builder.with_config(key, value));
            builder.build().map(|client| Arc::new(client) as Arc<dyn ObjectStore>)
        }
        Protocol::Azure => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(&address.root).with_retry(retry);
            let mut builder =
                with(builder, options, |builder, key: AzureConfigKey, value| builder.with_config(key, value));
            if builder.get_config_value(&AzureConfigKey::Endpoint).is_some_and(|endpoint| is_plain(&endpoint)) {
                builder = builder.with_allow_http(true);
            }
            builder.build().map(|client| Arc::new(client) as Arc<dyn ObjectStore>)
        }
        Protocol::Web => {
            let client = ClientOptions::new().with_allow_http(is_plain(&address.root));
            let client = with(client, options, |client, key: ClientConfigKey, value| client.with_config(key, value));
            let builder = HttpBuilder::new().with_url(&address.root).with_retry(retry).with_client_options(client);
            builder.build().map(|client| Arc::new(client) as Arc<dyn ObjectStore>)
        }
    };
    // What it says may quote a setting.
    client.map_err(|_| {
        Fault::Refused(format!(
            "settings for this store are missing, or do not fit together (in the environment, or as `{}`)",
            OptionName::StoreOptions
        ))
    })
}

fn amazon(
    address: &Address,
    options: &StoreOptions,
    retries: RetryConfig,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let mut builder = Profile::of_user().complete(AmazonS3Builder::from_env());
    builder = with(builder, options, |builder, key: AmazonS3ConfigKey, value| builder.with_config(key, value));
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint].into_iter();
    if endpoint.filter_map(|key| builder.get_config_value(&key)).any(|endpoint| is_plain(&endpoint)) {
        builder = builder.with_allow_http(true);
    }
    let builder = builder.with_url(address.root.replacen("s3a://", "s3://", 1));
    // Where there are no credentials, that is to be told soon, however long requests are tried.
    let patient = retries.retry_timeout > CREDENTIALS_WITHIN;
    let quick = if patient { retry(CREDENTIALS_WITHIN) } else { retries.clone() };
    let credentials = Arc::clone(builder.clone().with_retry(quick).build()?.credentials());
    let client = builder.with_retry(retries).with_credentials(credentials).build()?;
    Ok(Arc::new(client))
}

/// Whether an endpoint is without TLS: whoever names one means it.
fn is_plain(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

/// A builder with the settings that are its store's.
fn with<B, K: FromStr>(builder: B, options: &StoreOptions, set: impl Fn(B, K, String) -> B) -> B {
    options.of_clients().fold(builder, |builder, (name, value)| match name.parse() {
        Ok(key) => set(builder, key, value.to_owned()),
        Err(_) => builder,
    })
}

/// Tries again for so long, at first after a tenth of a second, and in the end every few seconds.
fn retry(retry_timeout: Duration) -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: usize::MAX, retry_timeout }
}

/// TLS by ring, for this process.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whoever was first has chosen for all.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
