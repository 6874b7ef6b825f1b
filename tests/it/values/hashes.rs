//! The hash of customers, which decides the order of rows for ever, and its ranges.

use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::sample::Index;
use shardback::event::{customer_hash, shard_of};

use crate::reference;

/// The first outputs of splitmix64 from two seeds, as its authors' code prints them: a customer is a state, so the next
/// state of a generator is the customer of its next output.
#[test]
fn the_hash_is_splitmix64() {
    let sequences = [
        (0u64, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f, 0xf88b_b8a8_724c_81ec]),
        (
            1_234_567,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
            ],
        ),
    ];
    for (seed, outputs) in sequences {
        let mut state = seed;
        for output in outputs {
            assert_eq!(customer_hash(state.cast_signed()), output, "from {seed}");
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
    }
}

/// The inverse of the hash.
fn customer_of(hash: u64) -> i64 {
    // Newton's iteration doubles the right bits of an inverse modulo 2^64; an odd number starts with three.
    let inverse = |factor: u64| (0..5).fold(factor, |x, _| x.wrapping_mul(2u64.wrapping_sub(factor.wrapping_mul(x))));
    let unshift = |value: u64, by: u32| value ^ (value >> by) ^ (value >> (2 * by));
    let z = unshift(hash, 31).wrapping_mul(inverse(0x94d0_49bb_1331_11eb));
    let z = unshift(z, 27).wrapping_mul(inverse(0xbf58_476d_1ce4_e5b9));
    unshift(z, 30).wrapping_sub(0x9e37_79b9_7f4a_7c15).cast_signed()
}

proptest! {
    /// No two customers share a hash, as it can be undone; and the reference of the other tests has the same one.
    #[test]
    fn the_hash_can_be_undone(customer in any::<i64>(), hash in any::<u64>()) {
        prop_assert_eq!(customer_of(customer_hash(customer)), customer);
        prop_assert_eq!(customer_hash(customer_of(hash)), hash);
        prop_assert_eq!(reference::hash(customer), customer_hash(customer));
    }

    /// Shards are contiguous ranges of hashes, the first from 0 and the last to the end, all of one length within 1.
    #[test]
    fn shards_are_contiguous_ranges_of_hashes(shards in 1u32..100_000, chosen in any::<Index>()) {
        let first = |shard: u32| (u128::from(shard) << 64).div_ceil(u128::from(shards));
        let shard = chosen.index(shards as usize) as u32;
        let (start, end) = (first(shard), first(shard + 1));
        prop_assert_eq!(shard_of(u64::try_from(start).unwrap(), shards), shard);
        prop_assert_eq!(shard_of(u64::try_from(end - 1).unwrap(), shards), shard);
        prop_assert_eq!((shard_of(0, shards), shard_of(u64::MAX, shards)), (0, shards - 1));
        let length = (1u128 << 64) / u128::from(shards);
        assert!((length..=length + 1).contains(&(end - start)));
    }
}
