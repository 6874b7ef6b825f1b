//! The gather from host to host against the processor's, block by block, in this process.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::cut::Block;
use shardback::error::{Error, Result};
use shardback::event::{ItemId, NULL_TIME};
use shardback::gather::cuda::{CudaDevice, CudaGather};
use shardback::gather::{Cpu, Gather};
use shardback::histories::{CustomerRows, Piece, Values, Window};

use super::driver;

/// Pieces of some customers: some without history, some with many rows, windows that overlap.
fn pieces<I: ItemId>(random: &mut Xoshiro256PlusPlus, history: usize) -> Vec<Arc<Piece<I>>> {
    let mut pieces = Vec::new();
    for _ in 0..random.random_range(0..6) {
        let actions = random.random_range(0..3000);
        let item = |random: &mut Xoshiro256PlusPlus| I::try_from(i64::from(random.random::<i32>())).ok().unwrap();
        let values = Values {
            items: (0..actions).map(|_| item(random)).collect(),
            types: (0..actions).map(|_| random.random_range(1..=3)).collect(),
        };
        let (mut customers, mut end) = (Vec::new(), 0);
        for customer in 0..random.random_range(0..30) {
            end += random.random_range(1..400);
            let start = random.random_range(0..=actions);
            let length = random.random_range(0..=history.min(actions - start)) as u64;
            let window = Window { start: start as u64, length, newest: NULL_TIME };
            customers.push(CustomerRows { customer, end, window });
        }
        let items = vec![item(random); end as usize];
        pieces.push(Arc::new(Piece { customers, labels: vec![0; items.len()], items, values: Arc::new(values) }));
    }
    pieces
}

/// All rows of the pieces, padded.
fn padded<I: ItemId>(gather: &dyn Gather<I>, pieces: &[Arc<Piece<I>>], history: usize) -> (Vec<I>, Vec<u8>) {
    let blocks = || pieces.iter().map(|piece| Ok(Block::whole(Arc::clone(piece))));
    let (mut items, mut types) = (Vec::new(), Vec::new());
    let mut take_items = |rows: &[I]| -> Result<()> {
        assert!(!rows.is_empty() && rows.len().is_multiple_of(history), "whole rows");
        items.extend_from_slice(rows);
        Ok(())
    };
    gather.items(&mut blocks(), history, &mut take_items).unwrap();
    let mut take_types = |rows: &[u8]| -> Result<()> {
        types.extend_from_slice(rows);
        Ok(())
    };
    gather.types(&mut blocks(), history, &mut take_types).unwrap();
    (items, types)
}

fn same_rows<I: ItemId>(seed: u64) {
    driver::load();
    let gather = CudaGather::new(CudaDevice::open(0).unwrap());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows = 0;
    for history in [1, 5, 100, 999, 1000, 1000, 100] {
        let pieces = pieces::<I>(&mut random, history);
        let expected = padded(&Cpu, &pieces, history);
        rows += expected.1.len() / history;
        assert!(padded(&gather, &pieces, history) == expected, "K {history}");
    }
    assert!(rows > 10_000, "{rows}");
}

/// Blocks of any size, batches that begin and end inside of them and of a customer's rows: the rows are the processor's.
#[test]
fn rows_are_those_of_the_processor() {
    same_rows::<i32>(1);
    same_rows::<i64>(2);
}

/// Whoever takes the rows may stop, and a block may fail: that is what comes back, and the gather can be used again.
#[test]
fn a_fault_on_the_way_comes_back() {
    driver::load();
    let gather = CudaGather::new(CudaDevice::open(0).unwrap());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let pieces = loop {
        let pieces = pieces::<i32>(&mut random, 1000);
        if pieces.iter().map(|piece| piece.items.len()).sum::<usize>() > 5000 {
            break pieces;
        }
    };
    let blocks = || pieces.iter().map(|piece| Ok(Block::whole(Arc::clone(piece))));
    let mut taken = 0;
    let stopped = gather.items(&mut blocks(), 1000, &mut |_| {
        taken += 1;
        if taken == 2 { Err(Error::Interrupted) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(Error::Interrupted)) && taken == 2);
    let mut broken = blocks().chain([Err(Error::Interrupted)]);
    assert!(matches!(gather.items(&mut broken, 1000, &mut |_| Ok(())), Err(Error::Interrupted)));
    assert!(padded(&gather, &pieces, 1000) == padded(&Cpu, &pieces, 1000));
}
