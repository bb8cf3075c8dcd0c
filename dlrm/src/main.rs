//! dlrm
fn main() {}
