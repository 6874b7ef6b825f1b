//! In the place of stores where the program is built without them: every call refuses, and nobody ever has a bucket or an object.

use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::{Address, Fault, StoreOptions, Version};
use crate::error::Result;

/// The object stores of a run, of which there are none.
#[derive(Clone, Debug, Default)]
pub struct Stores(());

/// What is said of every address.
fn absent<T>() -> Result<T, Fault> {
    Err(Fault::Refused("this build reads no object stores (it lacks the feature `store`)".to_owned()))
}

impl Stores {
    /// Checks nothing that needs a store.
    ///
    /// # Errors
    /// [`Error::Option`](crate::error::Error::Option) for a setting that makes no sense.
    pub fn new(options: &StoreOptions) -> Result<Self> {
        options.retry_timeout().map(|_| Self::default())
    }

    /// Nothing waits.
    pub fn stop(&self) {}

    pub(crate) fn take(&self, _: u64, _: u64) -> bool {
        false
    }

    pub(crate) fn give_back(&self, _: u64) {}

    pub(crate) fn bucket(&self, _: &Address) -> Result<Bucket, Fault> {
        absent()
    }
}

#[derive(Clone)]
pub(crate) struct Bucket(());

#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) folders: Vec<String>,
    pub(crate) objects: Vec<StoredObject>,
}

pub(crate) struct Lists(());

impl Lists {
    pub(crate) fn wait(self) -> Vec<Result<Listing, Fault>> {
        vec![absent()]
    }

    pub(crate) fn only(self) -> Result<Listing, Fault> {
        absent()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct StoredObject {
    pub(crate) key: String,
    pub(crate) version: Version,
}

impl Bucket {
    pub(crate) fn find(&self, _: &str) -> Result<Option<StoredObject>, Fault> {
        absent()
    }

    pub(crate) fn list(&self, _: &[String]) -> Lists {
        Lists(())
    }

    pub(crate) fn list_all(&self, _: &[String]) -> Lists {
        Lists(())
    }

    pub(crate) fn first_below(&self, _: &[String]) -> Lists {
        Lists(())
    }

    pub(crate) fn object(&self, _: &StoredObject) -> Result<Object, Fault> {
        absent()
    }

    pub(crate) fn small(&self, _: &str) -> Result<Request<Option<(Bytes, Mark)>>, Fault> {
        absent()
    }

    pub(crate) fn put(&self, _: &str, _: Bytes, _: Condition) -> Result<(), Fault> {
        absent()
    }

    pub(crate) fn put_file(&self, _: &str, _: &Path) -> Result<Request<()>, Fault> {
        absent()
    }

    pub(crate) fn delete(&self, _: &[String]) -> Result<(), Fault> {
        absent()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Object(Stores);

pub(crate) struct Request<T>(PhantomData<T>);

impl<T> Request<T> {
    pub(crate) fn wait(self) -> Result<T, Fault> {
        absent()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Mark(());

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Absent,
    Is(Mark),
}

impl Object {
    pub(crate) fn size(&self) -> u64 {
        0
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.0
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        None
    }

    pub(crate) fn request(&self, _: Range<u64>) -> Result<Request<Bytes>, Fault> {
        absent()
    }

    pub(crate) fn wait(&self, _: Request<Bytes>) -> Result<Bytes, Fault> {
        absent()
    }

    pub(crate) fn read(&self, _: Range<u64>) -> Result<Bytes, Fault> {
        absent()
    }
}
