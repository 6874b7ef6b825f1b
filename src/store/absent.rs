//! In the place of stores where the program is built without them: every call refuses.

use std::ops::Range;

use bytes::Bytes;

use super::{Address, Fault, StoreOptions, Version};
use crate::error::Result;

/// The object stores of a run, of which there are none.
#[derive(Clone, Debug, Default)]
pub struct Stores;

/// What is said of every address.
fn absent() -> Fault {
    Fault::Refused("this build reads no object stores (it lacks the feature `store`)".to_owned())
}

impl Stores {
    /// Checks nothing that needs a store.
    ///
    /// # Errors
    /// [`Error::Option`](crate::error::Error::Option) for a setting that makes no sense.
    pub fn new(options: &StoreOptions) -> Result<Self> {
        options.retry_timeout().map(|_| Self)
    }

    /// Nothing waits.
    pub fn stop(&self) {}

    pub(crate) fn take(&self, _: u64, _: u64) -> bool {
        false
    }

    pub(crate) fn give_back(&self, _: u64) {}

    pub(crate) fn bucket(&self, _: &Address) -> Result<Bucket, Fault> {
        Err(absent())
    }
}

/// A bucket, which nobody has.
#[derive(Clone)]
pub(crate) enum Bucket {}

#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) folders: Vec<String>,
    pub(crate) objects: Vec<Found>,
}

/// Lists, for which nobody asks.
pub(crate) enum Lists {}

impl Lists {
    pub(crate) fn wait(self) -> Vec<Result<Listing, Fault>> {
        match self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) version: Version,
}

impl Bucket {
    pub(crate) fn find(&self, _: &str) -> Result<Option<Found>, Fault> {
        match *self {}
    }

    pub(crate) fn list(&self, _: &[String]) -> Lists {
        match *self {}
    }

    pub(crate) fn list_all(&self, _: &[String]) -> Lists {
        match *self {}
    }

    pub(crate) fn first_below(&self, _: &[String]) -> Lists {
        match *self {}
    }

    pub(crate) fn object(&self, _: &Found) -> Result<Object, Fault> {
        match *self {}
    }
}

/// An object, which nobody has.
#[derive(Clone, Debug)]
pub(crate) enum Object {}

/// A request, which nobody makes.
pub(crate) struct Request<T>(std::marker::PhantomData<T>);

impl Object {
    pub(crate) fn size(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn stores(&self) -> &Stores {
        match *self {}
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        match *self {}
    }

    pub(crate) fn request(&self, _: Range<u64>) -> Result<Request<Bytes>, Fault> {
        match *self {}
    }

    pub(crate) fn wait(&self, _: Request<Bytes>) -> Result<Bytes, Fault> {
        match *self {}
    }

    pub(crate) fn read(&self, _: Range<u64>) -> Result<Bytes, Fault> {
        match *self {}
    }
}
