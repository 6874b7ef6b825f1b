//! One description with everything that a report can say.

use insta::assert_snapshot;
use shardback::check::{Report, WarningKind};

use super::World;

pub(super) const DESCRIPTION: &str = r##"
version = 1

[types]
click = 1
cart  = 2
wish  = 3
gift  = 4

[samples]
path     = "shown/*.json"
customer = "user"
item     = "shown.sku"
day      = "day"
request  = "ranking"
labels   = { bought = "shown.bought", stars = { column = "shown.stars", dtype = "u8" } }
keep     = { position = "#", price = { column = "shown.price", dtype = "f32", null = 0.5 }, shop = { column = "shop", dtype = "hash" } }

[actions.clicks]
path     = "clicks"
type     = "click"
customer = "user"
item     = "sku"
day      = "dt"
time     = { column = "ts", unit = "ms" }

[actions.events]
path     = ["events.csv", "more.csv"]
where    = { country = ["de", "at"] }
type     = { column = "event", values = { basket = "cart", wish = "wish" }, other = "ignore" }
customer = "user"
item     = "sku"
day      = "day"
time     = "at"
features = { price = { column = "price", dtype = "f64", null = 0.0 } }

[actions.abroad]
path     = "events.csv"
where    = { country = "xx" }
type     = "cart"
customer = "user"
item     = "sku"
time     = "at"

[actions.orders]
path     = "events.csv"
type     = { column = "event", values = { buy = "cart" }, other = "ignore" }
customer = "user"
item     = "sku"
time     = "at"

[actions.late]
path     = "late.csv"
type     = "click"
customer = "user"
item     = "sku"
day      = "day"

[history]
length = 10
"##;

/// Twelve samples of two requests, and three lines without any.
const SHOWN: &str = r#"{"user":1,"day":"2025-08-16","ranking":"a","shop":"north","shown":[{"sku":10,"bought":false,"stars":1,"price":0.1},{"sku":11,"bought":false,"stars":2},{"sku":12,"bought":false,"stars":3,"price":7},{"sku":13,"bought":false,"stars":1,"price":1},{"sku":14,"bought":false,"stars":1,"price":1},{"sku":15,"bought":false,"stars":1,"price":1}]}
{"user":2,"day":"2025-08-16","ranking":"b","shop":"south","shown":[{"sku":10,"bought":false,"stars":1,"price":2.5},{"sku":11,"bought":false,"stars":2},{"sku":99,"bought":"perhaps","stars":0},{"sku":12,"bought":false,"stars":3,"price":7},{"sku":13,"bought":false,"stars":1,"price":1},{"sku":14,"bought":false,"stars":1,"price":1},{"sku":15,"bought":false,"stars":5,"price":1}]}
{"user":3,"day":"2025-08-16","ranking":"c","shop":"south","items":[1]}
{"user":4,"day":"2025-08-16","ranking":"d","shop":"south","items":[1]}
{"user":5,"day":"2025-08-16","ranking":"e","shop":"south","items":[1]}
"#;

/// Seconds, where the description says milliseconds; a bad row each of three kinds, one of them twice.
const CLICKS: &str = "user,sku,ts\n101,5,1755165600\n101,6,1755165600\n101,7,1755165601\n102,5,1755169200\n103,3000000000,1755169200\n\
                      ,5,1755169200\n,6,1755169200\n104,5,noon\n104,6,\n";

/// A time is two weeks before its day, one two days before, and one on it; one is unknown.
const EVENTS: &str = "user,sku,day,at,event,country,price\n\
                      101,5,2025-08-15,2025-08-01T10:00:00Z,basket,de,1.5\n\
                      101,6,2025-08-15,2025-08-13T10:00:00Z,basket,at,\n\
                      101,7,2025-08-15,2025-08-15T10:00:00Z,basket,de,2\n\
                      101,8,2025-08-15,,basket,de,2\n\
                      101,9,2025-08-15,2025-08-15T10:00:00Z,view,de,2\n\
                      101,9,2025-08-15,2025-08-15T10:00:00Z,basket,fr,2\n";

const MORE: &str = "user,sku,day,at,event,country,price\n101,5,2025-08-14,2025-08-14T10:00:00Z,basket,de,1e400\n";

const LATE: &str = "user,sku,day\n101,5,2025-08-16\n101,5,2025-08-17\n";

pub(super) fn world() -> World {
    World::new(
        DESCRIPTION,
        &[
            ("shown/a.json", SHOWN),
            ("clicks/dt=2025-08-14/a.csv", CLICKS),
            ("clicks/dt=2025-08-15/a.csv", "user,sku,ts\n101,8,1755252000\n"),
            ("events.csv", EVENTS),
            ("more.csv", MORE),
            ("late.csv", LATE),
        ],
    )
}

/// The text of a report without the folder.
pub(super) fn without_folder(text: &str, world: &World) -> String {
    text.replace(&*world.folder.path().to_string_lossy(), "WORLD")
}

/// Every kind of thing that can look wrong, in a report as data.
#[test]
fn every_warning_is_given() {
    let world = world();
    let report: Report = world.check(100_000);
    let kinds: Vec<WarningKind> =
        WarningKind::ALL.into_iter().filter(|kind| report.warnings.iter().all(|found| found.kind != *kind)).collect();
    assert_eq!(kinds, [], "these are not given");
    let json = serde_json::to_string_pretty(&report).unwrap();
    assert_snapshot!("report", without_folder(&json, &world));
}
