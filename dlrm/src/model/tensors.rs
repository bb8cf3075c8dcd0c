//! The tensors that an embedding table is, by their names in a checkpoint.

use std::ops::Range;

use ttcore::TableConfig;

/// One tensor of a table.
pub(crate) struct TableTensor {
    /// Behind `tables.N.`: `core.0`, `rows.state.0`.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Whether it is optimiser state, not parameters.
    pub(crate) state: bool,
    /// Where it lies among the table's parameters or state.
    pub(crate) range: Range<usize>,
}

/// All tensors of a table: parameters, then state.
pub(crate) fn table_tensors(config: &TableConfig) -> Vec<TableTensor> {
    let (table, layout) = (config.table(), config.state_layout());
    let mut tensors = Vec::new();
    // Under a rule of blocks, how many each part has, and where their numbers begin.
    let mut blocks = Vec::new();
    if let Some(shape) = table.cores() {
        let (m, n, r) = (shape.row_factors(), shape.col_factors(), shape.ranks());
        for k in 0..shape.cores() {
            let (name, shape_of_core) = (format!("core.{k}"), vec![m[k], r[k], n[k], r[k + 1]]);
            tensors.push(TableTensor { name, shape: shape_of_core, state: false, range: shape.core_range(k) });
            blocks.push((m[k], shape.slice_number(k, 0)));
        }
    }
    let rows = table.dense_rows() as usize;
    if rows > 0 {
        let name = if config.cache_slots() > 0 { "cache.values" } else { "rows" }.to_owned();
        let range = table.core_parameters()..table.parameters();
        tensors.push(TableTensor { name, shape: vec![rows, table.dim()], state: false, range });
        blocks.push((rows, layout.slices()));
    }
    let parts = tensors.len();
    if layout.slices() > 0 {
        for (part, (count, start)) in blocks.into_iter().enumerate() {
            let name = format!("{}.state.0", tensors[part].name);
            tensors.push(TableTensor { name, shape: vec![count], state: true, range: start..start + count });
        }
    }
    for plane in 0..layout.planes() {
        for part in 0..parts {
            let TableTensor { name, shape, range, .. } = &tensors[part];
            let (name, shape, range) =
                (format!("{name}.state.{plane}"), shape.clone(), layout.plane(plane, range.clone()));
            tensors.push(TableTensor { name, shape, state: true, range });
        }
    }
    tensors
}
