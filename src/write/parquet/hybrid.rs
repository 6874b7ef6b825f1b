//! Parquet's hybrid of run-length encoding and bit-packing, for levels and dictionary indices.
//!
//! The format: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>, "Run Length Encoding / Bit-Packing
//! Hybrid". A sequence is any number of runs one after the other, so the bytes of a part can be made once and repeated.

/// Appends a run of `count` times `value`; nothing for none.
pub(super) fn run(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    if count > 0 {
        varint((count as u64) << 1, out);
        out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
}

/// Appends values of `width` bits each, and zeros up to a multiple of eight; nothing for none.
pub(super) fn packed(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut filled) = (0u64, 0);
    for &value in values {
        bits |= u64::from(value) << filled;
        filled += width;
        if filled >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
    out.resize(end, 0);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three times 5, of three bits each: a header of twice the count, and the value in a whole byte.
    #[test]
    fn a_run() {
        let mut bytes = Vec::new();
        run(5, 3, 3, &mut bytes);
        assert_eq!(bytes, [3 << 1, 5]);
    }

    /// The example of the format's description: 0 to 7 of three bits each. The header is twice the number of groups of eight, plus 1;
    /// values fill the bytes from their lowest bit on.
    #[test]
    fn packed_values() {
        let mut bytes = Vec::new();
        packed(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut bytes);
        assert_eq!(bytes, [1 << 1 | 1, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
    }

    /// A sequence of one run and one group that is not full: a reader takes as many values as it knows there are.
    #[test]
    fn a_run_and_a_part_of_a_group() {
        let mut bytes = Vec::new();
        run(1, 200, 1, &mut bytes);
        packed(&[1, 0, 1], 1, &mut bytes);
        assert_eq!(bytes, [0x90, 0x03, 1, 1 << 1 | 1, 0b101]);
    }
}
