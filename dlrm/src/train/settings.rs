//! What is trained, and how: as it is asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::optimizer::Optimizer;
use super::schedule::LrPolicy;
use super::table_file::TableOverride;
use super::tables::{CoreRuleName, InitName, RowInit, ScaleName};
use crate::budget::Method;
use crate::data::{DENSE, Dataset};
use crate::model::CrossSize;
use crate::presets::Preset;

/// Which tables are in TT form, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TtSettings {
    /// How many of the largest tables; those that would not get smaller by [`TtSettings::min_ratio`] stay dense.
    pub tables: usize,
    /// How many times smaller a table must get, cached rows included, and in training with optimiser state and counters too.
    pub min_ratio: f64,
    /// Their TT-rank.
    pub rank: usize,
    /// Distribution of the entries of new cores.
    pub init: InitName,
    /// Their scale.
    pub scale: ScaleName,
    /// The update rule of their cores.
    pub rule: CoreRuleName,
    /// What the learning rate is multiplied by for their cores, with AdaGrad-Norm for cached rows too;
    /// [`default_lr_multiplier`] if not given.
    pub lr_multiplier: Option<f64>,
    /// Not trained, those that stay dense neither: for experiments.
    pub frozen: bool,
}

/// Which rows of compressed tables are held uncompressed, and from when (paper, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CacheSettings {
    /// Share of the rows of a table; 0 for no cache. The paper's is 0.0001.
    pub fraction: f64,
    /// Share of the iterations of all epochs before the cache is first filled. The paper's is 0.1.
    pub warmup: f64,
    /// Iterations from one refresh to the next; 0 for no more than the first filling.
    pub refresh: u64,
}

/// How new dense tables of `n` rows are drawn (paper, Table 1).
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenseInitName {
    /// `U(-1/sqrt(n), 1/sqrt(n))`, as in the reference model.
    #[default]
    Uniform,
    /// `N(0, factor n^-power)`
    Gaussian {
        /// A factor of the variance, not negative.
        factor: f64,
        /// A power of the number of rows.
        power: i32,
    },
}

impl DenseInitName {
    /// For a table of `rows` rows.
    pub fn of(self, rows: u64) -> RowInit {
        match self {
            Self::Uniform => RowInit::Reference,
            Self::Gaussian { factor, power } => {
                RowInit::Gaussian { std: (factor * (rows.max(1) as f64).powi(-power)).sqrt() }
            }
        }
    }
}

/// What the learning rate of cores is multiplied by unless another number is given (docs/accuracy.md).
///
/// A first step of AdaGrad-Norm moves a slice by the learning rate, all its numbers together. That fits a learning rate of
/// SGD as it is; one of element-wise Adagrad, which moves every single number by the learning rate, is smaller, by 10.
/// Element by element, SGD moves a row of a calibrated tensor train `K` times as far as one of a dense table, with `K` from
/// 1e-4 to 1e-2 ([`ttcore::init`]): 30 was best where it did not diverge.
pub fn default_lr_multiplier(optimizer: Optimizer, rule: CoreRuleName, scale: ScaleName) -> f64 {
    match (rule, optimizer, scale) {
        (CoreRuleName::AdagradNorm, Optimizer::Adagrad { .. }, _) => 10.0,
        (CoreRuleName::ElementWise, Optimizer::Sgd, ScaleName::Calibrated) => 30.0,
        _ => 1.0,
    }
}

/// How many times smaller a table must get to be compressed, unless another number is given: one that hardly gets smaller
/// loses more than it saves (docs/accuracy.md).
pub const MIN_RATIO: f64 = 4.0;

/// Settings of a training run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// Sizes of the embeddings and layers; the tables' rows come from the data.
    pub preset: Preset,
    /// Tables have the preset's rows where the data has fewer categories: for a part of the preset's data.
    pub preset_rows: bool,
    /// Layer sizes of the bottom MLP instead of the preset's, from the 13 counts to the embedding dimension.
    pub bottom: Option<Vec<usize>>,
    /// Layer sizes of the top MLP behind the interaction instead of the preset's, the last 1.
    pub top: Option<Vec<usize>>,
    /// The cross network in the place of the dot products, if there is one.
    pub cross: Option<CrossSize>,
    /// The compressed tables.
    pub tt: TtSettings,
    /// How the largest tables are made smaller.
    pub method: Method,
    /// Bytes of parameters for the largest tables, all together; where none are given, those of tensor trains of their rank.
    /// With a number, tables are held by the method whatever they save.
    pub table_bytes: Option<u64>,
    /// Share of these bytes that a hybrid has for rows of their own; where it is not given, the popularity of rows decides.
    pub own_rows_share: Option<f64>,
    /// The cache of compressed tables.
    pub cache: CacheSettings,
    /// How new dense tables are drawn.
    pub dense_init: DenseInitName,
    /// What differs for single tables, by number.
    pub tables: BTreeMap<usize, TableOverride>,
    /// Samples in a batch.
    pub batch_size: usize,
    /// How often the training lines are gone through.
    pub epochs: usize,
    /// Stops after this many iterations, if that comes first. Nothing else depends on it: a run that goes on from there
    /// is the same as one that was never stopped.
    pub max_iterations: Option<u64>,
    /// The update rule.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub lr: LrPolicy,
    /// All random draws come from it.
    pub seed: u64,
    /// Dense features of the data: 13 of Criteo's lines.
    pub dense: usize,
    /// The most categories of a sample for each table of the data; nothing where every sample has exactly one of each.
    pub longest: Vec<u32>,
}

impl TrainSettings {
    /// Those of a preset: its update rule, the seven largest tables at rank 32, no cache, one epoch, seed 0.
    pub fn new(preset: Preset) -> Self {
        Self {
            preset,
            preset_rows: false,
            bottom: None,
            top: None,
            cross: preset.cross().map(|(layers, rank)| CrossSize { layers, rank }),
            tt: TtSettings {
                tables: 7,
                min_ratio: MIN_RATIO,
                rank: 32,
                init: InitName::default(),
                scale: ScaleName::default(),
                rule: CoreRuleName::AdagradNorm,
                lr_multiplier: None,
                frozen: false,
            },
            method: Method::Tt,
            table_bytes: None,
            own_rows_share: None,
            cache: CacheSettings { fraction: 0.0, warmup: 0.1, refresh: 0 },
            dense_init: DenseInitName::Uniform,
            tables: BTreeMap::new(),
            batch_size: preset.batch_size(),
            epochs: 1,
            max_iterations: None,
            optimizer: preset.adagrad_eps().map_or(Optimizer::Sgd, |eps| Optimizer::Adagrad { eps }),
            lr: LrPolicy::constant(preset.learning_rate()),
            seed: 0,
            dense: DENSE,
            longest: Vec::new(),
        }
    }

    /// The same for the features of a data set.
    pub fn for_data(&self, data: &Dataset) -> Self {
        let longest = data.longest();
        let lists = longest.iter().any(|&longest| longest != 1);
        Self { dense: data.dense(), longest: if lists { longest } else { Vec::new() }, ..self.clone() }
    }

    /// Iterations of all epochs over `lines` lines, whether or not all are gone through.
    pub fn iterations(&self, lines: usize) -> u64 {
        (lines.div_ceil(self.batch_size.max(1)) as u64).saturating_mul(self.epochs as u64)
    }

    /// Layer sizes of the bottom MLP, and of the top MLP behind the interaction.
    pub(super) fn layers(&self) -> (Vec<usize>, Vec<usize>) {
        let of_preset = || [&[self.dense], &self.preset.bottom()[1..]].concat();
        let bottom = self.bottom.clone().unwrap_or_else(of_preset);
        let top = self.top.clone().unwrap_or_else(|| self.preset.top()[1..].to_vec());
        (bottom, top)
    }

    /// That all is in range, as far as that does not depend on data: before time is spent on reading it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`], naming the first that is not.
    pub fn check(&self) -> Result<(), TrainError> {
        let setting = |name, must| Err(TrainError::Setting { name, must });
        for (name, value) in [("batch size", self.batch_size), ("epochs", self.epochs), ("TT-rank", self.tt.rank)] {
            if value == 0 {
                return setting(name, "be at least 1");
            }
        }
        self.cross.map_or(Ok(()), CrossSize::check)?;
        let eps = match self.optimizer {
            Optimizer::Sgd => 0.0,
            Optimizer::Adagrad { eps } => eps,
        };
        let variance = match self.dense_init {
            DenseInitName::Uniform => 0.0,
            DenseInitName::Gaussian { factor, .. } => factor,
        };
        for (name, value) in [
            ("learning rate", self.lr.base),
            ("learning rate multiplier", self.tt.lr_multiplier.unwrap_or(1.0)),
            ("smallest ratio of compression", self.tt.min_ratio),
            ("eps of Adagrad", eps),
            ("variance of dense tables", variance),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return setting(name, "be a number that is not negative");
            }
        }
        let own_rows = self.own_rows_share.unwrap_or(0.0);
        for (name, value) in [
            ("cache fraction", self.cache.fraction),
            ("cache warm-up", self.cache.warmup),
            ("share of rows of their own", own_rows),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return setting(name, "be from 0 to 1");
            }
        }
        if self.lr.decay_steps > 0 && self.lr.decay_start < self.lr.warmup_steps {
            return setting("start of the learning rate's decay", "not be before the end of its warm-up");
        }
        let (bottom, top) = self.layers();
        if bottom.len() < 2 || bottom.contains(&0) {
            return setting("bottom MLP", "have a second size, none of them 0");
        }
        if top.last() != Some(&1) || top.contains(&0) {
            return setting("top MLP", "end in 1, with no size of 0");
        }
        Ok(())
    }
}
