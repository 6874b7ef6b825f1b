//! How the days of rows differ from those of their times.

use std::ops::RangeInclusive;

use super::report::{Shifts, time_text};
use crate::event::MICROS_PER_DAY;
use crate::read::Origin;
use crate::unify::Row;

/// A day may be one before that of its time in UTC, where it is that of a place west of it, or two after it, where rows arrive late.
const NEAR: RangeInclusive<i64> = -1..=2;

/// How days differ from those of their times.
#[derive(Default)]
pub(super) struct Shifted {
    of: u64,
    rows: u64,
    far: u64,
    least: i64,
    most: i64,
    /// The first, with its part, and whether it is far.
    example: Option<(bool, usize, String)>,
}

impl Shifted {
    /// Adds a row with its time.
    pub(super) fn add(&mut self, part: usize, origin: &Origin, row: &Row, time: i64) {
        self.of += 1;
        let shift = i64::from(row.day.0) - time.div_euclid(MICROS_PER_DAY);
        if shift == 0 {
            return;
        }
        let is_far = !NEAR.contains(&shift);
        (self.least, self.most) =
            if self.rows == 0 { (shift, shift) } else { (self.least.min(shift), self.most.max(shift)) };
        self.rows += 1;
        self.far += u64::from(is_far);
        let is_first = self.example.as_ref().is_none_or(|(far, known, _)| (!is_far, part) < (!far, *known));
        if is_first {
            let place = origin.path().map_or_else(String::new, |file| format!("`{}`, ", file.display()));
            let unit = if origin.text { "line" } else { "row" };
            let number = row.number.map_or_else(String::new, |number| format!("{unit} {number}, "));
            let example = format!("{place}{number}{} for the time {}", row.day, time_text(time));
            self.example = Some((is_far, part, example));
        }
    }

    /// What is to be shown of them; nothing where all days are those of their times.
    pub(super) fn report(&self) -> Option<Shifts> {
        let (.., example) = self.example.as_ref()?;
        Some(Shifts {
            rows: self.rows,
            of: self.of,
            far: self.far,
            least: self.least,
            most: self.most,
            example: example.clone(),
        })
    }
}
