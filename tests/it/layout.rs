//! What the formats hold: the tables of `docs/format.md` against the one declaration in the library.

use shardback::config::Format;
use shardback::event::ItemDtype;
use shardback::layout::{Column, Dtype, Extent, columns};
use shardback::schema::Contents;

const DOCUMENT: &str = include_str!("../../docs/format.md");

/// The rows of a table of tensors: name, dtype and shape, as they stand in the document.
fn table(heading: &str) -> Vec<(String, String, String)> {
    let (_, behind) = DOCUMENT.split_once(heading).unwrap();
    let lines = behind.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    lines.map(cells).map(|cells| (cells[1].clone(), cells[2].clone(), cells[3].clone())).collect()
}

/// As the document says it of items of both widths.
fn said(narrow: &Column, wide: &Column) -> (String, String, String) {
    let dtype = match (narrow.dtype, wide.dtype) {
        (Dtype::I32, Dtype::I64) => "I32 or I64".to_owned(),
        (narrow, wide) => {
            assert_eq!(narrow, wide);
            narrow.name().to_owned()
        }
    };
    let shape = match narrow.extent {
        Extent::Samples => "N",
        Extent::Requests => "R",
        Extent::Histories => "N, K",
        Extent::Actions => "A",
    };
    (narrow.name.clone(), dtype, shape.to_owned())
}

/// The document has every tensor, and in the order in which it lies in a file with items of 32 bits.
#[test]
fn the_tables_of_the_document_are_the_layout() {
    for (format, heading) in [(Format::Dense, "**Dense**"), (Format::Jagged, "**Jagged**")] {
        let wide = columns(format, ItemDtype::I64, &Contents::built_in());
        let of_role = |narrow: &Column| wide.iter().find(|wide| wide.role == narrow.role).unwrap();
        let narrow = columns(format, ItemDtype::I32, &Contents::built_in());
        let expected: Vec<_> = narrow.iter().map(|column| said(column, of_role(column))).collect();
        assert_eq!(table(heading), expected, "{format:?}");
    }
}

/// The document has the schema of Parquet parts.
#[test]
fn the_schema_of_the_document_is_the_layout() {
    let (_, behind) = DOCUMENT.split_once("message {").unwrap();
    let lines = behind.split_once("\n}").unwrap().0.trim().lines();
    let found: Vec<_> = lines.map(|line| line.trim().split("  ").next().unwrap()).collect();
    let expected: Vec<_> = columns(Format::Parquet, ItemDtype::I32, &Contents::built_in())
        .iter()
        .map(|Column { name, dtype, extent, .. }| {
            let element =
                if *dtype == Dtype::Bool { "boolean".to_owned() } else { format!("int{}", dtype.width() * 8) };
            match extent {
                Extent::Histories => {
                    format!("required group {name} (LIST) {{ repeated group list {{ required {element} element; }} }}")
                }
                Extent::Samples | Extent::Requests | Extent::Actions => format!("required {element} {name};"),
            }
        })
        .collect();
    assert_eq!(found, expected);
}

/// Whatever N, K and A are, each tensor lies on a multiple of its width, because none follows a narrower one.
#[test]
fn no_tensor_follows_a_narrower_one() {
    for format in [Format::Dense, Format::Jagged] {
        for item in [ItemDtype::I32, ItemDtype::I64] {
            let widths: Vec<_> =
                columns(format, item, &Contents::built_in()).iter().map(|column| column.dtype.width()).collect();
            assert!(widths.is_sorted_by(|left, right| left >= right), "{format:?} {item:?}: {widths:?}");
        }
    }
}
