//! Gradients as long as the parameters, then the sink.

use std::ops::Range;

use ttcore::backend::{Call, Sink};
use ttcore::{CoreRule, Error, Table, TtShape, Update, algebra, check};

use crate::forward::{place, row};
use crate::{View, ViewMut, Wide};

pub(crate) fn backward(
    call: Call<'_, Wide>,
    sinks: Vec<Sink<'_, Wide>>,
    grad_out: View<'_>,
    mut grad_weights: Option<ViewMut<'_>>,
) -> Result<(), Error> {
    let Call { plan, group, scratch, .. } = call;
    check::length("gradient of the output", None, grad_out.len(), group.bags * plan.stride())?;
    if let Some(grad_weights) = &grad_weights {
        let lookups = group.lookups.iter().map(Vec::len).sum();
        check::length("gradient of the weights", None, grad_weights.len(), lookups)?;
    }
    for (t, (table, sink)) in plan.tables().iter().zip(&sinks).enumerate() {
        check_sink(t, table, sink)?;
    }

    let mut number = 0;
    for (t, sink) in sinks.into_iter().enumerate() {
        let table = &plan.tables()[t];
        let params = match &sink {
            Sink::Accumulate { params, .. } | Sink::Overwrite { params, .. } | Sink::Frozen { params } => *params,
            Sink::Update { params, .. } => params.as_view(),
        };
        let params = params.read(&mut scratch.params);
        let grads = &mut scratch.grads[..params.len()];
        let (w, grad_row) = (&mut scratch.row[..table.dim()], &mut scratch.sum[..table.dim()]);
        grads.fill(0.0);
        for lookup in &group.lookups[t] {
            let column = place(plan, t, group.bags, lookup.bag);
            View(&grad_out.0[column..][..table.dim()]).read(grad_row);
            if let Some(grad_weights) = &mut grad_weights {
                row(table, params, lookup.row, w, &mut scratch.products);
                let dot: f64 = w.iter().zip(&*grad_row).map(|(w, g)| w * g).sum();
                grad_weights.write(number..number + 1, &[lookup.scale * dot]);
            }
            number += 1;
            grad_row.iter_mut().for_each(|g| *g *= lookup.scale * lookup.weight);
            add(table, params, lookup.row, grad_row, grads, &mut scratch.products);
        }
        give(table, sink, params, grads, &mut scratch.state);
    }
    Ok(())
}

/// Adds the gradient of a row to those of the parameters that make it.
fn add(table: &Table, params: &[f64], address: u64, grad_row: &[f64], grads: &mut [f64], products: &mut [f64]) {
    match (table.dense_row(address), table.cores()) {
        (None, Some(shape)) => {
            let cores = 0..shape.parameters();
            algebra::row_backward(shape, &params[cores.clone()], address, grad_row, &mut grads[cores], products);
        }
        (range, _) => {
            grads[range.unwrap_or_default()].iter_mut().zip(grad_row).for_each(|(sum, g)| *sum += g);
        }
    }
}

/// Does with the gradients what the sink wants. `params` are its own, as they are read.
fn give(table: &Table, sink: Sink<'_, Wide>, params: &mut [f64], grads: &[f64], room: &mut [f64]) {
    match sink {
        Sink::Accumulate { grads: mut sums, .. } => {
            // The parameters are not needed any more.
            let sum = sums.as_view().read(params);
            // What has no gradient stays as it is, to the sign of a zero.
            sum.iter_mut().zip(grads).filter(|(_, g)| **g != 0.0).for_each(|(sum, g)| *sum += g);
            sums.write(0..grads.len(), sum);
        }
        Sink::Overwrite { grads: mut view, .. } => view.write(0..grads.len(), grads),
        Sink::Update { params: mut view, state: mut state_view, update } => {
            let state = state_view.as_view().read(room);
            step(table, &update, params, grads, state);
            view.write(0..params.len(), params);
            state_view.write(0..state.len(), state);
        }
        Sink::Frozen { .. } => {}
    }
}

/// One step of all parameters: where a gradient is zero nothing happens, or what the rule says of zero.
fn step(table: &Table, update: &Update, params: &mut [f64], grads: &[f64], state: &mut [f64]) {
    if let (CoreRule::AdagradNorm { eps }, Some(shape)) = (update.core_rule, table.cores()) {
        for (number, block) in blocks(table, shape).enumerate() {
            let grads = &grads[block.clone()];
            CoreRule::adagrad_norm(eps, update.core_lr(), &mut params[block], grads, &mut state[number]);
        }
        return;
    }
    let (cores, all) = (table.core_parameters(), params.len());
    let (first, second) = state.split_at_mut(all.min(state.len()));
    for (range, lr) in [(0..cores, update.core_lr()), (cores..all, update.lr)] {
        let planes = [&mut *first, &mut *second].map(|plane| plane.get_mut(range.clone()).unwrap_or_default());
        update.apply(lr, &mut params[range.clone()], &grads[range], planes);
    }
}

/// Slices of the cores, then dense rows: what a rule of blocks keeps a number for, in order.
fn blocks<'t>(table: &'t Table, shape: &'t TtShape) -> impl Iterator<Item = Range<usize>> + 't {
    let slices =
        (0..shape.cores()).flat_map(move |k| (0..shape.row_factors()[k]).map(move |i| shape.slice_range(k, i)));
    slices.chain((table.core_rows()..table.addresses()).filter_map(|address| table.dense_row(address)))
}

fn check_sink(t: usize, table: &Table, sink: &Sink<'_, Wide>) -> Result<(), Error> {
    let parameters = table.parameters();
    let params = match sink {
        Sink::Accumulate { params, .. } | Sink::Overwrite { params, .. } | Sink::Frozen { params } => params.len(),
        Sink::Update { params, .. } => params.len(),
    };
    check::length("parameters", Some(t), params, parameters)?;
    match sink {
        Sink::Accumulate { grads, .. } | Sink::Overwrite { grads, .. } => {
            check::length("gradients", Some(t), grads.len(), parameters)
        }
        Sink::Update { state, update, .. } => {
            check::length("optimiser state", Some(t), state.len(), update.state_layout(table).len())
        }
        Sink::Frozen { .. } => Ok(()),
    }
}
