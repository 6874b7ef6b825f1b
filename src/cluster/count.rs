//! What impressions tell before the job begins: how many samples each day has, and which customers have any.
//!
//! ```text
//! counting map tasks ──► counts, ids of customers ──► [`count`]: one sum, one filter ──► driver ──► map tasks of the job
//! ```
//!
//! Actions of customers without impressions need not travel: most of a year's customers are not there on a day. The filter is the
//! split block Bloom filter of Parquet (<https://parquet.apache.org/docs/file-format/bloomfilter/>). It lets some through that
//! have none, which parts drop, and never stops one that has any.

use arrow::array::RecordBatch;
use parquet::bloom_filter::Sbbf;

use super::reduce::unreadable;
use super::rows::{Outbox, RecordKind, Rows, compare};
use super::{Job, REPORTS_ROUTE};
use crate::error::{Error, Result};
use crate::unify::Impressions;

/// A filter of customers has so much room: 13 million are told from others with the share of errors that is aimed at.
const FILTER_BYTES: usize = 16 << 20;
/// The share of other customers that a filter may let through, so that it becomes no larger than it needs to be.
const AIM: f64 = 0.01;
/// A filter that lets more than this share through is dropped.
const MOST: f64 = 0.1;

/// The customers with impressions, but for a few more.
#[derive(Debug)]
pub(super) struct Filter(Sbbf);

impl Filter {
    fn with_room(bytes: usize) -> Self {
        Self(Sbbf::new_with_num_of_bytes(bytes))
    }

    fn insert(&mut self, customer: i64) {
        self.0.insert(&customer);
    }

    /// False where the customer has no impressions.
    pub(super) fn may_hold(&self, customer: i64) -> bool {
        self.0.check(&customer)
    }

    /// As it travels; none where there are too many customers for its room.
    fn into_bytes(mut self) -> Option<Vec<u8>> {
        if self.0.estimated_fpp() > MOST {
            return None;
        }
        self.0.fold_to_target_fpp(AIM);
        let mut bytes = Vec::new();
        // Memory takes all that is written; without a filter all actions travel.
        self.0.write_bitset(&mut bytes).ok().map(|()| bytes)
    }

    /// Reads one that has travelled.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(32) {
            return Err(Error::Tasks { problem: format!("a filter of customers has {} bytes", bytes.len()) });
        }
        Ok(Self(Sbbf::new(bytes)))
    }
}

/// Makes one sum and one filter of the rows of all counting map tasks, for the driver.
///
/// # Errors
/// Faults of the batches.
pub fn count(job: &Job, batches: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<Vec<RecordBatch>> {
    let mut out = Outbox::new(RecordKind::Filter, 0);
    let mut impressions = Impressions::none(&job.plan);
    let mut filter = Filter::with_room(FILTER_BYTES);
    let (mut sent, mut failed) = (Vec::new(), false);
    let mut rows = Rows::new(batches);
    rows.visit_all(|kind, records| {
        if kind == RecordKind::Fault as i32 {
            out.row(RecordKind::Fault, REPORTS_ROUTE, records);
            failed = true;
        } else if kind == RecordKind::Impressions as i32 {
            impressions.merge(serde_json::from_slice(records).map_err(unreadable)?)?;
        } else if kind == RecordKind::Sent as i32 {
            sent.push(serde_json::from_slice(records).map_err(unreadable)?);
        } else if let (true, (customers, [])) = (kind == RecordKind::Customers as i32, records.as_chunks()) {
            customers.iter().for_each(|&customer| filter.insert(i64::from_le_bytes(customer)));
        } else {
            return Err(Error::Tasks { problem: format!("a row of kind {kind} and {} bytes", records.len()) });
        }
        Ok(())
    })?;
    // A task that has found a fault has sent that, and not all of what it had.
    if !failed {
        compare(sent, rows.take_tally())?;
    }
    out.report(RecordKind::Impressions, REPORTS_ROUTE, &impressions);
    if let Some(bytes) = filter.into_bytes() {
        out.row(RecordKind::Filter, REPORTS_ROUTE, &bytes);
    }
    out.close(&[]);
    out.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(customers: std::ops::Range<i64>, room: usize) -> Option<Filter> {
        let mut filter = Filter::with_room(room);
        customers.for_each(|customer| filter.insert(customer));
        Some(Filter::from_bytes(&filter.into_bytes()?).unwrap())
    }

    /// A filter holds everyone who was put in, few others, and is small where few are in it.
    #[test]
    fn nobody_is_lost_on_the_way() {
        let filter = of(0..10_000, FILTER_BYTES).unwrap();
        assert!((0..10_000).all(|customer| filter.may_hold(customer)));
        let others = (10_000..110_000).filter(|&customer| filter.may_hold(customer)).count();
        assert!(others < 3_000, "{others} of 100,000 others");
        assert!(filter.0.num_blocks() * 32 <= 32 << 10);
    }

    /// One that holds nearly everybody is not worth its way.
    #[test]
    fn a_full_filter_is_dropped() {
        assert!(of(0..5_000, 8 << 10).is_some());
        assert!(of(0..100_000, 8 << 10).is_none());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert!(Filter::from_bytes(&[]).is_err());
        assert!(Filter::from_bytes(&[0; 33]).is_err());
    }
}
