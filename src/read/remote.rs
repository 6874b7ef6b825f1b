//! The files of a table in a store: those below an address, or that a pattern of names matches, of the days that are wanted.
//!
//! Folders are listed level by level, all of a level at once, and the folder of a day that nobody wants is not looked into. What
//! lies below a folder whose day is known, or where paths give no days, is one list.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::error::{Error, Result};
use crate::event::Day;
use crate::read::data_file::of_store;
use crate::read::folders::Lake;
use crate::read::path_days::{Base, PathDays};
use crate::read::walk::is_passed_over;
use crate::store::{self, Address, Bucket, Fault, Listing, Lists, Object, Protocol, Stores};

/// What is looked for.
pub(super) struct Search<'a> {
    pub(super) table: &'a str,
    pub(super) days: &'a PathDays,
    pub(super) stores: &'a Stores,
    pub(super) keep: &'a dyn Fn(Day) -> bool,
}

/// What was found at an address.
pub(super) struct Found {
    /// The files, in no order.
    pub(super) files: Vec<(PathBuf, Object)>,
    pub(super) base: Base,
    /// Whether there are folders of other days, into which nobody has looked.
    pub(super) passed: bool,
}

/// A folder that is to be listed.
struct Folder {
    key: String,
    /// Which names of the pattern what is in it may have; none where all in it is meant.
    places: Option<Vec<usize>>,
}

/// A search in one bucket.
struct Walk<'a> {
    search: &'a Search<'a>,
    address: &'a Address,
    bucket: Bucket,
    base: Base,
    /// The names behind the base, where they are a pattern.
    pattern: Vec<Pattern>,
    found: Vec<store::StoredObject>,
    passed: bool,
}

impl Search<'_> {
    /// Finds the files at an address: an object, a folder, or a pattern with `*`, `?` and `[…]` where nothing has that name.
    pub(super) fn find(&self, address: &Address) -> Result<Found> {
        let path = address.path(&address.key);
        let refused = |fault| of_store(self.table, &path, fault);
        let bucket = self.stores.bucket(address).map_err(refused)?;
        if address.protocol == Protocol::Web {
            return self.single(address, &bucket, &path);
        }
        let (folder, names) = split(&address.key);
        // Under way while the name is looked for.
        let lakes = LakesAround::ask(&bucket, folder);
        // An object has the name, or something is below it; else it may be a pattern.
        let object = if address.is_folder { None } else { self.object(&bucket, &address.key, &path)? };
        let (start, names) = match &object {
            Some(_) => (parent(&address.key), Vec::new()),
            None if names.is_empty() => (address.key.as_str(), Vec::new()),
            None => (folder, self.patterns(&names, &path)?),
        };
        let base = Base::in_store(address.path(start));
        let mut walk = Walk { search: self, address, bucket, base, pattern: names, found: Vec::new(), passed: false };
        let found = match object {
            Some(object) => {
                walk.found.push(object);
                Ok(())
            }
            None => walk.below(start),
        };
        lakes.refuse(address, self.table)?;
        found?;
        walk.finish()
    }

    /// A file of the web, which has no folders.
    fn single(&self, address: &Address, bucket: &Bucket, path: &Path) -> Result<Found> {
        let refused = |fault| of_store(self.table, path, fault);
        let found = bucket.find(&address.key).map_err(refused)?.filter(|_| !address.is_folder);
        let missing = "the server has no such file (folders and patterns of names are read from object stores, and not from the web)";
        let found = found.ok_or_else(|| refused(Fault::Missing(missing.to_owned())))?;
        let object = bucket.object(&found).map_err(refused)?;
        let base = Base::in_store(address.path(parent(&address.key)));
        Ok(Found { files: vec![(path.to_owned(), object)], base, passed: false })
    }

    /// The object of a name, unless something lies below it: then it is a folder, and what has its name is a mark that some tools make.
    fn object(&self, bucket: &Bucket, key: &str, path: &Path) -> Result<Option<store::StoredObject>> {
        let below = bucket.first_below(&[key.to_owned()]);
        let found = match bucket.find(key) {
            // Where what is there may only be listed, nobody may ask for one name; the list tells.
            Err(Fault::Forbidden(_)) => None,
            Ok(found) => found.filter(|found| found.version.size > 0),
            Err(fault) => return Err(of_store(self.table, path, fault)),
        };
        // And who may ask for one name only is told of nothing below it.
        let is_folder = found.is_some() && below.wait().into_iter().flatten().any(|listed| !listed.objects.is_empty());
        Ok(found.filter(|_| !is_folder))
    }

    fn patterns(&self, names: &[&str], path: &Path) -> Result<Vec<Pattern>> {
        let wrong = |error: glob::PatternError| {
            let problem = format!("nothing has this name, and as a pattern it is wrong: {}", error.msg);
            of_store(self.table, path, Fault::Refused(problem))
        };
        names.iter().map(|name| Pattern::new(name).map_err(wrong)).collect()
    }
}

/// The folder before the first name that is a pattern, and the names from there on.
fn split(key: &str) -> (&str, Vec<&str>) {
    let mut start = 0;
    for name in key.split('/') {
        if name.contains(['*', '?', '[']) {
            let folder = key.get(..start).unwrap_or_default().trim_end_matches('/');
            return (folder, key.get(start..).unwrap_or_default().split('/').collect());
        }
        start += name.len() + 1;
    }
    (key, Vec::new())
}

fn parent(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn name(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

/// What shows that a folder belongs to a lake format, asked for in all folders around it.
struct LakesAround {
    logs: Vec<String>,
    in_logs: Lists,
    in_metadata: Lists,
}

impl LakesAround {
    fn ask(bucket: &Bucket, start: &str) -> Self {
        let mut folders = vec![start];
        while let Some(folder) = folders.last().filter(|folder| !folder.is_empty()) {
            folders.push(parent(folder));
        }
        let inside = |name: &'static str| {
            folders
                .iter()
                .map(move |folder| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") })
        };
        let logs: Vec<String> = inside("_delta_log").chain(inside(".hoodie")).collect();
        let metadata: Vec<String> = inside("metadata").collect();
        Self { in_logs: bucket.first_below(&logs), in_metadata: bucket.list(&metadata), logs }
    }

    /// Refuses a table that is a part of one of these. What may not be looked at is none of it.
    fn refuse(self, address: &Address, table: &str) -> Result<()> {
        let of_log = |(key, listed): (&String, Result<Listing, Fault>)| {
            listed.is_ok_and(|listed| !listed.objects.is_empty()).then(|| address.path(key))
        };
        let logs = self.logs.iter().zip(self.in_logs.wait()).filter_map(of_log);
        let metadata = self.in_metadata.wait().into_iter().flatten().flat_map(|listed| listed.objects);
        let mut shown = logs.chain(metadata.map(|found| address.path(&found.key)));
        let lake = shown.find_map(|path| Some((Lake::shown_by(&path)?, path)));
        lake.map_or(Ok(()), |(lake, path)| Err(lake.refused(table, &path)))
    }
}

impl Walk<'_> {
    fn refused(&self, key: &str, fault: Fault) -> Error {
        of_store(self.search.table, &self.address.path(key), fault)
    }

    /// Finds all below a folder that the pattern matches.
    fn below(&mut self, start: &str) -> Result<()> {
        let places = (!self.pattern.is_empty()).then(|| self.with_any_depth(vec![0]));
        let mut level = vec![Folder { key: start.to_owned(), places }];
        let mut whole = Vec::new();
        while !level.is_empty() {
            let (flat, listed): (Vec<Folder>, Vec<Folder>) = level.drain(..).partition(|folder| self.is_flat(folder));
            whole.extend(flat.into_iter().map(|folder| folder.key));
            let keys: Vec<String> = listed.iter().map(|folder| folder.key.clone()).collect();
            let lists = self.bucket.list(&keys).wait();
            for (folder, listing) in listed.iter().zip(lists) {
                let listing = listing.map_err(|fault| self.refused(&folder.key, fault))?;
                self.take(folder, listing, &mut level)?;
            }
        }
        for (folder, listing) in whole.iter().zip(self.bucket.list_all(&whole).wait()) {
            let listing = listing.map_err(|fault| self.refused(folder, fault))?;
            for object in listing.objects {
                self.take_below(folder, object)?;
            }
        }
        Ok(())
    }

    /// Whether all below a folder is wanted, as one list.
    fn is_flat(&self, folder: &Folder) -> bool {
        let day = || self.search.days.of_folder(&self.address.path(&folder.key), &self.base);
        folder.places.is_none() && (matches!(self.search.days, PathDays::Nowhere) || day().is_some())
    }

    /// Takes what is directly in a folder: objects that are meant, and folders that may lead to some.
    fn take(&mut self, folder: &Folder, listing: Listing, next: &mut Vec<Folder>) -> Result<()> {
        for key in listing.folders {
            let path = self.address.path(&key);
            if let Some(lake) = Lake::shown_by(&path) {
                return Err(lake.refused(self.search.table, &path));
            }
            let Some(places) = self.behind(folder, name(&key), true) else { continue };
            let day = self.search.days.of_folder(&path, &self.base);
            if day.is_some_and(|day| !(self.search.keep)(day)) {
                self.passed = true;
            } else {
                next.push(Folder { key, places: places.filter(|places| !places.contains(&self.pattern.len())) });
            }
        }
        for object in listing.objects {
            self.refuse_lake(&object.key)?;
            let is_meant = match self.behind(folder, name(&object.key), false) {
                None => false,
                Some(places) => places.is_none_or(|places| places.contains(&self.pattern.len())),
            };
            if is_meant {
                self.found.push(object);
            }
        }
        Ok(())
    }

    /// Takes an object at any depth below a folder all of which is meant.
    fn take_below(&mut self, folder: &str, object: store::StoredObject) -> Result<()> {
        let below = object.key.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
        let mut end = object.key.len() - below.len();
        let mut names = below.split('/').peekable();
        while let Some(part) = names.next() {
            end += part.len();
            if let Some(key) = object.key.get(..end) {
                self.refuse_lake(key)?;
            }
            end += 1;
            if is_passed_over(part.as_ref(), names.peek().is_some()) {
                return Ok(());
            }
        }
        self.found.push(object);
        Ok(())
    }

    fn refuse_lake(&self, key: &str) -> Result<()> {
        let path = self.address.path(key);
        Lake::shown_by(&path).map_or(Ok(()), |lake| Err(lake.refused(self.search.table, &path)))
    }

    /// Which places of the pattern stand behind a name in a folder: `None` where it is not meant, and all of what is below it where
    /// there are no places, or the end is among them.
    fn behind(&self, folder: &Folder, name: &str, is_folder: bool) -> Option<Option<Vec<usize>>> {
        let is_hidden = is_passed_over(name.as_ref(), is_folder);
        let Some(places) = &folder.places else { return (!is_hidden).then_some(None) };
        let mut behind = Vec::new();
        for &place in places {
            let Some(pattern) = self.pattern.get(place) else { continue };
            // Hidden names are matched by themselves only.
            let matched = if is_hidden { pattern.as_str() == name } else { pattern.matches_with(name, OPTIONS) };
            match pattern.as_str() {
                "**" if is_folder && !is_hidden => behind.push(place),
                "**" => {}
                _ if matched => behind.push(place + 1),
                _ => {}
            }
        }
        let behind = if is_folder { self.with_any_depth(behind) } else { behind };
        (!behind.is_empty()).then_some(Some(behind))
    }

    /// Places, and those behind a `**` that stands for nothing.
    fn with_any_depth(&self, mut places: Vec<usize>) -> Vec<usize> {
        let mut next = 0;
        while let Some(&place) = places.get(next) {
            let is_any = self.pattern.get(place).is_some_and(|pattern| pattern.as_str() == "**");
            if is_any && !places.contains(&(place + 1)) {
                places.push(place + 1);
            }
            next += 1;
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    fn finish(self) -> Result<Found> {
        let file = |found: &store::StoredObject| {
            let object = self.bucket.object(found).map_err(|fault| self.refused(&found.key, fault))?;
            Ok((self.address.path(&found.key), object))
        };
        let files = self.found.iter().map(file).collect::<Result<Vec<_>>>()?;
        Ok(Found { files, base: self.base, passed: self.passed })
    }
}

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
