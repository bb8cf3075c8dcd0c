//! The tables of a model on memory that is someone else's.

mod passes;
mod refresh;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::batch::{Addresses, Batch, Mode, Worker};
use super::{TableConfig, TableStatistics};
use crate::backend::{Backend, Version, Workspace};
use crate::cache::FrequencyCache;
use crate::check;
use crate::error::{Error, Stale};
use crate::layout::Layout;

/// What is known of the tables of a model on one backend, without their numbers: plan, caches, rules, steps, and which
/// batch belongs to which parameters. Parameters and state come with each call as views of memory that stays the
/// caller's, one for each table, in order.
///
/// All that computes needs `&self` and a [`Worker`] of its own: many threads may look rows up at once, and the next batch
/// may be grouped while one is trained on. What the caches learn is told them by [`Session::observe`].
///
/// ```
/// use ttcore::backend::Sink;
/// use ttcore::embedding::Session;
/// use ttcore::{Bags, Mode, Offsets, Pooling, Reference, TableConfig, TtShape};
///
/// let config = TableConfig::tt(TtShape::paper(1000, 8, 3, 4)?);
/// let mut params = vec![0.0f32; config.table().parameters()]; // another framework's tensor
/// config.draw(42, &mut params);
/// let session = Session::new(Reference::<f32>::new(), &mut (), vec![config], 2, 8)?;
/// let (mut worker, mut batch) = (session.worker(&mut ())?, session.batch(&mut ())?);
///
/// let bags = Bags::new(1000, &[3i64, 999, 3], Offsets::Starts(&[0, 2]), Pooling::Sum, None)?;
/// session.group(&mut (), &mut batch, [bags], Mode::Train)?;
/// let mut out = [0.0; 2 * 8];
/// session.forward(&mut (), &mut worker, &mut batch, [&params[..]], &mut out)?;
///
/// // Of the loss |out|^2 / 2, for an optimiser outside.
/// let mut grads = vec![0.0; params.len()];
/// let sink = Sink::Accumulate { params: &params[..], grads: &mut grads[..] };
/// session.backward(&mut (), &mut worker, &batch, [sink], &out, None)?;
/// for (param, grad) in params.iter_mut().zip(&grads) {
///     *param -= 0.1 * grad;
/// }
/// session.parameters_changed();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session<B: Backend> {
    /// No other session of the process has it, nor will one.
    identity: usize,
    pub(super) backend: B,
    pub(super) plan: Arc<B::Plan>,
    pub(super) tables: Vec<Known>,
    /// Changes with the rows cached.
    pub(super) generation: u64,
    // Atomic, so that a batch can be grouped beside a step; numbers that nothing else is ordered by.
    /// Changes with the parameters.
    version: AtomicUsize,
    steps: AtomicUsize,
}

/// Counts sessions. One a nanosecond would take centuries to come round, on 64 bits.
static NEXT_IDENTITY: AtomicUsize = AtomicUsize::new(0);

/// One table: how it is held, and which rows are cached.
pub(super) struct Known {
    pub(super) config: TableConfig,
    pub(super) cache: Option<FrequencyCache>,
}

/// The memory of one table, for what changes it.
pub struct TableMut<'a, B: Backend> {
    /// `[Table::parameters]`: cores, then dense rows.
    pub params: B::ViewMut<'a>,
    /// Optimiser state, as [`TableConfig::state_layout`] says.
    pub state: B::ViewMut<'a>,
}

impl<B: Backend> Session<B> {
    /// A session for tables held like this and batches of at most `bags` bags and `lookups` lookups a table. Outputs of the
    /// tables lie side by side.
    ///
    /// # Errors
    ///
    /// [`Error`] for tables that do not fit in the address space or are configured with numbers that make no sense, or the
    /// backend's own.
    pub fn new(
        backend: B,
        queue: &mut B::Queue,
        configs: Vec<TableConfig>,
        bags: usize,
        lookups: usize,
    ) -> Result<Self, B::Error> {
        let layout = Layout::new(configs.iter().map(|config| config.table.clone()).collect(), bags, lookups)?;
        Self::with_layout(backend, queue, configs, layout)
    }

    /// A session whose outputs go where a layout says: its tables are those of the configurations.
    ///
    /// # Errors
    ///
    /// [`Error::TableCount`] or [`Error::OtherTable`] if they are not, or as [`Session::new`].
    pub fn with_layout(
        backend: B,
        queue: &mut B::Queue,
        configs: Vec<TableConfig>,
        layout: Layout,
    ) -> Result<Self, B::Error> {
        check::table_count(&layout, "configurations", configs.len())?;
        if let Some(table) = configs.iter().zip(layout.tables()).position(|(config, table)| config.table != *table) {
            return Err(Error::OtherTable { table }.into());
        }
        configs.iter().enumerate().try_for_each(|(table, config)| config.check(table))?;
        let plan = Arc::new(backend.plan(queue, layout)?);
        let known = |config: TableConfig| Ok(Known { cache: config.cache()?, config });
        let tables = configs.into_iter().map(known).collect::<Result<_, Error>>()?;
        Ok(Self {
            identity: NEXT_IDENTITY.fetch_add(1, Relaxed),
            backend,
            plan,
            tables,
            generation: 0,
            version: AtomicUsize::new(0),
            steps: AtomicUsize::new(0),
        })
    }

    /// Makes room for larger batches. Those under way go on with the room they have; a batch takes the new room when it is
    /// filled again.
    ///
    /// # Errors
    ///
    /// As [`Session::new`].
    pub fn reserve(&mut self, queue: &mut B::Queue, bags: usize, lookups: usize) -> Result<(), B::Error> {
        let old = self.layout();
        let layout = old.with_room(bags.max(old.bags()), lookups.max(old.lookups()))?;
        self.plan = Arc::new(self.backend.plan(queue, layout)?);
        Ok(())
    }

    /// As [`reserve`](Self::reserve), where there is less room, to the next power of two: batches that grow and grow make room
    /// seldom.
    ///
    /// # Errors
    ///
    /// As [`Session::new`], for room for no more than these.
    pub fn grow(&mut self, queue: &mut B::Queue, bags: usize, lookups: usize) -> Result<(), B::Error> {
        let (have_bags, have_lookups) = (self.layout().bags(), self.layout().lookups());
        if bags <= have_bags && lookups <= have_lookups {
            return Ok(());
        }
        let room =
            |have, want: usize| if want <= have { have } else { want.checked_next_power_of_two().unwrap_or(want) };
        // There may be no room for a power of two where there is for what is wanted.
        self.reserve(queue, room(have_bags, bags), room(have_lookups, lookups))
            .or_else(|_| self.reserve(queue, bags, lookups))
    }

    /// Memory for one thread to work in.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn worker(&self, queue: &mut B::Queue) -> Result<Worker<B>, B::Error> {
        Worker::new(&self.backend, queue, &self.plan)
    }

    /// Memory for one batch.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn batch(&self, queue: &mut B::Queue) -> Result<Batch<B>, B::Error> {
        let room =
            |known: &Known| Addresses::with_capacity(known.cache.as_ref().map_or(0, |_| self.layout().lookups()));
        let cached = self.tables.iter().filter(|known| known.cache.is_some()).count();
        check::memory("memory of a batch", self.layout().lookups().saturating_mul(size_of::<u64>() * cached))?;
        Ok(Batch {
            plan: self.plan.clone(),
            group: self.backend.new_group(queue, &self.plan)?,
            saved: self.backend.new_saved(queue, &self.plan)?,
            mode: Mode::Evaluate,
            owner: self.identity,
            generation: self.generation,
            lookups: self.tables.iter().map(room).collect(),
            unobserved: false,
        })
    }

    /// To be called when parameters were changed by anyone but the session: forwards before that cannot be used in a
    /// backward any more.
    pub fn parameters_changed(&self) {
        self.version.fetch_add(1, Relaxed);
    }

    /// Holds or trains a table in another way from now on: rule, learning rates, frozen or not. Whose rule needs other
    /// state must bring other state, zeros to begin with; what is chosen when a table is made, its first values and how many
    /// rows are counted, is not chosen again.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`]; [`Error::Setting`]; [`Error::OtherTable`] if it is not the same table: shape and slots are what the plan was made for.
    pub fn set_config(&mut self, table: usize, config: TableConfig) -> Result<(), Error> {
        if self.known(table)?.config.table != config.table {
            return Err(Error::OtherTable { table });
        }
        config.check(table)?;
        self.tables[table].config = config;
        Ok(())
    }

    /// The backend the tables are on.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// How the tables are held, in order.
    pub fn configs(&self) -> impl ExactSizeIterator<Item = &TableConfig> {
        self.tables.iter().map(|known| &known.config)
    }

    /// Where the outputs of the tables go, and how large a batch may be.
    pub fn layout(&self) -> &Layout {
        B::layout(&self.plan)
    }

    /// Updates so far.
    pub fn steps(&self) -> u64 {
        self.steps.load(Relaxed) as u64
    }

    /// Continues as after this many updates: Adam's corrections depend on it.
    pub fn set_steps(&self, steps: u64) {
        self.steps.store(steps as usize, Relaxed);
    }

    /// Bytes that one batch and the work on it take.
    pub fn workspace(&self) -> Workspace {
        B::workspace(&self.plan)
    }

    /// Statistics of every table; the traffic of its cache is since this was last called.
    pub fn statistics(&mut self) -> Vec<TableStatistics> {
        self.tables.iter_mut().map(|known| TableStatistics::new::<B::Float>(&known.config, &mut known.cache)).collect()
    }

    pub(super) fn known(&self, table: usize) -> Result<&Known, Error> {
        self.tables.get(table).ok_or(Error::NoTable { table, tables: self.tables.len() })
    }

    fn version(&self) -> Version {
        Version(self.version.load(Relaxed) as u64)
    }

    fn check_owner(&self, batch: &Batch<B>) -> Result<(), Error> {
        if batch.owner == self.identity { Ok(()) } else { Err(Error::OtherPlan { what: "batch" }) }
    }

    pub(super) fn check_generation(&self, batch: &Batch<B>) -> Result<(), Error> {
        self.check_owner(batch)?;
        if batch.generation == self.generation { Ok(()) } else { Err(Error::Stale { what: Stale::Cache }) }
    }

    fn check_trained(&self, batch: &Batch<B>) -> Result<(), Error> {
        self.check_generation(batch)?;
        if batch.mode == Mode::Train { Ok(()) } else { Err(Error::Stale { what: Stale::Nothing }) }
    }
}

impl<B: Backend> fmt::Debug for Session<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Configs<'a>(&'a [Known]);
        impl fmt::Debug for Configs<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.iter().map(|known| &known.config)).finish()
            }
        }
        f.debug_struct("Session")
            .field("tables", &Configs(&self.tables))
            .field("bags", &self.layout().bags())
            .field("lookups", &self.layout().lookups())
            .field("version", &self.version())
            .field("steps", &self.steps())
            .finish_non_exhaustive()
    }
}

impl<B: Backend> fmt::Debug for TableMut<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableMut").finish_non_exhaustive()
    }
}
