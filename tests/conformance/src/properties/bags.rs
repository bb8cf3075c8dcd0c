//! What pooling promises: batches that mean the same give the same.

use rand_core::Rng;
use ttcore::{Backend, Features, KeptLookups, Offsets, Pooling, Real, Skip, Table};

use crate::batch::{Batch, Form, IndexType};
use crate::case::{self, Case};
use crate::device::Device;
use crate::harness::Harness;
use crate::oracle;
use crate::runner::check;
use crate::tolerance::{Expected, assert_close, assert_same};

/// The output and the gradients of the parameters of all tables.
fn both<B: Backend>(device: &Device<B>, case: &Case, grad_out: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let params = case.params();
    let mut harness = Harness::of(device, case);
    let out = harness.forward(&params, case.bags());
    (out, harness.grads(&params, grad_out).concat())
}

/// That `case` and `other` have the same output and gradients, with the rounding of `case`.
#[track_caller]
fn assert_alike<B: Backend>(device: &Device<B>, case: &Case, other: &Case) {
    let (params, grad_out) = (case.params(), case.grad_out());
    let ((out, grads), (other_out, other_grads)) = (both(device, case, &grad_out), both(device, other, &grad_out));
    let want = Expected { value: out, ..oracle::forward(case, &params) };
    assert_close::<B::Float>("output", &other_out, &want, case.terms());
    let scale = oracle::backward(case, &params, &grad_out).params.into_iter().flat_map(|part| part.scale).collect();
    assert_close::<B::Float>("gradients", &other_grads, &Expected { value: grads, scale }, case.terms());
}

/// The case with every batch changed.
fn map(case: &Case, change: impl FnMut(&Batch) -> Batch) -> Case {
    case.with_batches(case.batches.iter().map(change).collect())
}

/// The case with the bags `(row, weight)` of every feature changed, all to the same number.
fn map_features(case: &Case, change: impl Fn(&[Vec<(i64, f64)>]) -> Vec<Vec<(i64, f64)>>) -> Case {
    let features = case.layout.features().iter().map(Features::count);
    let of_table = |(batch, features): (&Batch, usize)| {
        let (bags, each) = (batch.unbagged(), batch.bags() / features);
        let of_feature = |f: usize| change(&bags[f * each..(f + 1) * each]);
        batch.rebagged(&(0..features).flat_map(of_feature).collect::<Vec<_>>())
    };
    case.with_batches(case.batches.iter().zip(features).map(of_table).collect())
}

/// The order of lookups in a bag does not matter.
pub fn a_permuted_bag_is_the_same_bag<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let mut rng = case::rng(case.seed, 3);
        let permuted = map(&case, |batch| {
            let mut bags = batch.unbagged();
            for bag in &mut bags {
                bag.sort_by_cached_key(|_| rng.next_u64());
            }
            batch.rebagged(&bags)
        });
        assert_alike(device, &case, &permuted);
    });
}

/// A row twice in a bag is the row once, with the sum of the weights.
pub fn a_duplicate_is_a_weight<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let sums = map(&case, |batch| batch.pooled(Pooling::Sum));
        let merged = map(&sums, |batch| {
            let mut bags = batch.unbagged();
            for bag in &mut bags {
                bag.sort_by_key(|lookup| lookup.0);
                bag.dedup_by(|next, first| {
                    let same = next.0 == first.0;
                    first.1 += if same { next.1 } else { 0.0 };
                    same
                });
            }
            batch.rebagged(&bags)
        });
        assert_alike(device, &sums, &merged);
    });
}

/// Two bags in one have the sum of their outputs, and the gradients of two bags with the same output gradient.
pub fn merged_bags_add_up<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        // An odd bag stays alone.
        let halves = map(&case, |batch| batch.pooled(Pooling::Sum));
        let merged = map_features(&halves, |bags| bags.chunks(2).map(<[_]>::concat).collect());
        let stride = case.layout.stride();
        let merged_grad = merged.grad_out();
        let halves_grad: Vec<f64> =
            (0..case.bags()).flat_map(|b| &merged_grad[b / 2 * stride..][..stride]).copied().collect();
        let (out, grads) = both(device, &halves, &halves_grad);
        let (merged_out, merged_grads) = both(device, &merged, &merged_grad);
        let expected = oracle::forward(&halves, &case.params());
        let mut want = Expected { value: vec![0.0; merged_out.len()], scale: vec![0.0; merged_out.len()] };
        for t in 0..case.batches.len() {
            for b in 0..case.batches[t].bags() {
                let (feature, row) = (b / case.bags(), b % case.bags());
                for (to, from) in merged.pooled(t, feature * merged.bags() + row / 2).zip(case.pooled(t, b)) {
                    want.value[to] += out[from];
                    want.scale[to] += expected.scale[from];
                }
            }
        }
        // Columns of no table hold no sum.
        for (want, &got) in want.value.iter_mut().zip(&merged_out).filter(|(_, got)| **got == oracle::UNWRITTEN) {
            *want = got;
        }
        assert_close::<B::Float>("merged output", &merged_out, &want, case.terms());
        let gradients = oracle::backward(&halves, &case.params(), &halves_grad);
        let scale = gradients.params.into_iter().flat_map(|part| part.scale).collect();
        assert_close::<B::Float>("merged gradients", &merged_grads, &Expected { value: grads, scale }, case.terms());
    });
}

/// A mean is the sum divided by the number of lookups, weights or not, and so are its gradients.
pub fn a_mean_is_a_sum_over_a_count<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let [sums, means] = [Pooling::Sum, Pooling::Mean].map(|pooling| map(&case, |batch| batch.pooled(pooling)));
        // Multiplying the output gradient of a mean by the count, an exact small number, undoes the division.
        let grad_out = case.grad_out();
        let (mut counts, mut multiplied) = (vec![1.0; case.outputs()], grad_out.clone());
        for (t, batch) in case.batches.iter().enumerate() {
            for b in 0..batch.bags() {
                counts[case.pooled(t, b)].fill(batch.bag(b).len().max(1) as f64);
            }
        }
        multiplied.iter_mut().zip(&counts).for_each(|(g, count)| *g *= count);
        let (sum_out, sum_grads) = both(device, &sums, &grad_out);
        let (mean_out, mean_grads) = both(device, &means, &multiplied);
        let want = Expected {
            value: sum_out.iter().zip(&counts).map(|(y, count)| y / count).collect(),
            scale: oracle::forward(&means, &case.params()).scale,
        };
        assert_close::<B::Float>("mean", &mean_out, &want, case.terms());
        let gradients = oracle::backward(&sums, &case.params(), &grad_out);
        let scale = gradients.params.into_iter().flat_map(|part| part.scale).collect();
        let want = Expected { value: sum_grads, scale };
        assert_close::<B::Float>("gradients of a mean", &mean_grads, &want, case.terms());
    });
}

/// Weights of 1 are no weights, also for the gradient of the weights.
pub fn weights_of_one_are_no_weights<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let without = map(&case, |batch| Batch { weights: None, ..batch.clone() });
        let with = map(&case, |batch| batch.weighted(vec![1.0; batch.lookups()]));
        assert_alike(device, &without, &with);
        let (params, grad_out) = (case.params(), case.grad_out());
        let scale = oracle::backward(&without, &params, &grad_out).weights.scale;
        let [value, got] = [without, with].map(|case| {
            let mut harness = Harness::of(device, &case);
            harness.forward(&params, case.bags());
            harness.weight_grads(&params, &grad_out, scale.len())
        });
        assert_close::<B::Float>("gradient of the weights", &got, &Expected { value, scale }, case.terms());
    });
}

/// All types of integers and all forms of offsets describe the same batch: the same bits come out.
pub fn every_form_of_a_batch_is_the_same_batch<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let grad_out = case.grad_out();
        let (out, grads) = both(device, &case, &grad_out);
        let types = IndexType::ALL.iter().flat_map(|index| IndexType::ALL.iter().map(move |offset| (*index, *offset)));
        for ((index_type, offset_type), form) in types.zip(Form::ANY.into_iter().cycle()) {
            let other = map(&case, |batch| Batch { index_type, offset_type, form, ..batch.clone() });
            let (other_out, other_grads) = both(device, &other, &grad_out);
            assert_same("output", &other_out, &out);
            assert_same("gradients", &other_grads, &grads);
        }
    });
}

/// Bags of one lookup are the same with offsets and without: the same bits come out.
pub fn one_lookup_a_bag_needs_no_offsets<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        // Every bag's first lookup; an empty bag's is the first row.
        let features = case.layout.features().iter().map(Features::count).max().unwrap_or(1);
        let bags = case.bags().min(case.layout.lookups() / features);
        let first = |bag: &Vec<(i64, f64)>| vec![bag.first().copied().unwrap_or((0, 0.5))];
        let alone = map_features(&case, |all| all.iter().take(bags).map(first).collect());
        let without = map(&alone, |batch| Batch { form: Form::OnePerBag, ..batch.clone() });
        let grad_out = alone.grad_out();
        let ((out, grads), (other_out, other_grads)) =
            (both(device, &alone, &grad_out), both(device, &without, &grad_out));
        assert_same("output", &other_out, &out);
        assert_same("gradients", &other_grads, &grads);
    });
}

/// Bags without lookups are zeros and have no gradients; a batch may have no bags at all.
pub fn empty_bags_are_zeros<B: Backend>(device: &Device<B>) {
    check((case::cases(), 0..=3usize), |(case, bags)| {
        let bags = bags.min(case.bags());
        let empty = map_features(&case, |_| vec![Vec::new(); bags]);
        let (out, grads) = both(device, &empty, &empty.grad_out());
        assert_same("output", &out, &oracle::forward(&empty, &case.params()).value);
        assert!(grads.iter().all(|&g| g == 0.0), "no lookup, no gradient");
    });
}

/// Lookups that are skipped count for nothing: the same bits come out as without them, and their weights have no gradient.
pub fn skipped_lookups_count_for_nothing<B: Backend>(device: &Device<B>) {
    check(case::cases(), |case| {
        let (params, grad_out) = (case.params(), case.grad_out());
        let case = map(&case, |batch| batch.weighted((0..batch.lookups()).map(|j| batch.weight(j)).collect()));
        let mut harness = Harness::of(device, &case);
        let out = harness.forward(&params, case.bags());
        let grads = harness.grads(&params, &grad_out).concat();
        let lookups = case.batches.iter().map(Batch::lookups).sum();
        let mut weight_grads = harness.weight_grads(&params, &grad_out, lookups);

        // Before, between and behind the lookups of the case: a number that is no row, or negative ones.
        let mut rng = case::rng(case.seed, 4);
        let padding = case.layout.tables().iter().map(Table::addresses).max().unwrap_or(0);
        let skip = Skip::default().with_padding(padding).with_negative();
        let mut put = |bag: Vec<(i64, f64)>| {
            let mut padded = Vec::new();
            for lookup in bag.into_iter().map(Some).chain([None]) {
                let before = rng.next_u64() % 3;
                padded.extend((0..before).map(|k| (if k == 0 { padding as i64 } else { -(k as i64) }, 2.0)));
                padded.extend(lookup);
            }
            padded
        };
        let padded =
            map(&case, |batch| batch.rebagged(&batch.unbagged().into_iter().map(&mut put).collect::<Vec<_>>()));
        let mut kept: Vec<KeptLookups<B::Float>> = padded.batches.iter().map(|_| KeptLookups::default()).collect();
        let weights = |batch: &Batch| (0..batch.lookups()).map(|j| B::Float::of(batch.weight(j))).collect::<Vec<_>>();
        let all = kept.iter_mut().zip(&padded.batches).zip(case.layout.tables());
        let bags: Vec<_> = all
            .map(|((kept, batch), table)| {
                let offsets = Offsets::WithLast(&batch.offsets);
                let (rows, pooling) = (table.addresses(), batch.pooling);
                kept.fill(skip, rows, &batch.indices, offsets, pooling, Some(&weights(batch))).expect("bags")
            })
            .collect();
        let mut other = Harness::new(device, &case.layout);
        other.try_group(bags).expect("group");
        assert_same("output", &other.forward(&params, case.bags()), &out);
        assert_same("gradients", &other.grads(&params, &grad_out).concat(), &grads);
        let other_weight_grads = other.weight_grads(&params, &grad_out, lookups);
        assert_same("gradient of the weights", &other_weight_grads, &weight_grads);

        for (kept, batch) in kept.iter().zip(&padded.batches) {
            let rest = weight_grads.split_off(kept.positions().len());
            let grads: Vec<_> = weight_grads.iter().map(|&g| B::Float::of(g)).collect();
            let mut spread = vec![B::Float::of(f64::NAN); batch.lookups()];
            kept.spread(&grads, &mut spread).expect("numbers of all lookups");
            let mut grads = grads.into_iter();
            for (&index, got) in batch.indices.iter().zip(spread) {
                let skipped = index < 0 || index == padding as i64;
                assert_eq!(Some(got), if skipped { Some(B::Float::of(0.0)) } else { grads.next() });
            }
            weight_grads = rest;
        }
    });
}
