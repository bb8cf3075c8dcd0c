//! What PyTorch computes: outputs, gradients of cores and weights, and a step of candle's optimiser.

#[path = "../../vectors.rs"]
mod vectors;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Optimizer, SGD};
use ttcore::Offsets;
use ttcore_candle::TtEmbeddingBag;
use ttcore_cpu::Threads;

use vectors::{LIMITS, Vectors, assert_error};

const TYPES: [DType; 2] = [DType::F32, DType::F64];

fn var(values: &[f64], dtype: DType) -> Result<Var> {
    Var::from_tensor(&Tensor::new(values, &Device::Cpu)?.to_dtype(dtype)?)
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()
}

#[test]
fn outputs_gradients_and_a_step_are_those_of_pytorch() -> Result<()> {
    for (dtype, limit) in TYPES.into_iter().zip(LIMITS) {
        for vectors in Vectors::all() {
            let name = |tensor: &str| format!("{}: {tensor} in {dtype:?}", vectors.file);
            let cores = var(&vectors.cores(), dtype)?;
            let (config, pooling) = (vectors.config(), vectors.pooling());
            let layer = TtEmbeddingBag::with_cores(config, pooling, cores.as_tensor().clone(), Threads::one())?;
            let weights = vectors.weights.as_deref().map(|weights| var(weights, dtype)).transpose()?;
            let given = weights.as_ref().map(Var::as_tensor);
            let out = layer.forward(&vectors.indices, Offsets::WithLast(&vectors.offsets), given)?;
            assert_error(&name("output"), &values(&out)?, &vectors.output, limit);

            let grad_out =
                Tensor::new(&vectors.grad_output[..], &Device::Cpu)?.to_dtype(dtype)?.reshape(out.shape())?;
            let loss = (&out * grad_out)?.sum_all()?;
            let grads = loss.backward()?;
            vectors.assert_grads(&values(grads.get(&cores).expect("a gradient"))?, limit);
            if let (Some(weights), Some(want)) = (&weights, &vectors.grad_weights) {
                let got = values(grads.get(weights).expect("a gradient"))?;
                assert_error(&name("gradient of the weights"), &got, want, limit);
            }

            SGD::new(vec![cores.clone()], vectors.sgd.lr)?.step(&grads)?;
            assert_error(&name("cores after SGD"), &values(&cores)?, &vectors.sgd.cores(), limit);
        }
    }
    Ok(())
}
