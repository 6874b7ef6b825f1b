//! Batches hold the rows of the day, whatever the format, the dtypes, the memory and the number of threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shardback::config::{Format, MAX_THREADS};
use shardback::error::Result;
use shardback::layout::Role;
use shardback::load::{
    Allocate, Batch, Content, Dtypes, Epoch, IndexDtype, Layout, Memory, Order, Prefetcher, Ranks, Remainder, longest,
};
use shardback::open::MappedDay;

use crate::fixture::{self, DAY};

fn epoch(days: Vec<Arc<MappedDay>>, content: Content) -> Epoch {
    Epoch {
        days,
        seed: Some(7),
        epoch: 3,
        day: 0,
        delivered: 0,
        ranks: Ranks::new(0, 1, 3, Remainder::Repeat).unwrap(),
        content,
        trim: false,
        depth: 2,
        threads: 2,
        allocate: None,
    }
}

fn all(epoch: Epoch) -> Result<Vec<Batch>> {
    let mut ahead = Prefetcher::new(epoch)?;
    let mut batches = Vec::new();
    while let Some(batch) = ahead.next(Duration::from_secs(60)).unwrap() {
        batches.push(batch?);
    }
    Ok(batches)
}

fn open(out: &Path, format: Format, content: &fixture::Content) -> Arc<MappedDay> {
    Arc::new(MappedDay::open(&fixture::write_day(out, format, DAY, content)).unwrap())
}

/// A number of a tensor, whatever its dtype.
fn number(bytes: &[u8], index: IndexDtype, place: usize) -> i64 {
    let width = index.bytes();
    let bytes = &bytes[place * width..][..width];
    match index {
        IndexDtype::U8 => bytes[0].into(),
        IndexDtype::I32 => i32::from_le_bytes(bytes.try_into().unwrap()).into(),
        IndexDtype::I64 => i64::from_le_bytes(bytes.try_into().unwrap()),
    }
}

/// The rows of a day as its format's fixture lists them, through all shards.
fn expected(content: &fixture::Content) -> Vec<fixture::Row> {
    (0..content.shards).flat_map(|shard| fixture::rows(content, shard)).collect()
}

#[test]
fn tensors_hold_the_rows_of_the_order() {
    let narrow = fixture::small();
    let wide = fixture::Content { wide_items: true, ..narrow.clone() };
    for (content, format, items, types, trim) in [
        (&narrow, Format::Jagged, IndexDtype::I32, IndexDtype::U8, false),
        (&narrow, Format::Jagged, IndexDtype::I64, IndexDtype::I64, true),
        (&narrow, Format::Dense, IndexDtype::I32, IndexDtype::I32, true),
        (&narrow, Format::Dense, IndexDtype::I64, IndexDtype::U8, false),
        (&wide, Format::Jagged, IndexDtype::I64, IndexDtype::U8, true),
        (&wide, Format::Dense, IndexDtype::I32, IndexDtype::I32, false),
    ] {
        let out = tempfile::tempdir().unwrap();
        let day = open(out.path(), format, content);
        let rows = expected(content);
        let order = Order::shuffled(7, day.folder().day(), 3, rows.len());
        let dtypes = Dtypes { items, types };
        let batches = all(Epoch { trim, ..epoch(vec![Arc::clone(&day)], Content::Tensors(dtypes)) }).unwrap();
        let mut position = 0;
        for mut batch in batches {
            let layout = Layout { rows: batch.rows, width: batch.width, dtypes };
            let (at, bytes) = (layout.offsets(), batch.block.bytes());
            let mut longest = 1;
            for row in 0..batch.rows {
                let (_, item, label, history) = &rows[order.row(position).unwrap() as usize];
                assert_eq!(number(&bytes[at.impressions..], items, row), *item);
                assert_eq!(bytes[at.is_order + row], u8::from(*label));
                assert_eq!(number(&bytes[at.lengths..], IndexDtype::I32, row), history.len() as i64);
                for place in 0..batch.width {
                    let (item, kind) = history.get(place).copied().unwrap_or_default();
                    let place = row * batch.width + place;
                    assert_eq!(number(&bytes[at.actions..], items, place), item);
                    assert_eq!(number(&bytes[at.action_types..], types, place), i64::from(kind));
                }
                longest = longest.max(history.len());
                position += 1;
            }
            assert_eq!(batch.width, if trim { longest } else { content.history });
        }
        assert_eq!(position as usize, rows.len());
    }
}

/// Numbers alone are those of the same order; days come one after the other, and an empty one gives nothing.
#[test]
fn rows_alone_are_those_of_the_order() {
    let content = fixture::small();
    let empty = fixture::Content { customers: Vec::new(), ..content.clone() };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let day = open(first.path(), Format::Jagged, &content);
    let days = vec![open(second.path(), Format::Jagged, &empty), Arc::clone(&day)];
    let order = Order::shuffled(7, day.folder().day(), 3, day.rows());
    let mut position = 0;
    for mut batch in all(Epoch { trim: true, ..epoch(days, Content::Rows) }).unwrap() {
        assert_eq!(batch.day, 1);
        let mut numbers = Vec::new();
        for row in 0..batch.rows {
            numbers.push(number(batch.block.bytes(), IndexDtype::I64, row) as u64);
            assert_eq!(numbers.last().copied(), order.row(position));
            position += 1;
        }
        assert_eq!(batch.width, longest(&day, &numbers).unwrap().max(1));
        assert_eq!(batch.delivered, position);
    }
    assert_eq!(position as usize, day.rows());
}

/// What is wrong with a file or an item is said, and nothing comes after it.
#[test]
fn faults_end_the_epoch() {
    let mut content = fixture::Content { wide_items: true, ..fixture::small() };
    content.customers[0].history[0].0 = i64::from(i32::MAX) + 1;
    let out = tempfile::tempdir().unwrap();
    let day = open(out.path(), Format::Jagged, &content);
    let dtypes = Dtypes { items: IndexDtype::I32, types: IndexDtype::I32 };
    let error = all(epoch(vec![day], Content::Tensors(dtypes))).err().unwrap();
    assert_eq!(error.to_string(), "index_dtype: item 2147483648 does not fit 32 bits; ask for 64");

    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
    let day = MappedDay::open(&folder).unwrap();
    let (shard, starts) = (day.shards()[0].path().to_owned(), day.shards()[0].bytes(Role::HistoryStart).as_ptr());
    // The mapping begins with the file, so an address within it is a place in the file.
    let whole = fixture::read(&shard);
    let start = day.shards()[0].bytes(Role::HistoryStart).to_vec();
    let place = whole.windows(start.len()).position(|bytes| bytes == start).unwrap();
    assert!(!starts.is_null());
    let mut broken = whole;
    broken[place..place + 8].copy_from_slice(&1_000_000i64.to_le_bytes());
    drop(day);
    fixture::write(&shard, broken);
    let day = Arc::new(MappedDay::open(&folder).unwrap());
    let error = all(epoch(vec![day], Content::Tensors(Dtypes { items: IndexDtype::I32, types: IndexDtype::U8 })))
        .err()
        .unwrap();
    assert!(error.to_string().contains(": start 1000000, length 3 is out of range"), "{error}");
}

/// A batch is no larger than a day, however many rows are asked for.
#[test]
fn a_whole_day_is_a_batch() {
    let out = tempfile::tempdir().unwrap();
    let day = open(out.path(), Format::Dense, &fixture::small());
    let ranks = Ranks::new(0, 1, u32::MAX as usize, Remainder::Repeat).unwrap();
    let dtypes = Dtypes { items: IndexDtype::I64, types: IndexDtype::I64 };
    let mut batches = all(Epoch { ranks, ..epoch(vec![Arc::clone(&day)], Content::Tensors(dtypes)) }).unwrap();
    assert_eq!(batches.iter().map(|batch| batch.rows).collect::<Vec<_>>(), [day.rows()]);
    let layout = Layout { rows: day.rows(), width: day.history(), dtypes };
    assert_eq!(batches[0].block.bytes().len(), layout.offsets().end);
}

/// An epoch whose thread panics must not look as if it had come to its end.
#[test]
fn a_panic_does_not_end_the_epoch() {
    let out = tempfile::tempdir().unwrap();
    let day = open(out.path(), Format::Jagged, &fixture::small());
    let allocate = Some(Box::new(|_| -> Result<Box<dyn Memory>> { panic!("no memory today") }) as Allocate);
    let mut ahead = Prefetcher::new(Epoch { allocate, ..epoch(vec![day], Content::Rows) }).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| ahead.next(Duration::from_secs(60)).is_some())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"no memory today"));
}

/// More threads than any machine has processors for are an error before the first of them is started.
#[test]
fn threads_are_bounded() {
    let out = tempfile::tempdir().unwrap();
    let day = open(out.path(), Format::Jagged, &fixture::small());
    let error = Prefetcher::new(Epoch { threads: MAX_THREADS + 1, ..epoch(vec![day], Content::Rows) }).err().unwrap();
    assert!(error.to_string().starts_with("threads: 1025 is not between 1 and 1024"), "{error}");
}

/// A batch's memory is used again once the batch is gone, and not before.
#[test]
fn memory_is_used_again() {
    use shardback::load::Pool;
    let pool = Pool::new(100);
    let (mut one, mut two) = (pool.take().unwrap(), pool.take().unwrap());
    assert!(one.bytes().len() >= 100);
    let place = |block: &mut shardback::load::BatchBuffer| block.bytes().as_ptr() as usize;
    let (first, second) = (place(&mut one), place(&mut two));
    assert_ne!(first, second);
    assert!(first.is_multiple_of(64));
    drop(one);
    let mut three = pool.take().unwrap();
    assert_eq!(place(&mut three), first);
    let error = Pool::new(usize::MAX >> 1).take().err().unwrap();
    assert!(error.to_string().starts_with("batch_size: there is no memory"), "{error}");
}
