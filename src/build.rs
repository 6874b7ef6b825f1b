//! A build put together option by option: what most programs want of this library.

use std::path::{Path, PathBuf};

use crate::config::{Format, Options, Plan};
use crate::error::Result;
use crate::event::Day;
use crate::pipeline::{self, Input, Observer, Summary, Tables};
use crate::read::Source;
use crate::schema;

/// A build of some days: tables in, published days out.
///
/// ```
/// use shardback::{Build, Format};
///
/// let out = tempfile::tempdir()?;
/// let summary = Build::days("2025-08-15".parse()?, "2025-08-16".parse()?, out.path())
///     .table("impressions", "data/sample/impressions")
///     .table("clicks", "data/sample/clicks")
///     .formats([Format::Jagged])
///     .run()?;
/// assert_eq!(summary.days.iter().map(|day| day.samples).collect::<Vec<_>>(), [220, 190]);
/// assert!(out.path().join("jagged/dt=2025-08-16/_manifest.json").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Tables are those of the built-in description (`impressions`, `clicks`, `add_to_carts`, `previous_orders`) unless [`Build::described`] names
/// another one. Every option of [`Options`] that has no method here is set by [`Build::with`].
pub struct Build<'a> {
    options: Options,
    /// The folder of the description, where there is one.
    folder: Option<PathBuf>,
    tables: Vec<(String, Input)>,
    observer: &'a dyn Observer,
}

impl Build<'static> {
    /// One day, into a folder or an address.
    #[must_use]
    pub fn day(day: Day, out: impl Into<PathBuf>) -> Self {
        Self::days(day, day, out)
    }

    /// The days from one to another, both included, in one pass.
    #[must_use]
    pub fn days(start: Day, end: Day, out: impl Into<PathBuf>) -> Self {
        Self { options: Options::new(out, start, end), folder: None, tables: Vec::new(), observer: &() }
    }
}

impl<'a> Build<'a> {
    /// Takes the tables of a description in TOML or JSON, and what it says of histories. Paths in it are relative to its folder. To be
    /// called before options are set.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the file cannot be read, [`Error::Description`](crate::Error::Description) where it makes no
    /// sense.
    pub fn described(self, file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let Options { out, start, end, .. } = self.options;
        let options = Options::described(schema::from_file(file)?, out, start, end);
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { options, folder: Some(folder), ..self })
    }

    /// Where a table lies: a file, a folder, a pattern of names, or an address.
    #[must_use]
    pub fn table(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.tables.push((name.into(), Input::Path(path.into())));
        self
    }

    /// The rows of a table, from anywhere.
    #[must_use]
    pub fn source(mut self, name: impl Into<String>, source: impl Source + 'static) -> Self {
        self.tables.push((name.into(), Input::Source(Box::new(source))));
        self
    }

    /// What to write; Parquet and dense if not said.
    #[must_use]
    pub fn formats(mut self, formats: impl IntoIterator<Item = Format>) -> Self {
        self.options.formats = formats.into_iter().collect();
        self
    }

    /// K, the most actions of a history; 1000 if not said.
    #[must_use]
    pub fn history_length(mut self, length: usize) -> Self {
        self.options.history = length;
        self
    }

    /// Sets other options.
    ///
    /// ```
    /// use shardback::{Build, Day};
    /// use shardback::config::{InvalidRows, parse_size};
    ///
    /// let day: Day = "2025-08-16".parse()?;
    /// let build = Build::day(day, "out").with(|options| {
    ///     options.invalid = InvalidRows::Skip;
    ///     options.memory = parse_size("8GiB").ok();
    /// });
    /// # drop(build);
    /// # Ok::<(), shardback::Error>(())
    /// ```
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Options)) -> Self {
        set(&mut self.options);
        self
    }

    /// Tells an observer how far the run is, and asks it whether to stop.
    #[must_use]
    pub fn observer<'b>(self, observer: &'b dyn Observer) -> Build<'b>
    where
        'a: 'b,
    {
        Build { observer, ..self }
    }

    /// Builds the days, and says what was done.
    ///
    /// # Errors
    /// The first fault; days that are published until then stay published, whole.
    pub fn run(self) -> Result<Summary> {
        let plan = Plan::new(self.options)?;
        let tables = Tables::described(&plan.options().schema, self.folder.as_deref(), self.tables)?;
        pipeline::build(&plan, tables, self.observer)
    }
}
