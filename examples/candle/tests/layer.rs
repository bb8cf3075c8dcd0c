//! What a layer of candle owes: gradients, graphs that are kept, errors instead of panics, nothing kept without need.

use candle_core::{DType, Device, Error, Result, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use ttcore::{Offsets, Pooling, TableConfig, TtShape};
use ttcore_candle::TtEmbeddingBag;
use ttcore_cpu::Threads;

const ROWS: u64 = 50;
const INDICES: [i64; 6] = [3, 49, 3, 0, 17, 17];
const STARTS: [i64; 4] = [0, 2, 2, 3];

fn config() -> TableConfig {
    TableConfig::tt(TtShape::with_rank(ROWS, &[3, 4, 5], &[2, 1, 2], 3).expect("a shape"))
}

fn layer(dtype: DType) -> Result<(VarMap, TtEmbeddingBag)> {
    let varmap = VarMap::new();
    let vb = VarBuilder::from_varmap(&varmap, dtype, &Device::Cpu);
    let layer = TtEmbeddingBag::new(config(), Pooling::Mean, 1, vb)?;
    Ok((varmap, layer))
}

fn weights(dtype: DType) -> Result<Var> {
    let weights = Tensor::new(&[0.5, -1.0, 2.0, 1.5, 0.25, -0.75], &Device::Cpu)?;
    Var::from_tensor(&weights.to_dtype(dtype)?)
}

/// A loss that is linear in every core and in the weights.
fn loss(layer: &TtEmbeddingBag, weights: Option<&Tensor>) -> Result<Tensor> {
    let out = layer.forward(&INDICES, Offsets::Starts(&STARTS), weights)?;
    let factors = Tensor::arange(1f64, 1.0 + out.elem_count() as f64, out.device())?.to_dtype(out.dtype())?;
    (&out * factors.reshape(out.shape())?)?.sum_all()
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.to_vec1()
}

fn scalar(loss: &Tensor) -> Result<f64> {
    loss.to_dtype(DType::F64)?.to_scalar()
}

/// Asserts that gradients are the differences of a loss. Each number is in a product once, so the loss is linear in it and a
/// large step is no less exact than a small one.
fn assert_differences(var: &Var, grad: &Tensor, limit: f64, loss: impl Fn() -> Result<Tensor>) -> Result<()> {
    let (before, grad) = (values(var)?, values(grad)?);
    let set = |values: &[f64]| var.set(&Tensor::new(values, &Device::Cpu)?.to_dtype(var.dtype())?);
    let size = grad.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
    assert!(size > 0.0);
    for (i, grad) in grad.iter().enumerate() {
        let at = |x: f64| {
            let mut values = before.clone();
            values[i] = x;
            set(&values).and_then(|()| scalar(&loss()?))
        };
        let difference = (at(before[i] + 0.5)? - at(before[i] - 0.5)?) / 1.0;
        assert!((difference - grad).abs() <= limit * size, "{i}: gradient {grad}, difference {difference}");
    }
    set(&before)
}

#[test]
fn gradients_are_differences() -> Result<()> {
    for (dtype, limit) in [(DType::F32, 1e-4), (DType::F64, 1e-12)] {
        let (varmap, layer) = layer(dtype)?;
        let (cores, weights) = (varmap.all_vars().remove(0), weights(dtype)?);
        let loss = || loss(&layer, Some(&weights));
        let grads = loss()?.backward()?;
        assert_differences(&cores, grads.get(&cores).expect("a gradient"), limit, loss)?;
        assert_differences(&weights, grads.get(&weights).expect("a gradient"), limit, loss)?;
    }
    Ok(())
}

#[test]
fn forwards_wait_for_their_backward() -> Result<()> {
    let (varmap, layer) = layer(DType::F64)?;
    let cores = varmap.all_vars().remove(0);
    let weights = weights(DType::F64)?;
    let grad = |loss: &Tensor| values(loss.backward()?.get(&cores).expect("a gradient"));
    let plain = || loss(&layer, None);
    let weighted = || loss(&layer, Some(&weights));
    let want = [grad(&plain()?)?, grad(&weighted()?)?];
    assert_ne!(want[0], want[1]);

    // In the other order, each twice, and both in one graph.
    let (first, second) = (plain()?, weighted()?);
    let larger = layer.forward(&[1u32; 100], Offsets::<u32>::OnePerBag, None)?.sum_all()?;
    assert_eq!([grad(&second)?, grad(&first)?, grad(&second)?], [want[1].clone(), want[0].clone(), want[1].clone()]);
    let sum: Vec<f64> = grad(&(&first + &second)?)?;
    for (i, sum) in sum.iter().enumerate() {
        assert!((sum - want[0][i] - want[1][i]).abs() <= 1e-12 * sum.abs().max(1.0));
    }
    assert!(grad(&larger)?.iter().any(|&g| g != 0.0));

    layer.parameters_changed();
    let error = first.backward().expect_err("refused").to_string();
    assert!(error.contains("the parameters changed after this forward"), "{error}");
    Ok(())
}

#[test]
fn what_has_no_gradient_keeps_nothing() -> Result<()> {
    let (varmap, trained) = layer(DType::F64)?;
    let cores = varmap.all_vars().remove(0);
    let frozen = TtEmbeddingBag::with_cores(config(), Pooling::Mean, cores.detach(), Threads::one())?;
    let out = loss(&frozen, None)?;
    assert!(!out.track_op());
    assert_eq!(scalar(&out)?, scalar(&loss(&trained, None)?)?);
    let constant = weights(DType::F64)?.detach();
    assert!(!loss(&frozen, Some(&constant))?.track_op());

    // Frozen cores with weights that are trained, and the other way round.
    let weights = weights(DType::F64)?;
    let both = loss(&trained, Some(&weights))?.backward()?;
    let grads = loss(&frozen, Some(&weights))?.backward()?;
    assert!(grads.get(frozen.cores()).is_none());
    let of = |grads: &candle_core::backprop::GradStore, var: &Tensor| values(grads.get(var).expect("a gradient"));
    assert_eq!(of(&grads, &weights)?, of(&both, &weights)?);
    let grads = loss(&trained, Some(&constant))?.backward()?;
    assert_eq!(of(&grads, &cores)?, of(&both, &cores)?);
    assert!(grads.get(&constant).is_none());
    Ok(())
}

/// The error without where it came from, which candle adds if it is asked to by `RUST_BACKTRACE`.
fn bare(error: Error) -> Error {
    match error {
        Error::WithBacktrace { inner, .. } => bare(*inner),
        error => error,
    }
}

#[test]
fn what_is_wrong_is_an_error_that_says_where() -> Result<()> {
    let (_, layer) = layer(DType::F32)?;
    let error = |indices: &[i64], offsets: &[i64], weights: Option<&Tensor>| {
        bare(layer.forward(indices, Offsets::Starts(offsets), weights).expect_err("refused"))
    };
    let bags = error(&[0, 50], &[0], None);
    assert!(matches!(bags, Error::Wrapped(_)));
    let text = |error: Error| error.to_string();
    assert_eq!(text(bags), "index 50 at position 1 is not a row of a table with 50 rows");
    assert_eq!(text(error(&[-1], &[0], None)), "index -1 at position 0 is not a row of a table with 50 rows");
    assert_eq!(text(error(&[1], &[1], None)), "the first offset is 1, not 0");
    assert_eq!(text(error(&[1, 2], &[0, 3], None)), "offset 3 at position 1 is behind the last of 2 lookups");
    let weights = Tensor::ones(3, DType::F32, &Device::Cpu)?;
    assert_eq!(text(error(&[1, 2], &[0], Some(&weights))), "3 per-sample weights for 2 lookups");
    let wide = weights.to_dtype(DType::F64)?;
    assert!(matches!(error(&[1, 2, 3], &[0], Some(&wide)), Error::UnexpectedDType { .. }));
    let strided = Tensor::ones((3, 2), DType::F32, &Device::Cpu)?.narrow(1, 0, 1)?.squeeze(1)?;
    assert!(matches!(error(&[1, 2, 3], &[0], Some(&strided)), Error::RequiresContiguous { .. }));

    let cores = |len: usize, dtype| Tensor::zeros(len, dtype, &Device::Cpu);
    let len = config().table().parameters();
    let made =
        |cores, config| TtEmbeddingBag::with_cores(config, Pooling::Sum, cores, Threads::one()).map(drop).map_err(bare);
    assert!(matches!(made(cores(len - 1, DType::F32)?, config()), Err(Error::UnexpectedShape { .. })));
    assert!(matches!(made(cores(len, DType::F16)?, config()), Err(Error::UnsupportedDTypeForOp(DType::F16, _))));
    let cached = config().with_cache(2).expect("a cache");
    let len = cached.table().parameters();
    assert!(made(cores(len, DType::F32)?, cached).is_err());
    Ok(())
}

#[test]
fn cores_are_drawn_once_and_saved_with_the_model() -> Result<()> {
    let (varmap, layer) = layer(DType::F32)?;
    let mut want = vec![0f32; config().table().parameters()];
    config().draw(1, &mut want);
    assert_eq!(layer.cores().to_vec1::<f32>()?, want);
    assert_eq!(varmap.data().lock().expect("a map").keys().collect::<Vec<_>>(), ["cores"]);

    let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    let again = TtEmbeddingBag::new(config(), Pooling::Mean, 2, vb)?;
    assert_eq!(again.cores().to_vec1::<f32>()?, want);
    Ok(())
}

#[test]
fn empty_batches_and_bags() -> Result<()> {
    let (_, layer) = layer(DType::F64)?;
    let none = layer.forward(&[0i64; 0], Offsets::WithLast(&[0i64]), None)?;
    assert_eq!(none.dims(), [0, 4]);
    let out = layer.forward(&INDICES, Offsets::Starts(&STARTS), None)?;
    assert_eq!(out.get(1)?.to_vec1::<f64>()?, [0.0; 4]);
    Ok(())
}
