//! Where optimiser state lies.

use core::ops::Range;

use crate::optim::{CoreRule, Rule};
use crate::table::Table;

/// Where the optimiser state of a table lies.
///
/// With [`CoreRule::ElementWise`] it is `[Rule::state_per_parameter][Table::parameters]`. A rule of slices has one number for
/// each slice, those of `G_1`, then of `G_2`, .., in front; behind them come the planes of the dense rows,
/// `[Rule::state_per_parameter][dense_rows N]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// Numbers of the slices.
    slices: usize,
    /// Planes behind them.
    planes: usize,
    /// Numbers of a plane.
    plane: usize,
    /// The first parameter that has a place in a plane.
    first: usize,
}

impl StateLayout {
    /// Of a table trained by these rules.
    pub fn new(table: &Table, rule: Rule, core_rule: CoreRule) -> Self {
        let (parameters, planes) = (table.parameters(), rule.state_per_parameter());
        match (core_rule, table.cores()) {
            (CoreRule::AdagradNorm { .. }, Some(shape)) => {
                let first = shape.parameters();
                Self { slices: shape.slices(), planes, plane: parameters - first, first }
            }
            _ => Self { slices: 0, planes, plane: parameters, first: 0 },
        }
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.slices + self.planes * self.plane
    }

    /// Whether the rules have no state.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers of the rule of slices: 0 without one.
    pub fn slices(&self) -> usize {
        self.slices
    }

    /// Where plane `plane` has the state of a range of the parameters; empty if there is no such plane. Parameters of cores
    /// have none where slices have a rule.
    ///
    /// # Panics
    ///
    /// If the range begins in cores that have none.
    pub fn plane(&self, plane: usize, parameters: Range<usize>) -> Range<usize> {
        if plane >= self.planes {
            return 0..0;
        }
        let start = self.slices + plane * self.plane;
        start + (parameters.start - self.first)..start + (parameters.end - self.first)
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
        assert_eq!((slices.slices(), slices.len()), (5, 5 + 2 * 2));
        assert_eq!([0, 1, 2].map(|plane| slices.plane(plane, cores..cores + 2)), [5..7, 7..9, 0..0]);
        assert!(StateLayout::new(&Table::dense(3, 2).unwrap(), Rule::Sgd, CoreRule::ADAGRAD_NORM).is_empty());
    }
}
