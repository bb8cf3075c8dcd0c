//! What a module of burn owes: gradients, graphs that wait, errors instead of panics, nothing kept without need.

use burn::module::{Module, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use ttcore::{BagsError, Offsets, Pooling, TableConfig, TtShape};
use ttcore_burn::{Error, TtEmbeddingBag};
use ttcore_cpu::Threads;

const ROWS: u64 = 50;
const INDICES: [i64; 6] = [3, 49, 3, 0, 17, 17];
const STARTS: [i64; 4] = [0, 2, 2, 3];
const WEIGHTS: [f64; 6] = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75];

fn config() -> TableConfig {
    TableConfig::tt(TtShape::with_rank(ROWS, &[3, 4, 5], &[2, 1, 2], 3).expect("a shape"))
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn layer(dtype: DType) -> TtEmbeddingBag {
    let layer = TtEmbeddingBag::new(config(), Pooling::Mean, 1, &device()).expect("a layer");
    with_cores(layer, &drawn(), dtype)
}

fn drawn() -> Vec<f64> {
    let mut values = vec![0.0; config().table().parameters()];
    config().draw(1, &mut values);
    values
}

fn with_cores(mut layer: TtEmbeddingBag, cores: &[f64], dtype: DType) -> TtEmbeddingBag {
    layer.cores = Param::from_tensor(tensor(cores, dtype, &device()));
    layer
}

fn tensor(values: &[f64], dtype: DType, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (device, dtype))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data_dtype(DType::F64).try_to_vec().expect("numbers")
}

/// A loss that is linear in every core and in the weights.
fn loss(layer: &TtEmbeddingBag, weights: Option<Tensor<1>>) -> Tensor<1> {
    let out = layer.forward(&INDICES, Offsets::Starts(&STARTS), weights).expect("a batch that fits");
    let factors: Vec<f64> = (1..=out.shape().num_elements()).map(|i| i as f64).collect();
    let data = TensorData::new(factors, out.dims());
    let factors = Tensor::from_data(data, (&out.device(), out.dtype()));
    (out * factors).sum()
}

fn grad(layer: &TtEmbeddingBag, grads: &Gradients) -> Vec<f64> {
    values(layer.cores.val().grad(grads).expect("a gradient"))
}

/// Asserts that gradients are the differences of a loss. Each number is in a product once, so the loss is linear in it and a
/// large step is no less exact than a small one.
fn assert_differences(at: &[f64], grad: &[f64], limit: f64, loss: impl Fn(&[f64]) -> Tensor<1>) {
    let size = grad.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
    assert!(size > 0.0);
    for (i, grad) in grad.iter().enumerate() {
        let moved = |by: f64| {
            let mut values = at.to_vec();
            values[i] += by;
            self::values(loss(&values))[0]
        };
        let difference = moved(0.5) - moved(-0.5);
        assert!((difference - grad).abs() <= limit * size, "{i}: gradient {grad}, difference {difference}");
    }
}

#[test]
fn gradients_are_differences() {
    for (dtype, limit) in [(DType::F32, 1e-4), (DType::F64, 1e-12)] {
        let layer = layer(dtype);
        let weights = |values: &[f64]| tensor(values, dtype, &device()).require_grad();
        let given = weights(&WEIGHTS);
        let grads = loss(&layer, Some(given.clone())).backward();
        let cores = drawn();
        assert_differences(&cores, &grad(&layer, &grads), limit, |cores| {
            loss(&with_cores(layer.clone(), cores, dtype), Some(weights(&WEIGHTS)))
        });
        let got = values(given.grad(&grads).expect("a gradient"));
        assert_differences(&WEIGHTS, &got, limit, |values| loss(&layer, Some(weights(values))));
    }
}

#[test]
fn forwards_wait_for_their_backward_even_past_a_step() {
    let layer = layer(DType::F64);
    let weights = || Some(tensor(&WEIGHTS, DType::F64, &device()));
    let want = [None, weights()].map(|weights| grad(&layer, &loss(&layer, weights).backward()));
    assert_ne!(want[0], want[1]);

    let (first, second, third) = (loss(&layer, None), loss(&layer, weights()), loss(&layer, None));
    let larger = layer.forward(&[1u32; 100], Offsets::<u32>::OnePerBag, None).expect("a batch that fits").sum();
    assert_eq!(grad(&layer, &second.backward()), want[1]);
    assert_eq!(grad(&layer, &first.backward()), want[0]);
    assert!(grad(&layer, &larger.backward()).iter().any(|&g| g != 0.0));

    // A step, and the gradients of a forward before it at the cores it was given.
    let grads = GradientsParams::from_grads(loss(&layer, None).backward(), &layer);
    let stepped = SgdConfig::new().init().step(0.5, layer.clone(), grads);
    assert_ne!(values(stepped.cores.val()), values(layer.cores.val()));
    assert_eq!(grad(&layer, &third.backward()), want[0]);

    // Both in one graph.
    let sum = grad(&layer, &(loss(&layer, None) + loss(&layer, weights())).backward());
    for (i, sum) in sum.iter().enumerate() {
        assert!((sum - want[0][i] - want[1][i]).abs() <= 1e-12 * sum.abs().max(1.0));
    }
}

#[test]
fn what_has_no_gradient_keeps_nothing() {
    let trained = layer(DType::F64);
    let weights = || tensor(&WEIGHTS, DType::F64, &device());
    let want = values(loss(&trained, None));
    for layer in [trained.valid(), trained.clone().no_grad()] {
        let out = loss(&layer, None);
        assert_eq!(values(out.clone()), want);
        assert!(!out.is_tracked());
    }

    // Frozen cores with weights that are trained, and the other way round; weights of a device without gradients, too.
    let given = weights().require_grad();
    let both = loss(&trained, Some(given.clone())).backward();
    for frozen in [trained.valid(), trained.clone().no_grad()] {
        let given_again = weights().require_grad();
        let grads = loss(&frozen, Some(given_again.clone())).backward();
        assert_eq!(given_again.grad(&grads).map(values), given.grad(&both).map(values));
    }
    for constant in [weights(), tensor(&WEIGHTS, DType::F64, &Device::flex())] {
        assert_eq!(grad(&trained, &loss(&trained, Some(constant)).backward()), grad(&trained, &both));
    }
}

#[test]
fn what_is_wrong_is_an_error_that_says_where() {
    let layer = layer(DType::F32);
    let error = |indices: &[i64], offsets: &[i64], weights: Option<Tensor<1>>| {
        layer.forward(indices, Offsets::Starts(offsets), weights).expect_err("refused")
    };
    let bags = error(&[0, 50], &[0], None);
    assert_eq!(bags.to_string(), "index 50 at position 1 is not a row of a table with 50 rows");
    let want = BagsError::IndexOutOfRange { position: 1, index: 50, rows: ROWS };
    assert!(matches!(bags, Error::Table(ttcore::Error::Bags { table: None, error }) if error == want));
    let text = |error: Error| error.to_string();
    assert_eq!(text(error(&[-1], &[0], None)), "index -1 at position 0 is not a row of a table with 50 rows");
    assert_eq!(text(error(&[1], &[1], None)), "the first offset is 1, not 0");
    assert_eq!(text(error(&[1, 2], &[0, 3], None)), "offset 3 at position 1 is behind the last of 2 lookups");
    let ones = |len: usize, dtype| Some(tensor(&vec![1.0; len], dtype, &device()));
    assert_eq!(text(error(&[1, 2], &[0], ones(3, DType::F32))), "3 per-sample weights for 2 lookups");
    assert_eq!(text(error(&[1, 2], &[0], ones(2, DType::F64))), "weights cannot be of type F64");
    let checkpointed = Some(tensor(&[1.0, 1.0], DType::F32, &device().gradient_checkpointing()));
    assert!(matches!(error(&[1, 2], &[0], checkpointed), Error::Backend(_)));

    let len = drawn().len();
    let with = |cores: &[f64], dtype| with_cores(layer.clone(), cores, dtype);
    let refused = |layer: TtEmbeddingBag| text(layer.forward(&[1i64], Offsets::Starts(&[0i64]), None).unwrap_err());
    assert_eq!(refused(with(&drawn()[1..], DType::F32)), format!("cores have {} numbers, not {len}", len - 1));
    assert_eq!(refused(with(&drawn(), DType::F16)), "cores cannot be of type F16");
    let cached = config().with_cache(2).expect("a cache");
    assert!(matches!(TtEmbeddingBag::new(cached, Pooling::Sum, 1, &device()), Err(Error::Length { .. })));
}

#[test]
fn checkpointing_and_threads_change_nothing() {
    let plain = layer(DType::F32);
    let want = grad(&plain, &loss(&plain, None).backward());
    let threads = plain.clone().with_threads(Threads::new(2).expect("threads")).expect("a layer");
    assert_eq!(grad(&threads, &loss(&threads, None).backward()), want);
    let mut checkpointed = plain;
    checkpointed.cores = Param::from_tensor(tensor(&drawn(), DType::F32, &device().gradient_checkpointing()));
    assert_eq!(grad(&checkpointed, &loss(&checkpointed, None).backward()), want);
}

#[test]
fn empty_batches_and_bags() {
    let layer = layer(DType::F64);
    let none = layer.forward(&[0i64; 0], Offsets::WithLast(&[0i64]), None).expect("no bags");
    assert_eq!(none.dims(), [0, 4]);
    let out = layer.forward(&INDICES, Offsets::Starts(&STARTS), None).expect("a batch that fits");
    assert_eq!(values(out)[4..8], [0.0; 4]);
}
