//! A small table of texts that can be stored in every format.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

/// How a table is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Json,
    Csv,
    Parquet,
}

/// Rows of texts; `None` is null. Ids and labels are stored as what they are, all else as text.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Option<String>>>,
}

impl Sheet {
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Appends a row; `-` is null.
    pub(crate) fn push(&mut self, row: &[&str]) {
        assert_eq!(row.len(), self.columns.len());
        self.rows.push(row.iter().map(|&value| (value != "-").then(|| value.to_owned())).collect());
    }

    pub(crate) fn reverse(&mut self) {
        self.rows.reverse();
    }

    /// Writes the table as a folder of files, cut in the order of the rows.
    pub(crate) fn write(&self, folder: &Path, stored: Stored, files: usize) {
        fs::create_dir_all(folder).unwrap();
        let each = self.rows.len().div_ceil(files).max(1);
        for (number, rows) in self.rows.chunks(each).enumerate() {
            let part = Self { columns: self.columns.clone(), rows: rows.to_vec() };
            let (ending, bytes) = match stored {
                Stored::Json => ("json", part.json().into_bytes()),
                Stored::Csv => ("csv", part.csv().into_bytes()),
                Stored::Parquet => ("parquet", part.parquet()),
            };
            fs::write(folder.join(format!("part-{number}.{ending}")), bytes).unwrap();
        }
    }

    fn json(&self) -> String {
        let value = |column: &str, value: &Option<String>| match value {
            None => "null".to_owned(),
            Some(value) if is_id(column) || is_label(column) => value.clone(),
            Some(value) => serde_json::to_string(value).unwrap(),
        };
        let row = |row: &Vec<Option<String>>| {
            let fields =
                self.columns.iter().zip(row).map(|(column, text)| format!("\"{column}\":{}", value(column, text)));
            format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","))
        };
        self.rows.iter().map(row).collect()
    }

    fn csv(&self) -> String {
        let row =
            |row: &Vec<Option<String>>| row.iter().map(|value| value.clone().unwrap_or_default()).collect::<Vec<_>>();
        let lines = self.rows.iter().map(|values| row(values).join(",") + "\n");
        std::iter::once(self.columns.join(",") + "\n").chain(lines).collect()
    }

    fn parquet(&self) -> Vec<u8> {
        let batch = self.batch();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    /// The rows as a batch, ids as decimals so that they can be beyond 64 bits.
    pub(crate) fn batch(&self) -> RecordBatch {
        let column = |place: usize| -> ArrayRef {
            let values = self.rows.iter().map(|row| row[place].as_deref());
            let name = self.columns[place];
            if is_id(name) {
                let ids: Decimal128Array = values.map(|value| value.map(|id| id.parse::<i128>().unwrap())).collect();
                Arc::new(ids.with_precision_and_scale(20, 0).unwrap())
            } else if is_label(name) {
                Arc::new(values.map(|value| value.map(|label| label == "true")).collect::<BooleanArray>())
            } else {
                Arc::new(values.collect::<StringArray>())
            }
        };
        RecordBatch::try_from_iter_with_nullable(
            self.columns.iter().enumerate().map(|(place, name)| (*name, column(place), true)),
        )
        .unwrap()
    }
}

fn is_id(column: &str) -> bool {
    column.ends_with("_id")
}

fn is_label(column: &str) -> bool {
    column == "is_order"
}
