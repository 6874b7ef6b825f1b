//! The four tables as files: their columns and the two formats.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::json::LineDelimitedWriter;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::described;
use crate::error::{Error, Result};
use crate::fsio::{self, FileWriter};

/// UTC as an offset: Arrow needs no table of zones to print it.
pub(super) const UTC: &str = "+00:00";

/// The format of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Parquet, compressed with Snappy.
    Parquet,
    /// Newline-delimited JSON with RFC 3339 times.
    Json,
}

impl TableFormat {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GeneratedTable {
    Impressions,
    Clicks,
    AddToCarts,
    PreviousOrders,
}

impl GeneratedTable {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Impressions => "impressions",
            Self::Clicks => "clicks",
            Self::AddToCarts => "add_to_carts",
            Self::PreviousOrders => "previous_orders",
        }
    }

    /// The columns; `is_described` where there are those of a description too.
    fn schema(self, is_described: bool) -> SchemaRef {
        let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
        let day = field("dt", DataType::Utf8);
        let customer = field("customer_id", DataType::Int32);
        let item = |name: &str| field(name, DataType::Int32);
        let time = |name: &str| field(name, DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())));
        let mut fields = match self {
            Self::Impressions => vec![
                day,
                field("ranking_id", DataType::Utf8),
                customer,
                field("impressions", DataType::List(slate_element(is_described))),
            ],
            Self::Clicks => vec![day, customer, item("item_id"), time("click_time")],
            Self::AddToCarts => vec![day, customer, item("config_id"), item("simple_id"), time("occurred_at")],
            Self::PreviousOrders => vec![field("order_date", DataType::Date32), customer, item("config_id")],
        };
        match self {
            _ if !is_described => {}
            Self::Impressions => fields.push(time("shown_at")),
            Self::Clicks | Self::AddToCarts | Self::PreviousOrders => fields.extend(described::action_fields()),
        }
        Arc::new(Schema::new(fields))
    }
}

/// The type of one impressed item.
pub(super) fn slate_fields(is_described: bool) -> Fields {
    let built_in = [Field::new("item_id", DataType::Int32, true), Field::new("is_order", DataType::Boolean, true)];
    let others = if is_described { described::slate_fields() } else { Vec::new() };
    built_in.into_iter().chain(others).collect()
}

/// An element of the list of impressed items.
pub(super) fn slate_element(is_described: bool) -> FieldRef {
    Arc::new(Field::new("element", DataType::Struct(slate_fields(is_described)), true))
}

/// A file of one table that takes batches of columns.
pub(super) struct TableFile {
    schema: SchemaRef,
    encoder: Encoder,
}

enum Encoder {
    Parquet(Box<ArrowWriter<FileWriter>>),
    Json(Box<LineDelimitedWriter<FileWriter>>),
}

impl TableFile {
    pub(super) fn create(
        path: &Path,
        (table, is_described): (GeneratedTable, bool),
        format: TableFormat,
        group_rows: u64,
    ) -> Result<Self> {
        let schema = table.schema(is_described);
        if let Some(folder) = path.parent() {
            fsio::create_folders(folder)?;
        }
        let file = FileWriter::create(path)?;
        let encoder = match format {
            TableFormat::Json => Encoder::Json(Box::new(LineDelimitedWriter::new(file))),
            TableFormat::Parquet => {
                // Hardly any value of these columns comes twice, so a dictionary would only cost time.
                let mut properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_max_row_group_row_count(Some(group_rows as usize));
                for column in ["ranking_id", "click_time", "occurred_at", "shown_at"] {
                    properties = properties.set_column_dictionary_enabled(column.into(), false);
                }
                // Without the embedded Arrow schema readers see the plain Parquet types.
                let options =
                    ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
                let writer = ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options)
                    .map_err(|source| Error::Encode { path: path.to_owned(), source })?;
                Encoder::Parquet(Box::new(writer))
            }
        };
        Ok(Self { schema, encoder })
    }

    pub(super) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), ParquetError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        match &mut self.encoder {
            Encoder::Parquet(writer) => writer.write(&batch),
            Encoder::Json(writer) => Ok(writer.write(&batch)?),
        }
    }

    pub(super) fn finish(self) -> Result<(), ParquetError> {
        let file = match self.encoder {
            Encoder::Parquet(writer) => writer.into_inner()?,
            Encoder::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
        };
        file.finish().map(drop).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
