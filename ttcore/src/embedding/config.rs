//! How one table of a collection is held and trained.

use crate::cache::FrequencyCache;
use crate::error::Error;
use crate::init::{CoreInit, DenseInit};
use crate::optim::{CoreRule, Rule};
use crate::real::Real;
use crate::shape::TtShape;
use crate::state::StateLayout;
use crate::table::Table;

/// Of the seed of dense rows behind cores, so that they are not drawn from the streams of slices.
const DENSE_ROWS: u64 = 0x6465_6e73_6500_0000;

/// How one table is held, initialised and trained.
///
/// ```
/// use ttcore::{CoreRule, Rule, TableConfig, TtShape};
///
/// let shape = TtShape::paper(10_131_227, 16, 3, 32)?;
/// let config = TableConfig::tt(shape)
///     .with_cache(101_312)? // 1% of the rows
///     .with_rule(Rule::Adagrad { eps: 1e-10 }) // element by element, for cores and cached rows
///     .with_core_rule(CoreRule::ADAGRAD_NORM); // back to the default, block by block
/// # Ok::<(), ttcore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TableConfig {
    pub(super) table: Table,
    /// Distribution and scale of new cores.
    pub(super) init: CoreInit,
    /// Distribution of new dense rows.
    pub(super) dense_init: DenseInit,
    /// Whether dense rows behind cores are rows of the table, not those of a cache.
    pub(super) addressed: bool,
    /// The update rule.
    pub(super) rule: Rule,
    /// That of blocks, if the table has cores.
    pub(super) core_rule: CoreRule,
    /// What the learning rate is multiplied by for the cores, with a rule of blocks for cached rows too.
    pub(super) core_lr_multiplier: f64,
    /// What it is multiplied by for the whole table.
    pub(super) lr_multiplier: f64,
    /// Rows whose accesses are counted at most.
    pub(super) max_counted: Option<usize>,
    pub(super) frozen: bool,
}

impl TableConfig {
    /// A TT table without a cache, initialised by [`CoreInit::default`] and trained with AdaGrad-Norm, its slices like rows that
    /// a [cache](Self::with_cache) holds: a learning rate for a dense table under SGD does for it, too.
    pub fn tt(shape: TtShape) -> Self {
        Self::new(Table::tt(shape))
    }

    /// A dense table, initialised as in the reference model and trained with plain SGD.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if it does not fit in the address space; [`Error::Shape`] without rows or columns.
    pub fn dense(rows: u64, dim: usize) -> Result<Self, Error> {
        if rows == 0 {
            return Err(crate::ShapeError::NoRows.into());
        }
        if dim == 0 {
            return Err(crate::ShapeError::Zero { what: "embedding dimension", position: 0 }.into());
        }
        Table::dense(rows, dim).map(Self::new).ok_or(Error::TooLarge { what: "dense table" })
    }

    fn new(table: Table) -> Self {
        let core_rule = table.cores().map_or(CoreRule::ElementWise, |_| CoreRule::ADAGRAD_NORM);
        Self {
            table,
            init: CoreInit::default(),
            dense_init: DenseInit::default(),
            addressed: false,
            rule: Rule::Sgd,
            core_rule,
            core_lr_multiplier: 1.0,
            lr_multiplier: 1.0,
            max_counted: None,
            frozen: false,
        }
    }

    /// Holds the `slots` most frequent rows uncompressed. Nothing changes for a dense table.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if they do not fit in the address space.
    pub fn with_cache(mut self, slots: usize) -> Result<Self, Error> {
        if let Some(shape) = self.table.cores() {
            self.table = Table::cached(shape.clone(), slots).ok_or(Error::TooLarge { what: "cache" })?;
            self.addressed = false;
        }
        Ok(self)
    }

    /// Puts `rows` uncompressed rows behind those of the cores, instead of a cache: rows `M .. M + rows` of the table, for those
    /// who know beforehand what is looked up often, and address it there. Nothing is counted and nothing moves. They begin as
    /// [`TableConfig::with_dense_init`] says, and are trained as rows of a cache. Nothing changes for a dense table.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if they do not fit in the address space.
    ///
    /// ```
    /// use ttcore::{TableConfig, TtShape};
    ///
    /// let config = TableConfig::tt(TtShape::paper(1_000_000, 16, 3, 8)?).with_dense_rows(10_000)?;
    /// assert_eq!((config.rows(), config.cache_slots()), (1_010_000, 0));
    /// # Ok::<(), ttcore::Error>(())
    /// ```
    pub fn with_dense_rows(mut self, rows: usize) -> Result<Self, Error> {
        if let Some(shape) = self.table.cores() {
            self.table = Table::cached(shape.clone(), rows).ok_or(Error::TooLarge { what: "dense rows" })?;
            self.addressed = true;
        }
        Ok(self)
    }

    /// Counts the accesses of at most `rows` rows, instead of [`FrequencyCache::default_max_counted`].
    pub fn with_max_counted(mut self, rows: usize) -> Self {
        self.max_counted = Some(rows);
        self
    }

    /// Another distribution or scale of new cores.
    pub fn with_init(mut self, init: CoreInit) -> Self {
        self.init = init;
        self
    }

    /// Another distribution of new dense rows; not of a cache's, which begin as the cores have them.
    pub fn with_dense_init(mut self, init: DenseInit) -> Self {
        self.dense_init = init;
        self
    }

    /// Another update rule, of all parameters: of the cores too, element by element, whatever [`TableConfig::with_core_rule`]
    /// said before. It goes first where both are given.
    pub fn with_rule(mut self, rule: Rule) -> Self {
        (self.rule, self.core_rule) = (rule, CoreRule::ElementWise);
        self
    }

    /// A rule of blocks for slices and cached rows, or none; after [`TableConfig::with_rule`]. Nothing changes for a dense table.
    pub fn with_core_rule(mut self, rule: CoreRule) -> Self {
        if self.table.cores().is_some() {
            self.core_rule = rule;
        }
        self
    }

    /// Another learning rate for cores than for dense and cached rows, or, with a rule of blocks, for slices and cached rows than
    /// for other tables: see [`crate::init`]. AdaGrad-Norm fits a rate of SGD as it is, and 10 times one of Adagrad or Adam.
    pub fn with_core_lr_multiplier(mut self, multiplier: f64) -> Self {
        self.core_lr_multiplier = multiplier;
        self
    }

    /// Another learning rate for this table than for others; for its cores times
    /// [their multiplier](Self::with_core_lr_multiplier).
    pub fn with_lr_multiplier(mut self, multiplier: f64) -> Self {
        self.lr_multiplier = multiplier;
        self
    }

    /// Not trained by [`step`](super::EmbeddingBagCollection::step).
    pub fn frozen(mut self) -> Self {
        self.frozen = true;
        self
    }

    /// Trained again after it was [frozen](Self::frozen).
    pub fn trained(mut self) -> Self {
        self.frozen = false;
        self
    }

    /// Draws new parameters from a seed, `params` `[Table::parameters]`: cores as [`TableConfig::init`] says, dense rows as
    /// [`TableConfig::with_dense_init`] did. Rows of a cache begin at zero, which nothing reads.
    ///
    /// # Panics
    ///
    /// If `params` is shorter than the table's parameters.
    pub fn draw<F: Real>(&self, seed: u64, params: &mut [F]) {
        let (cores, rows) = params[..self.table.parameters()].split_at_mut(self.table.core_parameters());
        match self.table.cores() {
            Some(shape) => {
                self.init.fill(shape, seed, cores);
                match self.addressed {
                    true => self.dense_init.fill(self.rows(), seed ^ DENSE_ROWS, rows),
                    false => rows.fill(F::zero()),
                }
            }
            None => self.dense_init.fill(self.rows(), seed, rows),
        }
    }

    /// What the table is made of.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Rows of the table as its user sees it: cached rows are not counted again.
    pub fn rows(&self) -> u64 {
        if self.cache_slots() > 0 { self.table.core_rows() } else { self.table.addresses() }
    }

    /// Rows that a cache holds; 0 without one.
    pub fn cache_slots(&self) -> usize {
        if self.table.cores().is_some() && !self.addressed { self.table.dense_rows() as usize } else { 0 }
    }

    /// Distribution of new dense rows.
    pub fn dense_init(&self) -> DenseInit {
        self.dense_init
    }

    /// Distribution and scale of new cores.
    pub fn init(&self) -> CoreInit {
        self.init
    }

    /// The update rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The rule of blocks, if there is one.
    pub fn core_rule(&self) -> CoreRule {
        self.core_rule
    }

    /// Where the state of the update rules lies.
    pub fn state_layout(&self) -> StateLayout {
        StateLayout::new(&self.table, self.rule, self.core_rule)
    }

    /// That the numbers make sense, those of table `table`.
    pub(super) fn check(&self, table: usize) -> Result<(), Error> {
        let (eps, beta1, beta2) = match self.rule {
            Rule::Sgd => (0.0, 0.0, 0.0),
            Rule::Adagrad { eps } => (eps, 0.0, 0.0),
            Rule::Adam { beta1, beta2, eps } => (eps, beta1, beta2),
        };
        let core_eps = match self.core_rule {
            CoreRule::ElementWise => 0.0,
            CoreRule::AdagradNorm { eps } => eps,
        };
        // Each with what it must be below.
        let numbers = [
            ("learning rate multiplier", self.lr_multiplier, f64::INFINITY),
            ("learning rate multiplier of the cores", self.core_lr_multiplier, f64::INFINITY),
            ("standard deviation", self.init.std.unwrap_or(0.0), f64::INFINITY),
            ("eps of the rule", eps, f64::INFINITY),
            ("eps of the rule of the cores", core_eps, f64::INFINITY),
            ("beta1", beta1, 1.0),
            ("beta2", beta2, 1.0),
        ];
        let outside = numbers.into_iter().find(|&(_, value, end)| !(value >= 0.0 && value < end));
        let not_finite = || self.dense_init.numbers().into_iter().find(|(_, value)| !value.is_finite());
        match outside.map(|(what, value, _)| (what, value)).or_else(not_finite) {
            Some((what, value)) => Err(Error::Setting { what, table, value }),
            None => Ok(()),
        }
    }

    pub(super) fn cache(&self) -> Result<Option<FrequencyCache>, Error> {
        let slots = self.cache_slots();
        let max_counted = self.max_counted.unwrap_or(FrequencyCache::default_max_counted(slots));
        (slots > 0).then(|| FrequencyCache::new(slots, max_counted)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let config = || TableConfig::tt(TtShape::paper(100, 4, 2, 2).unwrap());
        let adam = |beta1, beta2, eps| config().with_rule(Rule::Adam { beta1, beta2, eps });
        let refused = |config: TableConfig| match config.check(3) {
            Err(Error::Setting { what, table: 3, .. }) => what,
            other => panic!("{other:?}"),
        };
        for nonsense in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(refused(config().with_lr_multiplier(nonsense)), "learning rate multiplier");
            assert_eq!(refused(config().with_core_lr_multiplier(nonsense)), "learning rate multiplier of the cores");
            assert_eq!(refused(config().with_init(CoreInit::default().with_std(nonsense))), "standard deviation");
            assert_eq!(refused(config().with_rule(Rule::Adagrad { eps: nonsense })), "eps of the rule");
            assert_eq!(refused(adam(0.9, 0.999, nonsense)), "eps of the rule");
            assert_eq!(
                refused(config().with_core_rule(CoreRule::AdagradNorm { eps: nonsense })),
                "eps of the rule of the cores"
            );
            assert_eq!(refused(adam(nonsense, 0.999, 1e-8)), "beta1");
        }
        for nonsense in [f64::NAN, f64::INFINITY] {
            let with = |init| refused(config().with_dense_init(init));
            assert_eq!(with(DenseInit::Gaussian { std: nonsense }), "standard deviation of dense rows");
            assert_eq!(with(DenseInit::Uniform { low: nonsense, high: 1.0 }), "lower bound of dense rows");
            assert_eq!(with(DenseInit::Uniform { low: -1.0, high: nonsense }), "upper bound of dense rows");
        }
        assert_eq!(refused(adam(0.9, 1.0, 1e-8)), "beta2");
        assert_eq!(adam(0.0, 0.999, 0.0).check(3), Ok(()));
        assert_eq!(config().check(3), Ok(()));
    }
}
