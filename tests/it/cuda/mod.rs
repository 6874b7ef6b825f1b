//! The CUDA path on a machine without such a device: the kernel as C++, the host's side on a driver that is not one.
//!
//! Both are compiled here, from the kernel's source and the C++ beside this file.

mod absent;
#[cfg(feature = "cuda")]
mod bench;
#[cfg(feature = "cuda")]
mod driver;
mod jagged;
mod kernel;
#[cfg(feature = "cuda")]
mod pieces;
mod ptx;
#[cfg(feature = "cuda")]
mod resident;
#[cfg(feature = "cuda")]
mod rows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a file beside this one to `name` in the build folder.
fn compile(source: &str, name: &str, flags: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (fresh, compiled) = (folder.join(format!("{name}-{}", std::process::id())), folder.join(name));
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let output = Command::new(compiler)
        .args([
            "-std=c++17",
            "-O1",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unknown-pragmas",
            "-Wno-unused-function",
        ])
        // The kernel reads bytes as words, as its own compiler lets it.
        .args(["-fno-strict-aliasing", "-I"])
        .arg(root.join("kernels"))
        .args(flags)
        .arg("-o")
        .args([&fresh, &root.join("tests/it/cuda").join(source)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    // Another process of tests may be using the one that is there.
    fs::rename(&fresh, &compiled).unwrap();
    compiled
}
