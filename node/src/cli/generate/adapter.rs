//! `snakepit gen adapter`: a Python module that runs as it is written, and its tests.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::note;

/// Words that Python keeps for itself.
const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
    "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
    "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];
/// Modules that the generated one would hide from itself.
const TAKEN: &[&str] = &[
    "asyncio",
    "collections",
    "pytest",
    "snakepit",
    "snakepit_bridge",
    "time",
    "typing",
];

/// What an adapter is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Plain functions
    Tools,
    /// A class, with an instance for each request
    Class,
    /// A class as those of Snakepit for Elixir are
    Bridge,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the module
    name: String,
    /// Where to write it; made where it is missing
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// What it is made of
    #[arg(long, value_enum, default_value = "tools", value_name = "KIND")]
    kind: Kind,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    check_name(&args.name)?;
    let (module, tests) = match args.kind {
        Kind::Tools => (
            include_str!("templates/tools.py"),
            include_str!("templates/test_tools.py"),
        ),
        Kind::Class => (
            include_str!("templates/class.py"),
            include_str!("templates/test_class.py"),
        ),
        Kind::Bridge => (
            include_str!("templates/bridge.py"),
            include_str!("templates/test_bridge.py"),
        ),
    };
    let adapter = adapter_path(&args.name, args.kind);
    let fill = |template: &str| {
        template
            .replace("{{name}}", &args.name)
            .replace("{{class}}", &class_name(&args.name))
            .replace("{{adapter}}", &adapter)
    };
    let files = [
        (args.dir.join(format!("{}.py", args.name)), fill(module)),
        (args.dir.join(format!("test_{}.py", args.name)), fill(tests)),
    ];
    fs::create_dir_all(&args.dir).map_err(CliError::file("make directory", &args.dir))?;
    // All are looked for before any is written.
    for (path, _) in &files {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
    }
    for (path, text) in &files {
        write_new(path, text)?;
    }
    let paths: Vec<_> = files
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    let json = json!({ "adapter": adapter, "files": paths });
    context
        .output
        .done(&format!("wrote {}", paths.join(" and ")), &json)?;
    note(&format!(
        "run it there: snakepit cluster up --adapter {adapter}"
    ));
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(path)),
        made => made.map_err(CliError::file("write", path))?,
    };
    file.write_all(text.as_bytes())
        .map_err(CliError::file("write", path))
}

fn exists(path: &Path) -> CliError {
    CliError::failed(format!("{} exists already", path.display()))
        .hint("give another name, or another --dir")
}

fn check_name(name: &str) -> Result<(), CliError> {
    let mut letters = name.bytes();
    let fits = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !fits || KEYWORDS.contains(&name) {
        let error = CliError::usage(format!("{name:?} cannot be the name of a Python module"));
        return Err(error.hint("use letters, digits and `_`, beginning with a letter"));
    }
    if TAKEN.contains(&name) {
        let error = CliError::usage(format!("a module named {name} would hide Python's own"));
        return Err(error.hint(format!("call it my_{name}")));
    }
    Ok(())
}

/// As `--adapter` takes it.
fn adapter_path(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Tools => name.to_owned(),
        Kind::Class | Kind::Bridge => format!("{name}.{}", class_name(name)),
    }
}

/// `word_count` as `WordCount`.
fn class_name(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words
        .flat_map(|word| {
            let (first, rest) = word.split_at(1);
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::globals::Context;
    use super::super::super::output::Format;
    use super::*;

    fn context() -> Context {
        Context::new(super::super::super::globals::Globals {
            endpoints: None,
            principal: None,
            timeout: std::time::Duration::from_secs(1),
            output: Format::Json,
        })
    }

    #[test]
    fn what_is_written_is_filled_in_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        for (name, kind) in [
            ("plain", Kind::Tools),
            ("word_count", Kind::Class),
            ("old", Kind::Bridge),
        ] {
            let args = Args {
                name: name.into(),
                dir: dir.path().join("made"),
                kind,
            };
            run(&context(), &args).unwrap();
            for file in [format!("{name}.py"), format!("test_{name}.py")] {
                let text = fs::read_to_string(args.dir.join(file)).unwrap();
                assert!(text.contains(&adapter_path(name, kind)) && !text.contains("{{"));
            }
            let error = run(&context(), &args).unwrap_err();
            assert!(error.message.ends_with("exists already"), "{error}");
        }
    }

    #[test]
    fn names_are_those_of_modules() {
        assert!(check_name("my_tools2").is_ok());
        for bad in ["", "a-b", "2a", "a.b", "class", "time", "_"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(class_name("word_count"), "WordCount");
        assert_eq!(
            adapter_path("word_count", Kind::Bridge),
            "word_count.WordCount"
        );
    }
}
