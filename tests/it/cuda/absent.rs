//! A machine without a CUDA device, or a build without CUDA support.

use std::fs;

use crate::cli::{Run, run, shardback};
use crate::tables::published;

/// Asked for such a device, the program uses one or says why it cannot, and never takes another; not asked, it needs none.
#[test]
fn cuda_is_used_or_the_program_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let build = |device: &str| {
        let mut command = shardback();
        command.args(["build", "--impressions", "data/sample/impressions", "--clicks", "data/sample/clicks"]);
        command.args(["--date", "2025-08-16", "--formats", "dense", "--device", device, "--out"]);
        run(command.arg(folder.path().join(device)))
    };
    let auto = build("auto");
    assert_eq!(auto.code, 0, "{}", auto.stderr);
    let line = "device cpu (auto: rows of files are padded fastest where they are written from)\n";
    assert!(auto.stdout.contains(line), "{}", auto.stdout);
    let Run { code, stderr, .. } = build("cuda");
    if code == 0 {
        assert_eq!(published(&folder.path().join("cuda")), published(&folder.path().join("auto")));
        return;
    }
    assert!(stderr.starts_with("error: no CUDA device can be used: ") && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(code, if cfg!(feature = "cuda") { 1 } else { 2 });
    assert_eq!(stderr.contains("this build has no CUDA support"), !cfg!(feature = "cuda"), "{stderr}");
    assert!(!fs::exists(folder.path().join("cuda")).unwrap(), "it says so before it does anything");
}
