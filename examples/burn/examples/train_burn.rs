//! A model with a TT table, trained by burn on planted data: `cargo run --release --example train_burn`.

#[path = "../../planted.rs"]
mod planted;

use std::error::Error;

use burn::module::Module;
use burn::nn::loss::{MseLoss, Reduction};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use planted::{BAGS, Planted};
use ttcore::{Offsets, Pooling, TableConfig};
use ttcore_burn::TtEmbeddingBag;

#[derive(Module, Debug)]
struct Model {
    table: TtEmbeddingBag,
    top: Linear,
}

fn main() -> Result<(), Box<dyn Error>> {
    let shape = planted::shape()?;
    let (mut data, starts) = (Planted::new(&shape), Planted::starts());
    println!("{} rows in {} parameters, 1/{:.0}", shape.rows(), shape.parameters(), shape.compression());

    let device = Device::flex().autodiff();
    device.seed(42);
    let table = TtEmbeddingBag::new(TableConfig::tt(shape.clone()), Pooling::Sum, 42, &device)?;
    let mut model = Model { table, top: LinearConfig::new(shape.dim(), 1).init(&device) };
    let mut optimizer = AdamConfig::new().init();

    let mut losses = Vec::new();
    for step in 0..=1000 {
        let (rows, targets) = data.batch();
        let out = model.table.forward(&rows, Offsets::Starts(&starts), None)?;
        let targets = Tensor::<2>::from_data(TensorData::new(targets, [BAGS, 1]), &device);
        let loss = MseLoss::new().forward(model.top.forward(out), targets, Reduction::Mean);
        if step % 100 == 0 {
            losses.push(loss.clone().into_scalar::<f32>());
            println!("step {step:4}: loss {:.4}", losses[losses.len() - 1]);
        }
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.01, model, grads);
    }
    // What is planted has rank 1.
    if losses[losses.len() - 1] > losses[0] / 10.0 {
        return Err("the loss did not fall to a tenth".into());
    }
    Ok(())
}
