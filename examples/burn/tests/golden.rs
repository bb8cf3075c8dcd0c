//! What PyTorch computes: outputs, gradients of cores and weights, and a step of burn's optimiser.

#[path = "../../vectors.rs"]
mod vectors;

use burn::module::Param;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use ttcore::Offsets;
use ttcore_burn::TtEmbeddingBag;

use vectors::{LIMITS, Vectors, assert_error};

const TYPES: [DType; 2] = [DType::F32, DType::F64];

fn tensor<const D: usize>(values: &[f64], shape: [usize; D], dtype: DType) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Device::flex().autodiff(), dtype))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data_dtype(DType::F64).try_to_vec().expect("numbers")
}

#[test]
fn outputs_gradients_and_a_step_are_those_of_pytorch() {
    for (dtype, limit) in TYPES.into_iter().zip(LIMITS) {
        for vectors in Vectors::all() {
            let name = |tensor: &str| format!("{}: {tensor} in {dtype:?}", vectors.file);
            let device = Device::flex().autodiff();
            let mut layer = TtEmbeddingBag::new(vectors.config(), vectors.pooling(), 0, &device).expect("a layer");
            let cores = vectors.cores();
            layer.cores = Param::from_tensor(tensor(&cores, [cores.len()], dtype));
            let weights = vectors.weights.as_deref().map(|w| tensor(w, [w.len()], dtype).require_grad());
            let out = layer.forward(&vectors.indices, Offsets::WithLast(&vectors.offsets), weights.clone());
            let out = out.expect("a batch that fits");
            assert_error(&name("output"), &values(out.clone()), &vectors.output, limit);

            let grad_out = tensor(&vectors.grad_output, out.dims(), dtype);
            let mut grads = (out * grad_out).sum().backward();
            if let (Some(weights), Some(want)) = (&weights, &vectors.grad_weights) {
                let got = values(weights.grad(&grads).expect("a gradient"));
                assert_error(&name("gradient of the weights"), &got, want, limit);
            }
            vectors.assert_grads(&values(layer.cores.val().grad(&grads).expect("a gradient")), limit);

            let grads = GradientsParams::from_module(&mut grads, &layer);
            let layer = SgdConfig::new().init().step(vectors.sgd.lr, layer, grads);
            assert_error(&name("cores after SGD"), &values(layer.cores.val()), &vectors.sgd.cores(), limit);
        }
    }
}
