//! The compiled kernel in the repository is what its source compiles to.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A change of the source without the compiled form, or the other way round, is found; and the assemblers of the oldest and the
/// newest drivers take it, for each generation that they know, without spilling registers.
#[test]
fn the_compiled_kernel_is_that_of_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    let output = Command::new(root.join("kernels/compile.sh")).arg("--assemble").arg(fresh.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let assembled: Vec<&str> =
        said.lines().filter_map(|line| Some(line.split_once(" kernels without spills, ")?.0)).collect();
    let expected = [
        "CUDA 12.0, sm_80: 8",
        "CUDA 12.0, sm_90: 8",
        "CUDA 12.8, sm_80: 8",
        "CUDA 12.8, sm_90: 8",
        "CUDA 12.8, sm_100: 8",
        "CUDA 13.0, sm_80: 8",
        "CUDA 13.0, sm_90: 8",
        "CUDA 13.0, sm_100: 8",
    ];
    assert_eq!(assembled, expected, "{said}");
    for name in ["gather_pad.ptx", "gather_pad.fatbin"] {
        let committed = fs::read(root.join("kernels").join(name)).unwrap();
        assert!(fs::read(fresh.path().join(name)).unwrap() == committed, "{name}: run kernels/compile.sh");
    }
    let committed = fs::read_to_string(root.join("kernels/gather_pad.ptx")).unwrap();
    // What CUDA 12 drivers and compute capability 8.0 take.
    assert!(committed.contains("\n.version 7.4\n.target sm_80\n"));
    assert!(!committed.contains('\0'), "it is handed to the driver as a string of C");
}
