//! `y_b = s_b sum_j a_j w_{row(j)}`.

use super::{Reference, Saved, expand};
use crate::backend::{Call, Version};
use crate::check::{self, Stamp};
use crate::error::Error;
use crate::real::Real;

pub(super) fn forward<F: Real>(
    call: Call<'_, Reference<F>>,
    version: Version,
    params: &[&[F]],
    out: &mut [F],
    mut saved: Option<&mut Saved<F>>,
) -> Result<(), Error> {
    let Call { plan, group, scratch, .. } = call;
    check::length("output", None, out.len(), group.rows * plan.stride())?;
    for (t, (table, params)) in plan.tables().iter().zip(params).enumerate() {
        check::length("parameters", Some(t), params.len(), table.parameters())?;
    }

    for (t, table) in plan.tables().iter().enumerate() {
        let (batch, dim) = (&group.tables[t], table.dim());
        let rows = &mut scratch.rows[..batch.unique.len() * dim];
        for (&address, row) in batch.unique.iter().zip(rows.chunks_exact_mut(dim)) {
            expand(table, params[t], address, row, &mut scratch.products);
        }

        for &column in plan.features()[t].columns() {
            for row in 0..group.rows {
                out[row * plan.stride() + column..][..dim].fill(F::zero());
            }
        }
        for lookup in &batch.lookups {
            let row = &rows[lookup.unique * dim..][..dim];
            let pooled = &mut out[lookup.output..][..dim];
            for (y, &w) in pooled.iter_mut().zip(row) {
                *y += lookup.scale * lookup.weight * w;
            }
        }

        if let Some(saved) = saved.as_deref_mut() {
            saved.rows[t].clear();
            saved.rows[t].extend_from_slice(rows);
        }
    }
    if let Some(saved) = saved {
        saved.stamp = Stamp::new(group.fingerprint, version);
    }
    Ok(())
}
