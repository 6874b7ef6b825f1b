//! Protects: records that are spilled and sent as the bytes that they are made of come back the same, of either width.

use shardback::event::{Action, ActionKey, Day};

/// Out of order and into new memory, as bytes are that were on a disk.
fn through_bytes<T: bytemuck::Pod>(records: &[T]) -> Vec<T> {
    let bytes: Vec<u8> = bytemuck::cast_slice(records).iter().copied().rev().collect();
    let mut back = vec![T::zeroed(); records.len()];
    bytemuck::cast_slice_mut(&mut back).copy_from_slice(&bytes.into_iter().rev().collect::<Vec<u8>>());
    back
}

#[test]
fn records_of_both_widths_are_bytes() {
    let days = [-719_162, -1, 0, 20_000, 2_932_896];
    for (place, &day) in days.iter().enumerate() {
        for kind in [1, 3, 255] {
            let time = i64::from(day) * 86_400_000_000 + 7;
            let narrow = Action::new(place as u32, Day(day), time, i32::MIN + 1, kind);
            let wide = Action::new(u32::MAX, Day(day), time, i64::MAX, kind);
            let [narrow_back] = through_bytes(&[narrow])[..] else { panic!("one record") };
            let [wide_back] = through_bytes(&[wide])[..] else { panic!("one record") };
            assert_eq!((narrow_back.customer(), narrow_back.key()), (narrow.customer(), narrow.key()));
            assert_eq!((wide_back.customer(), wide_back.key()), (wide.customer(), wide.key()));
            assert_eq!((wide_back.key().time(), wide_back.key().item()), (time, i64::MAX));
        }
    }
}
