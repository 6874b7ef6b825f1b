//! The built-in description: the four tables of a shop, which need no description of their own.

use super::{
    ActionTable, ActionTypes, Cutoff, DayOf, History, Ids, Label, LabelOf, SampleTable, Schema, Source, TimeOf, TypeOf,
    ValueType,
};
use crate::store::StoreOptions;

/// How long a history is where nothing is said.
const LENGTH: usize = 1000;

impl Schema {
    /// The description of the four tables: `impressions`, and of actions `clicks`, `add_to_carts` and `previous_orders`.
    ///
    /// | table | columns |
    /// |---|---|
    /// | `impressions` | `dt`, `customer_id`, `impressions` (a list of `item_id`, `is_order`) or `item_id`, `is_order` |
    /// | `clicks` | `dt`, `customer_id`, `item_id`, `click_time` |
    /// | `add_to_carts` | `dt`, `customer_id`, `config_id`, `occurred_at` |
    /// | `previous_orders` | `order_date`, `customer_id`, `config_id`; the time is the day's midnight |
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            types: ActionTypes::built_in(),
            samples: SampleTable {
                name: "impressions".to_owned(),
                source: Source::default(),
                customer: CUSTOMER.to_owned(),
                item: "impressions.item_id".to_owned(),
                day: day("dt"),
                time: None,
                request: None,
                labels: vec![Label {
                    name: "is_order".to_owned(),
                    of: LabelOf::Column { column: "impressions.is_order".to_owned(), dtype: ValueType::Bool },
                }],
                kept: Vec::new(),
            },
            actions: vec![
                action_table("clicks", 1, "dt", "item_id", Some("click_time")),
                action_table("add_to_carts", 2, "dt", "config_id", Some("occurred_at")),
                action_table("previous_orders", 3, "order_date", "config_id", None),
            ],
            customer_ids: Ids::Int,
            item_ids: Ids::Int,
            history: History {
                length: LENGTH,
                cutoff: Cutoff::Day,
                lookback_micros: None,
                delay_micros: 0,
                times: None,
            },
            store: StoreOptions::default(),
        }
    }

    /// The table of actions of a name.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&ActionTable> {
        self.actions.iter().find(|table| table.name == name)
    }
}

const CUSTOMER: &str = "customer_id";

fn day(column: &str) -> DayOf {
    DayOf::Column { column: column.to_owned(), zone: None }
}

fn action_table(name: &str, kind: u8, day_column: &str, item: &str, time: Option<&str>) -> ActionTable {
    let time_of = |column: &str| TimeOf { column: column.to_owned(), unit: None, format: None, zone: None };
    ActionTable {
        name: name.to_owned(),
        source: Source::default(),
        kind: TypeOf::Constant(kind),
        customer: CUSTOMER.to_owned(),
        item: item.to_owned(),
        day: day(day_column),
        time: time.map(time_of),
        features: Vec::new(),
    }
}
