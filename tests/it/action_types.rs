//! Protects: types of actions are data. Any names and numbers get into histories, manifests and figures, and what is no type is a fault.

use std::fs;
use std::path::Path;

use shardback::config::{Format, Options, Plan};
use shardback::event::Day;
use shardback::inspect::{Selection, inspect};
use shardback::manifest::{MANIFEST_FILE, Manifest};
use shardback::pipeline::{self, Input, Tables};
use shardback::schema::{ActionTable, ActionTypes, Schema, TypeOf};
use shardback::verify::verify;
use tempfile::TempDir;

use crate::fixture;
use crate::reference::{Action, Impression};
use crate::tables::{Folder, options, read_day};

const DAY: i32 = 20_000;
const HOUR: i64 = 3_600_000_000;

/// One customer to whom an item was shown, and a click an hour for each of `items`, the first the newest.
fn clicked(root: &Path, items: &[i64]) -> Folder {
    let shown = Impression { day: DAY, customer: 7, items: Some(vec![(1, true)]) };
    let clicks = items.iter().zip(1..).map(|(&item, hours)| Action {
        day: DAY - 1,
        customer: 7,
        item,
        time: Some(i64::from(DAY) * 24 * HOUR - hours * HOUR),
        kind: 1,
    });
    Folder::write(root, &[shown], &clicks.collect::<Vec<_>>(), 1)
}

/// The clicks once more for each of `kinds`, as a table of that type.
fn build(folder: &Folder, types: ActionTypes, kinds: &[u8], out: &Path) -> shardback::error::Result<()> {
    let schema = Schema { types, ..Schema::built_in() };
    let options = Options { schema, history: 600, ..options(out, DAY, DAY) };
    let table = |&kind: &u8| ActionTable {
        name: format!("table_{kind}"),
        kind: TypeOf::Constant(kind),
        ..crate::tables::clicks()
    };
    let clicks = || Input::Path(folder.0.join("clicks"));
    let actions = kinds.iter().map(|kind| (table(kind), clicks())).collect();
    let tables = Tables { impressions: Input::Path(folder.0.join("impressions")), actions };
    pipeline::build(&Plan::new(options)?, tables, &()).map(drop)
}

fn manifest(out: &Path) -> Manifest {
    let folder = out.join("jagged").join(format!("dt={}", Day(DAY)));
    Manifest::from_bytes(&fs::read(folder.join(MANIFEST_FILE)).unwrap()).unwrap()
}

/// Few types are counted one by one and many in one pass: both say the same, in every format.
#[test]
fn any_types_get_into_histories_and_figures() {
    for count in [2, 16, 17, 255] {
        let folder = TempDir::new().unwrap();
        let clicks = clicked(folder.path(), &[30, 20]);
        let names: Vec<String> = (0..count).map(|place| format!("type-{place}")).collect();
        // From the last number down, so that names and numbers are in different orders.
        let numbers = names.iter().zip((1..=255_u8).rev());
        let types = ActionTypes::new(numbers.clone().map(|(name, number)| (name.as_str(), number.into()))).unwrap();
        let (out, used) = (folder.path().join("out"), [255, 254]);
        build(&clicks, types, &used, &out).unwrap();

        // The higher type of one time and item is first.
        let history = [(30, 255), (30, 254), (20, 255), (20, 254)];
        for format in Format::ALL {
            let rows = read_day(&out, format, DAY, 600).concat();
            assert_eq!(rows[0].actions[..5], [30, 30, 20, 20, 0], "{format:?}");
            assert_eq!(rows[0].types[..5], [255, 254, 255, 254, 0], "{format:?}");
        }
        let manifest = manifest(&out);
        assert_eq!(manifest.types.len(), count);
        for (name, number) in numbers {
            let expected = history.iter().filter(|(_, kind)| *kind == number).count() as u64;
            assert_eq!((manifest.types[name], manifest.statistics.actions[name]), (number, expected), "{name}");
        }
        assert_eq!(verify(&out).unwrap().faults, []);
        let shown = inspect(&out, Selection { rows: 1, customer: Some(7) }).unwrap();
        let named: Vec<&str> = shown.customer.as_ref().unwrap().history.iter().map(|a| a.action.as_str()).collect();
        assert_eq!(named, ["type-0", "type-1", "type-0", "type-1"]);
    }
}

/// Other names, or other numbers, are another build, which `--skip-existing` does not take for this one.
#[test]
fn names_and_numbers_are_part_of_a_build() {
    let folder = TempDir::new().unwrap();
    let clicks = clicked(folder.path(), &[30]);
    let built = |name: &str, types: &[(&str, u64)]| {
        let out = folder.path().join(name);
        build(&clicks, ActionTypes::new(types.iter().copied()).unwrap(), &[1], &out).unwrap();
        manifest(&out).build
    };
    let first = built("first", &[("click", 1)]);
    assert_eq!(built("again", &[("click", 1)]), first);
    assert_ne!(built("renamed", &[("view", 1)]), first);
    assert_ne!(built("more", &[("click", 1), ("wish", 2)]), first);
}

#[test]
fn a_table_of_an_unknown_type_is_refused() {
    let folder = TempDir::new().unwrap();
    let clicks = clicked(folder.path(), &[30]);
    let types = ActionTypes::new([("click", 1), ("wish", 9)]).unwrap();
    let error = build(&clicks, types, &[1, 4], &folder.path().join("out")).unwrap_err();
    assert_eq!(error.to_string(), "actions.table_4.type: 4 is the number of no type; the types are click 1, wish 9");
}

#[test]
fn types_that_make_no_sense_are_refused() {
    let long = "x".repeat(65);
    let cases: [(&[(&str, u64)], &str); 7] = [
        (&[("click", 0)], "types.click: 0 is not between 1 and 255; 0 is padding"),
        (&[("click", 256)], "types.click: 256 is not between 1 and 255; 0 is padding"),
        (&[("click", 1), ("view", 1)], "types.view: 1 is the number of `click` too; give each type its own"),
        (&[("click", 1), ("click", 2)], "types.click: it is there twice"),
        (&[("", 1)], "types.: `` cannot name a type: use 1 to 64 letters and digits of ASCII, `_`, `-` and `.`"),
        (
            &[("a b", 1)],
            "types.a b: `a b` cannot name a type: use 1 to 64 letters and digits of ASCII, `_`, `-` and `.`",
        ),
        (&[(&long, 1)], "cannot name a type"),
    ];
    for (types, expected) in cases {
        let error = ActionTypes::new(types.iter().copied()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A manifest says the types of its day, so one that gives two types one number is no manifest.
#[test]
fn a_manifest_with_types_that_make_no_sense_is_corrupt() {
    let out = TempDir::new().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, "2025-08-16", &fixture::small());
    fixture::edit_manifest(&folder, |manifest| {
        manifest.types.insert("wish".to_owned(), 1);
    });
    let error = shardback::open::DayFolder::open(&folder).unwrap_err().to_string();
    assert!(error.ends_with("types.wish: 1 is the number of `click` too; give each type its own"), "{error}");
}
