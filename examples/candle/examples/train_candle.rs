//! A model with a TT table, trained by candle on planted data: `cargo run --release --example train_candle`.

#[path = "../../planted.rs"]
mod planted;

use std::error::Error;

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{AdamW, Optimizer, VarBuilder, VarMap};
use planted::{BAGS, Planted};
use ttcore::{Offsets, Pooling, TableConfig};
use ttcore_candle::TtEmbeddingBag;

fn main() -> Result<(), Box<dyn Error>> {
    let shape = planted::shape()?;
    let (mut data, starts) = (Planted::new(&shape), Planted::starts());
    println!("{} rows in {} parameters, 1/{:.0}", shape.rows(), shape.parameters(), shape.compression());

    let varmap = VarMap::new();
    let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    let table = TtEmbeddingBag::new(TableConfig::tt(shape.clone()), Pooling::Sum, 42, vb.pp("table"))?;
    let top = candle_nn::linear(shape.dim(), 1, vb.pp("top"))?;
    let mut optimizer = AdamW::new_lr(varmap.all_vars(), 0.01)?;

    let mut losses = Vec::new();
    for step in 0..=1000 {
        let (rows, targets) = data.batch();
        let out = table.forward(&rows, Offsets::Starts(&starts), None)?;
        let targets = Tensor::from_vec(targets, (BAGS, 1), &Device::Cpu)?;
        let loss = candle_nn::loss::mse(&top.forward(&out)?, &targets)?;
        optimizer.backward_step(&loss)?;
        if step % 100 == 0 {
            losses.push(loss.to_scalar::<f32>()?);
            println!("step {step:4}: loss {:.4}", losses[losses.len() - 1]);
        }
    }
    // What is planted has rank 1.
    if losses[losses.len() - 1] > losses[0] / 10.0 {
        return Err("the loss did not fall to a tenth".into());
    }
    Ok(())
}
