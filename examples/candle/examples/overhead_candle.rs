//! What a forward and backward through candle takes beside the same called from Rust, on one thread:
//! `RAYON_NUM_THREADS=1 cargo run --release --example overhead_candle`.

#[path = "../../baseline.rs"]
mod baseline;

use baseline::{BAGS, Batches, RustCall};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use ttcore::{Offsets, Pooling, TableConfig, TtShape};
use ttcore_candle::TtEmbeddingBag;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for shape in baseline::shapes()? {
        compare(&shape)?;
    }
    Ok(())
}

fn compare(shape: &TtShape) -> Result<(), Box<dyn std::error::Error>> {
    let batches = Batches::new(shape.rows());
    let mut rust = RustCall::new(shape)?;
    let varmap = VarMap::new();
    let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    let layer = TtEmbeddingBag::new(TableConfig::tt(shape.clone()), Pooling::Sum, 42, vb)?;
    let cores = layer.cores();
    let grads = Tensor::ones_like(cores)?;

    let mut rust_call = |round| rust.call(batches.of(round)).expect("a batch that fits");
    // The gradient of an output that is not a scalar is that of its sum.
    let mut layer_call = |round| {
        let out = layer.forward(batches.of(round), Offsets::<u32>::OnePerBag, None).expect("a batch that fits");
        out.backward().expect("gradients");
    };
    // What candle does with every gradient: it adds it to zeros.
    let mut sum = |_| {
        cores.zeros_like().and_then(|zeros| zeros.add(&grads)).expect("a sum");
    };
    let [rust, layer, sum] = baseline::medians([&mut rust_call, &mut layer_call, &mut sum]);
    println!(
        "{} x {}, {} parameters, {BAGS} x 1: Rust {rust:.1} us, through candle {layer:.1} us: more by candle's sum of the \
         gradient with zeros, {sum:.1} us, and {:.1} us",
        shape.rows(),
        shape.dim(),
        shape.parameters(),
        layer - rust - sum,
    );
    Ok(())
}
