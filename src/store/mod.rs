//! Objects in stores (S3, Google Cloud Storage, Azure, the web) as files that are read by position.
//!
//! ```text
//! address ─► bucket ─► lists ─► object ─► request ─► … ─► wait ─► bytes
//!                                          (many at once)
//! ```
//!
//! The only place that knows the protocols and their asynchronous clients. Callers are threads that wait: they start requests
//! for what they will need, and then wait for the one they need first. Every read says which version of the object it is of, so
//! that an object that is replaced meanwhile is an error and never a mixture. Knows no formats and no tables.
//!
//! Without the feature `store` the same calls are there, and refuse.

mod options;
mod reader;
mod url;

#[cfg(feature = "store")]
mod bucket;
#[cfg(feature = "store")]
mod client;
#[cfg(feature = "store")]
mod fault;
#[cfg(feature = "store")]
mod profile;
#[cfg(feature = "store")]
mod writes;

#[cfg(not(feature = "store"))]
#[path = "absent.rs"]
mod bucket;

pub use bucket::Stores;
pub(crate) use bucket::{Bucket, Listing, Lists, Object, Request, StoredObject};
#[cfg(not(feature = "store"))]
pub(crate) use bucket::{Condition, Mark};
pub use options::StoreOptions;
pub(crate) use reader::{Loaded, Positioned, Sequential};
pub(crate) use url::{Address, Place, Protocol, percent_decode};
pub use url::{is_address, is_in_store, on_disk};
#[cfg(feature = "store")]
pub(crate) use writes::{Condition, Mark};

/// Why an object could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(not(feature = "store"), expect(dead_code, reason = "without stores only a refusal is said"))]
pub(crate) enum Fault {
    /// It is no longer the one that was listed.
    #[error("it changed while the run was reading it")]
    Changed,
    /// The run was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// There is no such bucket.
    #[error("{0}")]
    NoBucket(String),
    /// There is none of that name.
    #[error("{0}")]
    Missing(String),
    /// The store does not permit it.
    #[error("{0}")]
    Forbidden(String),
    /// The connection broke, which is tried again.
    #[error("{0}")]
    Broken(String),
    /// What the store said, or why it could not be asked.
    #[error("{0}")]
    Refused(String),
}

impl From<Fault> for std::io::Error {
    fn from(fault: Fault) -> Self {
        use std::io::ErrorKind;
        let kind = match fault {
            Fault::NoBucket(_) | Fault::Missing(_) => ErrorKind::NotFound,
            Fault::Forbidden(_) => ErrorKind::PermissionDenied,
            // Not the kind of what is interrupted: whoever reads would read again.
            Fault::Changed | Fault::Interrupted | Fault::Broken(_) | Fault::Refused(_) => ErrorKind::Other,
        };
        Self::new(kind, fault)
    }
}

/// What a version of an object is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) size: u64,
    /// The server's own mark, where it gives one.
    pub(crate) mark: Option<String>,
    /// When it was written, in milliseconds since the epoch.
    pub(crate) modified: i64,
}
