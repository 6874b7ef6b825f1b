//! Which of the wanted columns the JSON files of a table have.
//!
//! A line may lack any key: an absent one is null. Only what no line of any file has is a missing column, so it does not
//! matter how the lines are spread over files.

use std::path::Path;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::error::Result;
use crate::read::blocks::Blocks;
use crate::read::data_file::DataFile;
use crate::read::layout::{Lists, all_columns, choose, missing};
use crate::read::mend::mended;
use crate::read::object::read_keys;
use crate::read::shapes::{self, are_known, take_over};
use crate::read::{Column, Projection, Shape};
use crate::schema::Compression;

/// Bytes of each file in which keys are looked for at first.
const FIRST_LOOK: usize = 64 << 10;

/// Files that are searched in parallel for keys that no first look has found; how far the search goes must not depend on
/// the number of threads.
const GROUP: usize = 16;

/// How many names of a table's columns an error lists at most, beside the wanted ones.
const NAMES_LISTED: usize = 64;

/// A file with rows, and the keys that have been seen in it.
pub(super) struct Looked<'a> {
    file: &'a DataFile,
    compression: Compression,
    keys: Keys<'a>,
    /// The wanted columns, with what has been seen to stand there.
    columns: Vec<Column>,
}

/// Looks at the first lines of a file; `None` where it has no rows.
pub(super) fn look<'a>(
    file: &'a DataFile,
    compression: Compression,
    wanted: &'a Projection,
) -> Result<Option<Looked<'a>>> {
    let (keys, columns) = (Keys::new(wanted), all_columns(wanted, file.day.is_some(), &[]));
    let mut looked = Looked { file, compression, keys, columns };
    let any_rows = looked.search(|_, any_rows| any_rows)?;
    Ok(any_rows.then_some(looked))
}

/// Checks that the files of the table at `path`, taken together, have every column of some layout, and the day where a
/// path lacks it.
pub(super) fn require(path: &Path, files: &[Looked<'_>], wanted: &Projection) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let day_in_path = files.iter().all(|looked| looked.file.day.is_some());
    let choose_among = |keys: &Keys<'_>| {
        choose(wanted, day_in_path, Lists::Possible, |path| keys.names.iter().any(|key| holds(key, path))).map(|_| ())
    };
    let mut known = Keys::new(wanted);
    files.iter().for_each(|looked| known.take(&looked.keys.names));
    for group in files.chunks(GROUP) {
        if choose_among(&known).is_ok() {
            return Ok(());
        }
        let search = |looked: &Looked<'_>| {
            let mut more = Looked { columns: Vec::new(), keys: known.clone(), ..*looked };
            more.search(|keys, _| choose_among(keys).is_ok())?;
            Ok(more.keys.names)
        };
        let found: Vec<Result<Vec<String>>> = group.par_iter().map(search).collect();
        for names in found {
            known.take(&names?);
        }
    }
    let file = if let [looked] = files { looked.file.path.as_path() } else { path };
    choose_among(&known).map_err(|path| missing(wanted, Some(file), path, known.names))
}

impl Looked<'_> {
    /// The wanted columns as the file has them, as far as its first lines tell.
    pub(super) fn columns(&self) -> Vec<Column> {
        let wanted = self.keys.wanted;
        let mut columns = all_columns(wanted, self.file.day.is_some(), &self.keys.names);
        take_over(&mut columns, &self.columns);
        let list = columns.iter_mut().find(|column| wanted.list.as_ref() == Some(&column.wanted));
        if let Some(list) = list.filter(|list| list.shape == Shape::Unknown) {
            // In most files without it there is none, and nobody has to look for it in every line.
            list.shape = Shape::Many;
            list.fields.iter_mut().for_each(|field| field.shape = Shape::One);
        }
        columns
    }

    /// Notes the keys of one block of lines after the other, until `enough` says so of them and of whether there were
    /// rows; returns whether there were.
    fn search(&mut self, enough: impl Fn(&Keys<'_>, bool) -> bool) -> Result<bool> {
        let mut blocks = Blocks::open(self.file, self.compression, FIRST_LOOK, 1, &self.keys.wanted.room)?;
        let mut any_rows = false;
        while !enough(&self.keys, any_rows)
            && let Some(block) = blocks.next()?
        {
            for (piece, object) in block.rows() {
                any_rows = true;
                // Where the path has the day the key is not read, so it says nothing of the other files.
                let day_in_path = self.file.day.is_some();
                let mut note = |key: &str| {
                    if !(day_in_path && self.keys.wanted.day_column() == Some(key)) {
                        self.keys.note(key);
                    }
                };
                if !are_known(&self.columns) && !shapes::note(object, &mut self.columns) {
                    let mended = mended(object, &self.columns);
                    shapes::note(&mended, &mut self.columns);
                }
                // What is wrong with values is for the reading to say.
                let read = read_keys(object, &mut note).or_else(|_| read_keys(&mended(object, &[]), note));
                read.map_err(|problem| {
                    let (line, problem) = piece.in_file(object, problem);
                    self.file.bad_text(line, problem)
                })?;
            }
        }
        Ok(any_rows)
    }
}

/// Keys in the order in which they were seen: all the wanted ones, and some of the others.
#[derive(Clone)]
struct Keys<'a> {
    wanted: &'a Projection,
    names: Vec<String>,
}

impl<'a> Keys<'a> {
    fn new(wanted: &'a Projection) -> Self {
        Self { wanted, names: Vec::new() }
    }

    fn note(&mut self, key: &str) {
        let is_new = !self.names.iter().any(|name| name == key);
        if is_new && (self.names.len() < NAMES_LISTED || self.is_wanted(key)) {
            self.names.push(key.to_owned());
        }
    }

    fn is_wanted(&self, key: &str) -> bool {
        let is_key = |path: &str| holds(key, path);
        self.wanted.day_column().is_some_and(is_key)
            || self.wanted.columns.iter().any(|path| is_key(path) || self.wanted.flat(path).is_some_and(is_key))
    }

    fn take(&mut self, names: &[String]) {
        names.iter().for_each(|name| self.note(name));
    }
}

/// Whether a key may hold a column: it has the path's own name, or that of its root, in whatever case. Which of several does is
/// found out object by object.
fn holds(key: &str, path: &str) -> bool {
    let root = path.split_once('.').map_or(path, |(root, _)| root);
    key.eq_ignore_ascii_case(path) || key.eq_ignore_ascii_case(root)
}
