//! Buckets that are listed, objects that are read, and the requests under way for both.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::client;
use super::fault::{fault_of, lacks_reason};
use super::options::RETRIED_FOR;
use super::{Address, Fault, Protocol, StoreOptions, Version};
use crate::error::Result;

/// Requests under way at once: enough to fill a fast network, and what servers put up with.
const MOST_REQUESTS: usize = 64;

/// Threads that move bytes; they never compute.
const RUNTIME_THREADS: usize = 2;

/// How long after a broken connection a request is made again, at first and in the end.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So often a waiting thread looks whether the run was told to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// The object stores of a run: their clients, and the requests under way. Copies are the same.
///
/// Nothing is started before the first address is read.
#[derive(Clone)]
pub struct Stores(Arc<Inner>);

struct Inner {
    options: StoreOptions,
    /// How long a request is tried.
    retried_for: Duration,
    clients: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
    runtime: OnceLock<Runtime>,
    requests: Arc<Semaphore>,
    stopped: AtomicBool,
    /// The bytes that are held for parts that are read whole.
    held: AtomicU64,
}

impl Inner {
    fn new(options: StoreOptions, retried_for: Duration) -> Self {
        Self {
            options,
            retried_for,
            clients: Mutex::default(),
            runtime: OnceLock::new(),
            requests: Arc::new(Semaphore::new(MOST_REQUESTS)),
            stopped: AtomicBool::new(false),
            held: AtomicU64::new(0),
        }
    }
}

/// Stores of which only the environment says something.
impl Default for Stores {
    fn default() -> Self {
        Self(Arc::new(Inner::new(StoreOptions::default(), RETRIED_FOR)))
    }
}

/// Requests that are under way are given up, and nobody waits for their end.
impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Stores").field(&self.0.options).finish()
    }
}

impl Stores {
    /// The stores that some options lead to.
    ///
    /// # Errors
    /// [`Error::Option`](crate::error::Error::Option) for a setting that is not known, or makes no sense.
    pub fn new(options: &StoreOptions) -> Result<Self> {
        client::check(options)?;
        Ok(Self(Arc::new(Inner::new(options.clone(), options.retry_timeout()?))))
    }

    /// Ends every wait for a store, now and later, with [`Error::Interrupted`](crate::error::Error::Interrupted).
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Takes bytes to hold, where `most` leaves as many.
    pub(crate) fn take(&self, bytes: u64, most: u64) -> bool {
        let taken = self.0.held.fetch_add(bytes, Ordering::Relaxed);
        let is_room = taken.saturating_add(bytes) <= most;
        if !is_room {
            self.give_back(bytes);
        }
        is_room
    }

    /// Gives taken bytes back.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The bucket of an address.
    pub(crate) fn bucket(&self, address: &Address) -> Result<Bucket, Fault> {
        self.runtime()?;
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match clients.get(&address.root) {
            Some(client) => Arc::clone(client),
            None => {
                let client = client::of(address, &self.0.options)?;
                clients.insert(address.root.clone(), Arc::clone(&client));
                client
            }
        };
        Ok(Bucket { stores: self.clone(), client, root: Arc::from(address.root.as_str()), protocol: address.protocol })
    }

    fn runtime(&self) -> Result<&Runtime, Fault> {
        if let Some(runtime) = self.0.runtime.get() {
            return Ok(runtime);
        }
        let runtime =
            Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).thread_name("store").enable_all().build();
        let runtime = runtime.map_err(|error| Fault::Refused(format!("no thread can be started: {error}")))?;
        // Where another thread was quicker, this one is dropped unused.
        Ok(self.0.runtime.get_or_init(|| runtime))
    }

    /// Starts a request, which is made again where the connection breaks, as long as a request may be tried.
    pub(super) fn start<T, F>(&self, ask: impl Fn() -> F + Send + 'static) -> Result<Request<T>, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let (send, answer) = sync_channel(1);
        let requests = Arc::clone(&self.0.requests);
        let end = Instant::now() + self.0.retried_for;
        let task = self.runtime()?.spawn(async move {
            let turn = requests.acquire().await;
            let mut pause = FIRST_PAUSE;
            let result = loop {
                match ask().await {
                    Err(Fault::Broken(_)) if Instant::now() + pause < end => tokio::time::sleep(pause).await,
                    result => break result,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            };
            drop(turn);
            // Nobody listens any more where the request was given up.
            let _ = send.send(result);
        });
        Ok(Request { stores: self.clone(), answer, task: task.abort_handle() })
    }
}

/// A request under way; dropped, it is given up.
pub(crate) struct Request<T> {
    stores: Stores,
    answer: Receiver<Result<T, Fault>>,
    task: AbortHandle,
}

impl<T> Request<T> {
    /// Waits for the answer.
    pub(crate) fn wait(self) -> Result<T, Fault> {
        loop {
            match self.answer.recv_timeout(PATIENCE) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if !self.stores.0.stopped.load(Ordering::Relaxed) => {}
                Err(RecvTimeoutError::Timeout) => return Err(Fault::Interrupted),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fault::Refused("the request ended without an answer".to_owned()));
                }
            }
        }
    }
}

impl<T> Drop for Request<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A bucket, container or host.
#[derive(Clone)]
pub(crate) struct Bucket {
    stores: Stores,
    client: Arc<dyn ObjectStore>,
    root: Arc<str>,
    protocol: Protocol,
}

/// What stands directly below a folder, or all below it.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The folders directly below, by their whole names.
    pub(crate) folders: Vec<String>,
    pub(crate) objects: Vec<StoredObject>,
}

/// Lists that were asked for.
pub(crate) struct Lists(Vec<Result<Request<Listing>, Fault>>);

impl Lists {
    /// Waits for each of them, in the order of the folders.
    pub(crate) fn wait(self) -> Vec<Result<Listing, Fault>> {
        self.0.into_iter().map(|request| request?.wait()).collect()
    }

    /// Waits for the list of the only folder that was asked for.
    pub(crate) fn only(self) -> Result<Listing, Fault> {
        self.wait().pop().unwrap_or_else(|| Ok(Listing::default()))
    }
}

/// An object that was found.
#[derive(Clone, Debug)]
pub(crate) struct StoredObject {
    pub(crate) key: String,
    pub(crate) version: Version,
}

impl From<ObjectMeta> for StoredObject {
    fn from(meta: ObjectMeta) -> Self {
        let version = Version { size: meta.size, mark: meta.e_tag, modified: meta.last_modified.timestamp_millis() };
        Self { key: meta.location.to_string(), version }
    }
}

impl Bucket {
    pub(super) fn stores(&self) -> &Stores {
        &self.stores
    }

    pub(super) fn client(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.client)
    }

    /// The bucket's address.
    pub(super) fn root(&self) -> Arc<str> {
        Arc::clone(&self.root)
    }

    /// The name of an object in the form in which the client wants it.
    pub(super) fn key(&self, key: &str) -> Result<Key, Fault> {
        // What stands in an address of the web is escaped; names in buckets are as they are.
        let parsed = if self.protocol == Protocol::Web { Key::from_url_path(key) } else { Key::parse(key) };
        parsed.map_err(|_| {
            Fault::Refused("the names of objects have no empty part, no `.` and no `..` between slashes".to_owned())
        })
    }

    /// Looks for an object of this name.
    pub(crate) fn find(&self, key: &str) -> Result<Option<StoredObject>, Fault> {
        let (location, client, root) = (self.key(key)?, Arc::clone(&self.client), Arc::clone(&self.root));
        let ask = move || {
            let (location, client, root) = (location.clone(), Arc::clone(&client), Arc::clone(&root));
            async move {
                let refused = match client.head(&location).await {
                    Ok(found) => return Ok(found),
                    Err(error) => error,
                };
                // The answer to a question without content has none either, which would say why.
                let again = lacks_reason(&refused).then(|| client.get_range(&location, 0..1));
                let said = match again {
                    Some(again) => again.await.err(),
                    None => None,
                };
                Err(fault_of(&said.unwrap_or(refused), &root))
            }
        };
        match self.stores.start(ask)?.wait() {
            // The name as it was asked for.
            Ok(meta) => Ok(Some(StoredObject { key: key.to_owned(), ..StoredObject::from(meta) })),
            Err(Fault::Missing(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Asks what stands directly below some folders, of all at once.
    pub(crate) fn list(&self, folders: &[String]) -> Lists {
        self.each(folders, |client, folder| async move {
            let listed = client.list_with_delimiter(Some(&folder)).await?;
            let folders = listed.common_prefixes.iter().map(ToString::to_string).collect();
            let objects = listed.objects.into_iter().map(StoredObject::from);
            Ok(Listing { folders, objects: objects.filter(|found| found.key != folder.as_ref()).collect() })
        })
    }

    /// Asks for all objects below some folders, at any depth.
    pub(crate) fn list_all(&self, folders: &[String]) -> Lists {
        self.each(folders, |client, folder| async move {
            let mut listed = client.list(Some(&folder));
            let mut all = Listing::default();
            while let Some(meta) = listed.next().await {
                all.objects.push(StoredObject::from(meta?));
            }
            all.objects.retain(|found| found.key != folder.as_ref());
            Ok(all)
        })
    }

    /// Asks for the first object below each of some folders.
    pub(crate) fn first_below(&self, folders: &[String]) -> Lists {
        self.each(folders, |client, folder| async move {
            let first = client.list(Some(&folder)).next().await.transpose()?;
            Ok(Listing { folders: Vec::new(), objects: first.into_iter().map(StoredObject::from).collect() })
        })
    }

    fn each<F, L>(&self, folders: &[String], list: L) -> Lists
    where
        L: Fn(Arc<dyn ObjectStore>, Key) -> F + Copy + Send + 'static,
        F: Future<Output = object_store::Result<Listing>> + Send + 'static,
    {
        let start = |folder: &String| {
            let (folder, client, root) = (self.key(folder)?, Arc::clone(&self.client), Arc::clone(&self.root));
            self.stores.start(move || {
                let (asked, root) = (list(Arc::clone(&client), folder.clone()), Arc::clone(&root));
                async move { asked.await.map_err(|error| fault_of(&error, &root)) }
            })
        };
        Lists(folders.iter().map(start).collect())
    }

    /// An object that was found.
    pub(crate) fn object(&self, found: &StoredObject) -> Result<Object, Fault> {
        let (key, version) = (self.key(&found.key)?, found.version.clone());
        Ok(Object(Arc::new(OneObject { bucket: self.clone(), key, version, fault: Mutex::default() })))
    }
}

/// An object, of which every read is of the version that was found. Copies are the same.
#[derive(Clone)]
pub(crate) struct Object(Arc<OneObject>);

struct OneObject {
    bucket: Bucket,
    key: Key,
    version: Version,
    /// Why it could not be read, since that may be lost on its way through a decoder.
    fault: Mutex<Option<Fault>>,
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Object").field(&self.0.key).finish()
    }
}

impl Object {
    pub(crate) fn size(&self) -> u64 {
        self.0.version.size
    }

    /// The stores that it is in one of.
    pub(crate) fn stores(&self) -> &Stores {
        &self.0.bucket.stores
    }

    /// Why it could not be read, where it could not.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts to read a range of its bytes.
    pub(crate) fn request(&self, range: Range<u64>) -> Result<Request<Bytes>, Fault> {
        let object = Arc::clone(&self.0);
        let ask = move || {
            let (object, range) = (Arc::clone(&object), range.clone());
            async move { object.read(range).await }
        };
        self.noted(self.stores().start(ask))
    }

    /// Waits for a range that was asked for.
    pub(crate) fn wait(&self, request: Request<Bytes>) -> Result<Bytes, Fault> {
        self.noted(request.wait())
    }

    /// Reads a range of its bytes.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes, Fault> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.wait(self.request(range)?)
    }

    fn noted<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.inspect_err(|fault| {
            let mut noted = self.0.fault.lock().unwrap_or_else(PoisonError::into_inner);
            noted.get_or_insert_with(|| fault.clone());
        })
    }
}

impl OneObject {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, Fault> {
        let fault = |error| fault_of(&error, &self.bucket.root);
        // A web server may know no ranges, and all of an object is none.
        let is_whole = range.start == 0 && range.end >= self.version.size;
        let length = range.end - range.start;
        let options = GetOptions {
            range: (!is_whole).then_some(range.into()),
            if_match: self.version.condition(),
            ..GetOptions::default()
        };
        let answer = match self.bucket.client.get_opts(&self.key, options).await.map_err(fault) {
            // It was there when it was found.
            Err(Fault::Missing(_)) => return Err(Fault::Changed),
            answer => answer?,
        };
        let is_same = self.version.is_of(&answer.meta);
        let bytes = answer.bytes().await.map_err(fault)?;
        if !is_same || bytes.len() as u64 != length {
            return Err(Fault::Changed);
        }
        Ok(bytes)
    }
}

impl Version {
    /// What a server is to compare before it answers: a mark that says that all bytes are the same.
    fn condition(&self) -> Option<String> {
        let mark = self.mark.as_deref()?;
        match mark {
            _ if mark.starts_with("W/") => None,
            _ if mark.starts_with('"') => Some(mark.to_owned()),
            // Azure's lists have it without quotes.
            _ => Some(format!("\"{mark}\"")),
        }
    }

    /// Whether an answer is of this version: not every server compares.
    fn is_of(&self, meta: &ObjectMeta) -> bool {
        let bare = |mark: &str| mark.trim_matches('"').to_owned();
        let same_mark = match (&self.mark, &meta.e_tag) {
            (Some(one), Some(other)) => bare(one) == bare(other),
            // Without marks, to the second, which is what headers say.
            _ => self.modified / 1000 == meta.last_modified.timestamp_millis() / 1000,
        };
        same_mark && self.size == meta.size
    }
}
