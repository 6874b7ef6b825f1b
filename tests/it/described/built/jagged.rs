//! Jagged shards as requests, by the names and shapes of their tensors.

use std::collections::BTreeMap;

use shardback::schema::{Cutoff, Schema};

use super::super::{Number, Request, Sample, Seen, feature_columns};
use super::columns::Column;

/// The requests of a shard, in its order.
pub(super) fn requests(shard: &BTreeMap<String, Column>, schema: &Schema) -> Vec<Request> {
    let column = |name: &str| shard.get(name).unwrap_or_else(|| panic!("no tensor `{name}`"));
    let integers = |name: &str| column(name).values.iter().map(|&value| integer(value)).collect::<Vec<i64>>();
    let optional = |name: &str, is_there: bool| {
        assert_eq!(shard.contains_key(name), is_there, "`{name}`");
        if is_there { integers(name).into_iter().map(Some).collect() } else { Vec::new() }
    };
    let (customers, starts, lengths) = (integers("customer_id"), integers("history_start"), integers("history_length"));
    let ids = optional("request_id", schema.samples.request.is_some());
    let moments = optional("request_time", schema.history.cutoff == Cutoff::Time);
    let times = optional("action_times", schema.history.times.is_some());
    let (items, kinds) = (integers("actions"), integers("action_types"));
    let features: Vec<&Column> =
        feature_columns(schema).iter().map(|feature| column(&format!("action_{}", feature.name))).collect();
    for (name, column) in shard {
        assert_eq!(column.shape.len(), 1, "`{name}` has the shape {:?}", column.shape);
    }
    let at = |values: &[Option<i64>], place: usize| values.get(place).copied().flatten();
    let seen = |place: usize| Seen {
        item: items[place],
        kind: u8::try_from(kinds[place]).unwrap(),
        time: at(&times, place),
        features: features.iter().map(|feature| feature.values[place]).collect(),
    };
    let mut requests: Vec<Request> = (0..customers.len())
        .map(|place| {
            let start = usize::try_from(starts[place]).unwrap();
            let end = start + usize::try_from(lengths[place]).unwrap();
            Request {
                customer: customers[place],
                time: at(&moments, place),
                id: at(&ids, place),
                history: (start..end).map(seen).collect(),
                samples: Vec::new(),
            }
        })
        .collect();
    let shown = integers("item_id");
    let labels: Vec<&Column> = schema.samples.labels.iter().map(|label| column(&label.name)).collect();
    let kept: Vec<&Column> = schema.samples.kept.iter().map(|kept| column(&kept.name)).collect();
    let values = |columns: &[&Column], row: usize| columns.iter().map(|column| column.values[row]).collect();
    for (row, request) in integers("request").into_iter().enumerate() {
        let sample = Sample { item: shown[row], labels: values(&labels, row), kept: values(&kept, row) };
        requests[usize::try_from(request).unwrap()].samples.push(sample);
    }
    requests
}

fn integer(number: Number) -> i64 {
    match number {
        Number::Bool(value) => i64::from(value),
        Number::U8(value) => i64::from(value),
        Number::I32(value) => i64::from(value),
        Number::I64(value) => value,
        Number::F32(_) | Number::F64(_) => panic!("{number:?} is no integer"),
    }
}
