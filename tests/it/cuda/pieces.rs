//! Random pieces of a day and their rows, padded by any device; also for the benchmark, which checks before it measures.

use std::sync::Arc;

use rand::{Rng, RngExt};
use shardback::cut::RowBlock;
use shardback::error::Result;
use shardback::event::{ItemId, NULL_TIME};
use shardback::gather::Gather;
use shardback::histories::{Piece, Request, Values, Window};

/// Pieces of some customers: some without history, some with many rows, windows that overlap.
pub(crate) fn pieces<I: ItemId>(random: &mut impl Rng, history: usize) -> Vec<Arc<Piece<I>>> {
    let mut pieces = Vec::new();
    for _ in 0..random.random_range(0..6) {
        let actions = random.random_range(0..3000);
        let values = Values {
            items: (0..actions).filter_map(|_| I::try_from(i64::from(random.random::<i32>())).ok()).collect(),
            types: (0..actions).map(|_| random.random_range(1..=3)).collect(),
            columns: Vec::new(),
        };
        let (mut customers, mut end) = (Vec::new(), 0);
        for customer in 0..random.random_range(0..30) {
            end += random.random_range(1..400);
            let start = random.random_range(0..=actions);
            let length = random.random_range(0..=history.min(actions - start)) as u64;
            let window = Window { start: start as u64, length, newest: NULL_TIME };
            customers.push(request(customer, end as u32, &window));
        }
        let (items, columns) = (vec![I::zeroed(); end as usize], Vec::new());
        pieces.push(Arc::new(Piece { requests: customers, columns, items, values: Arc::new(values) }));
    }
    pieces
}

/// All rows of the pieces, padded.
///
/// # Errors
/// What the device says.
pub(crate) fn padded<I: ItemId>(
    gather: &dyn Gather<I>,
    pieces: &[Arc<Piece<I>>],
    history: usize,
) -> Result<(Vec<I>, Vec<u8>)> {
    let blocks = || pieces.iter().map(|piece| Ok(RowBlock::whole(Arc::clone(piece))));
    let (mut items, mut types) = (Vec::new(), Vec::new());
    gather.items(&mut blocks(), history, &mut |rows| {
        assert!(!rows.is_empty() && rows.len().is_multiple_of(history), "whole rows");
        items.extend_from_slice(rows);
        Ok(())
    })?;
    gather.types(&mut blocks(), history, &mut |rows| {
        types.extend_from_slice(rows);
        Ok(())
    })?;
    Ok((items, types))
}

/// A request of a day whose cut-off is the day.
pub(crate) fn request(customer: i64, end: u32, window: &Window) -> Request {
    let Window { start, newest, length } = *window;
    Request { customer, time: 0, id: 0, start, newest, length: length as u32, end, at_cutoff: 0, hidden_late: 0 }
}
