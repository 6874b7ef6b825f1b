//! Protects: what a value means, whatever the type, width, unit, spelling or layout in which a source holds it.

#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

mod days;
mod hashes;
mod ids;
mod lists;
mod times;
mod zones;

use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::{DataType, TimeUnit};
use shardback::config::{InvalidRows, Options, Plan};
use shardback::error::{Error, Reason, Result};
use shardback::event::{Action, Day, ItemId, Sample};
use shardback::pack::Packed;
use shardback::read::Batches;
use shardback::schema::Schema;
use shardback::unify::{self, Impressions, Reject};

/// The day that is built: the last of the calendar, which sees all others.
const LAST: Day = Day(2_932_896);

/// The customers that matter.
const CUSTOMERS: [i64; 6] = [0, 1, -128, 255, i64::MIN, i64::MAX];

/// What a table of clicks came to, in the order of its rows.
struct Clicks<I: ItemId = i64> {
    actions: Vec<Action<I>>,
    rejects: Vec<Reject>,
}

impl<I: ItemId> Clicks<I> {
    fn reasons(&self) -> Vec<Reason> {
        self.rejects.iter().map(|reject| reject.reason).collect()
    }
}

impl<I: ItemId> Clicks<I> {
    /// Reads clicks with bad rows left out, from columns of which those that are not given hold the same in every row.
    fn read(columns: &[(&str, ArrayRef)]) -> Result<Self> {
        Self::read_in(None, columns)
    }

    /// The same with the days of instants in a zone.
    fn read_in(day_zone: Option<&str>, columns: &[(&str, ArrayRef)]) -> Result<Self> {
        let rows = columns[0].1.len();
        let defaults: [(&str, ArrayRef); 4] = [
            ("dt", Arc::new(StringArray::from_iter_values((0..rows).map(|_| "2025-08-10")))),
            ("customer_id", Arc::new(Int64Array::from_value(1, rows))),
            ("item_id", Arc::new(Int64Array::from_value(10, rows))),
            ("click_time", new_null_array(&DataType::Timestamp(TimeUnit::Microsecond, None), rows)),
        ];
        let given = |name: &str| columns.iter().find(|(column, _)| *column == name).map(|(_, array)| array.clone());
        let batch = defaults.map(|(name, default)| (name, given(name).unwrap_or(default), true));
        Self::read_batch_in(day_zone, RecordBatch::try_from_iter_with_nullable(batch).unwrap())
    }

    fn read_batch_in(day_zone: Option<&str>, batch: RecordBatch) -> Result<Self> {
        let options = Options { day_zone: day_zone.map(str::to_owned), ..plan().options().clone() };
        let table = crate::tables::clicks();
        let source = Batches::new(unify::wanted_actions(&table), [Ok(batch)].into_iter());
        let actions = Mutex::new(Vec::new());
        let sink = |more: Packed<'_, Action<I>>| {
            actions.lock().unwrap().extend_from_slice(more.records());
            Ok(())
        };
        let found =
            unify::read_actions::<I>(&table, &source, &Plan::new(options).unwrap(), &pick, &sink, None, &|_| Ok(()))?;
        Ok(Self { actions: actions.into_inner().unwrap(), rejects: found.rejects })
    }
}

/// The rows of the customers that matter, each with its customer's place.
fn pick(customers: &[i64], picked: &mut Vec<(u32, u32)>) {
    let place = |customer: &i64| CUSTOMERS.iter().position(|known| known == customer);
    let rows = customers.iter().enumerate().filter_map(|(row, customer)| place(customer).map(|place| (row, place)));
    picked.clear();
    picked.extend(rows.map(|(row, place)| (u32::try_from(row).unwrap(), u32::try_from(place).unwrap())));
}

fn plan() -> Plan {
    Plan::new(Options { invalid: InvalidRows::Skip, ..Options::new("", LAST, LAST) }).unwrap()
}

/// A batch of impressions on the day that is built.
fn impressions_of(mut columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let rows = columns[0].1.len();
    columns.push(("dt", Arc::new(StringArray::from_iter_values((0..rows).map(|_| LAST.to_string())))));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// Samples with their labels, and what else was found.
type Read<I> = (Vec<(Sample<I>, u8)>, Impressions);

fn read_impressions<I: ItemId>(batch: RecordBatch) -> Result<Read<I>> {
    let source = Batches::new(unify::wanted_samples(&Schema::built_in()), [Ok(batch)].into_iter());
    let samples = Mutex::new(Vec::new());
    let sink = |more: Packed<'_, Sample<I>>| {
        samples.lock().unwrap().extend(more.records().iter().copied().zip(more.rows().iter().copied()));
        Ok(())
    };
    let found = unify::read_impressions(&source, &plan(), &sink, None, &|_| Ok(()))?;
    Ok((samples.into_inner().unwrap(), found))
}

/// The message of something that cannot be read.
fn message<T>(result: Result<T>) -> String {
    let error = result.err().unwrap();
    assert!(matches!(error, Error::ColumnType { .. } | Error::MissingColumn { .. }), "{error:?}");
    error.to_string()
}

/// Samples by customer, item and label.
fn sorted<I: ItemId>(samples: &[(Sample<I>, u8)]) -> Vec<(i64, i64, bool)> {
    let mut samples: Vec<_> =
        samples.iter().map(|(sample, label)| (sample.customer(), sample.item().into(), *label == 1)).collect();
    samples.sort_unstable();
    samples
}
