//! All tables of a model.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::{Batch, Bytes, Mode, TableConfig, TableStatistics};
use crate::backend::{Backend, Call, Expand, Sink, Version, Workspace};
use crate::bags::Bags;
use crate::cache::{CacheState, FrequencyCache, Refresh};
use crate::check;
use crate::error::{Error, Stale};
use crate::init;
use crate::layout::Layout;
use crate::optim::Update;
use crate::real::Real;

/// The embedding tables of a model, TT and dense, of any shapes, on one backend.
///
/// Every operation takes the queue it runs on. Outputs are `[B][stride]`: see [`Layout`].
pub struct EmbeddingBagCollection<B: Backend> {
    backend: B,
    plan: B::Plan,
    scratch: B::Scratch,
    tables: Vec<Held<B>>,
    /// Changes with the parameters.
    version: Version,
    /// Changes with the rows cached.
    generation: u64,
    steps: u64,
}

/// One table: how it is held, and what is held.
struct Held<B: Backend> {
    config: TableConfig,
    params: B::Buffer,
    state: B::Buffer,
    cache: Option<FrequencyCache>,
}

impl<B: Backend> EmbeddingBagCollection<B> {
    /// New tables, drawn from a seed, for batches of at most `bags` bags and `lookups` lookups a table. Outputs of the
    /// tables lie side by side.
    ///
    /// # Errors
    ///
    /// [`Error`] for tables that do not fit in the address space, or the backend's own.
    pub fn new(
        backend: B,
        queue: &mut B::Queue,
        configs: Vec<TableConfig>,
        bags: usize,
        lookups: usize,
        seed: u64,
    ) -> Result<Self, B::Error> {
        let layout = Layout::new(configs.iter().map(|config| config.table.clone()).collect(), bags, lookups)?;
        let plan = backend.plan(queue, layout)?;
        let scratch = backend.new_scratch(queue, &plan)?;
        let mut tables = Vec::with_capacity(configs.len());
        for (number, config) in configs.into_iter().enumerate() {
            tables.push(Held::new(&backend, queue, config, init::table_seed(seed, number))?);
        }
        Ok(Self { backend, plan, scratch, tables, version: Version(0), generation: 0, steps: 0 })
    }

    /// Makes room for larger batches. Batches made before must be made again.
    ///
    /// # Errors
    ///
    /// As [`EmbeddingBagCollection::new`].
    pub fn reserve(&mut self, queue: &mut B::Queue, bags: usize, lookups: usize) -> Result<(), B::Error> {
        let old = self.layout();
        let layout = old.with_room(bags.max(old.bags()), lookups.max(old.lookups()))?;
        let plan = self.backend.plan(queue, layout)?;
        self.scratch = self.backend.new_scratch(queue, &plan)?;
        self.plan = plan;
        Ok(())
    }

    /// Memory for one batch.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn batch(&self, queue: &mut B::Queue) -> Result<Batch<B>, B::Error> {
        let room = |held: &Held<B>| Vec::with_capacity(held.cache.as_ref().map_or(0, |_| self.layout().lookups()));
        Ok(Batch {
            group: self.backend.new_group(queue, &self.plan)?,
            saved: self.backend.new_saved(queue, &self.plan)?,
            mode: Mode::Evaluate,
            owner: self.identity(),
            generation: self.generation,
            addresses: self.tables.iter().map(room).collect(),
        })
    }

    /// Fills a batch: one [`Bags`] for each table, validated for its [rows](TableConfig::rows). In training, accesses
    /// are counted. Cached rows are found here.
    ///
    /// # Errors
    ///
    /// [`Error`] for bags that do not fit the tables or the room for batches; nothing is counted then.
    pub fn group<'a>(
        &mut self,
        queue: &mut B::Queue,
        batch: &mut Batch<B>,
        bags: impl IntoIterator<Item = Bags<'a, B::Float>, IntoIter: Clone>,
        mode: Mode,
    ) -> Result<(), B::Error> {
        let bags = bags.into_iter();
        self.check_owner(batch)?;
        self.check(bags.clone())?;
        (batch.mode, batch.generation) = (mode, self.generation);
        for ((held, addresses), bags) in self.tables.iter_mut().zip(&mut batch.addresses).zip(bags.clone()) {
            if let Some(cache) = &mut held.cache {
                partition(cache, &bags, held.config.rows(), mode, addresses);
            }
        }
        let addressed =
            bags.zip(&self.tables).zip(&batch.addresses).map(|((bags, held), addresses)| match held.cache {
                Some(_) => bags.with_addresses(addresses, held.config.table.addresses()),
                None => bags,
            });
        self.backend.group(queue, &self.plan, addressed, &mut batch.group)
    }

    /// That there is one batch for each table and it fits. Before anything changes.
    fn check<'a>(&self, bags: impl Iterator<Item = Bags<'a, B::Float>>) -> Result<(), Error> {
        let (mut count, mut rows_before) = (0, None);
        for (table, bags) in bags.enumerate() {
            let held = self.tables.get(table).ok_or(Error::TableCount {
                what: "batches",
                got: table + 1,
                tables: self.tables.len(),
            })?;
            let want = held.config.rows();
            if bags.rows() != want {
                return Err(Error::Rows { table, got: bags.rows(), want });
            }
            rows_before = Some(check::batch_size(self.layout(), table, bags.bags(), bags.lookups(), rows_before)?);
            count = table + 1;
        }
        check::table_count(self.layout(), "batches", count)
    }

    /// Pooled rows of all tables, `out` `[B][stride]`.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a batch grouped before a cache was refreshed, [`Error::Length`], or the backend's.
    pub fn forward(&mut self, queue: &mut B::Queue, batch: &mut Batch<B>, out: B::ViewMut<'_>) -> Result<(), B::Error> {
        self.check_generation(batch)?;
        let Self { backend, plan, scratch, tables, version, .. } = self;
        let saved = match batch.mode {
            Mode::Train => Some(&mut batch.saved),
            Mode::Evaluate => None,
        };
        let call = Call { plan, group: &batch.group, queue, scratch };
        backend.forward(call, *version, tables.iter().map(|held| B::view(&held.params)), out, saved)
    }

    /// Adds the gradients of all tables to `grads`, one view for each, laid out like the
    /// [parameters](crate::Table). Nothing is updated. `grad_weights` as in [`Backend::backward`].
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the parameters changed since the batch's forward, [`Error::Length`], or the backend's.
    pub fn backward<'a>(
        &'a mut self,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        grads: impl IntoIterator<Item = B::ViewMut<'a>>,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        self.check_trained(batch)?;
        let grads = check::collect(self.layout(), "gradients", grads)?;
        let Self { backend, plan, scratch, tables, version, .. } = self;
        let call = Call { plan, group: &batch.group, queue, scratch };
        let sinks =
            tables.iter().zip(grads).map(|(held, grads)| Sink::Accumulate { params: B::view(&held.params), grads });
        backend.backward(call, *version, &batch.saved, sinks, grad_out, grad_weights)
    }

    /// Computes the gradients of all tables and applies their rules, in one pass. Frozen tables stay as they are.
    ///
    /// # Errors
    ///
    /// As [`EmbeddingBagCollection::backward`].
    pub fn step(
        &mut self,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        lr: f64,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        self.check_trained(batch)?;
        let step = self.steps + 1;
        let Self { backend, plan, scratch, tables, version, .. } = self;
        let call = Call { plan, group: &batch.group, queue, scratch };
        let sinks = tables.iter_mut().map(|Held { config, params, state, .. }| {
            if config.frozen {
                return Sink::Frozen { params: B::view(params) };
            }
            let TableConfig { rule, core_rule, core_lr_multiplier, .. } = *config;
            let update = Update { rule, core_rule, lr, core_lr_multiplier, step };
            Sink::Update { params: B::view_mut(params), state: B::view_mut(state), update }
        });
        backend.backward(call, *version, &batch.saved, sinks, grad_out, grad_weights)?;
        self.steps = step;
        self.parameters_changed();
        Ok(())
    }

    /// Lets every cache choose its rows anew, and loads those that are new from the cores, with fresh optimiser state.
    /// What changed comes back for each table, empty for one without a cache.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn refresh(&mut self, queue: &mut B::Queue) -> Result<Vec<Refresh>, B::Error> {
        // First, so that nothing is taken for current if loading fails.
        let (generation, version) = (self.generation, self.version);
        self.generation += 1;
        self.parameters_changed();
        let mut refreshes = Vec::with_capacity(self.tables.len());
        for table in 0..self.tables.len() {
            let refresh = self.tables[table].cache.as_mut().map(FrequencyCache::refresh).unwrap_or_default();
            self.load(queue, table, &refresh)?;
            refreshes.push(refresh);
        }
        if refreshes.iter().all(|refresh| refresh.load.is_empty() && refresh.evicted.is_empty()) {
            (self.generation, self.version) = (generation, version);
        }
        Ok(refreshes)
    }

    fn load(&mut self, queue: &mut B::Queue, table: usize, refresh: &Refresh) -> Result<(), B::Error> {
        let (rows, slots): (Vec<u64>, Vec<usize>) = refresh.load.iter().copied().unzip();
        let values = self.expand(queue, table, &rows)?;
        let (backend, held) = (&self.backend, &mut self.tables[table]);
        let shape = &held.config.table;
        for (slot, value) in slots.into_iter().zip(values.chunks_exact(shape.dim())) {
            let start = shape.core_parameters() + slot * shape.dim();
            let range = start..start + shape.dim();
            backend.upload(queue, value, B::slice_mut(B::view_mut(&mut held.params), range.clone()))?;
            let layout = held.config.state_layout();
            let number = layout.slices() + slot;
            let blocks = if layout.rows() > 0 { Some(number..number + 1) } else { None };
            for range in blocks.into_iter().chain((0..layout.planes()).map(|plane| layout.plane(plane, range.clone())))
            {
                backend.zero(queue, B::slice_mut(B::view_mut(&mut held.state), range))?;
            }
        }
        Ok(())
    }

    /// Rows at these addresses, `[n][N]`, on the host.
    fn expand(&mut self, queue: &mut B::Queue, table: usize, addresses: &[u64]) -> Result<Vec<B::Float>, B::Error> {
        let Self { backend, plan, scratch, tables, .. } = self;
        let len = addresses.len() * B::layout(plan).tables()[table].dim();
        let mut buffer = backend.alloc(queue, len)?;
        let params = B::view(&tables[table].params);
        let wanted = Expand { table, params, rows: addresses, out: B::view_mut(&mut buffer) };
        backend.expand_rows(queue, plan, scratch, [wanted])?;
        let mut rows = alloc::vec![<B::Float as Default>::default(); len];
        backend.download(queue, B::view(&buffer), &mut rows)?;
        Ok(rows)
    }

    /// Rows of a table as a lookup would give them, `[n][N]`: cached ones from the cache, others from the cores.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Row`], or the backend's.
    pub fn rows(&mut self, queue: &mut B::Queue, table: usize, rows: &[u64]) -> Result<Vec<B::Float>, B::Error> {
        let held = self.held(table)?;
        let want = held.config.rows();
        if let Some(position) = rows.iter().position(|&row| row >= want) {
            return Err(Error::Row { table, position, row: rows[position], rows: want }.into());
        }
        let address = |&row| held.cache.as_ref().map_or(row, |cache| cache.address(row, want));
        let addresses: Vec<u64> = rows.iter().map(address).collect();
        self.expand(queue, table, &addresses)
    }

    /// The parameters of a table, on the host: cores, then dense rows.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], or the backend's.
    pub fn parameters(&self, queue: &mut B::Queue, table: usize) -> Result<Vec<B::Float>, B::Error> {
        let held = self.held(table)?;
        let mut values = alloc::vec![<B::Float as Default>::default(); held.config.table.parameters()];
        self.backend.download(queue, B::view(&held.params), &mut values)?;
        Ok(values)
    }

    /// Replaces the parameters of a table: cores, then dense rows.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Length`], or the backend's.
    pub fn set_parameters(&mut self, queue: &mut B::Queue, table: usize, values: &[B::Float]) -> Result<(), B::Error> {
        let want = self.held(table)?.config.table.parameters();
        check::length("parameters", Some(table), values.len(), want)?;
        self.parameters_changed();
        self.backend.upload(queue, values, B::view_mut(&mut self.tables[table].params))
    }

    /// The parameters of a table, for an optimiser outside to write. Forwards before this cannot be used in a backward
    /// any more.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn parameters_mut(&mut self, table: usize) -> Result<B::ViewMut<'_>, B::Error> {
        self.held(table)?;
        self.parameters_changed();
        Ok(B::view_mut(&mut self.tables[table].params))
    }

    /// The parameters of a table where they lie: cores, then dense rows. For reading them in parts.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn parameters_view(&self, table: usize) -> Result<B::View<'_>, B::Error> {
        Ok(B::view(&self.held(table)?.params))
    }

    /// The optimiser state of a table, on the host, as [`TableConfig::state_layout`] says.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], or the backend's.
    pub fn state(&self, queue: &mut B::Queue, table: usize) -> Result<Vec<B::Float>, B::Error> {
        let mut values = alloc::vec![<B::Float as Default>::default(); self.held(table)?.state_len()];
        self.backend.download(queue, self.state_view(table)?, &mut values)?;
        Ok(values)
    }

    /// Replaces the optimiser state of a table, laid out as [`TableConfig::state_layout`] says.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Length`], or the backend's.
    pub fn set_state(&mut self, queue: &mut B::Queue, table: usize, values: &[B::Float]) -> Result<(), B::Error> {
        check::length("optimiser state", Some(table), values.len(), self.held(table)?.state_len())?;
        self.backend.upload(queue, values, B::view_mut(&mut self.tables[table].state))
    }

    /// The optimiser state of a table where it lies, as [`TableConfig::state_layout`] says. For reading it in parts.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn state_view(&self, table: usize) -> Result<B::View<'_>, B::Error> {
        Ok(B::view(&self.held(table)?.state))
    }

    /// Replaces a part of the parameters of a table, from number `start`: for those that come in parts.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Length`] if the part leaves the table, or the backend's.
    pub fn set_parameters_part(
        &mut self,
        queue: &mut B::Queue,
        table: usize,
        start: usize,
        values: &[B::Float],
    ) -> Result<(), B::Error> {
        let range = part("parameters", table, start, values.len(), self.held(table)?.config.table.parameters())?;
        self.parameters_changed();
        let whole = B::view_mut(&mut self.tables[table].params);
        self.backend.upload(queue, values, B::slice_mut(whole, range))
    }

    /// Replaces a part of the optimiser state of a table, from number `start`.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Length`] if the part leaves the table, or the backend's.
    pub fn set_state_part(
        &mut self,
        queue: &mut B::Queue,
        table: usize,
        start: usize,
        values: &[B::Float],
    ) -> Result<(), B::Error> {
        let range = part("optimiser state", table, start, values.len(), self.held(table)?.state_len())?;
        let whole = B::view_mut(&mut self.tables[table].state);
        self.backend.upload(queue, values, B::slice_mut(whole, range))
    }

    /// What the cache of a table knows, for a checkpoint; `None` without a cache.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn cache_state(&self, table: usize) -> Result<Option<CacheState>, B::Error> {
        Ok(self.held(table)?.cache.as_ref().map(FrequencyCache::state))
    }

    /// Continues with what a cache knew. The values of its rows are among the parameters.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::CacheState`].
    pub fn set_cache_state(&mut self, table: usize, state: &CacheState) -> Result<(), B::Error> {
        let rows = self.held(table)?.config.rows();
        let cache = self.tables[table].cache.as_mut().ok_or(Error::CacheState { what: "the table has no cache" })?;
        cache.restore(state, rows)?;
        self.generation += 1;
        Ok(())
    }

    /// The backend the tables are on.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// How the tables are held, in order.
    pub fn configs(&self) -> impl ExactSizeIterator<Item = &TableConfig> {
        self.tables.iter().map(|held| &held.config)
    }

    /// Where the outputs of the tables go, and how large a batch may be.
    pub fn layout(&self) -> &Layout {
        B::layout(&self.plan)
    }

    /// Updates so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Continues as after this many updates: Adam's corrections depend on it.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Bytes that one batch and the work on it take.
    pub fn workspace(&self) -> Workspace {
        B::workspace(&self.plan)
    }

    /// Statistics of every table; the traffic of its cache is since this was last called.
    pub fn statistics(&mut self) -> Vec<TableStatistics> {
        self.tables.iter_mut().map(Held::statistics).collect()
    }

    fn held(&self, table: usize) -> Result<&Held<B>, Error> {
        self.tables.get(table).ok_or(Error::NoTable { table, tables: self.tables.len() })
    }

    /// Where the tables are: no other collection has them there, and they do not move with this one.
    fn identity(&self) -> usize {
        self.tables.as_ptr().addr()
    }

    fn check_owner(&self, batch: &Batch<B>) -> Result<(), Error> {
        if batch.owner == self.identity() { Ok(()) } else { Err(Error::OtherPlan { what: "batch" }) }
    }

    fn check_generation(&self, batch: &Batch<B>) -> Result<(), Error> {
        self.check_owner(batch)?;
        if batch.generation == self.generation { Ok(()) } else { Err(Error::Stale { what: Stale::Cache }) }
    }

    fn check_trained(&self, batch: &Batch<B>) -> Result<(), Error> {
        self.check_generation(batch)?;
        if batch.mode == Mode::Train { Ok(()) } else { Err(Error::Stale { what: Stale::Nothing }) }
    }

    fn parameters_changed(&mut self) {
        self.version.0 += 1;
    }
}

impl<B: Backend> Held<B> {
    fn new(backend: &B, queue: &mut B::Queue, config: TableConfig, seed: u64) -> Result<Self, B::Error> {
        let parameters = config.table.parameters();
        // First, as the backend says in an error that there is no room for so many.
        let mut params = backend.alloc(queue, parameters)?;
        let mut values = alloc::vec![<B::Float as Default>::default(); parameters];
        match config.table.cores() {
            Some(shape) => config.init.fill(shape, seed, &mut values[..shape.parameters()]),
            None => init::fill_dense(config.rows(), seed, &mut values),
        }
        backend.upload(queue, &values, B::view_mut(&mut params))?;
        let state = backend.alloc(queue, config.state_layout().len())?;
        Ok(Self { params, state, cache: config.cache()?, config })
    }

    fn state_len(&self) -> usize {
        self.config.state_layout().len()
    }

    fn statistics(&mut self) -> TableStatistics {
        let (table, bytes) = (&self.config.table, B::Float::BYTES);
        let cached_rows = self.cache.as_ref().map_or(0, |cache| cache.rows().iter().flatten().count());
        TableStatistics {
            rows: self.config.rows(),
            bytes: Bytes {
                uncompressed: u128::from(self.config.rows()) * (table.dim() * bytes) as u128,
                cores: table.core_parameters() * bytes,
                dense_rows: (table.parameters() - table.core_parameters()) * bytes,
                state: self.state_len() * bytes,
                counter: self.cache.as_ref().map_or(0, FrequencyCache::bytes),
            },
            init: table.cores().map(|shape| self.config.init.report(shape)),
            cached_rows,
            traffic: self.cache.as_mut().map(FrequencyCache::take_traffic),
        }
    }
}

impl<B: Backend> fmt::Debug for EmbeddingBagCollection<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Configs<'a, B: Backend>(&'a [Held<B>]);
        impl<B: Backend> fmt::Debug for Configs<'_, B> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.iter().map(|held| &held.config)).finish()
            }
        }
        f.debug_struct("EmbeddingBagCollection")
            .field("tables", &Configs(&self.tables))
            .field("bags", &self.layout().bags())
            .field("lookups", &self.layout().lookups())
            .field("version", &self.version)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// Where a part of a table's numbers lies, if it is within them.
fn part(what: &'static str, table: usize, start: usize, len: usize, whole: usize) -> Result<Range<usize>, Error> {
    let end = start.saturating_add(len);
    if end > whole { Err(Error::Length { what, table: Some(table), got: end, want: whole }) } else { Ok(start..end) }
}

/// Finds where each lookup goes (paper, Figure 4: `I = I_C + I_T`), and counts it in training.
fn partition<F: Real>(
    cache: &mut FrequencyCache,
    bags: &Bags<'_, F>,
    core_rows: u64,
    mode: Mode,
    addresses: &mut Vec<u64>,
) {
    addresses.clear();
    let mut hits = 0;
    for j in 0..bags.lookups() {
        let row = bags.row(j);
        if mode == Mode::Train {
            cache.count(row);
        }
        let address = cache.address(row, core_rows);
        hits += u64::from(address >= core_rows);
        addresses.push(address);
    }
    cache.note(hits, bags.lookups() as u64);
}
