//! Where optimiser state lies.

use core::ops::Range;

use crate::optim::{CoreRule, Rule};
use crate::table::Table;

/// Where the optimiser state of a table lies.
///
/// With [`CoreRule::ElementWise`], and for a table without cores, it is `[Rule::state_per_parameter][Table::parameters]`. A
/// rule of blocks has one number for each: for each slice of `G_1`, then of `G_2`, .., then for each dense row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// Slices that have a number each, and dense rows that do.
    blocks: [usize; 2],
    /// Planes.
    planes: usize,
    /// Numbers of a plane.
    plane: usize,
}

impl StateLayout {
    /// Of a table trained by these rules.
    pub fn new(table: &Table, rule: Rule, core_rule: CoreRule) -> Self {
        match (core_rule, table.cores()) {
            (CoreRule::AdagradNorm { .. }, Some(shape)) => {
                Self { blocks: [shape.slices(), table.dense_rows() as usize], planes: 0, plane: 0 }
            }
            _ => Self { blocks: [0, 0], planes: rule.state_per_parameter(), plane: table.parameters() },
        }
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.slices() + self.rows() + self.planes * self.plane
    }

    /// Whether the rules have no state.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers of slices, in front: 0 without a rule of blocks.
    pub fn slices(&self) -> usize {
        self.blocks[0]
    }

    /// Numbers of dense rows, behind those of slices: 0 without a rule of blocks.
    pub fn rows(&self) -> usize {
        self.blocks[1]
    }

    /// Planes of a rule of elements.
    pub fn planes(&self) -> usize {
        self.planes
    }

    /// Where plane `plane` has the state of a range of the parameters; empty if there is no such plane.
    pub fn plane(&self, plane: usize, parameters: Range<usize>) -> Range<usize> {
        if plane >= self.planes {
            return 0..0;
        }
        let start = plane * self.plane;
        start + parameters.start..start + parameters.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_state_lies() {
        let shape = crate::TtShape::with_rank(6, &[2, 3], &[1, 2], 2).unwrap();
        let table = Table::cached(shape, 1).unwrap();
        let cores = table.core_parameters();
        let rule = Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        let whole = StateLayout::new(&table, rule, CoreRule::ElementWise);
        assert_eq!((whole.len(), whole.plane(1, 3..4)), (2 * (cores + 2), cores + 5..cores + 6));
        let slices = StateLayout::new(&table, rule, CoreRule::ADAGRAD_NORM);
        assert_eq!((slices.slices(), slices.rows(), slices.len()), (5, 1, 6));
        assert_eq!((slices.planes(), slices.plane(0, cores..cores + 2)), (0, 0..0));
        assert!(StateLayout::new(&Table::dense(3, 2).unwrap(), Rule::Sgd, CoreRule::ADAGRAD_NORM).is_empty());
    }
}
