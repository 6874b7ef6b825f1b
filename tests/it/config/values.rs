//! What values mean: types of actions, times and days of every kind, ids, features, and what is kept.

use shardback::config::{Options, Plan};
use shardback::event::{Day, ItemDtype};
use shardback::schema::from_toml;
use xxhash_rust::xxh3::xxh3_64;

use super::{World, samples, samples_of};

/// One table with the kind in a column, numbers as times, the day of the time in a zone, features, and a second table without them.
#[test]
fn one_table_of_events_has_types_times_and_features() {
    let description = r#"
        version = 1
        [types]
        view = 1
        buy = 9
        [samples]
        customer = "user"
        item = "sku"
        time = { column = "ts", unit = "s" }
        day = { of = "time", zone = "Asia/Shanghai" }
        labels = { bought = { column = "result", is = ["buy", "1"] } }
        [actions.events]
        type = { column = "event", values = { view = "view", purchase = "buy" }, other = "ignore" }
        customer = "user"
        item = "sku"
        time = { column = "ts", unit = "ms" }
        day = { of = "time", zone = "Asia/Shanghai" }
        features = { price = { column = "price", dtype = "f64", null = -1.0 } }
        [actions.views]
        type = "view"
        customer = "user"
        item = "sku"
        time = { column = "at", format = "%d/%m/%Y %H:%M", zone = "Asia/Shanghai" }
        day = { of = "time", zone = "Asia/Shanghai" }
        [history]
        length = 5
    "#;
    // 2025-08-15T16:00:00Z is the midnight with which the 16th begins in Shanghai.
    let samples = "user,sku,ts,result\n1,100,1755273600,buy\n1,101,1755359999.5,\n2,100,1755273599,1\n";
    let events = "user,sku,event,ts,price\n1,7,view,1755273599999,2.5\n1,8,purchase,1755273599000,\n1,9,ping,no time,x\n\
                  1,10,view,1755273600000,1\n";
    let views = "user,sku,at\n1,20,15/08/2025 23:59\n1,21,16/08/2025 00:00\n";
    let world = World::new(description, &[("samples.csv", samples), ("events.csv", events), ("views.csv", views)]);
    // 23:59:59.999, 23:59:59 and 23:59:00 of the 15th.
    let history = r#""actions":[7,8,20,0,0],"action_types":[1,9,1,0,0],"action_price":[2.5,-1.0,-1.0,0.0,0.0]}"#;
    assert_eq!(
        world.rows(),
        [
            format!(r#"{{"customer_id":1,"item_id":100,"bought":true,{history}"#),
            format!(r#"{{"customer_id":1,"item_id":101,"bought":false,{history}"#),
        ]
    );
}

/// Hashes are those of the text, whole numbers as their digits, and need 64 bits; unsigned ids keep their bits.
#[test]
fn ids_are_hashes_or_unsigned() {
    let keys =
        "customer = \"user\"\nitem = \"sku\"\nday = \"day\"\nkeep = { shop = { column = \"shop\", dtype = \"hash\" } }";
    let rows = r#"{"user":18446744073709551615,"sku":"a-1","day":"2025-08-16","shop":"north"}
{"user":"7","sku":12,"day":"2025-08-16","shop":true}
"#;
    let hash = |text: &str| xxh3_64(text.as_bytes()).cast_signed();
    let mut expected = [
        format!(r#"{{"customer_id":-1,"item_id":{},"shop":{}}}"#, hash("a-1"), hash("north")),
        format!(r#"{{"customer_id":7,"item_id":{},"shop":{}}}"#, hash("12"), hash("true")),
    ];
    expected.sort();
    let ids = "[ids]\ncustomer = \"u64\"\nitem = \"hash\"";
    assert_eq!(samples_of(keys, ids, ("samples.json", rows)), expected);
}

/// What is kept has the type that it is kept as, and a null is what stands for it.
#[test]
fn every_type_is_kept() {
    let keys = r#"
        customer = "user"
        item = "sku"
        day = { column = "day", zone = "Europe/Berlin" }
        labels = { score = { column = "score", dtype = "i32" } }
        [samples.keep]
        flag = { column = "flag", dtype = "bool", null = true }
        small = { column = "n", dtype = "u8" }
        large = { column = "m", dtype = "i64", null = -5 }
        single = { column = "x", dtype = "f32" }
        double = { column = "x", dtype = "f64" }
    "#;
    let rows = "user,sku,day,score,flag,n,m,x\n1,2,2025-08-15T22:30:00Z,-3,F,255,9007199254740993,0.1\n\
                1,3,2025-08-16,4.0,,0,,-1e3\n";
    assert_eq!(
        samples_of(keys, "", ("samples.csv", rows)),
        [
            r#"{"customer_id":1,"item_id":2,"score":-3,"flag":false,"small":255,"large":9007199254740993,"single":0.1,"double":0.1}"#,
            r#"{"customer_id":1,"item_id":3,"score":4,"flag":true,"small":0,"large":-5,"single":-1000.0,"double":-1000.0}"#,
        ]
    );
}

/// The id of a request is the integer that it is, or else the hash of its text.
#[test]
fn requests_have_ids_of_integers_or_text() {
    let keys = "customer = \"user\"\nitem = \"sku\"\nday = \"day\"\nrequest = \"list\"";
    let rows = "user,sku,day,list\n1,2,2025-08-16,12\n1,3,2025-08-16,b7\n";
    let rows = samples_of(keys, "", ("samples.csv", rows));
    let id = |text: &str| format!("\"request_id\":{text}");
    let hash = xxh3_64(b"b7").cast_signed().to_string();
    assert_eq!(
        rows,
        [
            format!(r#"{{"customer_id":1,{},"item_id":3}}"#, id(&hash)),
            format!(r#"{{"customer_id":1,{},"item_id":2}}"#, id("12")),
        ]
    );
}

/// Hashed and unsigned ids of items have 64 bits, which nobody can ask to be 32; where nothing is asked for they have them, and integers 32.
#[test]
fn the_width_of_items_follows_from_their_ids() {
    let plan = |ids: &str, asked| {
        let schema = from_toml(&samples("customer = \"c\"\nitem = \"i\"\nday = \"d\"", ids)).unwrap();
        let defaults = Options::described(schema, "out", Day(20_000), Day(20_000));
        Plan::new(Options { item_dtype: asked, ..defaults })
            .map(|plan| plan.item_dtype())
            .map_err(|error| error.to_string())
    };
    for (ids, unasked) in
        [("", ItemDtype::I32), ("[ids]\nitem = \"u64\"", ItemDtype::I64), ("[ids]\nitem = \"hash\"", ItemDtype::I64)]
    {
        assert_eq!(plan(ids, None), Ok(unasked));
        assert_eq!(plan(ids, Some(ItemDtype::I64)), Ok(ItemDtype::I64));
    }
    assert_eq!(plan("", Some(ItemDtype::I32)), Ok(ItemDtype::I32));
    for ids in ["u64", "hash"] {
        assert_eq!(
            plan(&format!("[ids]\nitem = \"{ids}\""), Some(ItemDtype::I32)).unwrap_err(),
            format!(
                "item_dtype: i32 has no room for the items, whose ids take 64 bits where the description says `item = \"{ids}\"`; \
                 leave the option out, or say i64"
            )
        );
    }
}
