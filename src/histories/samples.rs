//! The samples of a run by bucket and day, each day's in canonical order.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::budget::Budget;
use super::customers::Customers;
use super::spool::Spooled;
use crate::config::Plan;
use crate::error::{Error, Invariant, Result};
use crate::event::{ItemId, Sample, TimeSpan};
use crate::pack::{Dtype, Packing};
use crate::schema::Contents;

/// The samples of all buckets.
pub enum Samples<'a, I: ItemId> {
    /// Packed by day, a quarter of what they are as records; taken out as buckets are built.
    Packed(&'a Budget, Vec<Mutex<Vec<DaySamples<I>>>>),
    /// On disk as records, packed as buckets are built.
    Spilled(Spooled<'a, Sample<I>>),
}

/// A bucket's samples of one day.
#[derive(Debug)]
pub struct DaySamples<I> {
    /// The requests, in their order: by customer, then by time, then by id.
    pub(super) requests: Vec<DayRequest>,
    pub(super) items: Vec<I>,
    /// The columns of the samples, little-endian.
    pub(super) columns: Vec<Vec<u8>>,
}

impl<I> DaySamples<I> {
    /// The times of the requests; nothing where there are none.
    pub(super) fn span(&self) -> Option<TimeSpan> {
        let mut span = None;
        self.requests.iter().for_each(|&DayRequest { time, .. }| {
            TimeSpan::widen(&mut span, TimeSpan { first: time, last: time });
        });
        span
    }
}

/// A request of a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct DayRequest {
    /// The place of its customer.
    pub(super) place: u32,
    /// Its time, in microseconds since the epoch; 0 where the cut-off is the day.
    pub(super) time: i64,
    /// Its id; 0 where none is given.
    pub(super) id: i64,
    /// Where its samples end; a bucket has no more than 32 bits number.
    pub(super) end: u32,
}

impl<'a, I: ItemId> Samples<'a, I> {
    /// Packs spooled samples, unless they were spilled.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::error::Error::Memory) when they do not fit beside the records, and what the spill disk says.
    pub fn new(
        spooled: Spooled<'a, Sample<I>>,
        customers: &Customers,
        plan: &Plan,
        budget: &'a Budget,
    ) -> Result<Self> {
        if spooled.is_spilled() {
            return Ok(Self::Spilled(spooled));
        }
        let pack_bucket = |bucket| {
            let packed = pack(&spooled, bucket, customers, plan)?;
            budget.need(bytes(&packed))?;
            Ok(Mutex::new(packed))
        };
        let buckets = (0..customers.buckets()).into_par_iter().map(pack_bucket).collect::<Result<_>>()?;
        Ok(Self::Packed(budget, buckets))
    }

    /// A bucket's samples of each day of the plan; to be asked for once.
    pub(super) fn of_bucket(&self, bucket: u32, customers: &Customers, plan: &Plan) -> Result<Vec<DaySamples<I>>> {
        match self {
            Self::Packed(budget, buckets) => {
                let mut packed = buckets[bucket as usize].lock().unwrap_or_else(PoisonError::into_inner);
                // What becomes of them is counted anew.
                budget.give_back(bytes(&packed));
                Ok(std::mem::take(&mut *packed))
            }
            Self::Spilled(spooled) => pack(spooled, bucket, customers, plan),
        }
    }

    /// The bytes of the records that have to be read for a bucket.
    pub(super) fn bytes_to_read(&self, bucket: u32) -> u64 {
        match self {
            Self::Packed(..) => 0,
            Self::Spilled(spooled) => (spooled.len(bucket) * spooled.bytes_each()) as u64,
        }
    }
}

fn bytes<I>(days: &[DaySamples<I>]) -> u64 {
    let of_day = |day: &DaySamples<I>| {
        day.requests.len() * size_of::<DayRequest>()
            + day.items.len() * size_of::<I>()
            + day.columns.iter().map(Vec::len).sum::<usize>()
    };
    days.iter().map(|day| of_day(day) as u64).sum()
}

/// A sample's place among the groups of a bucket (its day, then its customer), with what it shows.
#[derive(Clone, Copy)]
struct Placed<I> {
    group: usize,
    item: I,
    /// The number of its packed row.
    row: u32,
}

/// The order of the samples of a group: by the time and the id of the request where it has them, by position where that is kept,
/// else by item, then by all columns.
struct Order<'a> {
    rows: &'a [u8],
    width: usize,
    /// Where the time and the id of the request lie in a row; nowhere where it has neither.
    request: Range<usize>,
    /// That, and where the position lies, those that are there.
    first: Vec<Range<usize>>,
}

impl Order<'_> {
    fn row(&self, row: u32) -> &[u8] {
        let start = row as usize * self.width;
        &self.rows[start..start + self.width]
    }

    /// What a sample shares with those of its request, packed.
    fn request<I>(&self, sample: &Placed<I>) -> &[u8] {
        &self.row(sample.row)[self.request.clone()]
    }

    fn compare<I: ItemId>(&self, a: &Placed<I>, b: &Placed<I>) -> Ordering {
        let rows = || (self.row(a.row), self.row(b.row));
        let by_field = |range: &Range<usize>| {
            let (a, b) = rows();
            a[range.clone()].cmp(&b[range.clone()])
        };
        let first = self.first.iter().map(by_field).find(|order| order.is_ne());
        first.unwrap_or(Ordering::Equal).then_with(|| a.item.cmp(&b.item)).then_with(|| {
            let (a, b) = rows();
            a.cmp(b)
        })
    }
}

/// Groups of a bucket are counted where there are at most so many for a sample, as counters are a word each; where customers come on few
/// of many days, most counters would stay 0, and take more memory than all else.
const GROUPS_PER_SAMPLE: usize = 4;

/// Puts the samples of a bucket into their order: by day, customer, item and columns.
fn pack<I: ItemId>(
    spooled: &Spooled<'_, Sample<I>>,
    bucket: u32,
    customers: &Customers,
    plan: &Plan,
) -> Result<Vec<DaySamples<I>>> {
    let places = customers.of_bucket(bucket);
    let groups = plan.days().len() * places.len();
    let (packing, width) = (plan.contents().sample_packing(), spooled.width());
    let mut samples: Vec<Placed<I>> = Vec::with_capacity(spooled.len(bucket));
    let mut rows: Vec<u8> = Vec::with_capacity(spooled.len(bucket) * width);
    spooled.visit(bucket, |piece| {
        let (before, limit) = (samples.len() as u64, u64::from(u32::MAX));
        let mut row =
            u32::try_from(before).map_err(|_| Error::TooMany { what: "samples in a bucket", count: before, limit })?;
        // Items come in lists, so that neighbours often are of one customer.
        for list in piece.records().chunk_by(|a, b| a.customer() == b.customer()) {
            let place = list.first().and_then(|sample| customers.place(sample.customer()));
            let place =
                place.filter(|place| places.contains(place)).invariant("a sample's customer is in its bucket")?;
            for sample in list {
                let group = sample.day() as usize * places.len() + (place - places.start) as usize;
                samples.push(Placed { group, item: sample.item(), row });
                // A piece has far fewer than 32 bits count, and where it begins was looked at.
                row = row.wrapping_add(1);
            }
        }
        rows.extend_from_slice(piece.rows());
        Ok(())
    })?;
    if samples.iter().any(|sample| sample.group >= groups) {
        return Err(Error::internal("a sample's day is in the plan"));
    }
    if samples.len() * width != rows.len() || packing.width() != width {
        return Err(Error::internal("samples are packed as the plan says"));
    }
    let contents = plan.contents();
    let request = 0..(0..contents.of_request()).map(|field| packing.range(field).len()).sum();
    let first = [request.clone(), contents.position_range()].into_iter().filter(|range| !range.is_empty());
    let order = Order { rows: &rows, width, first: first.collect(), request };
    let (ordered, ends) = if groups > GROUPS_PER_SAMPLE * samples.len() {
        sorted(samples, &order)
    } else {
        counted(samples, groups, &order)
    };
    let (mut rest, mut start) = (ends.as_slice(), 0);
    let days = (0..plan.days().len()).map(|day| {
        let of_day;
        (of_day, rest) = rest.split_at(rest.partition_point(|&(group, _)| group < (day + 1) * places.len()));
        let day_start = start;
        start = of_day.last().map_or(start, |&(_, end)| end);
        let samples = &ordered[day_start..start];
        // Below the places of the bucket's customers, which are 32 bits.
        let place = |group: usize| places.start + (group - day * places.len()) as u32;
        let of_day = of_day.iter().map(|&(group, end)| (place(group), end - day_start));
        let requests = requests(samples, of_day, &order, contents);
        let mut columns = packing.unpack(samples.iter().map(|sample| order.row(sample.row)));
        // The time and the id of the request are kept with it.
        columns.drain(..contents.of_request());
        DaySamples { requests, items: samples.iter().map(|sample| sample.item).collect(), columns }
    });
    Ok(days.collect())
}

/// The requests of a day's samples, which lie in their order; each customer's samples end where it says.
fn requests<I: ItemId>(
    samples: &[Placed<I>],
    customers: impl Iterator<Item = (u32, usize)>,
    order: &Order<'_>,
    contents: &Contents,
) -> Vec<DayRequest> {
    let (mut requests, mut end) = (Vec::with_capacity(customers.size_hint().0), 0);
    if order.request.is_empty() {
        requests.extend(customers.map(|(place, end)| DayRequest { place, time: 0, id: 0, end: end as u32 }));
        return requests;
    }
    for (place, customer_end) in customers {
        let of_customer = &samples[end..customer_end];
        for of_one in of_customer.chunk_by(|a, b| order.request(a) == order.request(b)) {
            let mut packed = of_one.first().map_or(&[][..], |sample| order.request(sample));
            let mut next = |is_there: bool| {
                let (number, rest) = packed.split_at(if is_there { Dtype::I64.width() } else { 0 });
                packed = rest;
                unpacked(number)
            };
            let (time, id) = (next(contents.request_time), next(contents.request));
            end += of_one.len();
            requests.push(DayRequest { place, time, id, end: end as u32 });
        }
    }
    requests.shrink_to_fit();
    requests
}

/// A number out of a packed row; 0 where there is none.
fn unpacked(packed: &[u8]) -> i64 {
    let number = Packing::new([Dtype::I64]).unpack(std::iter::once(packed).filter(|packed| !packed.is_empty()));
    let number = number.first().and_then(|number| number.first_chunk()).copied();
    number.map_or(0, i64::from_le_bytes)
}

/// Samples in the order of their groups, and for each group that has any where its samples end.
type Ordered<I> = (Vec<Placed<I>>, Vec<(usize, usize)>);

/// Sorts samples by group, and each group's.
fn sorted<I: ItemId>(mut samples: Vec<Placed<I>>, order: &Order<'_>) -> Ordered<I> {
    samples.sort_unstable_by(|a, b| a.group.cmp(&b.group).then_with(|| order.compare(a, b)));
    let mut end = 0;
    let groups = samples.chunk_by(|a, b| a.group == b.group).map(|group| {
        end += group.len();
        (group[0].group, end)
    });
    let ends = groups.collect();
    (samples, ends)
}

/// The same by counting the groups: each sample is placed among its own, and those few are sorted.
fn counted<I: ItemId>(samples: Vec<Placed<I>>, groups: usize, order: &Order<'_>) -> Ordered<I> {
    let mut ends = vec![0usize; groups];
    for sample in &samples {
        ends[sample.group] += 1;
    }
    let mut total = 0;
    for end in &mut ends {
        total += std::mem::replace(end, total);
    }
    // `ends` holds the starts now, and each start moves to its end as its samples come.
    let mut ordered = vec![Placed { group: 0, item: I::zeroed(), row: 0 }; total];
    for sample in samples {
        let place = &mut ends[sample.group];
        ordered[*place] = sample;
        *place += 1;
    }
    let mut start = 0;
    let mut filled = Vec::new();
    for (group, end) in ends.into_iter().enumerate() {
        if start < end {
            ordered[start..end].sort_unstable_by(|a, b| order.compare(a, b));
            filled.push((group, end));
        }
        start = end;
    }
    (ordered, filled)
}
