//! What the outputs hold beside customers, items and types: the columns of samples and of actions that a description names.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Cutoff, Kept, POSITION, Schema, Unit, names};
use crate::error::quoted;
use crate::pack::{Dtype, Packing};

/// The name of the column with the times of actions.
pub const ACTION_TIMES: &str = "action_times";

/// A column of the outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub dtype: Dtype,
}

/// The columns of samples and of actions, in the order of the outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Whether requests have times, which are their cut-offs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request_time: bool,
    /// Whether requests have ids.
    pub request: bool,
    /// The labels.
    pub labels: Vec<Field>,
    /// The other columns of samples.
    pub kept: Vec<Field>,
    /// Which of them is the place in the list, by which the samples of a request are ordered.
    pub position: Option<usize>,
    /// The unit in which the time of each action is there, where it is.
    pub times: Option<Unit>,
    /// The features of actions, by their names in the outputs.
    pub features: Vec<Field>,
}

impl Contents {
    /// Those of the built-in tables: one label, `is_order`.
    #[must_use]
    pub fn built_in() -> Self {
        Self { labels: vec![Field { name: "is_order".to_owned(), dtype: Dtype::Bool }], ..Self::default() }
    }

    /// Those that a description asks for.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let samples = &schema.samples;
        let labels = samples.labels.iter();
        let labels = labels.map(|label| Field { name: label.name.clone(), dtype: label.of.value_type().dtype() });
        let kept = samples.kept.iter().map(|kept| Field { name: kept.name.clone(), dtype: kept.dtype.dtype() });
        let feature = |feature: &Kept| Field { name: names::of_actions(&feature.name), dtype: feature.dtype.dtype() };
        Self {
            request_time: schema.history.cutoff == Cutoff::Time,
            request: samples.request.is_some(),
            labels: labels.collect(),
            kept: kept.collect(),
            position: samples.kept.iter().position(|kept| kept.column == POSITION),
            times: schema.history.times,
            features: schema.features().into_iter().map(feature).collect(),
        }
    }

    /// What is wrong with them, where they were read from a file.
    pub(crate) fn problem(&self) -> Option<String> {
        let wrong_sample = self.of_samples().find(|field| !names::can_be_of_samples(&field.name));
        let wrong_feature = self.features.iter().find(|field| !names::can_be_of_actions(&field.name));
        let mut known: Vec<&str> = self.of_samples().chain(&self.features).map(|field| field.name.as_str()).collect();
        known.sort_unstable();
        let twice =
            known.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| format!("two columns are called {}", pair[0]));
        let wrong = wrong_sample
            .or(wrong_feature)
            .map(|field| format!("{} cannot be the name of a column", quoted(&field.name)));
        let position = self.position.filter(|&kept| self.kept.get(kept).is_none_or(|field| field.dtype != Dtype::I32));
        let position = position.map(|kept| format!("column {kept} of `kept` is not a position"));
        let times = self.times.filter(|&unit| unit == Unit::Nanoseconds).map(|_| "times are not kept in ns".to_owned());
        wrong.or(twice).or(position).or(times)
    }

    /// The columns of a sample: labels, then the others.
    pub fn of_samples(&self) -> impl Iterator<Item = &Field> {
        self.labels.iter().chain(&self.kept)
    }

    /// The columns of an action beside its item and type: its time where that is kept, then the features.
    pub fn of_actions(&self) -> impl Iterator<Item = Field> {
        let times = self.times.map(|unit| Field { name: ACTION_TIMES.to_owned(), dtype: unit.dtype() });
        times.into_iter().chain(self.features.iter().cloned())
    }

    /// How the columns of a sample are packed, without the id of its request.
    #[must_use]
    pub fn column_packing(&self) -> Packing {
        Packing::new(self.of_samples().map(|field| field.dtype))
    }

    /// How a sample is packed: the time and the id of its request where requests have any, then its columns.
    #[must_use]
    pub fn sample_packing(&self) -> Packing {
        let of_request = std::iter::repeat_n(Dtype::I64, self.of_request());
        Packing::new(of_request.chain(self.of_samples().map(|field| field.dtype)))
    }

    /// How many fields of a packed sample are its request's: its time and its id, each where requests have any.
    #[must_use]
    pub fn of_request(&self) -> usize {
        usize::from(self.request_time) + usize::from(self.request)
    }

    /// Where the place in the list lies in a packed sample; nowhere where it is not kept.
    #[must_use]
    pub fn position_range(&self) -> Range<usize> {
        self.position.map_or(0..0, |kept| self.sample_packing().range(self.of_request() + self.labels.len() + kept))
    }

    /// How the features of an action are packed.
    #[must_use]
    pub fn feature_packing(&self) -> Packing {
        Packing::new(self.features.iter().map(|field| field.dtype))
    }
}
