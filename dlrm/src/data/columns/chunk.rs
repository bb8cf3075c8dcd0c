//! Some rows of a file, column by column: labels, numbers and the keys of categories.

use super::cell::{Cell, CellError, CellFault, Wanted};
use super::schema::Schema;

/// A row of any file.
pub(super) trait Row {
    /// The value of a wanted column.
    ///
    /// # Errors
    ///
    /// [`CellFault::List`] if it is a list.
    fn cell(&self, column: usize) -> Result<Cell<'_>, CellFault>;

    /// The values of a list, in order; those that are missing are none.
    fn list(
        &self,
        column: usize,
        separator: u8,
        each: &mut dyn FnMut(Cell<'_>) -> Result<(), CellFault>,
    ) -> Result<(), CellFault>;
}

/// Some rows.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// 0 or 1, `[rows]`.
    pub(super) labels: Vec<bool>,
    /// What rows are for, 0 to 2, `[rows]`; nothing where the schema does not say.
    pub(super) parts: Vec<u8>,
    /// `[rows][dense]`
    pub(super) dense: Vec<f32>,
    pub(super) features: Vec<Values>,
    /// What is wrong with other rows, each with the number of rows before it here.
    pub(super) bad: Vec<(usize, CellError)>,
    /// Values of lists that are longer than they may be.
    pub(super) cut: u64,
    text: String,
}

/// The values of a categorical feature.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) keys: Vec<u64>,
    /// Their indices, once they are numbered; of lists without those that have none.
    pub(super) indices: Vec<u32>,
    /// Where the values of each row end, `[rows]`; nothing where each has one.
    pub(super) ends: Vec<u32>,
    /// One for each key, or nothing.
    pub(super) weights: Vec<f32>,
}

impl Chunk {
    pub(super) fn rows(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn clear(&mut self, schema: &Schema) {
        self.labels.clear();
        self.parts.clear();
        self.dense.clear();
        self.bad.clear();
        self.cut = 0;
        self.features.resize_with(schema.categorical.len(), Values::default);
        for values in &mut self.features {
            values.keys.clear();
            values.indices.clear();
            values.ends.clear();
            values.weights.clear();
        }
    }

    /// Appends a row, number `row` from 1, or what is wrong with it.
    pub(super) fn push(&mut self, schema: &Schema, wanted: &Wanted, row: u64, cells: &impl Row) {
        let rows = self.rows();
        let (dense, parts, cut) = (self.dense.len(), self.parts.len(), self.cut);
        if let Err((column, fault)) = self.try_push(schema, wanted, cells) {
            self.labels.truncate(rows);
            self.parts.truncate(parts);
            self.dense.truncate(dense);
            self.cut = cut;
            for (values, column) in self.features.iter_mut().zip(&schema.categorical) {
                values.ends.truncate(rows);
                let keys =
                    if column.pooling.is_some() { values.ends.last().map_or(0, |&end| end as usize) } else { rows };
                values.keys.truncate(keys);
                values.weights.truncate(keys);
            }
            self.fail(row, column.map_or_else(String::new, |column| wanted.names[column].clone()), fault);
        }
    }

    /// Takes note of a row that cannot be used.
    pub(super) fn fail(&mut self, row: u64, column: String, fault: CellFault) {
        self.bad.push((self.rows(), CellError { row, column, fault }));
    }

    fn try_push(
        &mut self,
        schema: &Schema,
        wanted: &Wanted,
        cells: &impl Row,
    ) -> Result<(), (Option<usize>, CellFault)> {
        let at = |column: usize| move |fault: CellFault| (Some(column), fault);
        let cell = |column: usize| cells.cell(column).map_err(at(column));
        let mut positive = false;
        if let Some(column) = wanted.label {
            positive = cell(column)?.label().map_err(at(column))?;
        }
        if let Some(column) = wanted.split {
            self.parts.push(cell(column)?.part().map_err(at(column))?);
        }
        for (column, number) in wanted.dense.clone().zip(&schema.dense) {
            let value = cell(column)?.dense(number.transform, number.missing).map_err(at(column))?;
            self.dense.push(value);
        }
        if schema.dense.is_empty() {
            // A model has at least one dense feature; where there is none, it says nothing.
            self.dense.push(0.0);
        }
        for ((&(column, weights), feature), values) in
            wanted.categorical.iter().zip(&schema.categorical).zip(&mut self.features)
        {
            if feature.pooling.is_none() {
                values.keys.push(cell(column)?.key(&mut self.text));
                continue;
            }
            let separator = feature.separator.unwrap_or(super::schema::Categorical::SEPARATOR) as u8;
            let start = values.keys.len();
            let most = feature.max_values.map_or(usize::MAX, |most| most.get() as usize);
            let Values { keys, ends, weights: all_weights, .. } = values;
            let (text, cut) = (&mut self.text, &mut self.cut);
            let mut count = 0;
            let each = &mut |value: Cell<'_>| {
                count += 1;
                if keys.len() - start < most {
                    keys.push(value.key(text));
                } else {
                    *cut += 1;
                }
                Ok(())
            };
            cells.list(column, separator, each).map_err(at(column))?;
            if let Some(weights) = weights {
                let mut got = 0;
                let each = &mut |value: Cell<'_>| {
                    got += 1;
                    if got <= most {
                        let weight = value.number()?.map(|weight| weight as f32).filter(|weight| weight.is_finite());
                        all_weights
                            .push(weight.ok_or_else(|| CellFault::Number("a missing or infinite weight".to_owned()))?);
                    }
                    Ok(())
                };
                cells.list(weights, separator, each).map_err(at(weights))?;
                if got != count {
                    return Err((Some(weights), CellFault::Weights { got, want: count }));
                }
            }
            // Rows are read by some thousands.
            ends.push(keys.len() as u32);
        }
        self.labels.push(positive);
        Ok(())
    }
}
