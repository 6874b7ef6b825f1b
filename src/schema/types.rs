//! The types of actions: names and the numbers that the outputs hold.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, Result, quoted};

/// The types of actions: a name for each number that the outputs hold, 1 to 255.
///
/// ```
/// use shardback::schema::ActionTypes;
///
/// let types = ActionTypes::new([("play", 1), ("skip", 7)])?;
/// assert_eq!((types.number("skip"), types.name(1), types.name(2)), (Some(7), Some("play"), None));
/// # Ok::<(), shardback::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionTypes(BTreeMap<u8, String>);

/// The longest name of a type, in bytes.
const LONGEST_NAME: usize = 64;

impl ActionTypes {
    /// Types by name and number.
    ///
    /// # Errors
    /// [`Error::Description`] for a number or a name that is there twice, a number that is none of 1 to 255 (0 is padding), and a name
    /// that is empty, longer than 64 bytes, or has other characters than letters and digits of ASCII, `_`, `-` and `.`.
    pub fn new<'a>(types: impl IntoIterator<Item = (&'a str, u64)>) -> Result<Self> {
        let mut known = Self(BTreeMap::new());
        for (name, number) in types {
            let wrong = |problem: String| Error::Description { place: format!("types.{name}"), problem };
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
                let problem = format!(
                    "{} cannot name a type: use 1 to {LONGEST_NAME} letters and digits of ASCII, `_`, `-` and `.`",
                    quoted(name)
                );
                return Err(wrong(problem));
            }
            let fits = u8::try_from(number).ok().filter(|&number| number > 0);
            let number = fits.ok_or_else(|| wrong(format!("{number} is not between 1 and 255; 0 is padding")))?;
            if known.number(name).is_some() {
                return Err(wrong("it is there twice".to_owned()));
            }
            if let Some(other) = known.0.insert(number, name.to_owned()) {
                return Err(wrong(format!("{number} is the number of `{other}` too; give each type its own")));
            }
        }
        Ok(known)
    }

    /// Those of the built-in tables: `click` 1, `add_to_cart` 2, `order` 3.
    #[must_use]
    pub fn built_in() -> Self {
        Self([(1, "click"), (2, "add_to_cart"), (3, "order")].map(|(number, name)| (number, name.to_owned())).into())
    }

    /// The name of a number.
    #[must_use]
    pub fn name(&self, number: u8) -> Option<&str> {
        self.0.get(&number).map(String::as_str)
    }

    /// The number of a name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u8> {
        self.iter().find(|(_, known)| *known == name).map(|(number, _)| number)
    }

    /// All of them, ascending by number.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &str)> {
        self.0.iter().map(|(&number, name)| (number, name.as_str()))
    }
}
