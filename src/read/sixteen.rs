//! Sixteen bytes of text at once: a bit for each of which something holds, the first byte's lowest.

#[cfg(target_arch = "x86_64")]
pub(super) use fast::{either, no_digits, no_plain_text};
#[cfg(not(target_arch = "x86_64"))]
pub(super) use plain::{either, no_digits, no_plain_text};

#[cfg(target_arch = "x86_64")]
mod fast {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_setzero_si128,
        _mm_sub_epi8, _mm_subs_epu8,
    };

    /// Quotes, backslashes and control characters.
    #[inline]
    pub(in crate::read) fn no_plain_text(bytes: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of every processor of this architecture.
        unsafe { marked_text(bytes) }
    }

    /// What is no digit.
    #[inline]
    pub(in crate::read) fn no_digits(bytes: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of every processor of this architecture.
        unsafe { marked_digits(bytes) ^ 0xFFFF }
    }

    /// Either of two bytes.
    #[inline]
    pub(in crate::read) fn either(bytes: &[u8; 16], one: u8, other: u8) -> u32 {
        // SAFETY: SSE2 is part of every processor of this architecture.
        unsafe { marked_either(bytes, one, other) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn marked_either(bytes: &[u8; 16], one: u8, other: u8) -> u32 {
        let bytes = load(bytes);
        mask(_mm_or_si128(equal(bytes, one), equal(bytes, other)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn marked_text(bytes: &[u8; 16]) -> u32 {
        let bytes = load(bytes);
        let (quotes, escapes) = (equal(bytes, b'"'), equal(bytes, b'\\'));
        mask(_mm_or_si128(_mm_or_si128(quotes, escapes), at_most(bytes, 0x1f)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn marked_digits(bytes: &[u8; 16]) -> u32 {
        mask(at_most(_mm_sub_epi8(load(bytes), all(b'0')), 9))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; 16]) -> __m128i {
        let both = u128::from_le_bytes(*bytes);
        _mm_set_epi64x((both >> 64) as i64, both as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn all(byte: u8) -> __m128i {
        _mm_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal(bytes: __m128i, byte: u8) -> __m128i {
        _mm_cmpeq_epi8(bytes, all(byte))
    }

    /// Whether each is at most so much: subtraction that ends at 0 leaves nothing of it.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn at_most(bytes: __m128i, most: u8) -> __m128i {
        _mm_cmpeq_epi8(_mm_subs_epu8(bytes, all(most)), _mm_setzero_si128())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn mask(found: __m128i) -> u32 {
        _mm_movemask_epi8(found).cast_unsigned()
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    #[inline]
    fn mask(bytes: &[u8; 16], holds: impl Fn(u8) -> bool) -> u32 {
        (0..).zip(bytes).fold(0, |bits, (place, &byte)| bits | u32::from(holds(byte)) << place)
    }

    /// Quotes, backslashes and control characters.
    #[inline]
    pub(in crate::read) fn no_plain_text(bytes: &[u8; 16]) -> u32 {
        mask(bytes, |byte| matches!(byte, b'"' | b'\\' | ..b' '))
    }

    /// Either of two bytes.
    #[inline]
    pub(in crate::read) fn either(bytes: &[u8; 16], one: u8, other: u8) -> u32 {
        mask(bytes, |byte| byte == one || byte == other)
    }

    /// What is no digit.
    #[inline]
    pub(in crate::read) fn no_digits(bytes: &[u8; 16]) -> u32 {
        mask(bytes, |byte| !byte.is_ascii_digit())
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{fast, plain};

    /// Every byte at every place is told from others as the plain loop tells it.
    #[test]
    fn bytes_are_told_apart_wherever_they_stand() {
        for filling in [b'a', b'5', b'"', 0xC3] {
            for place in 0..16 {
                for byte in 0..=u8::MAX {
                    let mut bytes = [filling; 16];
                    bytes[place] = byte;
                    assert_eq!(fast::no_plain_text(&bytes), plain::no_plain_text(&bytes), "{bytes:?}");
                    assert_eq!(fast::no_digits(&bytes), plain::no_digits(&bytes), "{bytes:?}");
                    assert_eq!(fast::either(&bytes, b',', b'a'), plain::either(&bytes, b',', b'a'), "{bytes:?}");
                }
            }
        }
    }
}
