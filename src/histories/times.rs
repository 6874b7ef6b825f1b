//! The times of actions as a column, in the unit that a description asks for.

use super::piece::ActionColumn;
use crate::error::{Error, OptionName, Result};
use crate::event::NULL_TIME;
use crate::schema::Unit;

/// Times of actions, in a unit.
pub(super) struct Times {
    unit: Unit,
    bytes: Vec<u8>,
}

impl Times {
    pub(super) fn new(unit: Unit) -> Self {
        Self { unit, bytes: Vec::new() }
    }

    /// Adds a time in microseconds, floored; an unknown time is the least number that there is.
    ///
    /// # Errors
    /// [`Error::Option`] where seconds do not fit 32 bits.
    pub(super) fn push(&mut self, micros: i64) -> Result<()> {
        match self.unit {
            Unit::Seconds => {
                let seconds =
                    if micros == NULL_TIME { Ok(i32::MIN) } else { i32::try_from(micros.div_euclid(1_000_000)) };
                let seconds = seconds.map_err(|_| Error::Option {
                    option: OptionName::Times,
                    problem: format!(
                        "an action {} seconds after 1970 does not fit 32 bits; ask for \"ms\"",
                        micros.div_euclid(1_000_000)
                    ),
                })?;
                self.bytes.extend_from_slice(&seconds.to_le_bytes());
            }
            Unit::Milliseconds => {
                let millis = if micros == NULL_TIME { NULL_TIME } else { micros.div_euclid(1_000) };
                self.bytes.extend_from_slice(&millis.to_le_bytes());
            }
            Unit::Microseconds => self.bytes.extend_from_slice(&micros.to_le_bytes()),
            Unit::Nanoseconds => return Err(Error::internal("times are kept in s, ms or us")),
        }
        Ok(())
    }

    /// The bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn into_column(mut self) -> ActionColumn {
        self.bytes.shrink_to_fit();
        ActionColumn { width: self.unit.dtype().width(), bytes: self.bytes }
    }
}
