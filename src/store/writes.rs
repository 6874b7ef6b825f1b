//! Objects that are written: files in parts, and small ones of which some are written only where nothing else has come in between.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};

use super::Fault;
use super::bucket::{Bucket, Request};
use super::fault::fault_of;

/// A file of fewer bytes is sent at once.
const PART: u64 = 8 << 20;

/// The parts of a file that are under way at once.
const PARTS_AT_ONCE: usize = 4;

/// Stores take no more parts of an object.
const MOST_PARTS: u64 = 9_000;

/// The version of an object that was read, as a condition for writing over it.
#[derive(Clone, Debug)]
pub(crate) struct Mark(UpdateVersion);

/// When an object is written.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// Where there is none.
    Absent,
    /// Where it is still this one.
    Is(Mark),
}

impl Bucket {
    /// Asks for all of a small object and its version.
    pub(crate) fn small(&self, key: &str) -> Result<Request<Option<(Bytes, Mark)>>, Fault> {
        let (key, client, root) = (self.key(key)?, self.client(), self.root());
        self.stores().start(move || {
            let (key, client, root) = (key.clone(), Arc::clone(&client), Arc::clone(&root));
            async move {
                let read = async {
                    let answer = client.get(&key).await?;
                    let mark = UpdateVersion { e_tag: answer.meta.e_tag.clone(), version: answer.meta.version.clone() };
                    Ok((answer.bytes().await?, Mark(mark)))
                };
                match read.await.map_err(|error| fault_of(&error, &root)) {
                    Ok(found) => Ok(Some(found)),
                    Err(Fault::Missing(_)) => Ok(None),
                    Err(fault) => Err(fault),
                }
            }
        })
    }

    /// Writes a small object where a condition holds; [`Fault::Changed`] where it does not.
    pub(crate) fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<(), Fault> {
        let (key, client, root) = (self.key(key)?, self.client(), self.root());
        let put = self.stores().start(move || {
            let (key, client, root) = (key.clone(), Arc::clone(&client), Arc::clone(&root));
            let mode = match &condition {
                Condition::Absent => PutMode::Create,
                Condition::Is(Mark(version)) => PutMode::Update(version.clone()),
            };
            let (payload, options) = (PutPayload::from(bytes.clone()), PutOptions { mode, ..PutOptions::default() });
            async move {
                let put = client.put_opts(&key, payload, options).await;
                put.map(drop).map_err(|error| fault_of(&error, &root))
            }
        });
        put?.wait()
    }

    /// Starts to send a file of this machine.
    pub(crate) fn put_file(&self, key: &str, path: &Path) -> Result<Request<()>, Fault> {
        let (key, client, root, path) = (self.key(key)?, self.client(), self.root(), path.to_owned());
        self.stores().start(move || {
            let (key, client, root, path) = (key.clone(), Arc::clone(&client), Arc::clone(&root), path.clone());
            async move {
                let sent = send_file(client.as_ref(), &key, path).await;
                sent.map_err(|fault| fault.map_or_else(Fault::Refused, |error| fault_of(&error, &root)))
            }
        })
    }

    /// Deletes objects; of one that is not there nothing is said.
    pub(crate) fn delete(&self, keys: &[String]) -> Result<(), Fault> {
        let delete = |key: &String| {
            let (key, client, root) = (self.key(key)?, self.client(), self.root());
            self.stores().start(move || {
                let (key, client, root) = (key.clone(), Arc::clone(&client), Arc::clone(&root));
                async move {
                    match client.delete(&key).await.map_err(|error| fault_of(&error, &root)) {
                        Err(Fault::Missing(_)) => Ok(()),
                        result => result,
                    }
                }
            })
        };
        let requests: Vec<Result<Request<()>, Fault>> = keys.iter().map(delete).collect();
        requests.into_iter().try_for_each(|request| request?.wait())
    }
}

/// Why a file was not sent: what the store said, or what the system said of the file.
type Unsent = Result<object_store::Error, String>;

async fn send_file(client: &dyn ObjectStore, key: &Key, path: PathBuf) -> Result<(), Unsent> {
    let unreadable = |error: std::io::Error| Err(format!("`{}` cannot be read again: {error}", path.display()));
    let file = File::open(&path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let part = |start: u64, length: u64| {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, start).map_err(unreadable)?;
        Ok::<_, Unsent>(PutPayload::from(bytes))
    };
    if size < PART {
        client.put(key, part(0, size)?).await.map_err(Ok)?;
        return Ok(());
    }
    let length = PART.max(size.div_ceil(MOST_PARTS));
    let mut upload = client.put_multipart(key).await.map_err(Ok)?;
    let sent = send_parts(upload.as_mut(), size, length, part).await;
    let sent = match sent {
        Ok(()) => upload.complete().await.map(drop).map_err(Ok),
        unsent => unsent,
    };
    if sent.is_err() {
        // What has been sent would be paid for; that it cannot be taken back says less than why it was not sent.
        let _ = upload.abort().await;
    }
    sent
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    size: u64,
    length: u64,
    part: impl Fn(u64, u64) -> Result<PutPayload, Unsent>,
) -> Result<(), Unsent> {
    let mut under_way = FuturesUnordered::new();
    let mut start = 0;
    while start < size {
        if under_way.len() >= PARTS_AT_ONCE {
            under_way.try_next().await.map_err(Ok)?;
        }
        under_way.push(upload.put_part(part(start, length.min(size - start))?));
        start += length;
    }
    while under_way.try_next().await.map_err(Ok)?.is_some() {}
    Ok(())
}
