//! The gather from host to host against the processor's, block by block, in this process.

use std::sync::Arc;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::cut::RowBlock;
use shardback::error::Error;
use shardback::event::ItemId;
use shardback::gather::cuda::{CudaDevice, CudaGather};
use shardback::gather::{Cpu, Gather};

use super::driver;
use super::pieces::{padded, pieces};

fn same_rows<I: ItemId>(seed: u64) {
    driver::load();
    let gather = CudaGather::new(CudaDevice::open(0).unwrap());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows = 0;
    for history in [1, 5, 100, 999, 1000, 1000, 100] {
        let pieces = pieces::<I>(&mut random, history);
        let expected = padded(&Cpu, &pieces, history).unwrap();
        rows += expected.1.len() / history;
        assert!(padded(&gather, &pieces, history).unwrap() == expected, "K {history}");
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
    let blocks = || pieces.iter().map(|piece| Ok(RowBlock::whole(Arc::clone(piece))));
    let mut taken = 0;
    let stopped = gather.items(&mut blocks(), 1000, &mut |_| {
        taken += 1;
        if taken == 2 { Err(Error::Interrupted) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(Error::Interrupted)) && taken == 2);
    let mut broken = blocks().chain([Err(Error::Interrupted)]);
    assert!(matches!(gather.items(&mut broken, 1000, &mut |_| Ok(())), Err(Error::Interrupted)));
    assert!(padded(&gather, &pieces, 1000).unwrap() == padded(&Cpu, &pieces, 1000).unwrap());
}
