//! What is said of stores beside the addresses: credentials, regions, endpoints, and how long requests are tried.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::error::{Error, OptionName, Result};

/// Settings of object stores, by name. They may hold secrets: nothing shows their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    settings: BTreeMap<String, String>,
}

/// The setting of how long a request is tried again.
pub(crate) const RETRY_TIMEOUT: &str = "retry_timeout";

/// How long that is where nothing is said.
pub(super) const RETRIED_FOR: Duration = Duration::from_secs(180);

impl StoreOptions {
    /// Adds a setting, or replaces the one of that name. Names are those of the environment's variables, in lower case.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.insert(name.trim().to_ascii_lowercase(), value.into());
    }

    /// These settings and others, which have the last word.
    #[must_use]
    pub fn with(mut self, others: &Self) -> Self {
        self.settings.extend(others.settings.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// The settings for the client of a store: all but those that are the same for every store.
    #[cfg_attr(not(feature = "store"), expect(dead_code, reason = "nothing asks for it without stores"))]
    pub(crate) fn of_clients(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| *name != RETRY_TIMEOUT)
    }

    /// How long a request is tried again after the server did not answer it, or said that it could not.
    ///
    /// # Errors
    /// [`Error::Option`] where it is no length of time.
    pub(crate) fn retry_timeout(&self) -> Result<Duration> {
        let Some(text) = self.settings.get(RETRY_TIMEOUT) else { return Ok(RETRIED_FOR) };
        let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let seconds = digits.parse::<u64>().ok();
        let factor = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let seconds = seconds.zip(factor).and_then(|(seconds, factor)| seconds.checked_mul(factor));
        seconds.map(Duration::from_secs).ok_or_else(|| Error::Option {
            option: OptionName::StoreOptions,
            problem: format!("`{RETRY_TIMEOUT}` is a length of time, as 30s, 3m or 1h"),
        })
    }
}

/// Names only.
impl fmt::Debug for StoreOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.settings.keys()).finish()
    }
}
