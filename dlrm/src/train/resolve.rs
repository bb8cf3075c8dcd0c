//! From what is asked for to what is done, for the tables of the data.

use ttcore::ShapeError;
use ttcore::factor::{column_factors, paper_row_factors};

use super::choice::{self, KeptDense};
use super::error::TrainError;
use super::hyperparameters::{CacheSchedule, Hyperparameters};
use super::settings::{TrainSettings, default_lr_multiplier};
use super::table_file::{TableOverride, TtOverride};
use super::tables::{RowInit, TableSettings};
use crate::budget::{self, Held, Method, Size};
use crate::data::Counts;
use crate::memory::{CORES, ModelMemory, largest_tables};
use crate::model::Lookup;

impl TrainSettings {
    /// Everything decided, for data with tables of these rows and `lines` lines to train on.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for a setting out of range or a table that cannot be made.
    pub fn resolve(&self, table_rows: &[u64], lines: usize) -> Result<Hyperparameters, TrainError> {
        self.resolve_with(table_rows, lines, None).map(|(hyperparameters, _)| hyperparameters)
    }

    /// The tables whose rows are to be [counted](Counts) for [`TrainSettings::resolve_with`]; none where it does not matter how
    /// often rows occur.
    pub fn counted_tables(&self, table_rows: &[u64]) -> Vec<usize> {
        let largest = largest_tables(table_rows, self.tt.tables);
        let method = |table: usize| match self.tables.get(&table) {
            Some(TableOverride::Within { method, .. }) => Some(*method),
            Some(_) => None,
            None => largest.contains(&table).then_some(self.method),
        };
        (0..table_rows.len()).filter(|&table| method(table).is_some_and(Method::needs_popularity)).collect()
    }

    /// Whether it matters, of any table, how often its rows occur: lines are to be numbered by popularity then.
    pub fn needs_popularity(&self) -> bool {
        let of_one =
            |table: &TableOverride| matches!(table, TableOverride::Within { method, .. } if method.needs_popularity());
        self.method.needs_popularity() || self.tables.values().any(of_one)
    }

    /// As [`TrainSettings::resolve`], also by how often rows occur in the training lines; and the tables that are among the
    /// largest, but stay dense, as they would hardly get smaller. A method for which it matters how often takes all rows for
    /// equally popular where that was not counted.
    ///
    /// # Errors
    ///
    /// As [`TrainSettings::resolve`].
    pub fn resolve_with(
        &self,
        table_rows: &[u64],
        lines: usize,
        counts: Option<&Counts>,
    ) -> Result<(Hyperparameters, Vec<KeptDense>), TrainError> {
        self.check()?;
        if let Some((&table, _)) = self.tables.range(table_rows.len()..).next() {
            let reason = format!("there are {} tables, from 0", table_rows.len());
            return Err(TrainError::Table { table, reason });
        }
        if let Some(table) = counts.and_then(Counts::first_unsorted) {
            return Err(TrainError::Numbering { table });
        }
        let (bottom, top) = self.layers();
        if bottom[0] != self.dense {
            return Err(TrainError::Features { what: "dense features", model: bottom[0], data: self.dense });
        }
        let dim = bottom[bottom.len() - 1];
        let (tables, kept_dense) = self.choose(table_rows, dim, counts)?;
        let iterations = self.iterations(lines);
        let schedule =
            CacheSchedule { warmup: (self.cache.warmup * iterations as f64).ceil() as u64, every: self.cache.refresh };
        let cache = tables.iter().any(TableSettings::has_cache).then_some(schedule);
        let hyperparameters = Hyperparameters {
            dim,
            bottom,
            top,
            tables,
            longest: self.longest.clone(),
            cross: self.cross,
            batch_size: self.batch_size,
            optimizer: self.optimizer,
            lr: self.lr,
            cache,
            seed: self.seed,
        };
        hyperparameters.model()?;
        Ok((hyperparameters, kept_dense))
    }

    /// How each table is held, and which of the largest stay dense. What a file says of a table is done in any case.
    fn choose(
        &self,
        table_rows: &[u64],
        dim: usize,
        counts: Option<&Counts>,
    ) -> Result<(Vec<TableSettings>, Vec<KeptDense>), TrainError> {
        let mut table_rows = table_rows.to_vec();
        if self.preset_rows {
            table_rows.iter_mut().zip(self.preset.table_rows()).for_each(|(rows, &preset)| *rows = preset.max(*rows));
        }
        let largest = largest_tables(&table_rows, self.tt.tables);
        let budgeted = self.within_budget(&table_rows, &largest, dim, counts)?;
        let mut kept_dense = Vec::new();
        let mut table = |(number, &rows): (usize, &u64)| {
            let dense = |frozen| TableSettings::Dense { rows, frozen, init: self.dense_init.of(rows) };
            let tt = |given, own| self.tt_table(rows, own, dim, given).map_err(TrainError::table(number));
            let held = budgeted.iter().find(|(table, ..)| *table == number).map(|&(_, method, held)| (method, held));
            match (self.tables.get(&number), held) {
                (Some(&TableOverride::Dense { frozen }), _) => Ok(dense(frozen)),
                (Some(TableOverride::Tt(given)), _) => {
                    let settings = tt(given, 0)?;
                    // Asked for of this table: where one rank is for all, it may be too large for the small ones.
                    match settings.excessive_rank().filter(|_| given.ranks.is_some()) {
                        Some((rank, useful)) => Err(TrainError::Rank { table: number, rank, useful }),
                        None => Ok(settings),
                    }
                }
                (_, Some((_, Held::Dense))) => Ok(dense(self.tt.frozen)),
                (_, Some((method, Held::Shared(lookup)))) => Ok(self.shared_table(rows, method, lookup)),
                (_, Some((_, Held::Tt { rank, own_rows }))) => {
                    tt(&TtOverride { ranks: Some(vec![rank]), ..TtOverride::default() }, own_rows)
                }
                (None, None) if largest.contains(&number) => {
                    let settings = tt(&TtOverride::default(), 0)?;
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
                _ => Ok(dense(false)),
            }
        };
        let tables = table_rows.iter().enumerate().map(&mut table).collect::<Result<Vec<_>, _>>()?;
        Ok((tables, kept_dense))
    }

    /// How tables are held where bytes or another method than tensor trains are given: the largest all together, others as a
    /// file says.
    fn within_budget(
        &self,
        table_rows: &[u64],
        largest: &[usize],
        dim: usize,
        counts: Option<&Counts>,
    ) -> Result<Vec<(usize, Method, Held)>, TrainError> {
        let plan = |method: Method, bytes: u128, numbers: &[usize]| {
            let size = |&number: &usize| Size {
                rows: table_rows[number],
                counts: counts.and_then(|counts| counts.of_table(number)).unwrap_or_default(),
            };
            let sizes: Vec<Size<'_>> = numbers.iter().map(size).collect();
            budget::plan(method, bytes, self.own_rows_share, &sizes, dim).map_err(TrainError::Budget)
        };
        let mut held = Vec::new();
        for (&number, table) in &self.tables {
            if let &TableOverride::Within { method, bytes } = table {
                let one = plan(method, bytes.into(), &[number])?;
                held.extend(one.into_iter().map(|one| (number, method, one)));
            }
        }
        let numbers: Vec<usize> = largest.iter().copied().filter(|number| !self.tables.contains_key(number)).collect();
        if self.method == Method::Tt && self.table_bytes.is_none() || numbers.is_empty() {
            return Ok(held);
        }
        let bytes = match self.table_bytes {
            Some(bytes) => u128::from(bytes),
            None => {
                let rows: Vec<u64> = numbers.iter().map(|&number| table_rows[number]).collect();
                let all = ModelMemory::new(&rows, dim, rows.len(), self.tt.rank);
                all.map_err(|error| TrainError::Table { table: numbers[0], reason: error.to_string() })?
                    .compressed_bytes
            }
        };
        let all = plan(self.method, bytes, &numbers)?;
        held.extend(numbers.into_iter().zip(all).map(|(number, one)| (number, self.method, one)));
        Ok(held)
    }

    /// A table whose rows are shared, drawn so that an embedding has the variance of an uncompressed table's.
    fn shared_table(&self, rows: u64, method: Method, lookup: Lookup) -> TableSettings {
        let n = rows as f64;
        let around_zero = |bound: f64| RowInit::Uniform { low: -bound, high: bound };
        let init = match lookup {
            // Twice a^2 / 3 is 1/(3n).
            Lookup::Sum { .. } => around_zero((0.5 / n).sqrt()),
            Lookup::Product { .. } if method == Method::QrPublished => {
                RowInit::Uniform { low: (1.0 / lookup.rows(rows) as f64).sqrt(), high: 1.0 }
            }
            // (a^2 / 3)^2 is 1/(3n).
            Lookup::Product { .. } => around_zero((3.0 / n).sqrt().sqrt()),
            _ => RowInit::Reference,
        };
        TableSettings::Shared { rows, lookup, init, frozen: self.tt.frozen }
    }

    fn tt_table(&self, rows: u64, own_rows: u64, dim: usize, given: &TtOverride) -> Result<TableSettings, ShapeError> {
        let row_factors = match &given.row_factors {
            Some(factors) => factors.clone(),
            None => paper_row_factors(
                rows - own_rows,
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
            cached_rows: match own_rows {
                0 => (given.cache_fraction.unwrap_or(self.cache.fraction) * rows as f64).ceil() as usize,
                _ => 0,
            },
            own_rows,
            frozen: given.frozen.unwrap_or(self.tt.frozen),
        })
    }
}
