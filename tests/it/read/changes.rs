//! Files that change between the moment they are found and the end of reading them.

use std::fs;
use std::sync::Mutex;

use shardback::read::{Source, open};

use super::{LINE, Table, click_batch, clicks, gzip, parquet_bytes};

const CHANGED: &str =
    "clicks: `TABLE/a` changed while the run was reading it; run again when nothing writes to the table";

type Change = fn(&std::path::Path, &[u8]);

/// Written to, replaced by another file, cut, and gone.
const CHANGES: [(&str, Change); 4] = [
    ("written to", |path, content| {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(content).unwrap();
    }),
    ("replaced", |path, content| {
        let other = path.with_extension("new");
        fs::write(&other, content).unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("rewritten in place", |path, content| {
        // As long as it was; the clock of files ticks every few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(path, content).unwrap();
    }),
    ("removed", |path, _| fs::remove_file(path).unwrap()),
];

/// Neither the rows of the old file nor those of the new one are taken for the table: what was read before the change and
/// after it need not belong together.
#[test]
fn a_file_that_changes_is_an_error() {
    let csv = "dt,customer_id,item_id,click_time\n2025-08-15,1,2,t\n";
    let tables: [(&str, Vec<u8>); 4] = [
        ("a.json", LINE.as_bytes().to_vec()),
        ("a.json.gz", gzip(LINE.as_bytes())),
        ("a.csv", csv.as_bytes().to_vec()),
        ("a.parquet", parquet_bytes(&click_batch(100), 10)),
    ];
    for (name, content) in &tables {
        for (what, change) in &CHANGES {
            let expected = CHANGED.replace("`TABLE/a`", &format!("`TABLE/{name}`"));
            // Before it is read, and while it is.
            for early in [true, false] {
                let table = Table::new().file(name, content);
                let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
                let changed = Mutex::new(false);
                let change_once = || {
                    let mut changed = changed.lock().unwrap();
                    if !std::mem::replace(&mut *changed, true) {
                        change(&table.path(name), content);
                    }
                };
                if early {
                    change_once();
                }
                let result = (0..files.parts()).try_for_each(|part| {
                    files.read(part, &|_| {
                        change_once();
                        Ok(())
                    })
                });
                let error = result.unwrap_err();
                let error = crate::tables::message(&error).replace(&*table.folder.path().to_string_lossy(), "TABLE");
                if early && *what == "removed" {
                    assert!(error.contains("cannot read"), "{name} {what}: {error}");
                } else {
                    assert_eq!(error, expected, "{name} {what}");
                }
            }
        }
    }
}

/// What is broken in a file because it is being written says so, and does not send anybody to mend it.
#[test]
fn a_fault_in_a_file_that_changes_is_the_change() {
    for (name, line, broken) in
        [("a.csv", "2025-08-15,1,2,t\n", "1,2\n"), ("a.json", &format!("{LINE}\n"), "{\"dt\":\n")]
    {
        let header = if name == "a.csv" { "dt,customer_id,item_id,click_time\n" } else { "" };
        let table = Table::new().file(name, format!("{header}{}", line.repeat(200_000)));
        let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
        let changed = Mutex::new(false);
        let result = files.read(0, &|_| {
            if !std::mem::replace(&mut *changed.lock().unwrap(), true) {
                CHANGES[0].1(&table.path(name), broken.as_bytes());
            }
            Ok(())
        });
        let error = crate::tables::message(&result.unwrap_err());
        assert!(error.contains("changed while the run was reading it"), "{name}: {error}");
    }
}

/// A Parquet file of many row groups is opened once for all of them, and closed when the last has been read.
#[test]
fn row_groups_share_a_file() {
    let table = Table::new().file("a.parquet", parquet_bytes(&click_batch(100), 10));
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    let path = table.path("a.parquet").canonicalize().unwrap();
    let open_handles = || {
        let handles = fs::read_dir("/proc/self/fd").unwrap().flatten();
        handles.filter(|handle| fs::read_link(handle.path()).is_ok_and(|target| target == path)).count()
    };
    assert_eq!((files.parts(), open_handles()), (10, 0));
    for part in 0..10 {
        files.read(part, &|_| Ok(())).unwrap();
        assert_eq!(open_handles(), usize::from(part < 9));
    }
    assert_eq!(super::rows(&files).len(), 100);
}
