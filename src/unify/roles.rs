//! What the columns of a table are read for, made ready once for all its chunks.

use super::days::DayRole;
use super::times::Times;
use super::{wanted_actions, wanted_samples};
use crate::config::Plan;
use crate::error::Result;
use crate::pack::{self, Packing};
use crate::read::Projection;
use crate::schema::{ActionTable, Cutoff, Ids, Kept, LabelOf, POSITION, Source, TypeOf, ValueType};

/// Where the places in lists are kept beside the columns of a table: a name that no column can have.
pub(super) const POSITIONS: &str = "\0";

/// The roles of a table's columns.
pub(super) struct Roles<'a> {
    pub(super) table: &'a str,
    pub(super) wanted: Projection,
    pub(super) source: &'a Source,
    pub(super) day: DayRole<'a>,
    pub(super) customer: &'a str,
    pub(super) customer_ids: Ids,
    pub(super) item: &'a str,
    pub(super) item_ids: Ids,
    pub(super) kind: TypeSource<'a>,
    pub(super) time: Option<(&'a str, Times<'a>)>,
    pub(super) cutoff: Cutoff,
    /// Whether the times are those of requests.
    pub(super) has_request_times: bool,
    pub(super) request: Option<&'a str>,
    pub(super) values: Vec<ValueRole<'a>>,
    /// Of the wanted columns those that are walked, but for the day's.
    pub(super) paths: Vec<&'a str>,
    pub(super) has_positions: bool,
    /// What a row of values is packed as.
    pub(super) packing: Packing,
}

/// Where the type of an action comes from.
pub(super) enum TypeSource<'a> {
    Constant(u8),
    Column { path: &'a str, texts: Vec<&'a str>, numbers: Vec<u8>, ignore_others: bool },
}

/// A label, a kept column or a feature.
pub(super) struct ValueRole<'a> {
    pub(super) name: &'a str,
    pub(super) of: ValueOf<'a>,
    pub(super) dtype: ValueType,
    pub(super) is_label: bool,
}

/// What it is made of.
pub(super) enum ValueOf<'a> {
    /// A column, and what stands for its nulls.
    Kept {
        path: &'a str,
        null: Option<i64>,
    },
    Position,
    AtLeast {
        path: &'a str,
        threshold: f64,
    },
    Is {
        path: &'a str,
        texts: Vec<&'a str>,
    },
    In {
        path: &'a str,
    },
    Equals {
        path: &'a str,
    },
    Constant(i64),
}

impl<'a> ValueOf<'a> {
    /// The column that has a value for each row or element.
    fn path(&self) -> Option<&'a str> {
        match self {
            Self::Kept { path, .. } | Self::AtLeast { path, .. } | Self::Is { path, .. } | Self::Equals { path } => {
                Some(path)
            }
            Self::Position | Self::In { .. } | Self::Constant(_) => None,
        }
    }
}

impl ValueRole<'_> {
    /// The value of a cell.
    pub(super) fn packed(&self, cell: i64) -> pack::Value {
        match self.dtype {
            ValueType::F32 | ValueType::F64 => pack::Value::Float(f64::from_bits(cell.cast_unsigned())),
            ValueType::Bool | ValueType::U8 | ValueType::I32 | ValueType::I64 | ValueType::Hash => {
                pack::Value::Integer(cell)
            }
        }
    }
}

/// The number for a null, as a cell holds it.
fn null_cell(null: f64, dtype: ValueType) -> i64 {
    match dtype {
        ValueType::F32 | ValueType::F64 => super::columns::float_bits(null),
        // Whole and within the type, as a description is checked for.
        _ => null as i64,
    }
}

impl<'a> Roles<'a> {
    /// The roles of the table of samples.
    pub(super) fn of_samples(plan: &'a Plan) -> Result<Self> {
        let schema = &plan.options().schema;
        let table = &schema.samples;
        let labels = table.labels.iter().map(|label| ValueRole {
            name: &label.name,
            of: label_of(&label.of),
            dtype: label.of.value_type(),
            is_label: true,
        });
        let values: Vec<_> = labels.chain(table.kept.iter().map(kept)).collect();
        let day = DayRole::new(&table.day, plan)?;
        let has_request_times = schema.history.cutoff == Cutoff::Time;
        let time = table.time.as_ref().filter(|_| has_request_times || day.is_of_time());
        let time = time.map(|time| Ok((time.column.as_str(), Times::new(time)?))).transpose()?;
        Ok(Self {
            table: &table.name,
            wanted: wanted_samples(schema),
            source: &table.source,
            day,
            customer: &table.customer,
            customer_ids: schema.customer_ids,
            item: &table.item,
            item_ids: schema.item_ids,
            kind: TypeSource::Constant(0),
            time,
            cutoff: schema.history.cutoff,
            has_request_times,
            request: table.request.as_deref(),
            has_positions: false,
            packing: plan.contents().sample_packing(),
            paths: Vec::new(),
            values,
        }
        .with_paths())
    }

    /// The roles of a table of actions.
    pub(super) fn of_actions(plan: &'a Plan, table: &'a ActionTable) -> Result<Self> {
        let schema = &plan.options().schema;
        let features = schema.features().into_iter().map(|feature| {
            match table.features.iter().find(|own| own.name == feature.name) {
                Some(own) => kept(own),
                // A description says what actions of other tables have.
                None => {
                    let null = null_cell(feature.null.unwrap_or(0.0), feature.dtype);
                    let of = ValueOf::Constant(null);
                    ValueRole { name: &feature.name, of, dtype: feature.dtype, is_label: false }
                }
            }
        });
        let values = features.collect();
        Ok(Self {
            table: &table.name,
            wanted: wanted_actions(table),
            source: &table.source,
            day: DayRole::new(&table.day, plan)?,
            customer: &table.customer,
            customer_ids: schema.customer_ids,
            item: &table.item,
            item_ids: schema.item_ids,
            kind: match &table.kind {
                TypeOf::Constant(kind) => TypeSource::Constant(*kind),
                TypeOf::Column { column, values, ignore_others } => TypeSource::Column {
                    path: column,
                    texts: values.iter().map(|(text, _)| text.as_str()).collect(),
                    numbers: values.iter().map(|&(_, number)| number).collect(),
                    ignore_others: *ignore_others,
                },
            },
            time: table.time.as_ref().map(|time| Ok((time.column.as_str(), Times::new(time)?))).transpose()?,
            cutoff: schema.history.cutoff,
            has_request_times: false,
            request: None,
            has_positions: false,
            packing: plan.contents().feature_packing(),
            paths: Vec::new(),
            values,
        }
        .with_paths())
    }

    fn with_paths(mut self) -> Self {
        let mut paths: Vec<&'a str> = vec![self.customer, self.item];
        paths.extend(self.time.as_ref().map(|(path, _)| *path));
        if let TypeSource::Column { path, .. } = self.kind {
            paths.push(path);
        }
        paths.extend(self.request);
        for value in &self.values {
            paths.extend(value.of.path());
        }
        paths.extend(self.source.filters.iter().map(|filter| filter.column.as_str()));
        for path in paths {
            if !self.paths.contains(&path) && self.day.column != Some(path) {
                self.paths.push(path);
            }
        }
        self.has_positions = self.values.iter().any(|value| matches!(value.of, ValueOf::Position));
        self
    }

    /// The columns of which some values are wanted.
    pub(super) fn filters(&self) -> Vec<Wish<'a>> {
        let texts = |values: &'a [String]| values.iter().map(String::as_str).collect();
        let filters = self.source.filters.iter();
        let filters =
            filters.map(|filter| Wish { path: &filter.column, texts: texts(&filter.values), is_of_types: false });
        let kinds = match &self.kind {
            TypeSource::Column { path, texts, ignore_others: true, .. } => {
                Some(Wish { path, texts: texts.clone(), is_of_types: true })
            }
            TypeSource::Column { .. } | TypeSource::Constant(_) => None,
        };
        filters.chain(kinds).collect()
    }
}

/// A column of which some values are wanted: rows with others are passed over.
pub(super) struct Wish<'a> {
    pub(super) path: &'a str,
    /// The values, as text.
    pub(super) texts: Vec<&'a str>,
    /// Whether they are those that have a type, and not those of `where`.
    pub(super) is_of_types: bool,
}

fn kept(column: &Kept) -> ValueRole<'_> {
    let null = column.null.map(|null| null_cell(null, column.dtype));
    let of = if column.column == POSITION { ValueOf::Position } else { ValueOf::Kept { path: &column.column, null } };
    ValueRole { name: &column.name, of, dtype: column.dtype, is_label: false }
}

fn label_of(label: &LabelOf) -> ValueOf<'_> {
    match label {
        LabelOf::Column { column, .. } => ValueOf::Kept { path: column, null: None },
        LabelOf::AtLeast { column, threshold } => ValueOf::AtLeast { path: column, threshold: *threshold },
        LabelOf::Is { column, values } => {
            ValueOf::Is { path: column, texts: values.iter().map(String::as_str).collect() }
        }
        LabelOf::In { column } => ValueOf::In { path: column },
        LabelOf::Equals { column } => ValueOf::Equals { path: column },
        LabelOf::Value(value) => ValueOf::Constant(i64::from(*value)),
    }
}
