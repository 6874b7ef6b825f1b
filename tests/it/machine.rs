//! Protects: the memory and the processors that a run takes for its own are those that its control groups leave it.
#![expect(clippy::disallowed_methods, reason = "the tests put the files of a system together by hand")]

use std::fs;
use std::path::Path;

use shardback::machine::{memory, memory_under, processors, processors_under};

const MIB: u64 = 1 << 20;

/// A system of some files, each a path and its content.
fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in [("proc/meminfo", "MemTotal:        2097152 kB\nMemFree: 1 kB\n")].iter().chain(files) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn limits(root: &Path) -> (Option<u64>, Option<usize>) {
    (memory_under(root).map(|bytes| bytes / MIB), processors_under(root))
}

const NEW_MOUNT: &str = "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
    34 25 0:29 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const OLD_MOUNTS: &str = "35 25 0:30 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n\
    36 25 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct\n";

#[test]
fn without_control_groups_the_machine_is_the_limit() {
    assert_eq!(limits(system(&[]).path()), (Some(2048), None));
    let no_limit = [
        ("proc/self/cgroup", "0::/\n"),
        ("proc/self/mountinfo", NEW_MOUNT),
        ("sys/fs/cgroup/memory.max", "max\n"),
        ("sys/fs/cgroup/cpu.max", "max 100000\n"),
    ];
    assert_eq!(limits(system(&no_limit).path()), (Some(2048), None));
    assert_eq!(limits(Path::new("/nowhere")), (None, None));
}

/// The limit may be on any level between the process's own group and the root: the smallest holds.
#[test]
fn the_smallest_limit_on_the_way_to_the_root_holds() {
    let (own, job, user) = (
        "sys/fs/cgroup/user.slice/job 7/step/memory.max",
        "sys/fs/cgroup/user.slice/job 7/memory.max",
        "sys/fs/cgroup/user.slice/memory.high",
    );
    let base = [("proc/self/cgroup", "0::/user.slice/job 7/step\n"), ("proc/self/mountinfo", NEW_MOUNT)];
    for (files, expected) in [
        (&[(own, "max\n"), (job, "314572800\n"), (user, "max\n")][..], 300),
        (&[(own, "104857600\n"), (job, "314572800\n")], 100),
        (&[(own, "max\n"), (job, "max\n"), (user, "209715200\n")], 200),
        // Another group's limit is none of ours.
        (&[("sys/fs/cgroup/user.slice/job 8/memory.max", "1\n")], 2048),
    ] {
        let root = system(&[&base[..], files].concat());
        assert_eq!(memory_under(root.path()).unwrap() / MIB, expected, "{files:?}");
    }
    let cpu = [
        ("sys/fs/cgroup/user.slice/job 7/step/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/user.slice/job 7/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/user.slice/cpu.max", "800000 100000\n"),
    ];
    assert_eq!(processors_under(system(&[&base[..], &cpu].concat()).path()), Some(2));
}

#[test]
fn control_groups_of_the_older_kind_count_too() {
    let files = [
        ("proc/self/cgroup", "5:cpu,cpuacct:/slurm/job\n4:memory:/slurm/job\n3:cpuset:/\n0::/init.scope\n"),
        ("proc/self/mountinfo", OLD_MOUNTS),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/slurm/memory.limit_in_bytes", "524288000\n"),
        ("sys/fs/cgroup/memory/slurm/job/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us", "50000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(limits(system(&files).path()), (Some(500), Some(1)));
}

/// A container sees its own group as the top of what is mounted, by its full name or as the root.
#[test]
fn in_a_container_the_top_of_what_is_mounted_counts() {
    for (group, mounted) in [("/", "/"), ("/docker/abc", "/docker/abc"), ("/docker/abc", "/../other")] {
        let mounts = format!("34 25 0:29 {mounted} /sys/fs/cgroup\\040x ro - cgroup2 cgroup rw\n");
        let files = [
            ("proc/self/cgroup", format!("0::{group}\n")),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup x/memory.max", "104857600\n".to_owned()),
            ("sys/fs/cgroup x/cpu.max", "400000 100000\n".to_owned()),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
        assert_eq!(limits(system(&files).path()), (Some(100), Some(4)), "{group} {mounted}");
    }
}

#[test]
fn this_machine_has_something() {
    assert!(memory() > MIB);
    assert!((1..=std::thread::available_parallelism().unwrap().get() + 1).contains(&processors()));
}
