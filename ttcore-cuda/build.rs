//! Compiles the kernels for the host, with the feature `emulator`; without it, nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "emulator")]
    emulator();
}

#[cfg(feature = "emulator")]
fn emulator() {
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=emulator");
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    // Documentation links nothing.
    if std::env::var_os("DOCS_RS").is_some() {
        return;
    }
    // Optimised in every profile: the suite runs on it. Numbers are rounded as written, so that runs are comparable.
    let build = |name: &str, files: &[&str], flags: &[&str]| {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(2).flag_if_supported("-ffp-contract=off");
        build.warnings_into_errors(true).extra_warnings(true).files(files);
        flags.iter().for_each(|flag| {
            build.flag(flag);
        });
        build.compile(name);
    };
    let kernels = ["emulator/host.cpp"];
    if !cfg!(feature = "race") {
        build("ttcore_emulator", &kernels, &[]);
        return;
    }
    // Every load and store as it is written, none joined, with a call before it; and its line.
    let checked = ["-DTTCORE_RACE", "-fsanitize=thread", "-fno-tree-vectorize", "-fno-store-merging", "-g1"];
    build("ttcore_emulator", &kernels, &checked);
    build("ttcore_race", &["emulator/race.cpp", "emulator/source.cpp", "emulator/tsan.cpp"], &["-DTTCORE_RACE"]);
}
