//! The dense part of a model on host-compiled kernels, against its definition.

use ttcore::{Backend, Rule, Update};
use ttcore_cuda::layers::{FeatureSize, LayerSize};
use ttcore_cuda::{Buffer, Cuda, Emulator, Error};

type Gpu = Cuda<f64, Emulator>;
type Numbers = Buffer<f64, Emulator>;

/// Numbers in no order, between -1 and 1.
fn draw(len: usize, seed: u32) -> Vec<f64> {
    (0..len as u32).map(|i| f64::from((i + seed).wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 23) - 1.0).collect()
}

fn put(gpu: &Gpu, values: &[f64]) -> Numbers {
    let mut buffer = gpu.alloc(&mut (), values.len()).expect("memory");
    gpu.upload(&mut (), values, buffer.view_mut()).expect("a copy");
    buffer
}

fn get(gpu: &Gpu, buffer: &Numbers) -> Vec<f64> {
    let mut values = vec![0.0; buffer.view().len()];
    gpu.download(&mut (), buffer.view(), &mut values).expect("a copy");
    values
}

fn assert_close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-13 * (1.0 + w.abs()) * got.len() as f64, "{what} {i}: {g}, not {w}");
    }
}

#[test]
fn a_layer_and_its_gradients() {
    // More rows than are summed at once, and no multiple of them.
    let size = LayerSize { batch: 150, inputs: 7, outputs: 5 };
    let LayerSize { batch, inputs, outputs } = size;
    let (x, w, c) = (draw(batch * inputs, 1), draw(outputs * inputs, 2), draw(outputs, 3));
    let grad = draw(batch * outputs, 4);
    for relu in [false, true] {
        let gpu = Gpu::new(Emulator);
        let [input, weight, bias] = [&x, &w, &c].map(|values| put(&gpu, values));
        let [mut output, mut grad_output] = [put(&gpu, &vec![9.0; batch * outputs]), put(&gpu, &grad)];
        let views = [input.view(), weight.view(), bias.view()];
        gpu.layers(&mut ()).forward(size, views, relu, output.view_mut(), None).expect("forward");
        let mut want = vec![0.0; batch * outputs];
        let (mut dy, mut dw, mut dc, mut dx) =
            (grad.clone(), vec![0.0; w.len()], vec![0.0; outputs], vec![0.0; x.len()]);
        for (place, want) in want.iter_mut().enumerate() {
            let (b, o) = (place / outputs, place % outputs);
            *want = c[o] + (0..inputs).map(|i| x[b * inputs + i] * w[o * inputs + i]).sum::<f64>();
            if relu && *want <= 0.0 {
                (*want, dy[place]) = (0.0, 0.0);
            }
            dc[o] += dy[place];
            for i in 0..inputs {
                dw[o * inputs + i] += dy[place] * x[b * inputs + i];
                dx[b * inputs + i] += dy[place] * w[o * inputs + i];
            }
        }
        assert_close("outputs", &get(&gpu, &output), &want);

        let zeros = |len: usize| put(&gpu, &vec![9.0; len]);
        let (mut grad_weight, mut grad_bias, mut grad_input) = (zeros(w.len()), zeros(outputs), zeros(x.len()));
        let mut partial = zeros(size.partial_len());
        let written =
            [&mut grad_output, &mut grad_weight, &mut grad_bias, &mut partial].map(|buffer| buffer.view_mut());
        let views = [input.view(), weight.view(), output.view()];
        let below = Some(grad_input.view_mut());
        gpu.layers(&mut ()).backward(size, views, relu, written, below).expect("backward");
        assert_close("gradients before the ReLU", &get(&gpu, &grad_output), &dy);
        assert_close("gradients of weights", &get(&gpu, &grad_weight), &dw);
        assert_close("gradients of biases", &get(&gpu, &grad_bias), &dc);
        assert_close("gradients of inputs", &get(&gpu, &grad_input), &dx);
    }
}

#[test]
fn interaction_and_its_gradients() {
    let size = FeatureSize { batch: 5, dim: 4, embeddings: 6 };
    let FeatureSize { batch, dim, embeddings } = size;
    let (x, e, grad) = (draw(batch * dim, 1), draw(batch * embeddings * dim, 2), draw(batch * size.width(), 3));
    let feature = |sample: usize, f: usize| match f {
        0 => &x[sample * dim..][..dim],
        f => &e[(sample * embeddings + f - 1) * dim..][..dim],
    };
    let (mut want, mut dx, mut de) = (Vec::new(), vec![0.0; x.len()], vec![0.0; e.len()]);
    for sample in 0..batch {
        let grad = &grad[sample * size.width()..][..size.width()];
        want.extend_from_slice(feature(sample, 0));
        dx[sample * dim..][..dim].copy_from_slice(&grad[..dim]);
        let pairs = (1..=embeddings).flat_map(|f| (0..f).map(move |g| (f, g)));
        for ((f, g), dz) in pairs.zip(&grad[dim..]) {
            let (left, right) = (feature(sample, f), feature(sample, g));
            want.push(left.iter().zip(right).map(|(a, b)| a * b).sum());
            for c in 0..dim {
                de[(sample * embeddings + f - 1) * dim + c] += dz * right[c];
                match g {
                    0 => dx[sample * dim + c] += dz * left[c],
                    g => de[(sample * embeddings + g - 1) * dim + c] += dz * left[c],
                }
            }
        }
    }
    let gpu = Gpu::new(Emulator);
    let [bottom, embedded, grad_out] = [&x, &e, &grad].map(|values| put(&gpu, values));
    let mut out = put(&gpu, &vec![9.0; want.len()]);
    let features = [bottom.view(), embedded.view()];
    gpu.layers(&mut ()).interact(size, features, out.view_mut(), None).expect("forward");
    assert_close("interaction", &get(&gpu, &out), &want);

    let (mut grad_bottom, mut grad_embedded) = (put(&gpu, &vec![9.0; x.len()]), put(&gpu, &vec![9.0; e.len()]));
    let mut losses = gpu.losses(&mut (), batch).expect("memory");
    let grads = [grad_bottom.view_mut(), grad_embedded.view_mut()];
    gpu.layers(&mut ()).interact_backward(size, features, grad_out.view(), grads, &mut losses).expect("backward");
    assert_close("gradients of the bottom MLP", &get(&gpu, &grad_bottom), &dx);
    assert_close("gradients of embeddings", &get(&gpu, &grad_embedded), &de);

    let wide = FeatureSize { batch: 1, dim: 1024, embeddings: 26 };
    let out = put(&gpu, &[]);
    let error =
        gpu.layers(&mut ()).interact(wide, [out.view(); 2], put(&gpu, &[]).view_mut(), None).expect_err("too wide");
    assert!(matches!(error, Error::TooLarge { what: "bytes of the features of a sample", .. }), "{error}");
}

/// Losses of a batch, whose gradients of features are finite but for those of `bad` samples.
fn tally(logits: &[f64], labels: &[f64], bad: &[usize]) -> (Vec<f64>, Vec<f64>, f64, Option<usize>) {
    let (gpu, batch) = (Gpu::new(Emulator), logits.len());
    let size = FeatureSize { batch, dim: 1, embeddings: 1 };
    let mut losses = gpu.losses(&mut (), batch).expect("memory");
    let mut grads = vec![0.5; 2 * batch];
    bad.iter().for_each(|&sample| grads[2 * sample + 1] = f64::INFINITY);
    let (features, grads) = (put(&gpu, &vec![1.0; batch]), put(&gpu, &grads));
    let [mut first, mut second] = [put(&gpu, &vec![0.0; batch]), put(&gpu, &vec![0.0; batch])];
    let views = [features.view(); 2];
    let written = [first.view_mut(), second.view_mut()];
    gpu.layers(&mut ()).begin(&mut losses).expect("zeros");
    gpu.layers(&mut ()).interact_backward(size, views, grads.view(), written, &mut losses).expect("backward");

    let [mut probabilities, mut grad_logits] = [put(&gpu, &vec![9.0; batch]), put(&gpu, &vec![9.0; batch])];
    let (logits, labels) = (put(&gpu, logits), put(&gpu, labels));
    let training = Some((grad_logits.view_mut(), &mut losses));
    let views = [logits.view(), labels.view()];
    gpu.layers(&mut ()).loss(views, probabilities.view_mut(), training).expect("losses");
    let tally = gpu.layers(&mut ()).tally(&mut losses, batch).expect("a tally");
    (get(&gpu, &probabilities), get(&gpu, &grad_logits), tally.loss, tally.not_finite)
}

#[test]
fn losses_and_the_first_that_is_not_finite() {
    // More samples than are summed side by side.
    let logits: Vec<f64> = draw(700, 1).iter().map(|x| 4.0 * x).collect();
    let labels: Vec<f64> = (0..700).map(|i| f64::from(i % 3 == 0)).collect();
    let (probabilities, grads, loss, not_finite) = tally(&logits, &labels, &[]);
    let p: Vec<f64> = logits.iter().map(|&z: &f64| 1.0 / (1.0 + (-z).exp())).collect();
    assert_close("probabilities", &probabilities, &p);
    let want: Vec<f64> = p.iter().zip(&labels).map(|(p, y)| (p - y) / 700.0).collect();
    assert_close("gradients of logits", &grads, &want);
    let want: f64 = p.iter().zip(&labels).map(|(p, y)| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())).sum();
    assert!((loss - want).abs() < 1e-10 * want, "{loss}, not {want}");
    assert_eq!(not_finite, None);

    assert_eq!(tally(&logits, &labels, &[699, 300, 301]).3, Some(300));
    let mut some = logits;
    some[290] = f64::NAN;
    let (.., loss, not_finite) = tally(&some, &labels, &[300]);
    assert!(loss.is_nan());
    assert_eq!(not_finite, Some(290));
    // Logarithms have a floor.
    assert_eq!(tally(&[-1e9, 1e9], &[1.0, 0.0], &[]).2, 200.0);
}

#[test]
fn rules_are_those_of_the_core() {
    let (gpu, grads) = (Gpu::new(Emulator), draw(300, 1));
    for rule in [Rule::Sgd, Rule::Adagrad { eps: 1e-8 }, Rule::Adam { beta1: 0.9, beta2: 0.99, eps: 1e-8 }] {
        let update = Update { rule, core_lr_multiplier: 3.0, step: 2, ..Update::sgd(0.1) };
        let (mut want, planes) = (draw(300, 2), rule.state_per_parameter());
        let mut state = draw(300 * planes, 3).iter().map(|x| x + 1.0).collect::<Vec<f64>>();
        let (mut params, mut on_device) = (put(&gpu, &want), put(&gpu, &state));
        let gradients = put(&gpu, &grads);
        gpu.layers(&mut ())
            .update(params.view_mut(), on_device.view_mut(), gradients.view(), &update)
            .expect("an update");
        let (first, second) = state.split_at_mut(300.min(planes * 300));
        update.apply(update.lr, &mut want, &grads, [first, second]);
        assert_close("parameters", &get(&gpu, &params), &want);
        assert_close("state", &get(&gpu, &on_device), &state);
    }
}

#[test]
fn views_of_other_lengths_are_refused() {
    let gpu = Gpu::new(Emulator);
    let (one, mut out) = (put(&gpu, &[0.0]), put(&gpu, &[0.0]));
    let size = LayerSize { batch: 1, inputs: 1, outputs: 2 };
    let error =
        gpu.layers(&mut ()).forward(size, [one.view(); 3], true, out.view_mut(), None).expect_err("one weight of two");
    assert!(matches!(
        error,
        Error::Contract(ttcore::Error::Length { what: "weights of a layer", got: 1, want: 2, .. })
    ));
    let mut losses = gpu.losses(&mut (), 1).expect("memory");
    let error = gpu.layers(&mut ()).tally(&mut losses, 2).expect_err("two samples");
    assert!(matches!(error, Error::Contract(ttcore::Error::Capacity { got: 2, capacity: 1, .. })));
    let mut input = gpu.input(&mut (), 3).expect("memory");
    input.load(&gpu, &mut (), &[&[1.0], &[2.0, 3.0]]).expect("three numbers");
    input.load(&gpu, &mut (), &[&[4.0]]).expect("fewer");
    let mut values = [0.0; 3];
    gpu.download(&mut (), input.view(), &mut values).expect("a copy");
    assert_eq!(values, [4.0, 2.0, 3.0]);
    let error = input.load(&gpu, &mut (), &[&[0.0; 4]]).expect_err("four numbers");
    assert!(matches!(error, Error::Contract(ttcore::Error::Length { what: "input", got: 4, want: 3, .. })));
}
