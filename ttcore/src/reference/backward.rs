//! Gradients of unique rows, then of what holds them, then the sink.

use alloc::vec::Vec;
use core::ops::Range;

use super::group::{Lookup, TableGroup};
use super::{Reference, Saved, Scratch};
use crate::algebra;
use crate::backend::{Call, Sink, Version};
use crate::check;
use crate::error::Error;
use crate::optim::{CoreRule, Update};
use crate::real::Real;
use crate::table::Table;

pub(super) fn backward<F: Real>(
    call: Call<'_, Reference<F>>,
    version: Version,
    saved: &Saved<F>,
    sinks: Vec<Sink<'_, Reference<F>>>,
    grad_out: &[F],
    mut grad_weights: Option<&mut [F]>,
) -> Result<(), Error> {
    let Call { plan, group, scratch, .. } = call;
    saved.stamp.check(group.fingerprint, version)?;
    check::length("gradient of the output", None, grad_out.len(), group.rows * plan.stride())?;
    if let Some(grad_weights) = &grad_weights {
        let lookups = group.tables.iter().map(|table| table.lookups.len()).sum();
        check::length("gradient of the weights", None, grad_weights.len(), lookups)?;
    }
    for (t, (table, sink)) in plan.tables().iter().zip(&sinks).enumerate() {
        check_sink(t, table, sink)?;
    }

    let mut first_lookup = 0;
    for (t, sink) in sinks.into_iter().enumerate() {
        let (table, batch) = (&plan.tables()[t], &group.tables[t]);
        let dim = table.dim();
        let grad_bag = |lookup: &Lookup<F>| &grad_out[lookup.output..][..dim];

        if let Some(grad_weights) = grad_weights.as_deref_mut() {
            for (j, lookup) in batch.lookups.iter().enumerate() {
                let row = &saved.rows[t][lookup.unique * dim..][..dim];
                let dot: F = row.iter().zip(grad_bag(lookup)).map(|(&w, &g)| w * g).sum();
                grad_weights[first_lookup + j] = lookup.scale * dot;
            }
        }
        first_lookup += batch.lookups.len();
        if let Sink::Frozen { .. } = sink {
            continue;
        }

        let row_grads = &mut scratch.rows[..batch.unique.len() * dim];
        row_grads.fill(F::zero());
        for lookup in &batch.lookups {
            let row_grad = &mut row_grads[lookup.unique * dim..][..dim];
            for (d, &g) in row_grad.iter_mut().zip(grad_bag(lookup)) {
                *d += lookup.scale * lookup.weight * g;
            }
        }

        match sink {
            Sink::Accumulate { params, grads } => accumulate(table, batch, params, grads, scratch),
            Sink::Overwrite { params, grads } => {
                grads.fill(F::zero());
                accumulate(table, batch, params, grads, scratch);
            }
            Sink::Update { params, state, update } => apply(table, batch, params, state, update, scratch),
            Sink::Frozen { .. } => {}
        }
    }
    Ok(())
}

/// Adds the gradients of the unique rows to those of the table's parameters.
fn accumulate<F: Real>(table: &Table, batch: &TableGroup<F>, params: &[F], grads: &mut [F], scratch: &mut Scratch<F>) {
    add_core_grads(table, batch, params, &scratch.rows, &mut grads[..table.core_parameters()], &mut scratch.products);
    for (&address, row_grad) in batch.unique.iter().zip(scratch.rows.chunks_exact(table.dim())) {
        if let Some(range) = table.dense_row(address) {
            for (sum, &d) in grads[range].iter_mut().zip(row_grad) {
                *sum += d;
            }
        }
    }
}

/// Applies the rule once, to the gradient summed over the whole batch.
fn apply<F: Real>(
    table: &Table,
    batch: &TableGroup<F>,
    params: &mut [F],
    state: &mut [F],
    update: Update,
    scratch: &mut Scratch<F>,
) {
    let Scratch { products, rows: row_grads, cores, .. } = scratch;
    let core_grads = &mut cores[..table.core_parameters()];
    core_grads.fill(F::zero());
    add_core_grads(table, batch, params, row_grads, core_grads, products);
    let dim = table.dim();
    if let (CoreRule::AdagradNorm { eps }, Some(shape)) = (update.core_rule, table.cores()) {
        let mut step = |number: usize, block: Range<usize>, grads: &[F]| {
            CoreRule::adagrad_norm(eps, update.core_lr(), &mut params[block], grads, &mut state[number]);
        };
        for k in 0..shape.cores() {
            for i in 0..shape.row_factors()[k] {
                let slice = shape.slice_range(k, i);
                step(shape.slice_number(k, i), slice.clone(), &core_grads[slice]);
            }
        }
        for (&address, row_grad) in batch.unique.iter().zip(row_grads.chunks_exact(dim)) {
            if let Some(range) = table.dense_row(address) {
                step(shape.slices() + (address - table.core_rows()) as usize, range, row_grad);
            }
        }
        return;
    }
    apply_to(0..core_grads.len(), &update, update.core_lr(), params, core_grads, state);

    if update.rule.keeps_untouched() {
        for (&address, row_grad) in batch.unique.iter().zip(row_grads.chunks_exact(dim)) {
            if let Some(range) = table.dense_row(address) {
                apply_to(range, &update, update.lr, params, row_grad, state);
            }
        }
    } else {
        let zeros = alloc::vec![F::zero(); dim];
        for address in table.core_rows()..table.addresses() {
            let touched = batch.position.get(&address).map(|&unique| &row_grads[unique * dim..][..dim]);
            if let Some(range) = table.dense_row(address) {
                apply_to(range, &update, update.lr, params, touched.unwrap_or(&zeros), state);
            }
        }
    }
}

fn add_core_grads<F: Real>(
    table: &Table,
    batch: &TableGroup<F>,
    params: &[F],
    row_grads: &[F],
    core_grads: &mut [F],
    products: &mut [F],
) {
    let Some(shape) = table.cores() else { return };
    let cores = &params[..shape.parameters()];
    for (&address, row_grad) in batch.unique.iter().zip(row_grads.chunks_exact(table.dim())) {
        if table.dense_row(address).is_none() {
            algebra::row_backward(shape, cores, address, row_grad, core_grads, products);
        }
    }
}

/// Applies the rule to a range of the parameters, with the same range of each plane of the state.
fn apply_to<F: Real>(range: Range<usize>, update: &Update, lr: f64, params: &mut [F], grads: &[F], state: &mut [F]) {
    let parameters = params.len();
    let (first, second) = state.split_at_mut(parameters.min(state.len()));
    let planes = [first, second].map(|plane| plane.get_mut(range.clone()).unwrap_or_default());
    update.apply(lr, &mut params[range], grads, planes);
}

fn check_sink<F: Real>(t: usize, table: &Table, sink: &Sink<'_, Reference<F>>) -> Result<(), Error> {
    let parameters = table.parameters();
    match sink {
        Sink::Accumulate { params, grads } | Sink::Overwrite { params, grads } => {
            check::length("parameters", Some(t), params.len(), parameters)?;
            check::length("gradients", Some(t), grads.len(), parameters)
        }
        Sink::Update { params, state, update } => {
            check::length("parameters", Some(t), params.len(), parameters)?;
            check::length("optimiser state", Some(t), state.len(), update.state_layout(table).len())
        }
        Sink::Frozen { params } => check::length("parameters", Some(t), params.len(), parameters),
    }
}
