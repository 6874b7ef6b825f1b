//! What tables have beside the built-in columns where they come with a description of their own: times, labels, prices.
//!
//! Drawn from random streams of their own, so that all other columns are the same with and without them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::table::UTC;
use crate::error::Result;
use crate::fsio::FileWriter;

/// The description, in the folder of the tables.
const FILE: &str = "shop.toml";

/// Of samples more than have a click, of actions those that have a price.
const CLICK_RATE: f64 = 0.12;
const HIGHEST_PRICE: f32 = 200.0;

const DESCRIPTION: &str = r##"# Tables with times, requests, labels and prices, made by `shardback generate`.
version = 1

[types]
click = 1
add_to_cart = 2
order = 3

[samples]
path = "impressions"
customer = "customer_id"
item = "impressions.item_id"
day = "dt"
time = "shown_at"
request = "ranking_id"
labels = { is_order = "impressions.is_order", is_click = "impressions.is_click" }
keep = { position = "#", price = { column = "impressions.price", dtype = "f32" } }

[actions.clicks]
path = "clicks"
type = "click"
customer = "customer_id"
item = "item_id"
day = "dt"
time = "click_time"
features = { price = { column = "price", dtype = "f32" } }

[actions.add_to_carts]
path = "add_to_carts"
type = "add_to_cart"
customer = "customer_id"
item = "config_id"
day = "dt"
time = "occurred_at"
features = { price = { column = "price", dtype = "f32" } }

[actions.previous_orders]
path = "previous_orders"
type = "order"
customer = "customer_id"
item = "config_id"
day = "order_date"
features = { price = { column = "price", dtype = "f32" } }

[history]
length = 1000
cutoff = "time"
times = "s"
"##;

/// Writes the description into the folder of the tables.
pub(super) fn write_description(out: &Path) -> Result<()> {
    let mut file = FileWriter::create(&out.join(FILE))?;
    file.write(DESCRIPTION.as_bytes())?;
    file.finish().map(drop)
}

/// The further columns of a table of actions, in its schema.
pub(super) fn action_fields() -> Vec<Field> {
    vec![Field::new("price", DataType::Float32, true)]
}

/// The further fields of an item that was shown.
pub(super) fn slate_fields() -> Vec<Field> {
    vec![Field::new("is_click", DataType::Boolean, true), Field::new("price", DataType::Float32, true)]
}

pub(super) fn action_columns(count: usize, random: &mut Xoshiro256PlusPlus) -> Vec<ArrayRef> {
    vec![prices(count, random)]
}

pub(super) fn slate_columns(items: usize, random: &mut Xoshiro256PlusPlus) -> Vec<ArrayRef> {
    let clicks: Vec<bool> = (0..items).map(|_| random.random_bool(CLICK_RATE)).collect();
    vec![Arc::new(BooleanArray::from(clicks)), prices(items, random)]
}

/// When each row of impressions was shown.
pub(super) fn shown_at(times: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(times).with_timezone(UTC))
}

fn prices(count: usize, random: &mut Xoshiro256PlusPlus) -> ArrayRef {
    // In cents, as prices are.
    let cents = || (random.random_range(0.0..HIGHEST_PRICE) * 100.0).round() / 100.0;
    Arc::new(Float32Array::from(std::iter::repeat_with(cents).take(count).collect::<Vec<f32>>()))
}
