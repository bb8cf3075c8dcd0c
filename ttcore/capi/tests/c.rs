//! The C programs of this package, built with a C compiler and run: bad input, everything that handles do, the golden
//! vectors, and the example.
//!
//! `TTCORE_CC` is the compiler with its options, in words, instead of `cc`; then there must be one. `check.sh` runs
//! these tests as C99, as C++17 and under sanitizers.

#![cfg(unix)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The static library, beside the program that runs this.
fn library() -> PathBuf {
    let program = std::env::current_exe().expect("a path of this program");
    let library = program.parent().expect("a folder").join("libttcore_capi.a");
    assert!(library.exists(), "{} should have been built with this test", library.display());
    library
}

/// The option for what the library was built with, if that is a sanitizer.
fn sanitizer() -> &'static str {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let all = [("sanitizer=address", "-fsanitize=address"), ("sanitizer=thread", "-fsanitize=thread")];
    all.into_iter().find(|(flag, _)| flags.contains(flag)).map_or("", |(_, option)| option)
}

/// A program from its source; `None` where there is no compiler, and none was named.
fn build(source: &str) -> Option<PathBuf> {
    let named = std::env::var("TTCORE_CC").ok();
    let compiler = named.clone().unwrap_or_else(|| format!("cc -std=c99 {}", sanitizer()));
    let mut words = compiler.split_whitespace();
    let name = Path::new(source).file_stem().expect("a name").to_str().expect("text");
    // Each compiler's apart, as several may run at once.
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let mut command = Command::new(words.next().expect("a compiler"));
    command.args(words).args(WARNINGS).arg("-O1").arg("-g").arg("-I").arg(home().join("include"));
    // The library is none of the language that the compiler may have been told.
    command.arg(home().join(source)).args(["-x", "none"]).arg(library());
    command.args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program);
    match command.output() {
        Err(error) if named.is_none() => {
            println!("{source} was not tested: {compiler}: {error}");
            None
        }
        Err(error) => panic!("{compiler}: {error}"),
        Ok(output) => {
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            Some(program)
        }
    }
}

fn run(source: &str, arguments: &[PathBuf]) {
    let Some(program) = build(source) else { return };
    let mut command = Command::new(&program);
    // Sanitizers end a process that asks for more memory than there is. The library must be told that there is none.
    for options in ["ASAN_OPTIONS", "TSAN_OPTIONS"] {
        if std::env::var_os(options).is_none() {
            command.env(options, "allocator_may_return_null=1");
        }
    }
    let output = command.args(arguments).output().expect("a program that was built starts");
    std::fs::remove_file(&program).expect("it can be removed");
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{source}: {}\n{out}{err}", output.status);
    print!("{out}");
}

#[test]
fn errors() {
    run("tests/c/errors.c", &[]);
}

#[test]
fn tables() {
    run("tests/c/tables.c", &[]);
}

#[test]
fn caches() {
    run("tests/c/caches.c", &[]);
}

#[test]
fn life() {
    run("tests/c/life.c", &[]);
}

#[test]
fn example() {
    run("examples/train.c", &[]);
}

#[test]
fn golden() {
    let folder = match std::env::var_os("TTCORE_GOLDEN") {
        Some(folder) => PathBuf::from(folder),
        None => home().join("../../tests/conformance/golden"),
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("tt_")))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no tt_*.json in {}", folder.display());
    let texts: Vec<PathBuf> = files.iter().map(|path| as_text(path)).collect();
    run("tests/c/golden.c", &texts);
    texts.iter().for_each(|path| std::fs::remove_file(path).expect("it can be removed"));
}

/// A file of vectors as C reads it: lines of a name, how many numbers, and the numbers.
fn as_text(path: &Path) -> PathBuf {
    let json = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let mut line = |name: &str, numbers: &[f64]| {
        write!(text, "{name} {}", numbers.len()).expect("memory");
        // As many digits as it takes for the same bits.
        numbers.iter().for_each(|number| write!(text, " {number:e}").expect("memory"));
        text.push('\n');
    };
    let names = ["rows", "row_factors", "col_factors", "ranks", "cores", "indices", "offsets", "weights", "output"];
    let more = ["grad_output", "grad_cores", "grad_weights", "full_table"];
    for name in names.into_iter().chain(more) {
        line(name, &flat(&json[name]));
    }
    let lens: Vec<f64> = json["cores"].as_array().expect("cores").iter().map(|core| flat(core).len() as f64).collect();
    line("core_lens", &lens);
    line("mean", &[f64::from(u8::from(json["pooling"] == "mean"))]);
    for name in ["sgd", "adagrad"] {
        for field in ["lr", "eps", "state", "cores"] {
            line(&format!("{name}_{field}"), &flat(&json[name][field]));
        }
    }
    let name = path.file_stem().expect("a name").to_str().expect("text");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.txt", std::process::id()));
    std::fs::write(&to, text).expect("the folder of tests can be written");
    to
}

/// All numbers of a list, or a list of lists; none where there is nothing.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        Value::Number(number) => vec![number.as_f64().expect("a number")],
        Value::Null => Vec::new(),
        other => panic!("neither a number nor a list: {other}"),
    }
}
