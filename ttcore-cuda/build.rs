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
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .flag_if_supported("-ffp-contract=off")
        .warnings_into_errors(true)
        .extra_warnings(true)
        .file("emulator/host.cpp")
        .compile("ttcore_emulator");
}
