//! Where a table lies: on a disk, or at an address such as `s3://bucket/folder`.
//!
//! Addresses travel through the program as paths, so that the names in them are taken apart as those of files are. An address is
//! refused if it could hold a secret, so that no message or record ever shows one.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::error::{Error, OptionName, Result};

/// The protocol of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    S3,
    Google,
    Azure,
    /// The web: single files, as there are no lists.
    Web,
}

/// The schemes of addresses that are read.
const SCHEMES: [(&str, Protocol); 9] = [
    ("s3", Protocol::S3),
    ("s3a", Protocol::S3),
    ("gs", Protocol::Google),
    ("az", Protocol::Azure),
    ("azure", Protocol::Azure),
    ("abfs", Protocol::Azure),
    ("abfss", Protocol::Azure),
    ("https", Protocol::Web),
    ("http", Protocol::Web),
];

/// An address in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) protocol: Protocol,
    /// The scheme and the bucket, container or host, as `s3://bucket`.
    pub(crate) root: String,
    /// The name of an object, or the start of the names of some, without slashes at its ends.
    pub(crate) key: String,
    /// Whether it ends with a slash, as only folders do.
    pub(crate) is_folder: bool,
}

impl Address {
    /// The path of an object in the same bucket.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        if key.is_empty() { PathBuf::from(&self.root) } else { PathBuf::from(format!("{}/{key}", self.root)) }
    }
}

/// Where a table lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// On a disk.
    Disk(Cow<'a, Path>),
    /// In a store.
    Store(Address),
}

/// Whether a path is an address, as `s3://bucket/folder`.
#[must_use]
pub fn is_address(path: &Path) -> bool {
    split(path).is_some()
}

/// Whether a path is an address in a store: one that is not of a file on this machine.
#[must_use]
pub fn is_in_store(path: &Path) -> bool {
    split(path).is_some_and(|(scheme, _)| !scheme.eq_ignore_ascii_case("file"))
}

/// The path on disk of an address of a file on this machine (`file:///data/clicks`); any other path as it is.
///
/// # Errors
/// [`Error::Address`] for an address that makes no sense, or holds what might be a secret.
pub fn on_disk(path: &Path) -> Result<Cow<'_, Path>> {
    Ok(match Place::of(path)? {
        Place::Disk(path) => path,
        Place::Store(_) => Cow::Borrowed(path),
    })
}

/// The scheme of an address, and what follows it.
fn split(path: &Path) -> Option<(&str, &str)> {
    let (scheme, rest) = path.to_str()?.split_once("://")?;
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

impl<'a> Place<'a> {
    /// Tells an address from a path.
    ///
    /// # Errors
    /// [`Error::Address`], which shows nothing of what might be a secret.
    pub(crate) fn of(path: &'a Path) -> Result<Self> {
        let Some((scheme, rest)) = split(path) else { return Ok(Self::Disk(Cow::Borrowed(path))) };
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let known = SCHEMES.iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known));
        let wrong = |shown: &str, problem: &str| {
            let address = format!("{scheme}://{shown}");
            Err(Error::Address { address, problem: problem.to_owned() })
        };
        if scheme.eq_ignore_ascii_case("file") {
            return match authority {
                "" | "localhost" => Ok(Self::Disk(Cow::Owned(PathBuf::from(decoded(&format!("/{key}")))))),
                _ => wrong("…", "a file on this machine is written with three slashes, as `file:///data/clicks`"),
            };
        }
        let Some(&(_, protocol)) = known else {
            return wrong("…", "expected s3://, gs://, az://, abfs://, https:// or file://");
        };
        // Hadoop's driver for Azure writes the container before the account, which is no secret; a password would be.
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let is_container = protocol == Protocol::Azure && user.is_some_and(|user| !user.contains(':'));
        if user.is_some() && !is_container {
            return wrong(&format!("…@{host}"), &no_secrets());
        }
        if host.is_empty() {
            return wrong("", "the name of the bucket is missing");
        }
        if protocol == Protocol::Web && (rest.contains('?') || rest.contains('#')) {
            let shown = rest.split(['?', '#']).next().unwrap_or_default();
            return wrong(&format!("{shown}?…"), &no_secrets());
        }
        let is_folder = key.is_empty() || key.ends_with('/');
        let key = key.trim_matches('/').to_owned();
        let root = format!("{}://{authority}", scheme.to_ascii_lowercase());
        Ok(Self::Store(Address { protocol, root, key, is_folder }))
    }
}

/// Why an address that may hold a secret is refused.
fn no_secrets() -> String {
    format!(
        "an address must hold no user, password or signature, since records and messages show it; give credentials in the \
         environment or as `{}`",
        OptionName::StoreOptions
    )
}

/// Undoes `%20` and its like.
fn decoded(text: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(percent_decode(text))
}

/// Undoes the escapes of an address; what is no escape stays.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            decoded.push((high * 16 + low) as u8);
            rest = after;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    decoded
}
