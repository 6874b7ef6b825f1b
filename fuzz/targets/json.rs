//! Lines of JSON: clicks in any spelling that says the same are read as they are; any other bytes get an answer.

#![no_main]

use std::fmt::Write;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use shardback_fuzz::{Click, Given, any_answer, given, same_clicks};

/// How a line says its click.
#[derive(Arbitrary, Debug)]
struct Spelling {
    /// Where the keys begin, and which way they go.
    turn: u8,
    backwards: bool,
    quoted_numbers: bool,
    spaces: bool,
    /// A null that is not written at all.
    absent: bool,
    more: Option<(u8, More)>,
    blank_line_before: bool,
}

/// A key that nobody reads.
#[derive(Arbitrary, Debug)]
enum More {
    Number(i64),
    Text(String),
    List(Vec<bool>),
    Deep(u8),
}

fuzz_target!(|data: &[u8]| {
    match given::<Vec<(Click, Spelling)>>(data) {
        None => {}
        Some(Given::Bytes(bytes)) => any_answer("clicks.json", bytes),
        Some(Given::Values(lines)) => {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (click, spelling) in lines {
                let click = click.tamed();
                line(&click, &spelling, &mut text);
                expected.push(click);
            }
            // No line has a key, so it would be a missing column.
            if expected.iter().any(|click| click.time.is_some()) {
                same_clicks("clicks.json", text.as_bytes(), expected);
            }
        }
    }
});

fn line(click: &Click, spelling: &Spelling, text: &mut String) {
    let number = |number: i64| if spelling.quoted_numbers { format!("\"{number}\"") } else { number.to_string() };
    let mut pairs = vec![
        ("dt".to_owned(), format!("\"{}\"", click.day_text())),
        ("customer_id".to_owned(), number(click.customer)),
        ("item_id".to_owned(), number(click.item.into())),
    ];
    match click.time_text() {
        Some(time) => pairs.push(("click_time".to_owned(), format!("\"{time}\""))),
        None if spelling.absent => {}
        None => pairs.push(("click_time".to_owned(), "null".to_owned())),
    }
    if let Some((name, more)) = &spelling.more {
        let value = match more {
            More::Number(number) => number.to_string(),
            More::Text(text) => quoted(text),
            More::List(list) => format!("{list:?}"),
            More::Deep(depth) => {
                let depth = usize::from(*depth % 50);
                format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
            }
        };
        pairs.push((format!("more_{name}"), value));
    }
    let turn = usize::from(spelling.turn) % pairs.len();
    pairs.rotate_left(turn);
    if spelling.backwards {
        pairs.reverse();
    }
    if spelling.blank_line_before {
        text.push_str(" \n");
    }
    let space = if spelling.spaces { " " } else { "" };
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("\"{key}\"{space}:{space}{value}")).collect();
    let _ = writeln!(text, "{{{}}}", pairs.join(&format!("{space},{space}")));
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if (control as u32) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", control as u32);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
