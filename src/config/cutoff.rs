//! The cut-off: whether it is the day or the time, and how far back a request sees.

use serde::{Deserialize, Serialize};

use super::{Options, invalid};
use crate::error::{OptionName, Result};
use crate::event::MICROS_PER_DAY;
use crate::schema::Cutoff;

/// A cut-off at each request's own time.
///
/// A request sees the actions whose time, with the delay, is strictly before its own, and that were known by its day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeCutoff {
    /// An action is seen only so long after its time, in microseconds.
    pub delay_micros: i64,
    /// How far back a request sees, in microseconds; `None` for all of the past.
    pub lookback_micros: Option<i64>,
}

impl TimeCutoff {
    /// The times of the actions that a request at `time` sees: from the first on, and before the second.
    #[must_use]
    pub fn bounds(&self, time: i64) -> (i64, i64) {
        let first = self.lookback_micros.map_or(i64::MIN, |lookback| time.saturating_sub(lookback));
        (first, time.saturating_sub(self.delay_micros))
    }
}

/// What a run says of the cut-off beside its description; nothing where the description has the last word.
#[derive(Clone, Copy, Debug, Default)]
pub struct CutoffOptions {
    /// Whether it is the day or the time.
    pub cutoff: Option<Cutoff>,
    /// How many days back a sample sees.
    pub lookback_days: Option<u32>,
    /// With a cut-off at the time: how far back a request sees, in microseconds.
    pub lookback_micros: Option<i64>,
    /// With a cut-off at the time: an action is seen only so long after its time, in microseconds.
    pub delay_micros: Option<i64>,
}

impl Options {
    /// The same with another cut-off, and what is left of the look-back and delay of the description.
    ///
    /// # Errors
    /// [`Error::Option`](crate::error::Error::Option) for what does not go with the cut-off.
    pub fn with_cutoff(self, given: CutoffOptions) -> Result<Self> {
        let described = self.schema.history.cutoff;
        match given.cutoff.unwrap_or(described) {
            Cutoff::Day => self.with_cutoff_at_day(given, described),
            Cutoff::Time => Ok(self.with_cutoff_at_time(given, described)),
        }
    }

    fn with_cutoff_at_day(self, given: CutoffOptions, described: Cutoff) -> Result<Self> {
        for (option, value) in [(OptionName::Lookback, given.lookback_micros), (OptionName::Delay, given.delay_micros)]
        {
            if value.is_some() {
                return Err(invalid(option, "it belongs to a cut-off at the time".to_owned()));
            }
        }
        let of_description = self.schema.history.lookback_micros;
        let is_whole = of_description.is_none_or(|micros| micros % MICROS_PER_DAY == 0);
        if described == Cutoff::Time && given.lookback_days.is_none() && !is_whole {
            let problem =
                format!("the look-back of the description is not whole days; say {}", OptionName::LookbackDays);
            return Err(invalid(OptionName::Cutoff, problem));
        }
        let lookback_days = given.lookback_days.or(of_description.and_then(whole_days));
        Ok(Self { lookback_days, time_cutoff: None, ..self })
    }

    fn with_cutoff_at_time(self, given: CutoffOptions, described: Cutoff) -> Self {
        let history = &self.schema.history;
        let of_days = given.lookback_days.map(|days| i64::from(days).saturating_mul(MICROS_PER_DAY));
        let of_description = if described == Cutoff::Time { history.delay_micros } else { 0 };
        let time_cutoff = TimeCutoff {
            delay_micros: given.delay_micros.unwrap_or(of_description),
            lookback_micros: given.lookback_micros.or(of_days).or(history.lookback_micros),
        };
        Self { lookback_days: None, time_cutoff: Some(time_cutoff), ..self }
    }
}

/// A look-back in days, of which a cut-off at the day has whole ones; more than 32 bits count are all of the past.
pub(super) fn whole_days(micros: i64) -> Option<u32> {
    u32::try_from(micros / MICROS_PER_DAY).ok()
}

/// Checks the cut-off of options, and has the description say the same.
pub(super) fn check(options: &mut Options) -> Result<()> {
    let history = &mut options.schema.history;
    let Some(TimeCutoff { delay_micros, lookback_micros }) = options.time_cutoff else {
        (history.cutoff, history.delay_micros) = (Cutoff::Day, 0);
        return Ok(());
    };
    if options.lookback_days.is_some() {
        let problem = format!("it belongs to a cut-off at the day; use {}", OptionName::Lookback);
        return Err(invalid(OptionName::LookbackDays, problem));
    }
    if options.schema.samples.time.is_none() {
        let problem = format!(
            "\"time\" is that of each sample, and none is known of the table {}; give `time` in a description's [samples]",
            options.schema.samples.name
        );
        return Err(invalid(OptionName::Cutoff, problem));
    }
    if delay_micros < 0 || lookback_micros.is_some_and(|lookback| lookback <= 0) {
        return Err(invalid(
            OptionName::Cutoff,
            "a delay cannot be negative, and a look-back is longer than 0".to_owned(),
        ));
    }
    if lookback_micros.is_some_and(|lookback| delay_micros >= lookback) {
        return Err(invalid(
            OptionName::Delay,
            "it is no shorter than the look-back: every action would be hidden".to_owned(),
        ));
    }
    (history.cutoff, history.delay_micros) = (Cutoff::Time, delay_micros);
    Ok(())
}
