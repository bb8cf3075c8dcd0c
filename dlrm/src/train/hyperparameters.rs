//! What is trained, and how: with everything decided.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ttcore::Rule;
use ttcore::cache::Schedule;

use super::error::TrainError;
use super::optimizer::Optimizer;
use super::schedule::LrPolicy;
use super::tables::TableSettings;
use crate::model::{CrossSize, Feature, ModelConfig, width};

/// Everything the state of a run after some iterations depends on, beside the data.
///
/// Not how long it goes on, how often it is evaluated, or on how many threads. It is part of a checkpoint: the model can
/// be made from it alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hyperparameters {
    /// Embedding dimension, `N`.
    pub dim: usize,
    /// Layer sizes of the bottom MLP.
    pub bottom: Vec<usize>,
    /// Layer sizes of the top MLP behind the interaction.
    pub top: Vec<usize>,
    /// The embedding tables, in order of the features.
    pub tables: Vec<TableSettings>,
    /// The most categories of a sample for each table; nothing where every sample has exactly one of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub longest: Vec<u32>,
    /// The cross network in the place of the dot products, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossSize>,
    /// Samples in a batch.
    pub batch_size: usize,
    /// The update rule.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub lr: LrPolicy,
    /// When caches are refreshed; none where no table has one.
    pub cache: Option<CacheSchedule>,
    /// All random draws come from it.
    pub seed: u64,
}

/// When caches are refreshed: see [`ttcore::cache::Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSchedule {
    /// Iterations before the first refresh.
    pub warmup: u64,
    /// Iterations from one to the next; 0 for no more than the first.
    pub every: u64,
}

/// A setting that two runs do not share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name, as in a checkpoint: `lr.base`, `tables[3].ranks[1]`.
    pub setting: String,
    /// Its value in the first.
    pub first: String,
    /// Its value in the second.
    pub second: String,
}

impl CacheSchedule {
    /// Whether caches are refreshed after this many iterations.
    pub fn due(&self, iterations: u64) -> bool {
        Schedule::new(self.warmup, self.every).due(iterations)
    }
}

impl Hyperparameters {
    /// The model.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for tables or layers that cannot be made or do not fit together, or a number out of range.
    pub fn model(&self) -> Result<ModelConfig, TrainError> {
        self.check()?;
        let rule: Rule = self.optimizer.into();
        let table =
            |(number, table): (usize, &TableSettings)| table.config(self.dim, rule).map_err(TrainError::table(number));
        let tables = self.tables.iter().enumerate().map(table).collect::<Result<Vec<_>, _>>()?;
        let top = [&[width(self.dim, tables.len(), self.cross)], &self.top[..]].concat();
        let longest = self.longest.iter().copied().chain(std::iter::repeat(1));
        let features = self.tables.iter().zip(longest);
        let features = features.map(|(table, longest)| Feature { longest, ..table.feature() }).collect();
        let mlps = (self.bottom.clone(), top);
        let config = ModelConfig::with_interaction(self.dim, mlps, tables, features, self.cross)?;
        Ok(config.with_rule(rule))
    }

    /// That samples of so many dense features fit, and every category has its row: `categories` are those of each feature, and
    /// `longest` the most of a sample.
    ///
    /// # Errors
    ///
    /// [`TrainError::Features`] for another number of features, [`TrainError::Data`] for a table with fewer rows.
    pub fn check_features(&self, dense: usize, categories: &[u64], longest: &[u32]) -> Result<(), TrainError> {
        let first = self.bottom.first().copied().unwrap_or_default();
        for (what, model, data) in
            [("dense features", first, dense), ("categorical features", self.tables.len(), categories.len())]
        {
            if model != data {
                return Err(TrainError::Features { what, model, data });
            }
        }
        let most = self.longest.iter().copied().chain(std::iter::repeat(1));
        if let Some((table, (&data, model))) =
            longest.iter().zip(most).enumerate().find(|(_, (data, most))| *data > most)
        {
            return Err(TrainError::Lists { table, model, data });
        }
        let pairs = categories.iter().zip(&self.tables).enumerate();
        for (table, (&categories, settings)) in pairs {
            if categories > settings.rows() {
                return Err(TrainError::Data { table, categories, rows: settings.rows() });
            }
        }
        Ok(())
    }

    /// That all numbers are in range: those of a checkpoint may be any.
    fn check(&self) -> Result<(), TrainError> {
        let setting = |name, must| Err(TrainError::Setting { name, must });
        if self.batch_size == 0 {
            return setting("batch size", "be at least 1");
        }
        if !self.longest.is_empty() && self.longest.len() != self.tables.len() {
            return setting("number of longest lists", "be that of the tables");
        }
        if self.tables.is_empty() {
            return setting("number of tables", "be at least 1");
        }
        let eps = match self.optimizer {
            Optimizer::Sgd => 0.0,
            Optimizer::Adagrad { eps } => eps,
        };
        let multipliers = self.tables.iter().map(|table| ("learning rate multiplier", table.lr_multiplier()));
        for (name, value) in [("learning rate", self.lr.base), ("eps of Adagrad", eps)].into_iter().chain(multipliers) {
            if !(value.is_finite() && value >= 0.0) {
                return setting(name, "be a number that is not negative");
            }
        }
        Ok(())
    }

    /// The first setting that differs from another run's.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        // Of plain data, which always has a JSON form.
        let value = |settings: &Self| serde_json::to_value(settings).unwrap_or_default();
        first_difference("", &value(self), &value(other))
    }
}

fn first_difference(path: &str, first: &Value, second: &Value) -> Option<Difference> {
    let inside = match (first, second) {
        // Of all settings, those that only one of them has differ by their names.
        (Value::Object(a), Value::Object(b)) if path.is_empty() || a.keys().eq(b.keys()) => {
            let child = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let value = |of: &Map<String, Value>, key: &str| of.get(key).cloned().unwrap_or_default();
            let mut keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            return keys.find_map(|key| first_difference(&child(key), &value(a, key), &value(b, key)));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            return pairs.find_map(|(i, (a, b))| first_difference(&format!("{path}[{i}]"), a, b));
        }
        (first, second) => first != second,
    };
    let difference = || Difference { setting: path.to_owned(), first: first.to_string(), second: second.to_string() };
    inside.then(difference)
}
