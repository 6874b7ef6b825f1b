//! `--config` and `--table` on the command line.

use std::fs;

use crate::cli::{Run, run, shardback};

use super::DAY;

const DESCRIPTION: &str = r#"
version = 1
[types]
view = 1
[samples]
path = ["tables/shown-*.csv", "tables/more.csv"]
customer = "c"
item = "i"
day = "d"
[actions.views]
path = "tables/views.csv"
type = "view"
customer = "c"
item = "i"
day = "d"
[history]
length = 2
"#;

/// Paths are from the description's folder on, wherever the program runs; flags have the last word.
#[test]
fn a_description_names_its_tables_and_flags_override_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("tables")).unwrap();
    for (name, rows) in [("shown-1.csv", "1,10"), ("shown-2.csv", "2,20"), ("more.csv", "3,30")] {
        let (customer, item) = rows.split_once(',').unwrap();
        fs::write(path("tables").join(name), format!("c,i,d\n{customer},{item},{DAY}\n")).unwrap();
    }
    fs::write(path("tables/views.csv"), "c,i,d\n1,7,2025-08-15\n").unwrap();
    fs::write(path("other.csv"), "c,i,d\n1,8,2025-08-15\n2,9,2025-08-15\n").unwrap();
    fs::write(path("shop.toml"), DESCRIPTION).unwrap();
    let build = |extra: &[&str]| {
        let mut command = shardback();
        command.arg("build").arg("--config").arg(path("shop.toml")).args([
            "--date",
            DAY,
            "--quiet",
            "--formats",
            "jagged",
        ]);
        run(command.arg("--out").arg(path("out")).args(extra))
    };
    let manifest = || fs::read_to_string(path(&format!("out/jagged/dt={DAY}/_manifest.json"))).unwrap();
    let Run { code, stderr, .. } = build(&[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(manifest().contains("\"history\": 2") && manifest().contains("\"samples\": 3"), "{}", manifest());
    let other = format!("views={}", path("other.csv").display());
    let Run { code, stderr, .. } = build(&["--table", &other, "--history", "7"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(manifest().contains("\"history\": 7") && manifest().contains("\"view\": 2"), "{}", manifest());

    for (extra, expected) in [
        (vec!["--table", "view=x"], "`view` is not a table of the description; its tables are samples, views"),
        (vec!["--table", "views=x", "--table", "views=y"], "`views` is there twice"),
        (vec!["--table", "views"], "write it as NAME=PATH, with the name of a table of the description"),
        (vec!["--clicks", "x"], "cannot be used with"),
    ] {
        let Run { code, stderr, .. } = build(&extra);
        assert!(code == 2 && stderr.contains(expected), "{code} {stderr}");
    }
    let wide = DESCRIPTION.replace("[samples]", "[ids]\nitem = \"hash\"\n[samples]");
    fs::write(path("shop.toml"), &wide).unwrap();
    let Run { code, stderr, .. } = build(&["--item-dtype", "i32"]);
    assert!(code == 2 && stderr.contains("--item-dtype: i32 has no room for the items"), "{code} {stderr}");
    let Run { code, stderr, .. } = build(&[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(manifest().contains("\"item_dtype\": \"i64\""), "{}", manifest());
    let refused = |description: String, expected: &str, exit: i32| {
        fs::write(path("shop.toml"), description).unwrap();
        let Run { code, stderr, .. } = build(&[]);
        assert!(code == exit && stderr.contains(expected), "{code} {stderr}");
    };
    let without_path = DESCRIPTION.replace("path = \"tables/views.csv\"\n", "");
    refused(without_path, "say where the table lies, as `--table views=PATH` or with `path` in the description", 2);
    refused(DESCRIPTION.replace("length", "lenght"), "shop.toml`: history.", 1);
}

/// A day of another description is another one, also where no column of it differs; where its tables lie makes no difference.
#[test]
fn days_are_left_alone_by_their_description() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("tables")).unwrap();
    for (name, rows) in [("shown-1.csv", "1,10,a"), ("shown-2.csv", "2,20,b"), ("more.csv", "3,30,a")] {
        let row = rows.replacen(',', &format!(",{DAY},"), 1);
        fs::write(path("tables").join(name), format!("c,d,i,shop\n{row}\n")).unwrap();
    }
    fs::write(path("tables/views.csv"), "c,i,d\n1,7,2025-08-15\n").unwrap();
    fs::copy(path("tables/views.csv"), path("views.csv")).unwrap();
    let samples = |description: &str| {
        fs::write(path("shop.toml"), description).unwrap();
        let mut command = shardback();
        command.arg("build").arg("--config").arg(path("shop.toml")).arg("--out").arg(path("out"));
        let Run { code, stderr, .. } =
            run(command.args(["--date", DAY, "--quiet", "--formats", "jagged", "--skip-existing"]));
        assert_eq!((code, stderr.as_str()), (0, ""));
        let manifest = fs::read_to_string(path(&format!("out/jagged/dt={DAY}/_manifest.json"))).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        manifest["statistics"]["samples"].as_u64().unwrap()
    };
    assert_eq!(samples(DESCRIPTION), 3);
    let filtered = DESCRIPTION.replace("day = \"d\"\n[actions", "day = \"d\"\nwhere = { shop = \"a\" }\n[actions");
    assert_eq!(samples(&filtered), 2);
    // Were it built again, there would be no such table.
    fs::remove_file(path("tables/views.csv")).unwrap();
    assert_eq!(samples(&filtered.replace("tables/views.csv", "views.csv").replace("more.csv", "none.csv")), 2);
}
