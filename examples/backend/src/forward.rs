//! `y_b = s_b sum_j a_j w_{row(j)}`.

use ttcore::backend::{Call, Expand};
use ttcore::{Error, Layout, Table, algebra, check};

use crate::{Scratch, View, ViewMut, Wide};

/// One row of a table.
pub(crate) fn row(table: &Table, params: &[f64], address: u64, row: &mut [f64], products: &mut [f64]) {
    match (table.dense_row(address), table.cores()) {
        (Some(range), _) => row.copy_from_slice(&params[range]),
        (None, Some(shape)) => algebra::row(shape, &params[..shape.parameters()], address, row, products),
        (None, None) => unreachable!("without cores every address is a dense row"),
    }
}

/// Where a bag of table `t` begins in an output of so many rows.
pub(crate) fn place(plan: &Layout, t: usize, rows: usize, bag: usize) -> usize {
    bag % rows * plan.stride() + plan.features()[t].columns()[bag / rows]
}

pub(crate) fn forward(call: Call<'_, Wide>, params: &[View<'_>], mut out: ViewMut<'_>) -> Result<(), Error> {
    let Call { plan, group, scratch, .. } = call;
    check::length("output", None, out.len(), group.bags * plan.stride())?;
    for (t, (table, params)) in plan.tables().iter().zip(params).enumerate() {
        check::length("parameters", Some(t), params.len(), table.parameters())?;
    }

    for (t, table) in plan.tables().iter().enumerate() {
        let params = params[t].read(&mut scratch.params);
        let (w, sum) = (&mut scratch.row[..table.dim()], &mut scratch.sum[..table.dim()]);
        let mut lookups = group.lookups[t].iter().peekable();
        for bag in 0..group.bags * plan.features()[t].count() {
            sum.fill(0.0);
            while let Some(lookup) = lookups.next_if(|lookup| lookup.bag == bag) {
                row(table, params, lookup.row, w, &mut scratch.products);
                sum.iter_mut().zip(&*w).for_each(|(y, w)| *y += lookup.scale * lookup.weight * w);
            }
            let column = place(plan, t, group.bags, bag);
            out.write(column..column + table.dim(), sum);
        }
    }
    Ok(())
}

pub(crate) fn expand_rows(
    plan: &Layout,
    scratch: &mut Scratch,
    wanted: Vec<Expand<'_, '_, Wide>>,
) -> Result<(), Error> {
    for Expand { table, params, rows, out } in &wanted {
        check::rows(plan, *table, rows)?;
        let shape = &plan.tables()[*table];
        check::length("parameters", Some(*table), params.len(), shape.parameters())?;
        check::length("expanded rows", Some(*table), out.len(), rows.len() * shape.dim())?;
    }
    for Expand { table, params, rows, mut out } in wanted {
        let table = &plan.tables()[table];
        let (params, w) = (params.read(&mut scratch.params), &mut scratch.row[..table.dim()]);
        for (number, &address) in rows.iter().enumerate() {
            row(table, params, address, w, &mut scratch.products);
            out.write(number * w.len()..(number + 1) * w.len(), w);
        }
    }
    Ok(())
}
