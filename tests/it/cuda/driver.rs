//! The program on a driver that is not one (`driver.cpp`): the same bytes as the processor, and a word on every fault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use insta::assert_snapshot;
use shardback::generate::{Options, generate};
use tempfile::TempDir;

use super::compile;
use crate::cli::{Run, run, shardback};
use crate::tables::published;

/// The name that the driver's library is looked for first; whatever else is installed comes after it.
const LIBRARY: &str = "libcuda.so.1";
/// The name that it is looked for next: that of a toolkit's stub, and of the driver for who links with it.
const LINKED: &str = "libcuda.so";

/// The driver for this process of tests, loaded: whoever asks for the library by its name gets it.
pub(super) fn load() -> &'static libloading::Library {
    static DRIVER: OnceLock<libloading::Library> = OnceLock::new();
    DRIVER.get_or_init(|| {
        // SAFETY: the library has no initialisers but those of its own variables.
        unsafe { libloading::Library::new(library()) }.unwrap()
    })
}

/// How much memory the device has for this thread, in bytes.
pub(super) fn limit_memory(bytes: i64) {
    // SAFETY: the type is that in `driver.cpp`.
    let limit = unsafe { load().get::<extern "C" fn(i64)>("fake_cuda_memory") }.unwrap();
    limit(bytes);
}

fn library() -> &'static Path {
    static LIBRARY_FILE: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY_FILE
        .get_or_init(|| compile("driver.cpp", "fake-libcuda.so", &["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]))
}

/// A folder in which the loader finds a library under each of the driver's names, and so no other.
fn folder_with(library: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [LIBRARY, LINKED] {
        fs::copy(library, folder.path().join(name)).unwrap();
    }
    folder
}

/// A build of small tables on the fake device; several batches of padded rows.
struct World {
    folder: TempDir,
    driver: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            customers: 300,
            mean_actions: 300.0,
            days: 8,
            impression_days: 2,
            rows_per_day: 400,
            late_share: 0.05,
            ..Options::default()
        };
        generate(&folder.path().join("tables"), &options, &()).unwrap();
        Self { folder, driver: folder_with(library()) }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn build(&self, out: &str, device: &str, more: &[&str]) -> Command {
        let tables = self.folder.path().join("tables");
        let mut command = shardback();
        command.arg("build").arg("--out").arg(self.out(out)).env("LD_LIBRARY_PATH", self.driver.path());
        for table in ["impressions", "clicks", "add-to-carts", "previous-orders"] {
            command.arg(format!("--{table}")).arg(tables.join(table.replace('-', "_")));
        }
        let days: Vec<_> =
            fs::read_dir(tables.join("impressions")).unwrap().map(|day| day.unwrap().file_name()).collect();
        let (first, last) = (days.iter().min().unwrap(), days.iter().max().unwrap());
        command.args(["--start", first.to_str().unwrap(), "--end", last.to_str().unwrap()]);
        command.args(["--formats", "dense", "--device", device]).args(more);
        command
    }
}

#[track_caller]
fn done(command: &mut Command) -> String {
    let Run { code, stdout, stderr } = run(command);
    assert_eq!(code, 0, "{stderr}");
    stdout
}

/// Whatever pads the rows, shards and manifests are the same to the byte; the run says what it was.
#[test]
fn shards_are_the_same_as_those_of_the_processor() {
    let world = World::new();
    for (name, more) in [
        ("one-shard", ["--shards", "1", "--history", "1000"].as_slice()),
        ("wide-items", &["--shards", "3", "--history", "333", "--item-dtype", "i64"]),
        ("short-rows", &["--shards", "2", "--history", "7"]),
    ] {
        let (cpu, cuda, eager) = (format!("{name}-cpu"), format!("{name}-cuda"), format!("{name}-eager"));
        done(&mut world.build(&cpu, "cpu", more));
        let said = done(&mut world.build(&cuda, "cuda", more));
        let line = "device cuda, Fake GPU, compute capability 9.0, driver for CUDA 12.8 (as asked)\n";
        assert!(said.contains(line), "{said}");
        done(world.build(&eager, "cuda", more).env("FAKE_CUDA_EAGER", "1"));
        let expected = published(&world.out(&cpu));
        assert!(expected.len() > 4);
        for out in [&cuda, &eager] {
            assert!(published(&world.out(out)) == expected, "{out} differs from the processor's");
        }
        let day = fs::read_dir(world.out(&cuda).join("dense")).unwrap().next().unwrap().unwrap().path();
        let record: serde_json::Value = serde_json::from_slice(&fs::read(day.join("_run.json")).unwrap()).unwrap();
        assert_eq!(record["device"], "cuda, Fake GPU, compute capability 9.0, driver for CUDA 12.8");
    }
}

/// While the device works on a batch the next one is sent: two are under way before the first is waited for.
#[test]
fn batches_overlap() {
    let world = World::new();
    let log = world.folder.path().join("log");
    done(world.build("out", "cuda", &["--shards", "1", "--threads", "1"]).env("FAKE_CUDA_LOG", &log));
    let log = fs::read_to_string(log).unwrap();
    let mut under_way = std::collections::BTreeSet::new();
    let (mut most, mut launches) = (0, 0);
    for (what, stream) in log.lines().filter_map(|line| line.split_once(' ')) {
        if what == "binary" {
            continue;
        }
        if what == "launch" {
            assert!(under_way.insert(stream), "a batch is sent before the one of its slot was waited for");
            launches += 1;
        } else {
            under_way.remove(stream);
        }
        most = most.max(under_way.len());
    }
    assert_eq!(most, 2, "{log}");
    assert!(launches > 8, "{log}");
}

/// Memory of either kind that runs out makes batches smaller, and the same bytes; where there is none for even one row, the run
/// fails and publishes nothing.
#[test]
fn running_out_of_memory_halves_the_batch() {
    let world = World::new();
    let one = ["--shards", "1", "--threads", "1"];
    done(&mut world.build("cpu", "cpu", &one));
    let mut launches = Vec::new();
    for (name, limit) in [("all", None), ("device", Some("FAKE_CUDA_MEMORY")), ("pinned", Some("FAKE_CUDA_PINNED"))] {
        let log = world.folder.path().join(format!("log-{name}"));
        let mut command = world.build(name, "cuda", &one);
        command.env("FAKE_CUDA_LOG", &log);
        limit.map(|limit| command.env(limit, "3000000"));
        done(&mut command);
        assert!(published(&world.out(name)) == published(&world.out("cpu")), "{name}");
        launches.push(fs::read_to_string(log).unwrap().matches("launch").count());
    }
    assert!(launches[1] > 4 * launches[0] && launches[2] > 4 * launches[0], "{launches:?}");
    let Run { code, stderr, .. } = run(world.build("none", "cuda", &one).env("FAKE_CUDA_FAIL", "cuMemAlloc_v2:2@3"));
    assert_eq!(code, 1, "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert_eq!(last, "error: CUDA: allocating device memory failed: CUDA_ERROR_OUT_OF_MEMORY (2)");
    assert!(published(&world.out("none")).is_empty());
}

/// A device that fails at work stops the run: nothing is published, nothing is left.
#[test]
fn a_device_that_fails_at_work_stops_the_run() {
    let world = World::new();
    let mut said = String::new();
    for fault in [
        "cuLaunchKernel:700@4",
        "cuMemcpyHtoDAsync_v2:719@4",
        "cuMemcpyDtoHAsync_v2:999@4",
        "cuStreamSynchronize:700@4",
    ] {
        let Run { code, stderr, .. } = run(world.build("out", "cuda", &[]).env("FAKE_CUDA_FAIL", fault));
        assert_eq!(code, 1, "{stderr}");
        said.push_str(&format!("# {fault}\n{}\n", stderr.lines().last().unwrap()));
        assert!(published(&world.out("out")).is_empty() && !world.out("out").join(".staging").exists());
    }
    assert_snapshot!(said);
}

/// A driver that is of no use is an error that says why, before anything is done.
#[test]
fn a_driver_of_no_use_is_refused() {
    let world = World::new();
    let broken = world.folder.path().join("broken");
    fs::write(&broken, "no library").unwrap();
    let mut said = String::new();
    let mut refuse = |name: &str, command: &mut Command, hide: &Path| {
        let Run { code, stdout, stderr } = run(command);
        assert_eq!((code, stdout.as_str()), (1, ""), "{name}: {stderr}");
        said.push_str(&format!("# {name}\n{}\n", stderr.trim_end().replace(&*hide.to_string_lossy(), "FOLDER")));
        assert!(!world.out("out").exists(), "{name}");
    };
    for (name, variable, value) in [
        ("no device that the driver knows", "FAKE_CUDA_FAIL", "cuInit:100"),
        ("the library that only links", "FAKE_CUDA_FAIL", "cuInit:34"),
        ("a driver and a library of two versions", "FAKE_CUDA_FAIL", "cuInit:803"),
        ("a code that has no name here", "FAKE_CUDA_FAIL", "cuDeviceGetCount:12345"),
        ("an old driver", "FAKE_CUDA_VERSION", "11080"),
        ("no device", "FAKE_CUDA_DEVICES", "0"),
        ("an old device", "FAKE_CUDA_CAPABILITY", "75"),
        ("a device that is taken", "FAKE_CUDA_FAIL", "cuDevicePrimaryCtxRetain:46"),
        ("a driver that does not take the kernels", "FAKE_CUDA_FAIL", "cuModuleLoadData:222"),
        ("a device that pads otherwise", "FAKE_CUDA_WRONG", "1"),
    ] {
        refuse(name, world.build("out", "cuda", &[]).env(variable, value), Path::new("FOLDER"));
    }
    // Every name that the library is looked for, or one that is installed would be found.
    let folder = tempfile::tempdir().unwrap();
    for name in [LIBRARY, LINKED] {
        fs::copy(&broken, folder.path().join(name)).unwrap();
    }
    refuse("no library", world.build("out", "cuda", &[]).env("LD_LIBRARY_PATH", folder.path()), folder.path());
    assert_snapshot!(said);
}

/// A stub that comes first is passed over, under either name, and the driver that works is used; a stub alone is said.
#[test]
fn a_stub_is_passed_over() {
    let world = World::new();
    let stub = compile("driver.cpp", "stub-libcuda.so", &["-DSTUB", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]);
    for (working, stubbed) in [(LINKED, LIBRARY), (LIBRARY, LINKED)] {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(library(), folder.path().join(working)).unwrap();
        fs::copy(&stub, folder.path().join(stubbed)).unwrap();
        done(world.build(stubbed, "cuda", &[]).env("LD_LIBRARY_PATH", folder.path()));
    }
    let folder = tempfile::tempdir().unwrap();
    for name in [LIBRARY, LINKED] {
        fs::copy(&stub, folder.path().join(name)).unwrap();
    }
    let Run { code, stderr, .. } = run(world.build("out", "cuda", &[]).env("LD_LIBRARY_PATH", folder.path()));
    assert_eq!(code, 1);
    assert!(stderr.contains("the driver refuses cuInit: CUDA_ERROR_STUB_LIBRARY (34)"), "{stderr}");
}

/// Machine code needs no compiler of the driver's; a device that it is not made for gets the PTX; without either it is said
/// what is missing.
#[test]
fn kernels_come_as_machine_code_or_are_compiled() {
    let world = World::new();
    for (hidden, loaded) in [("FAKE_CUDA_NO_JIT", "binary"), ("FAKE_CUDA_NO_BINARY", "ptx")] {
        let log = world.folder.path().join(loaded);
        done(world.build(hidden, "cuda", &[]).env(hidden, "1").env("FAKE_CUDA_LOG", &log));
        assert!(fs::read_to_string(&log).unwrap().starts_with(&format!("{loaded} ")), "{hidden}");
    }
    let mut neither = world.build("out", "cuda", &[]);
    let Run { code, stderr, .. } = run(neither.env("FAKE_CUDA_NO_JIT", "1").env("FAKE_CUDA_NO_BINARY", "1"));
    assert_eq!(code, 1);
    assert!(stderr.contains("loading the kernels failed: CUDA_ERROR_JIT_COMPILER_NOT_FOUND (221)"), "{stderr}");
}

/// A library without any one of the functions is refused by that function's name, and nothing panics: all that are used are
/// looked for first.
#[test]
fn a_library_without_a_function_is_refused() {
    let world = World::new();
    let symbols = Command::new("nm").args(["-D", "--defined-only"]).arg(library()).output().unwrap().stdout;
    let symbols = String::from_utf8(symbols).unwrap();
    let symbols: Vec<_> =
        symbols.lines().filter_map(|line| line.rsplit(' ').next()).filter(|name| name.starts_with("cu")).collect();
    assert_eq!(symbols.len(), 32, "{symbols:?}");
    let object = compile("driver.cpp", "fake-libcuda.o", &["-c", "-fPIC"]);
    for symbol in symbols {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, format!("{{ global: cu*; local: {symbol}; }};")).unwrap();
        let library = folder.path().join(LIBRARY);
        let linked = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()))
            .arg("-shared")
            .arg(format!("-Wl,--version-script={}", script.display()))
            .args([&object, Path::new("-o"), &library])
            .status();
        assert!(linked.unwrap().success());
        fs::copy(&library, folder.path().join(LINKED)).unwrap();
        let Run { code, stderr, .. } = run(world.build("out", "cuda", &[]).env("LD_LIBRARY_PATH", folder.path()));
        let said = format!(
            "error: no CUDA device can be used: the driver library `libcuda.so.1` has no `{symbol}`; `--device cpu` does without\n"
        );
        assert_eq!((code, stderr), (1, said));
    }
}
