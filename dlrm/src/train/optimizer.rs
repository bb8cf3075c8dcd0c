//! The update rule of a run.

use serde::{Deserialize, Serialize};
use ttcore::Rule;

/// The update rule of all parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd,
    /// Adagrad, element-wise.
    Adagrad {
        /// Added to the root.
        eps: f64,
    },
}

impl From<Optimizer> for Rule {
    fn from(optimizer: Optimizer) -> Self {
        match optimizer {
            Optimizer::Sgd => Self::Sgd,
            Optimizer::Adagrad { eps } => Self::Adagrad { eps },
        }
    }
}
