//! Addresses of object stores, and settings that may be secret. Reading from stores is tested on real servers, in tests/stores.

use std::path::Path;

use shardback::cluster::Driver;
use shardback::config::{Options, Plan};
use shardback::event::Day;
use shardback::pipeline::{Input, Tables};
use shardback::schema::{self, Schema};
use shardback::store::{StoreOptions, Stores, is_address, is_in_store, on_disk};

use crate::tables::message;

/// A path is an address only where it begins with a scheme: names on a disk stay what they are.
#[test]
fn paths_are_no_addresses() {
    for path in ["clicks", "/data/clicks", "a:b/c", "s3:/bucket", "://x", "1s://x", "a b://c", "clicks//dt=1"] {
        assert!(!is_address(Path::new(path)), "{path}");
        assert_eq!(on_disk(Path::new(path)).unwrap(), Path::new(path));
    }
    for path in ["s3://bucket/a", "S3A://bucket", "gs://b/c", "az://c/d", "https://h/f.csv", "hdfs://x"] {
        assert!(is_in_store(Path::new(path)), "{path}");
    }
    assert!(!is_in_store(Path::new("file:///data")));
    assert_eq!(on_disk(Path::new("file:///data/a%20b%zz")).unwrap(), Path::new("/data/a b%zz"));
    assert_eq!(on_disk(Path::new("FILE://localhost/data")).unwrap(), Path::new("/data"));
}

/// What may be a secret in an address is refused before anything shows it: by the tables of a description and by the given ones.
#[test]
fn addresses_with_secrets_are_refused_without_showing_them() {
    let schema = Schema::built_in();
    for address in [
        "s3://key:hunter2@bucket/clicks",
        "https://hunter2@host/clicks.csv",
        "https://host/clicks.csv?sig=hunter2",
        "https://host/clicks.csv#hunter2",
        "abfs://container:hunter2@account.dfs.core.windows.net/clicks",
        "ftp://hunter2/clicks",
        "file://hunter2/clicks",
    ] {
        let given = vec![("impressions".to_owned(), Input::Path(address.into()))];
        let error = Tables::described(&schema, None, given).err().unwrap();
        assert!(!message(&error).contains("hunter2"), "{address}: {}", message(&error));
    }
    // The container stands where a user would, and is no secret.
    let azure = "abfss://container@account.dfs.core.windows.net/clicks";
    let given = vec![("impressions".to_owned(), Input::Path(azure.into()))];
    assert!(Tables::described(&schema, None, given).is_ok());
}

/// Settings of a description are not part of what it means, and no form of it shows them.
#[test]
fn settings_are_in_no_record() {
    let text = "version = 1\ntypes = { click = 1 }\nhistory = { length = 2 }\n\
                [samples]\ncustomer = \"c\"\nitem = \"i\"\nday = \"d\"\n\
                [actions.clicks]\ntype = \"click\"\ncustomer = \"c\"\nitem = \"i\"\nday = \"d\"\n";
    let plain = schema::from_toml(text).unwrap();
    let with =
        schema::from_toml(&format!("{text}[store]\nAWS_SECRET_ACCESS_KEY = \"hunter2\"\ntimeout = 5\n")).unwrap();
    assert_ne!(plain, with);
    assert_eq!(plain.canonical(), with.canonical());
    assert_eq!(serde_json::to_value(&plain).unwrap(), serde_json::to_value(&with).unwrap());
    let options = Options::described(with, "out", Day(0), Day(0));
    let shown = format!("{options:?}");
    assert!(shown.contains("aws_secret_access_key") && !shown.contains("hunter2"), "{shown}");
    let wrong = schema::from_toml(&format!("{text}[store]\nkey = [\"hunter2\"]\n")).unwrap_err();
    assert!(!message(&wrong).contains("hunter2"), "{}", message(&wrong));
}

/// A setting that nobody knows is a mistake in its name, most likely.
#[test]
fn unknown_settings_are_refused() {
    for (name, value) in [("aws_regoin", "eu-west-1"), ("retry_timeout", "soon"), ("retry_timeout", "3")] {
        let mut options = StoreOptions::default();
        options.set(name, value);
        let error = message(&Stores::new(&options).unwrap_err());
        assert!(error.starts_with("store_options: ") && error.contains(name), "{error}");
    }
    let mut options = StoreOptions::default();
    for (name, value) in [
        ("AWS_REGION", "x"),
        ("google_service_account", "x"),
        ("azure_storage_account_name", "x"),
        ("retry_timeout", "90s"),
    ] {
        options.set(name, value);
    }
    assert!(Stores::new(&options).is_ok());
}

/// Nothing is written to the web; an address of a file is the file, and one of a store stays what it is.
#[test]
fn days_are_written_to_disks_and_to_stores() {
    let plan = |out: &str| Plan::new(Options::new(out, Day(0), Day(0)));
    let error = message(&plan("https://example.org/out").unwrap_err());
    assert!(error.starts_with("out: nothing can be written to an address of the web"), "{error}");
    for (out, written) in [("file:///tmp/out", "/tmp/out"), ("s3://bucket/out", "s3://bucket/out"), ("out", "out")] {
        assert_eq!(plan(out).unwrap().options().out.as_path(), Path::new(written));
    }
}

/// The tasks of a cluster hand over their files in a folder.
#[test]
fn a_cluster_does_not_write_to_a_store() {
    let plan = Plan::new(Options::new("s3://bucket/out", Day(0), Day(0))).unwrap();
    let error = message(&Driver::open(&plan, vec!["clicks".to_owned()], "run").unwrap_err());
    assert!(error.starts_with("out: the tasks of a cluster hand over their files in a folder"), "{error}");
}
