//! Protects: `make test` on a fresh machine installs what is missing where it may, and else says the one command; and at once, not after
//! half an hour of compiling.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::cli::{Run, run};

/// A machine that has nothing but some programs, each a line of shell.
fn machine(programs: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, line) in programs {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for tool in ["sed", "env"] {
        let found = ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(tool)).find(|path| path.exists());
        symlink(found.unwrap(), folder.path().join(tool)).unwrap();
    }
    folder
}

fn needs(machine: &TempDir) -> Run {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/needs.sh");
    let mut command = Command::new("/bin/sh");
    run(command.arg(script).env_clear().env("PATH", machine.path()).current_dir(machine.path()))
}

const JAVA_17: (&str, &str) = ("java", "echo 'openjdk version \"17.0.12\" 2024-07-16' >&2");
const COMMON: [(&str, &str); 5] = [("gcc", ":"), ("g++", ":"), ("git", ":"), ("cargo", ":"), ("python3", ":")];

#[test]
fn a_machine_that_has_all_of_it_needs_nothing() {
    let Run { code, stdout, stderr } = needs(&machine(&[&COMMON[..], &[JAVA_17]].concat()));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
}

#[test]
fn who_may_install_gets_what_is_missing() {
    for (user, sudo) in [("0", None), ("1000", Some(("sudo", "shift; [ \"$1\" = true ] || \"$@\"")))] {
        let user = format!("echo {user}");
        let apt = ("apt-get", "echo \"$@\" >> called");
        // A Java that is too old is as good as none.
        let old = ("java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2");
        let mut programs = vec![("id", user.as_str()), apt, old, ("gcc", ":"), ("git", ":"), ("cargo", ":")];
        programs.extend(sudo);
        programs.push(("python3", "[ \"$2\" = 'import ensurepip, venv' ] && exit 1; exit 0"));
        let machine = machine(&programs);
        let Run { code, stdout, stderr } = needs(&machine);
        let expected =
            "needs: Java 17 or later, g++, Python's venv and pip: installing default-jre-headless g++ python3-venv\n";
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, expected, ""));
        let called = fs::read_to_string(machine.path().join("called")).unwrap();
        assert_eq!(
            called,
            "update -qq\ninstall -qq --yes --no-install-recommends default-jre-headless g++ python3-venv\n"
        );
    }
}

#[test]
fn who_may_not_is_told_the_one_command() {
    let user = [("id", "echo 1000"), ("apt-get", "exit 1")];
    let refused = ("sudo", "echo 'a password is required' >&2; exit 1");
    for more in [&[][..], &[refused]] {
        let Run { code, stderr, .. } = needs(&machine(&[&COMMON[..], &user, more].concat()));
        assert_eq!(
            (code, stderr.as_str()),
            (1, "needs: Java 17 or later: sudo apt-get install default-jre-headless\n")
        );
    }
    // Without apt too.
    let Run { code, stderr, .. } = needs(&machine(&COMMON));
    assert_eq!(code, 1);
    assert!(stderr.ends_with("(on Debian and Ubuntu: apt-get install default-jre-headless)\n"), "{stderr}");
    let no_rust = needs(&machine(&[("gcc", ":"), ("g++", ":"), ("git", ":"), ("python3", ":"), JAVA_17]));
    assert!(no_rust.code == 1 && no_rust.stderr.contains("https://sh.rustup.rs"), "{}", no_rust.stderr);
    let old_python = ("python3", "[ \"$1\" = --version ] && echo Python 3.9.2; exit 1");
    let old = needs(&machine(&[("gcc", ":"), ("g++", ":"), ("git", ":"), ("cargo", ":"), old_python, JAVA_17]));
    assert_eq!((old.code, old.stderr.as_str()), (1, "needs: Python 3.11 or later; this is Python 3.9.2\n"));
}
