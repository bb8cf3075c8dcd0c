//! What is trained, and how: as it is asked for.

use std::collections::BTreeMap;

use ttcore::ShapeError;
use ttcore::factor::{column_factors, paper_row_factors};

use super::choice::{self, KeptDense};
use super::error::TrainError;
use super::hyperparameters::{CacheSchedule, Hyperparameters};
use super::optimizer::Optimizer;
use super::schedule::LrPolicy;
use super::table_file::{TableOverride, TtOverride};
use super::tables::{CoreRuleName, InitName, ScaleName, TableSettings};
use crate::data::DENSE;
use crate::memory::{CORES, largest_tables};
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
    /// The compressed tables.
    pub tt: TtSettings,
    /// The cache of compressed tables.
    pub cache: CacheSettings,
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
}

impl TrainSettings {
    /// Those of a preset: plain SGD, the seven largest tables at rank 32, no cache, one epoch, seed 0.
    pub fn new(preset: Preset) -> Self {
        Self {
            preset,
            preset_rows: false,
            bottom: None,
            top: None,
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
            cache: CacheSettings { fraction: 0.0, warmup: 0.1, refresh: 0 },
            tables: BTreeMap::new(),
            batch_size: preset.batch_size(),
            epochs: 1,
            max_iterations: None,
            optimizer: Optimizer::Sgd,
            lr: LrPolicy::constant(preset.learning_rate()),
            seed: 0,
        }
    }

    /// Everything decided, for data with tables of these rows and `lines` lines to train on.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for a setting out of range or a table that cannot be made.
    pub fn resolve(&self, table_rows: &[u64], lines: usize) -> Result<Hyperparameters, TrainError> {
        self.check()?;
        if let Some((&table, _)) = self.tables.range(table_rows.len()..).next() {
            let reason = format!("there are {} tables, from 0", table_rows.len());
            return Err(TrainError::Table { table, reason });
        }
        let (bottom, top) = self.layers();
        let dim = bottom[bottom.len() - 1];
        let (tables, _) = self.choose(table_rows, dim)?;
        let iterations = self.iterations(lines);
        let schedule =
            CacheSchedule { warmup: (self.cache.warmup * iterations as f64).ceil() as u64, every: self.cache.refresh };
        let cache = tables.iter().any(TableSettings::has_cache).then_some(schedule);
        let hyperparameters = Hyperparameters {
            dim,
            bottom,
            top,
            tables,
            batch_size: self.batch_size,
            optimizer: self.optimizer,
            lr: self.lr,
            cache,
            seed: self.seed,
        };
        hyperparameters.model()?;
        Ok(hyperparameters)
    }

    /// The tables that are among the largest, but stay dense, as they would hardly get smaller: for data with tables of these
    /// rows.
    ///
    /// # Errors
    ///
    /// As [`TrainSettings::resolve`].
    pub fn kept_dense(&self, table_rows: &[u64]) -> Result<Vec<KeptDense>, TrainError> {
        self.check()?;
        let (bottom, _) = self.layers();
        self.choose(table_rows, bottom[bottom.len() - 1]).map(|(_, kept_dense)| kept_dense)
    }

    /// How each table is held, and which of the largest stay dense. What a file says of a table is done in any case.
    fn choose(&self, table_rows: &[u64], dim: usize) -> Result<(Vec<TableSettings>, Vec<KeptDense>), TrainError> {
        let mut table_rows = table_rows.to_vec();
        if self.preset_rows {
            table_rows.iter_mut().zip(self.preset.table_rows()).for_each(|(rows, &preset)| *rows = preset.max(*rows));
        }
        let compressed = largest_tables(&table_rows, self.tt.tables);
        let mut kept_dense = Vec::new();
        let mut table = |(number, &rows): (usize, &u64)| {
            let dense = |frozen| TableSettings::Dense { rows, frozen };
            let tt = |given| self.tt_table(rows, dim, given).map_err(TrainError::table(number));
            match self.tables.get(&number) {
                Some(&TableOverride::Dense { frozen }) => Ok(dense(frozen)),
                Some(TableOverride::Tt(given)) => tt(given),
                None if compressed.contains(&number) => {
                    let settings = tt(&TtOverride::default())?;
                    let config = |settings: &TableSettings| {
                        settings.config(dim, self.optimizer.into()).map_err(TrainError::table(number))
                    };
                    let ratio = choice::ratio(&config(&dense(false))?, &config(&settings)?);
                    if ratio >= self.tt.min_ratio {
                        return Ok(settings);
                    }
                    kept_dense.push(KeptDense { table: number, rows, ratio });
                    Ok(dense(self.tt.frozen))
                }
                None => Ok(dense(false)),
            }
        };
        let tables = table_rows.iter().enumerate().map(&mut table).collect::<Result<Vec<_>, _>>()?;
        Ok((tables, kept_dense))
    }

    /// Iterations of all epochs over `lines` lines, whether or not all are gone through.
    pub fn iterations(&self, lines: usize) -> u64 {
        (lines.div_ceil(self.batch_size.max(1)) as u64).saturating_mul(self.epochs as u64)
    }

    fn tt_table(&self, rows: u64, dim: usize, given: &TtOverride) -> Result<TableSettings, ShapeError> {
        let row_factors = match &given.row_factors {
            Some(factors) => factors.clone(),
            None => paper_row_factors(
                rows,
                given.ranks.as_ref().map_or(CORES, |ranks| match ranks.len() {
                    1 => CORES,
                    bonds => bonds + 1,
                }),
            )?,
        };
        let bonds = row_factors.len().saturating_sub(1);
        let inner = match given.ranks.as_deref() {
            None => vec![self.tt.rank; bonds],
            Some(&[rank]) => vec![rank; bonds],
            Some(ranks) => ranks.to_vec(),
        };
        let scale = given.scale.unwrap_or(self.tt.scale);
        let rule = given.rule.unwrap_or(self.tt.rule);
        Ok(TableSettings::Tt {
            rows,
            col_factors: column_factors(dim, row_factors.len())?,
            row_factors,
            ranks: [&[1], &inner[..], &[1]].concat(),
            init: given.init.unwrap_or(self.tt.init),
            scale,
            rule,
            lr_multiplier: (given.lr_multiplier.or(self.tt.lr_multiplier))
                .unwrap_or_else(|| default_lr_multiplier(self.optimizer, rule, scale)),
            // As large as the largest share that is asked for: a small table has a row in it too.
            cached_rows: (given.cache_fraction.unwrap_or(self.cache.fraction) * rows as f64).ceil() as usize,
            frozen: given.frozen.unwrap_or(self.tt.frozen),
        })
    }

    /// Layer sizes of the bottom MLP, and of the top MLP behind the interaction.
    fn layers(&self) -> (Vec<usize>, Vec<usize>) {
        let bottom = self.bottom.clone().unwrap_or_else(|| self.preset.bottom().to_vec());
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
        let eps = match self.optimizer {
            Optimizer::Sgd => 0.0,
            Optimizer::Adagrad { eps } => eps,
        };
        for (name, value) in [
            ("learning rate", self.lr.base),
            ("learning rate multiplier", self.tt.lr_multiplier.unwrap_or(1.0)),
            ("smallest ratio of compression", self.tt.min_ratio),
            ("eps of Adagrad", eps),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return setting(name, "be a number that is not negative");
            }
        }
        for (name, value) in [("cache fraction", self.cache.fraction), ("cache warm-up", self.cache.warmup)] {
            if !(0.0..=1.0).contains(&value) {
                return setting(name, "be from 0 to 1");
            }
        }
        if self.lr.decay_steps > 0 && self.lr.decay_start < self.lr.warmup_steps {
            return setting("start of the learning rate's decay", "not be before the end of its warm-up");
        }
        let (bottom, top) = self.layers();
        if bottom.len() < 2 || bottom[0] != DENSE || bottom.contains(&0) {
            return setting("bottom MLP", "begin with 13 and have a second size, none of them 0");
        }
        if top.last() != Some(&1) || top.contains(&0) {
            return setting("top MLP", "end in 1, with no size of 0");
        }
        Ok(())
    }
}
