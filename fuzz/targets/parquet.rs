//! Parquet: changed bytes of a file that is right, and any other bytes, get an answer, soon and within memory.

#![no_main]

use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use arrow::array::{Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use libfuzzer_sys::fuzz_target;
use parquet::arrow::ArrowWriter;
use shardback_fuzz::{Given, any_answer, given};

#[derive(Arbitrary, Debug)]
enum Input {
    Changed(Vec<(u16, u8)>),
    /// Another footer, of which the file says the right length.
    Footer(Vec<u8>),
}

fuzz_target!(|data: &[u8]| {
    let input = match given(data) {
        None => return,
        Some(Given::Bytes(bytes)) => return any_answer("clicks.parquet", bytes),
        Some(Given::Values(input)) => input,
    };
    static RIGHT: OnceLock<Vec<u8>> = OnceLock::new();
    let right = RIGHT.get_or_init(right);
    let bytes = match input {
        Input::Changed(changes) => {
            let mut bytes = right.clone();
            for (place, value) in changes {
                let place = usize::from(place) % bytes.len();
                bytes[place] = value;
            }
            bytes
        }
        Input::Footer(footer) => {
            let before = &right[..right.len() / 2];
            let length = (footer.len() as u32).to_le_bytes();
            [before, &footer, &length, b"PAR1"].concat()
        }
    };
    any_answer("clicks.parquet", &bytes);
});

fn right() -> Vec<u8> {
    let batch = RecordBatch::try_from_iter([
        ("dt", Arc::new(StringArray::from(vec!["2025-08-01", "2025-08-02", "2025-08-03"])) as _),
        ("customer_id", Arc::new(Int64Array::from(vec![1, 2, 3])) as _),
        ("item_id", Arc::new(Int32Array::from(vec![4, 5, 6])) as _),
        ("click_time", Arc::new(TimestampMicrosecondArray::from(vec![Some(7), None, Some(9)])) as _),
    ])
    .expect("a batch");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
    bytes
}
