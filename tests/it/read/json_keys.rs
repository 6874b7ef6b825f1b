//! Keys of JSON in other case than they are wanted: object by object, exactly first, then the only one but for case.

use super::{Table, clicks, impressions, wanted};

/// An object with these keys of the customer, and values for them.
fn object(keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().zip(1..).map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!(r#"{{{},"dt":"d","item_id":2,"click_time":"t"}}"#, keys.join(","))
}

fn customers(table: &Table) -> Vec<String> {
    let rows = table.rows(clicks());
    let customer = |row: &String| {
        let values = row.split_once(": ").unwrap().1.split(' ');
        values
            .filter_map(|value| value.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("customer_id"))
            .unwrap()
            .1
            .to_owned()
    };
    rows.iter().map(customer).collect()
}

/// The exact key counts, before and behind others; one of another case counts where it is alone, whatever other objects have; and
/// nothing depends on the order of objects, or on how far into a file they are.
#[test]
fn exact_keys_come_first_wherever_they_stand() {
    let objects = [
        (object(&["customer_id"]), "1"),
        (object(&["CUSTOMER_ID"]), "1"),
        (object(&["Customer_Id"]), "1"),
        (object(&["CUSTOMER_ID", "customer_id"]), "2"),
        (object(&["customer_id", "CUSTOMER_ID"]), "1"),
        (object(&["Customer_Id", "CUSTOMER_ID", "customer_id"]), "3"),
        (object(&["Customer_Id", "customer\\u005fid"]), "2"),
        (object(&["\\u0043USTOMER_ID"]), "1"),
    ];
    for rotation in 0..objects.len() {
        let mut objects = objects.clone();
        objects.rotate_left(rotation);
        let (lines, expected): (Vec<String>, Vec<&str>) = objects.into_iter().unzip();
        for text in [lines.join("\n"), lines.concat(), format!("[{}]", lines.join(",\n"))] {
            assert_eq!(customers(&Table::new().file("a.json", &text)), expected, "{text}");
        }
        // Behind what is looked at first, and in a block of its own.
        let many = format!("{}\n", lines[0]).repeat(90_000) + &lines.join("\n");
        let found = customers(&Table::new().file("a.json", many));
        assert_eq!(found[90_000..], expected);
    }
    // Files of a table may each have their own.
    let table = Table::new().file("a.json", object(&["CUSTOMER_ID"])).file("b.json", object(&["Customer_Id"]));
    assert_eq!(customers(&table), ["1", "1"]);
}

/// Where two keys may be meant, no row is made of either.
#[test]
fn keys_that_differ_in_case_alone_are_named() {
    let text = format!("{}\n{}\n", object(&["customer_id"]), object(&["CUSTOMER_ID", "Customer_Id"]));
    assert_eq!(
        Table::new().file("a.json", text).error(clicks()),
        "clicks: `TABLE/a.json`, line 2: the keys `CUSTOMER_ID` and `Customer_Id` in one object are both `customer_id` but for \
         case: name the one that is meant"
    );
    let text = object(&["CUSTOMER_ID", "CUSTOMER_ID", "item_id"]).replace("\"item_id\":3,", "");
    assert_eq!(
        Table::new().file("a.json", text).error(clicks()),
        "clicks: `TABLE/a.json`, line 1: the key `CUSTOMER_ID` twice in one object"
    );
}

/// The same below columns and in lists, where what stands there has the shape of the exact key.
#[test]
fn nested_keys_too() {
    let nested = || wanted(&["user.id", "item_id", "click_time"]);
    let line = |user: &str| format!(r#"{{"dt":"d","user":{user},"item_id":2,"click_time":"t"}}"#);
    let users = [
        (r#"{"ID":[1],"id":2}"#, "2"),
        (r#"{"id":3,"ID":4}"#, "3"),
        (r#"{"Id":5}"#, "5"),
        (r#"{"id":6,"x":{"ID":7}}"#, "6"),
        (r#"{"x":0}"#, ""),
        ("null", "null"),
    ];
    for rotation in 0..users.len() {
        let mut users = users;
        users.rotate_left(rotation);
        let text: Vec<String> = users.iter().map(|(user, _)| line(user)).collect();
        let rows = Table::new().file("a.json", text.join("\n")).rows(nested());
        for (row, (user, id)) in rows.iter().zip(users) {
            let row = row.to_ascii_lowercase();
            let expected = if user == "null" { "user=null".to_owned() } else { format!("user={{id: {id}}}") };
            assert!(row.ends_with(&expected), "{row}, of {user}");
        }
    }
    let text = r#"{"dt":"d","customer_id":1,"impressions":[{"ITEM_ID":1,"item_id":5,"is_order":0},{"Item_Id":6,"IS_ORDER":1}]}"#;
    let rows = Table::new().file("a.json", text).rows(impressions());
    assert!(rows[0].contains("[{item_id: 5, is_order: 0}, {item_id: 6, is_order: 1}]"), "{rows:?}");
}
