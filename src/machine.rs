//! What of the machine this process may use: memory and processors, as containers and batch systems limit them.
//!
//! A control group limits all groups below it, so what holds for a process is the smallest limit on the way from its own group to
//! the root of what is mounted (`cgroups(7)`): of the newer kind (v2) as of the older one (v1), of which machines may have both.

use std::fs::read_to_string;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::thread::sched_getaffinity;

/// The memory where the system does not tell.
const UNKNOWN_MEMORY: u64 = 8 << 30;

/// The memory that this process can have, in bytes: the machine's, or less where a control group limits it.
#[must_use]
pub fn memory() -> u64 {
    memory_under(Path::new("/")).unwrap_or(UNKNOWN_MEMORY)
}

/// The processors that this process can keep busy, at least 1: those that it may run on, or less where a control group limits their
/// time; a part of one counts as one.
#[must_use]
pub fn processors() -> usize {
    // With more processors than the call has room for, the standard library counts them.
    let allowed = sched_getaffinity(None).map(|set| set.count() as usize).ok();
    let allowed = allowed.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let quota = processors_under(Path::new("/")).unwrap_or(usize::MAX);
    allowed.min(quota).max(1)
}

/// As [`memory`], on the system whose files are below `root`; `None` where they do not tell.
#[must_use]
pub fn memory_under(root: &Path) -> Option<u64> {
    let number = |path: PathBuf| read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let total = read_to_string(root.join("proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let limits = groups(root, "memory").into_iter().flat_map(|folder| {
        // What has no limit says `max`, or a number beyond any memory.
        ["memory.max", "memory.high", "memory.limit_in_bytes"].map(|name| number(folder.join(name)))
    });
    limits.chain([total]).flatten().min()
}

/// The processors whose time a control group gives, on the system whose files are below `root`; `None` where none limits it.
#[must_use]
pub fn processors_under(root: &Path) -> Option<usize> {
    let number = |path: PathBuf| read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limits = groups(root, "cpu").into_iter().flat_map(|folder| {
        let new = read_to_string(folder.join("cpu.max")).ok().and_then(|text| {
            let (quota, period) = text.trim().split_once(' ')?;
            Some((quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?))
        });
        // No limit is -1, and no number here.
        let old = number(folder.join("cpu.cfs_quota_us")).zip(number(folder.join("cpu.cfs_period_us")));
        [new, old]
    });
    let limits = limits.flatten().filter(|&(_, period)| period > 0);
    limits.filter_map(|(quota, period)| usize::try_from(quota.div_ceil(period).max(1)).ok()).min()
}

/// The folders of this process's control groups that have a controller, from its own to the root, of both kinds.
fn groups(root: &Path, controller: &str) -> Vec<PathBuf> {
    let Ok(own) = read_to_string(root.join("proc/self/cgroup")) else { return Vec::new() };
    let Ok(mounts) = read_to_string(root.join("proc/self/mountinfo")) else { return Vec::new() };
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let mut folders = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let is_new = controllers.is_empty();
        if !is_new && !controllers.split(',').any(|name| name == controller) {
            continue;
        }
        for mount in &mounts {
            if mount.is_new == is_new && (is_new || mount.options.split(',').any(|option| option == controller)) {
                mount.folders(root, Path::new(group), &mut folders);
            }
        }
    }
    folders
}

/// A file system of control groups.
struct Mount<'a> {
    /// The group that is mounted.
    group: PathBuf,
    /// Where.
    place: PathBuf,
    is_new: bool,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// Reads a line of `mountinfo` (`proc(5)`).
    fn parse(line: &'a str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let mut kind = kind.split(' ');
        let (group, place) = (unescaped(place.next()?), unescaped(place.next()?));
        let is_new = match kind.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        Some(Self { group, place, is_new, options: kind.nth(1)? })
    }

    /// Adds the folders of a group and of all above it, as far as they are mounted.
    fn folders(&self, root: &Path, group: &Path, folders: &mut Vec<PathBuf>) {
        // Where another part of the tree is mounted than the one with this process in it, as in some containers, its top is all that
        // can be told.
        let below = group.strip_prefix(&self.group).unwrap_or(Path::new(""));
        let top = root.join(self.place.strip_prefix("/").unwrap_or(&self.place));
        for part in below.ancestors() {
            folders.push(top.join(part));
        }
    }
}

/// A path as `mountinfo` writes it, with blanks as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let code = bytes.get(place + 1..place + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| byte == b'\\') {
            Some(code) => {
                path.push(code);
                place += 4;
            }
            None => {
                path.push(byte);
                place += 1;
            }
        }
    }
    std::ffi::OsString::from_vec(path).into()
}
