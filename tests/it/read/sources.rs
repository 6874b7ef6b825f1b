//! Files as people have them: what a file is where its name does not say it, what is no data, and tables at several paths.

use std::path::PathBuf;

use shardback::read::{Projection, Source as _, open, open_all, pattern_meets};
use shardback::schema::{Compression, FileFormat, Source};

use super::{LINE, Table, click_batch, clicks, gzip, parquet_bytes, rows, zstandard};

const CSV: &str = "dt,customer_id,item_id,click_time\n2025-08-15,1,2,t\n";

const ROW: &str = "click_time=t customer_id=1 dt=2025-08-15 item_id=2";

fn described(format: Option<FileFormat>, compression: Option<Compression>) -> Projection {
    Projection { source: Source { format, compression, ..Source::default() }, ..clicks() }
}

fn parquet() -> Vec<u8> {
    parquet_bytes(&click_batch(1), 10)
}

/// Athena, Hive, Firehose and Redshift write names without a suffix: the first bytes say what such a file is.
#[test]
fn files_without_a_suffix_are_known_by_their_first_bytes() {
    let json = format!("\u{feff} \n{LINE}");
    for (name, content) in [
        ("000000_0", json.clone().into_bytes()),
        ("clicks-1-2025-08-15-07-00-00-1b2c", gzip(json.as_bytes())),
        ("0000_part_00.gz", gzip(json.as_bytes())),
        ("20250815_120000_00001_abcde.zstd", zstandard(json.as_bytes())),
        ("part-00000.c000", zstandard(json.as_bytes())),
        ("clicks.log.gzip", gzip(json.as_bytes())),
    ] {
        assert_eq!(Table::new().file(name, content).rows(clicks()), [format!("2: {ROW}")], "{name}");
    }
    for name in ["000000_0", "part.0", "clicks.parquet.gzip", "clicks.parquet.gz", "clicks.snappy"] {
        assert_eq!(Table::new().file(name, parquet()).rows(clicks()).len(), 1, "{name}");
    }
    // A name that says the format need not say how the file is packed.
    for (name, content) in [("a.json", gzip(LINE.as_bytes())), ("a.ndjson", zstandard(LINE.as_bytes()))] {
        assert_eq!(Table::new().file(name, content).rows(clicks()), [format!("1: {ROW}")], "{name}");
    }
    assert_eq!(Table::new().file("a.csv", gzip(CSV.as_bytes())).rows(clicks()), [format!("2: {ROW}")]);
}

/// What neither name, description nor bytes tell is an error that says what is known and what to do; CSV has no first bytes.
#[test]
fn files_of_no_known_format_are_refused() {
    for (name, content, problem) in [
        ("000000_0", CSV.as_bytes(), NOTHING_SAYS),
        ("a.log", b"", ""),
        ("a.orc", b"ORC\x08\x03", "its first bytes are those of ORC"),
        ("a", b"Obj\x01\x04", "its first bytes are those of Avro"),
        ("a.xlsx", b"PK\x03\x04", "its first bytes are those of a ZIP archive, as Excel writes it too"),
        ("a.json.bz2", b"BZh91AY&SY", "its first bytes are those of bzip2: unpack it"),
        ("a.json.xz", b"\xfd7zXZ\0", "its first bytes are those of xz: unpack it"),
        ("a.json.lz4", b"\x04\x22\x4d\x18d", "its first bytes are those of LZ4: unpack it"),
        ("a.json.sz", b"\xff\x06\x00\x00sNaPpY", "its first bytes are those of Snappy: unpack it"),
        ("a.parquet.gz", b"\x1f\x8b\x08\0", "Parquet is not read from a packed file: unpack it"),
        ("a.gz", b"\x1f\x8b\x08\0", NOTHING_SAYS),
        (
            "a.txt",
            LINE.as_bytes(),
            "a .txt file is read only where the description says what it is (`format = \"csv\"`)",
        ),
    ] {
        let error = Table::new().file(name, content).error(clicks());
        let expected = if content.is_empty() {
            "clicks: no data files in `TABLE/`: expected .parquet, .json, .jsonl, .ndjson, .csv or .tsv files (names starting \
             with `_` or `.` are not data)"
                .to_owned()
        } else {
            format!(
                "clicks: `TABLE/{name}` is not a table: expected .parquet, .json, .jsonl, .ndjson, .csv or .tsv (the text formats \
                 also as .gz or .zst); {problem}; move it away, or start its name with `_` to have it ignored"
            )
        };
        assert_eq!(error, expected);
    }
    let packed = Table::new().file("a.gz", gzip(&parquet()));
    assert!(packed.error(clicks()).contains("; Parquet is not read from a packed file: unpack it; "));
}

const NOTHING_SAYS: &str =
    "neither its name nor its first bytes say what it is; if it is CSV, say so in the description (`format = \"csv\"`)";

/// A description says what names do not, and leaves alone what they do.
#[test]
fn a_description_says_the_format() {
    let csv = || described(Some(FileFormat::Csv), None);
    for (name, content) in [
        ("000000_0", CSV.as_bytes().to_vec()),
        ("clicks.txt", gzip(CSV.as_bytes())),
        ("clicks.txt.zst", zstandard(CSV.as_bytes())),
        ("clicks.dat.gz", gzip(CSV.as_bytes())),
    ] {
        assert_eq!(Table::new().file(name, content).rows(csv()), [format!("2: {ROW}")], "{name}");
    }
    let table = Table::new().file("a.txt", CSV).file("b.json", LINE).file("c.parquet", parquet());
    assert_eq!(table.rows(csv()).len(), 3);
    let json = described(Some(FileFormat::Json), None);
    assert_eq!(Table::new().file("a.txt", LINE).rows(json), [format!("1: {ROW}")]);
    let json = described(Some(FileFormat::Json), None);
    assert!(
        Table::new()
            .file("a", parquet())
            .error(json)
            .ends_with("its content is Parquet; let its name end with .parquet")
    );
    let parquet_table = described(Some(FileFormat::Parquet), None);
    assert_eq!(Table::new().file("a.dat", parquet()).rows(parquet_table).len(), 1);
    let parquet_table = described(Some(FileFormat::Parquet), None);
    assert!(Table::new().file("a.dat", LINE).error(parquet_table).contains("is not readable Parquet"));
    // How a file is packed, where its name does not say it.
    let packed = described(None, Some(Compression::Gzip));
    assert_eq!(Table::new().file("a.json", gzip(LINE.as_bytes())).rows(packed).len(), 1);
    let packed = described(None, Some(Compression::Gzip));
    assert_eq!(
        Table::new().file("a.json", LINE).error(packed),
        "clicks: cannot decompress `TABLE/a.json`: invalid gzip header"
    );
}

/// Names say the same in capitals, as Windows and warehouses write them.
#[test]
fn names_may_be_in_capitals() {
    for (name, content) in [
        ("A.CSV", CSV.as_bytes().to_vec()),
        ("A.Parquet", parquet()),
        ("A.JSONL", LINE.as_bytes().to_vec()),
        ("A.Json.GZ", gzip(LINE.as_bytes())),
        ("A.TSV", CSV.replace(',', "\t").into_bytes()),
    ] {
        assert_eq!(Table::new().file(name, content).rows(clicks()).len(), 1, "{name}");
    }
}

/// Markers and notes of other tools beside the data are passed over; so are empty files, where there are others.
#[test]
fn markers_and_empty_files_are_no_data() {
    let markers = Table::new()
        .file("_SUCCESS", "")
        .file("a.json.crc", "crc\0")
        .file(".a.json.crc", "crc\0")
        .file("2025_$folder$", "")
        .file("b.json._COPYING_", "{\"half\":")
        .file("_temporary/0/part.json", "{")
        .file(".spark-staging-4a/part.json", "{")
        .file("Thumbs.db", "x")
        .file("Desktop.ini", "x")
        .file("nothing", "");
    assert!(markers.error(clicks()).contains("no data files in"));
    let table = markers.file("a.json", LINE);
    assert_eq!(table.rows(clicks()), [format!("1: {ROW}")]);
    let table = table.file("1.parquet", "").file("2.csv", "").file("3.json", "").file("4.csv.gz", gzip(b""));
    assert_eq!(table.rows(clicks()), [format!("1: {ROW}")]);
    // Where no file holds anything, something is wrong.
    let table = Table::new().file("a.parquet", "").file("b.csv", "").file("c.json", "");
    let expected =
        "clicks: `TABLE/a.parquet` is not readable Parquet: Parquet error: 0 bytes are too few for a Parquet file";
    assert_eq!(table.error(clicks()), expected);
    let table = Table::new().file("b.csv.gz", gzip(b"\n"));
    assert_eq!(table.error(clicks()), "clicks: no column `customer_id` in `TABLE/b.csv.gz`; its columns: none");
}

/// Several forms of one name are still one file too many where names have no suffix.
#[test]
fn two_forms_of_a_name_without_a_suffix_are_refused() {
    let table = Table::new().file("part-0", LINE).file("part-0.gz", gzip(LINE.as_bytes()));
    assert!(table.error(clicks()).contains("`TABLE/part-0` and `TABLE/part-0.gz` seem to be one file in two forms"));
}

fn paths_of(table: &Table, paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(|path| table.path(path)).collect()
}

fn names(table: &Table, paths: &[&str]) -> Vec<String> {
    let files = open_all(&paths_of(table, paths), clicks(), &|_| true).unwrap();
    let root = table.path("");
    files.files().iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect()
}

/// A path may be a pattern, and there may be several; what two of them lead to is read once.
#[test]
fn patterns_and_several_paths() {
    let table = Table::new()
        .file("a/1.json", LINE)
        .file("a/2.json", LINE)
        .file("a/notes.md", "# notes")
        .file("a/_SUCCESS", "")
        .file("a/3.json.crc", "x")
        .file("b/dt=2025-08-14/1.json", LINE)
        .file("b/dt=2025-08-15/x/1.json", LINE)
        .file("b/_temporary/1.json", LINE)
        .file("b/_region=eu/1.json", LINE)
        .file("c[1]/1.json", LINE);
    for (paths, expected) in [
        (vec!["a/*.json"], vec!["a/1.json", "a/2.json"]),
        (vec!["a/[2-9].json"], vec!["a/2.json"]),
        (vec!["a/?.json", "a/1.json"], vec!["a/1.json", "a/2.json"]),
        (vec!["b/*"], vec!["b/_region=eu/1.json", "b/dt=2025-08-14/1.json", "b/dt=2025-08-15/x/1.json"]),
        (vec!["b/dt=*/*.json"], vec!["b/dt=2025-08-14/1.json"]),
        (vec!["b/**/*.json"], vec!["b/_region=eu/1.json", "b/dt=2025-08-14/1.json", "b/dt=2025-08-15/x/1.json"]),
        (vec!["b/_temporary/*.json"], vec!["b/_temporary/1.json"]),
        // A name that is there is no pattern.
        (vec!["c[1]"], vec!["c[1]/1.json"]),
        (vec!["c[1]/*.json"], vec!["c[1]/1.json"]),
        (
            vec!["b", "a/1.json"],
            vec!["a/1.json", "b/_region=eu/1.json", "b/dt=2025-08-14/1.json", "b/dt=2025-08-15/x/1.json"],
        ),
    ] {
        assert_eq!(names(&table, &paths), expected, "{paths:?}");
    }
    // Folders of days count from where the pattern begins.
    let days = |path: &str| rows(&open(&table.path(path), clicks(), &|_| true).unwrap());
    assert_eq!(days("b/*/x"), ["1 [2025-08-15]: click_time=t customer_id=1 item_id=2"]);
    assert_eq!(days("b/dt=2025-08-1?/x/1.json"), ["1 [2025-08-15]: click_time=t customer_id=1 item_id=2"]);
    assert_eq!(days("b/dt=2025-08-14/*.json"), ["1 [2025-08-14]: click_time=t customer_id=1 item_id=2"]);
}

/// A pattern that leads to a folder, into it or to one around it would read what is written there.
#[test]
fn patterns_that_meet_a_folder() {
    let table =
        Table::new().file("data/out/x.json", LINE).file("data/clicks/x.json", LINE).file("data/[a]/x.json", LINE);
    let root = table.path("data").canonicalize().unwrap();
    for (path, folder, meets) in [
        ("data/*", "out", true),
        ("data/*", "out/below", true),
        ("data/o?t", "out", true),
        ("data/*/*.parquet", "out", true),
        ("data/**/*.parquet", "out", true),
        ("data/**/*.parquet", "new/out", true),
        ("dat*/out/parquet", "out", true),
        ("data/clicks*", "out", false),
        ("data/*/clicks", "out/results", false),
        ("data/*", "_out", false),
        ("data/_*", "_out", false),
        ("data/clicks/*", "out", false),
        ("other/*", "out", false),
        // What is there is no pattern.
        ("data/[a]", "a", false),
        ("data/out", "out", false),
    ] {
        assert_eq!(pattern_meets(&table.path(path), &root.join(folder)), meets, "{path} {folder}");
    }
}

/// A path of a table that leads to nothing is named, also where others lead to something.
#[test]
fn paths_that_lead_to_nothing_are_named() {
    let table = Table::new().file("a/1.json", LINE);
    let error = |paths: &[&str]| {
        let opened = open_all(&paths_of(&table, paths), clicks(), &|_| true);
        let error = crate::tables::message(&opened.map(drop).unwrap_err());
        error.replace(&*table.folder.path().to_string_lossy(), "TABLE")
    };
    let none = |path: &str| {
        format!(
            "clicks: no data files in `TABLE/{path}`: expected .parquet, .json, .jsonl, .ndjson, .csv or .tsv files (names \
             starting with `_` or `.` are not data)"
        )
    };
    assert_eq!(error(&["a", "a/*.csv"]), none("a/*.csv"));
    assert_eq!(error(&["a/*.csv"]), none("a/*.csv"));
    assert_eq!(error(&["a", "b"]), "clicks: cannot read `TABLE/b`: No such file or directory (os error 2)");
    assert_eq!(
        error(&["a/[.json"]),
        "clicks: cannot read `TABLE/a/[.json`: nothing has this name, and as a pattern it is wrong: invalid range pattern"
    );
    // Columns that none of several paths has are those of the folder around them.
    let table = Table::new().file("x/a/1.json", "{\"dt\":\"d\"}").file("x/b/1.json", "{\"dt\":\"d\"}");
    let opened = open_all(&paths_of(&table, &["x/a", "x/b/*"]), clicks(), &|_| true);
    let error = crate::tables::message(&opened.map(drop).unwrap_err());
    let error = error.replace(&*table.folder.path().to_string_lossy(), "TABLE");
    assert_eq!(error, "clicks: no column `customer_id` in `TABLE/x`; its columns: dt");
}

/// A pattern leads no further into folders that are refused than a path does.
#[test]
fn patterns_do_not_open_tables_of_other_formats() {
    let table = Table::new()
        .file("t/_delta_log/0.json", "{}")
        .file("t/a.parquet", parquet())
        .file("t/p=1/a.parquet", parquet());
    std::os::unix::fs::symlink(table.path("t/a.parquet"), table.path("link.parquet")).unwrap();
    for path in ["t/*.parquet", "t/p=*", "t/p=*/*.parquet", "l*.parquet", "*"] {
        let error = table.error_at(path, clicks());
        assert!(error.contains("is part of a table in the format Delta"), "{path}: {error}");
    }
}
