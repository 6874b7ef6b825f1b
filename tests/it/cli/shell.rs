//! What a shell and `man` are told.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{done, run, shardback};

/// The commands, as the help lists them.
fn commands() -> Vec<String> {
    let help = done(shardback().arg("-h")).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// What is packed with the Python package is what this program prints.
#[test]
fn completions_and_man_pages_are_packed() {
    let share = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/shardback.data/data/share");
    let mut packed = vec![
        ("bash-completion/completions/shardback".to_owned(), vec!["completions".to_owned(), "bash".to_owned()]),
        ("zsh/site-functions/_shardback".to_owned(), vec!["completions".to_owned(), "zsh".to_owned()]),
        ("fish/vendor_completions.d/shardback.fish".to_owned(), vec!["completions".to_owned(), "fish".to_owned()]),
        ("man/man1/shardback.1".to_owned(), vec!["man".to_owned()]),
    ];
    let pages =
        commands().into_iter().map(|name| (format!("man/man1/shardback-{name}.1"), vec!["man".to_owned(), name]));
    packed.extend(pages);
    for (file, arguments) in &packed {
        let there = fs::read_to_string(share.join(file)).unwrap_or_default();
        assert!(there == done(shardback().args(arguments)).stdout, "{file} is not as it should be: run `make packed`");
    }
    let pages = fs::read_dir(share.join("man/man1")).unwrap().count();
    assert_eq!(pages, packed.len() - 3, "a page of a command that is no more: run `make packed`");
}

/// A shell that reads the script completes commands, options and their values.
#[test]
fn bash_completes() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    fs::write(&script, done(shardback().args(["completions", "bash"])).stdout).unwrap();
    let complete = |words: &str| {
        let count = words.split(' ').count() - 1;
        let asked = format!(
            "source '{}'; COMP_WORDS=({words}); [[ '{words}' == *' ' ]] && COMP_WORDS+=(''); COMP_CWORD={count}; \
             _shardback shardback \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\"",
            script.display()
        );
        done(Command::new("bash").arg("-c").arg(asked)).stdout.trim().to_owned()
    };
    assert_eq!(complete("shardback rep"), "report");
    assert_eq!(complete("shardback build --require"), "--require-fresh");
    assert_eq!(complete("shardback build --cutoff "), "day time");
}

/// A page names the program and its version, and every option of its command.
#[test]
fn each_command_has_a_man_page() {
    let program = done(shardback().arg("man")).stdout;
    for name in commands() {
        assert!(program.contains(&format!("shardback\\-{name}(1)")), "{name}");
        let page = done(shardback().args(["man", &name])).stdout;
        let head = format!(".TH shardback-{name} 1  \"shardback {}\"", env!("CARGO_PKG_VERSION"));
        assert!(page.lines().any(|line| line.starts_with(&head)), "{name}: {page}");
    }
    assert!(done(shardback().args(["man", "build"])).stdout.contains("\\-\\-require\\-fresh"));
    let unknown = run(shardback().args(["man", "bild"]));
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.starts_with("error: COMMAND: `bild` is not a command; the commands are build, check, "));
}
