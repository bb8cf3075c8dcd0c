//! The header that is committed is the one the sources make.

use std::path::Path;

/// In the order of the header.
const SOURCES: [&str; 9] = ["lib", "error", "view", "config", "session", "settings", "bags", "ops", "cache"];

#[test]
fn the_header_is_that_of_the_sources() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(home.join("cbindgen.toml")).expect("cbindgen.toml");
    let sources = SOURCES.iter().map(|name| home.join(format!("src/{name}.rs")));
    let builder = sources.fold(cbindgen::Builder::new().with_config(config), cbindgen::Builder::with_src);
    let mut made = Vec::new();
    builder.generate().expect("a header").write(&mut made);
    let made = String::from_utf8(made).expect("text");

    let path = home.join("include/ttcore.h");
    if std::env::var_os("TTCORE_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("include/ttcore.h can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("include/ttcore.h");
    if let Some((line, (ours, theirs))) =
        made.lines().zip(committed.lines()).enumerate().find(|(_, (ours, theirs))| ours != theirs)
    {
        panic!("include/ttcore.h, line {}: `{theirs}`, but the sources make `{ours}`", line + 1);
    }
    assert_eq!(made.len(), committed.len(), "include/ttcore.h has not the length of what the sources make");
}
