//! The days that paths give: `dt=2025-08-15`, or a pattern such as `{year}/{month}/{day}`.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::event::Day;
use crate::read::{PathDay, Projection};
use crate::schema::DayOf;
use crate::store::percent_decode;
use crate::texts::parse_day;

/// Hive's name for a partition whose value is null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Where a table's day stands in the path of a file.
pub(super) enum PathDays {
    /// In a folder `NAME=…`, of which this is the start.
    Folder(String),
    /// Where the path is as a pattern says.
    Pattern(Pattern),
    /// Nowhere: it is made of the time.
    Nowhere,
}

impl PathDays {
    pub(super) fn new(wanted: &Projection) -> Self {
        match &wanted.day {
            DayOf::Column { column, .. } => Self::Folder(format!("{column}=")),
            DayOf::Path(pattern) => Self::Pattern(Pattern::new(pattern)),
            DayOf::Time { .. } => Self::Nowhere,
        }
    }

    /// The day that a folder gives to all below it, as far as it gives one.
    pub(super) fn of_folder(&self, folder: &Path, base: &Base) -> Option<Day> {
        // As if a file were in it, of which only the folders count.
        let file = folder.join("-");
        let day = match self {
            Self::Nowhere => None,
            Self::Folder(_) => self.of("", &file, base).ok().flatten(),
            Self::Pattern(pattern) => {
                let (mut parts, first) = base.parts(&file);
                parts.pop();
                pattern.day(&parts, first)
            }
        };
        match day {
            Some(PathDay::Day(day)) => Some(day),
            _ => None,
        }
    }

    /// The day that the path of a file gives. Where it has to give one, a path that gives none is an error.
    pub(super) fn of(&self, table: &str, path: &Path, base: &Base) -> Result<Option<PathDay>> {
        let (parts, first) = base.parts(path);
        match self {
            Self::Nowhere => Ok(None),
            Self::Folder(prefix) => {
                let folders = parts.get(first..parts.len().saturating_sub(1)).unwrap_or_default();
                let exact = folders.iter().rev().find_map(|name| name.strip_prefix(prefix.as_str()));
                // Matching is exact first, then without case: warehouses write names in upper case.
                let value = exact.or_else(|| folders.iter().rev().find_map(|name| without_case(name, prefix)));
                Ok(value.map(day_of_value))
            }
            Self::Pattern(pattern) => pattern.day(&parts, first).map(Some).ok_or_else(|| Error::NoDayInPath {
                table: table.to_owned(),
                path: path.to_owned(),
                pattern: pattern.text.clone(),
            }),
        }
    }
}

fn without_case<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, value) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(value)
}

/// The folder from which on the folders of a path count, itself the first; none further up does.
pub(super) struct Base {
    folder: PathBuf,
    /// The names of the folder and of those above it.
    above: Vec<String>,
}

impl Base {
    /// The base of what is at or below `root`, which is a folder or a file.
    pub(super) fn of(root: &Path, is_folder: bool) -> io::Result<Self> {
        let folder = if is_folder { root } else { root.parent().unwrap_or(root) };
        // `.` and a bare file name have a last folder too.
        let known = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Ok(Self { folder: folder.to_owned(), above: names(&std::path::absolute(known)?) })
    }

    /// The base of what is below a folder of a store, by the names in its address.
    pub(super) fn in_store(folder: PathBuf) -> Self {
        let above = names(&folder);
        Self { folder, above }
    }

    /// The names along a path at or below the base, and the place of the first that counts.
    fn parts(&self, path: &Path) -> (Vec<String>, usize) {
        let mut parts = self.above.clone();
        parts.extend(names(path.strip_prefix(&self.folder).unwrap_or(path)));
        (parts, self.above.len().saturating_sub(1))
    }
}

fn names(path: &Path) -> Vec<String> {
    path.iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

fn day_of_value(value: &str) -> PathDay {
    if value == HIVE_NULL {
        return PathDay::Null;
    }
    let value = percent_decode(value);
    let unparsable = || PathDay::Unparsable(String::from_utf8_lossy(&value).into_owned());
    parse_day(&value, None).map_or_else(unparsable, PathDay::Day)
}

/// A pattern of some neighbouring names of a path.
pub(super) struct Pattern {
    text: String,
    /// One for each name.
    names: Vec<Vec<Piece>>,
}

/// A part of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Any text, also none.
    Any,
    /// The year (0), the month (1) or the day (2), of so many digits at least and at most.
    Number {
        which: usize,
        least: usize,
        most: usize,
    },
}

/// The numbers that a path says, as far as they have been found.
type Numbers = [Option<i32>; 3];

const NUMBERS: [&str; 3] = ["{year}", "{month}", "{day}"];

impl Pattern {
    fn new(text: &str) -> Self {
        let names = text.split('/').filter(|name| !name.is_empty()).map(pieces).collect();
        Self { text: text.to_owned(), names }
    }

    /// The day that a path says: where several places fit, the last one does. The last name of the place has to be the one at
    /// `first` or behind it.
    fn day(&self, parts: &[String], first: usize) -> Option<PathDay> {
        let ends = (first + 1..=parts.len()).rev();
        ends.filter_map(|end| parts.get(end.checked_sub(self.names.len())?..end)).find_map(|place| {
            let mut numbers = Numbers::default();
            let mut is_null = false;
            for (pieces, name) in self.names.iter().zip(place) {
                let has_number = pieces.iter().any(|piece| matches!(piece, Piece::Number { .. }));
                if has_number && name.ends_with(HIVE_NULL) {
                    is_null = true;
                } else if !fits(pieces, name, true, &mut numbers) {
                    return None;
                }
            }
            let [year, month, day] = numbers;
            if is_null { Some(PathDay::Null) } else { Day::from_ymd(year?, month?, day?).map(PathDay::Day) }
        })
    }
}

/// The pieces of a pattern of a name.
fn pieces(mut text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let number = NUMBERS.iter().position(|number| text.starts_with(number));
        let (piece, length) = match number {
            Some(0) => (Piece::Number { which: 0, least: 4, most: 4 }, NUMBERS[0].len()),
            Some(which) => (Piece::Number { which, least: 1, most: 2 }, NUMBERS[which].len()),
            None if text.starts_with('*') => (Piece::Any, 1),
            None => {
                let end = NUMBERS.iter().filter_map(|number| text.find(number)).chain(text.find('*')).min();
                let end = end.unwrap_or(text.len());
                (Piece::Text(text[..end].to_owned()), end)
            }
        };
        pieces.push(piece);
        text = &text[length..];
    }
    // Where nothing stands between two numbers, only their widths tell them apart.
    let numbers: Vec<bool> = pieces.iter().map(|piece| matches!(piece, Piece::Number { .. })).collect();
    for (place, piece) in pieces.iter_mut().enumerate() {
        let neighbours = [place.checked_sub(1), Some(place + 1)];
        let touches = neighbours.iter().flatten().any(|&place| numbers.get(place) == Some(&true));
        if let (Piece::Number { least, most, .. }, true) = (piece, touches) {
            *least = *most;
        }
    }
    pieces
}

/// Whether a name is as some pieces say; `starts` where a number can begin. A number of one width or another is all the digits
/// that stand together, and none begins within digits that any text has taken: which of them are a year would be a guess.
fn fits(pieces: &[Piece], name: &str, starts: bool, numbers: &mut Numbers) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return name.is_empty() };
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    match piece {
        Piece::Text(text) => name.strip_prefix(text.as_str()).is_some_and(|name| fits(rest, name, true, numbers)),
        Piece::Any => name.char_indices().map(|(place, _)| place).chain([name.len()]).any(|place| {
            let (before, name) = name.split_at(place);
            let starts = before.chars().last().map_or(starts, |last| !last.is_ascii_digit());
            fits(rest, name, starts, numbers)
        }),
        Piece::Number { which, least, most } => {
            let one_width = least == most;
            let mut lengths = (*least..=*most.min(&digits)).rev().filter(|&length| one_width || length == digits);
            starts
                && lengths.any(|length| {
                    let (number, name) = name.split_at(length);
                    numbers[*which] = number.parse().ok();
                    fits(rest, name, true, numbers)
                })
        }
    }
}
