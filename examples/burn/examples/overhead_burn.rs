//! What a forward and backward through burn takes beside the same called from Rust, on one thread:
//! `cargo run --release --example overhead_burn`.

#[path = "../../baseline.rs"]
mod baseline;

use baseline::{BAGS, Batches, RustCall};
use burn::tensor::Device;
use ttcore::{Offsets, Pooling, TableConfig, TtShape};
use ttcore_burn::TtEmbeddingBag;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for shape in baseline::shapes()? {
        compare(&shape)?;
    }
    Ok(())
}

fn compare(shape: &TtShape) -> Result<(), Box<dyn std::error::Error>> {
    let batches = Batches::new(shape.rows());
    let mut rust = RustCall::new(shape)?;
    let layer = TtEmbeddingBag::new(TableConfig::tt(shape.clone()), Pooling::Sum, 42, &Device::flex().autodiff())?;

    let mut rust_call = |round| rust.call(batches.of(round)).expect("a batch that fits");
    // The gradient of an output that is not a scalar is that of its sum.
    let mut layer_call = |round| {
        let out = layer.forward(batches.of(round), Offsets::<u32>::OnePerBag, None).expect("a batch that fits");
        drop(out.backward());
    };
    let [rust, layer] = baseline::medians([&mut rust_call, &mut layer_call]);
    println!(
        "{} x {}, {} parameters, {BAGS} x 1: Rust {rust:.1} us, through burn {layer:.1} us: more by {:.1} us",
        shape.rows(),
        shape.dim(),
        shape.parameters(),
        layer - rust,
    );
    Ok(())
}
