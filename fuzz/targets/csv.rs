//! CSV: clicks in any spelling that says the same are read as they are; any other bytes get an answer.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use shardback_fuzz::{Click, Given, any_answer, given, same_clicks};

#[derive(Arbitrary, Debug)]
enum Input {
    Clicks {
        columns: Columns,
        clicks: Vec<(Click, Spelling)>,
        line_feed_at_end: bool,
    },
    /// Bytes behind a header that has all columns.
    Records(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Columns {
    turn: u8,
    carriage_return: bool,
    byte_order_mark: bool,
}

/// How a record says its click.
#[derive(Arbitrary, Debug)]
struct Spelling {
    quoted: bool,
    /// A column that nobody reads, quoted where it has to be.
    more: String,
    blank_line_before: bool,
}

const NAMES: [&str; 5] = ["dt", "customer_id", "item_id", "click_time", "more"];

fuzz_target!(|data: &[u8]| {
    let input = match given(data) {
        None => return,
        Some(Given::Bytes(bytes)) => return any_answer("clicks.csv", bytes),
        Some(Given::Values(input)) => input,
    };
    match input {
        Input::Records(bytes) => {
            any_answer("clicks.csv", &[b"dt,customer_id,item_id,click_time\n", bytes.as_slice()].concat())
        }
        Input::Clicks { columns, clicks, line_feed_at_end } => {
            let end = if columns.carriage_return { "\r\n" } else { "\n" };
            let turn = usize::from(columns.turn) % NAMES.len();
            let mut text = String::from(if columns.byte_order_mark { "\u{feff}" } else { "" });
            let mut names = NAMES;
            names.rotate_left(turn);
            text.push_str(&names.join(","));
            let mut expected = Vec::new();
            for (click, spelling) in clicks {
                let click = click.tamed();
                text.push_str(end);
                if spelling.blank_line_before {
                    text.push_str(end);
                }
                let mut fields = [
                    click.day_text(),
                    click.customer.to_string(),
                    click.item.to_string(),
                    click.time_text().unwrap_or_default(),
                    spelling.more.clone(),
                ];
                for field in &mut fields {
                    if spelling.quoted || field.contains(['"', ',', '\n', '\r']) {
                        *field = format!("\"{}\"", field.replace('"', "\"\""));
                    }
                }
                fields.rotate_left(turn);
                text.push_str(&fields.join(","));
                expected.push(click);
            }
            if line_feed_at_end {
                text.push_str(end);
            }
            same_clicks("clicks.csv", text.as_bytes(), expected);
        }
    }
});
