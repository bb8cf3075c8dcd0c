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
    let build = || {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(2).flag_if_supported("-ffp-contract=off");
        build.warnings_into_errors(true).extra_warnings(true);
        build
    };
    let mut kernels = build();
    kernels.file("emulator/host.cpp");
    if !cfg!(feature = "race") {
        kernels.compile("ttcore_emulator");
        return;
    }
    // A call before every load and store, these as they are written: none joined with others, none taken apart. And lines.
    kernels.flag("-fsanitize=thread").flag("-g1").define("TTCORE_RACE", None);
    for flag in ["-fno-tree-vectorize", "-fno-store-merging", "-fno-tree-sra"] {
        kernels.flag_if_supported(flag);
    }
    kernels.compile("ttcore_emulator");
    let files = ["emulator/race.cpp", "emulator/source.cpp", "emulator/tsan.cpp"];
    build().files(files).define("TTCORE_RACE", None).compile("ttcore_race");
}
