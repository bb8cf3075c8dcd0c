//! What the caches of a session learn, and which rows they hold.

use alloc::vec::Vec;

use super::{Session, TableMut};
use crate::backend::{Backend, Expand};
use crate::cache::{CacheState, FrequencyCache, Refresh};
use crate::check;
use crate::embedding::{Batch, Mode, Worker};
use crate::error::Error;

impl<B: Backend> Session<B> {
    /// Shows a batch to the caches: its lookups are traffic, and in training they count as accesses. Once for each
    /// grouping, however often it is called.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a batch grouped before a cache was refreshed, [`Error::OtherPlan`]; nothing is counted then.
    pub fn observe(&mut self, batch: &mut Batch<B>) -> Result<(), B::Error> {
        self.check_generation(batch)?;
        if !core::mem::take(&mut batch.unobserved) {
            return Ok(());
        }
        for (known, lookups) in self.tables.iter_mut().zip(&batch.lookups) {
            let Some(cache) = &mut known.cache else { continue };
            cache.note(lookups.traffic.hits, lookups.traffic.lookups);
            if batch.mode == Mode::Train {
                let core_rows = known.config.rows();
                lookups.all.iter().for_each(|&address| cache.count_address(address, core_rows));
            }
        }
        Ok(())
    }

    /// Lets every cache choose its rows anew, and loads those that are new from the cores, with fresh optimiser state.
    /// What changed comes back for each table, empty for one without a cache.
    ///
    /// # Errors
    ///
    /// [`Error::TableCount`] or [`Error::Length`], and nothing is chosen; or the backend's.
    pub fn refresh<'a>(
        &mut self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        tables: impl IntoIterator<Item = TableMut<'a, B>>,
    ) -> Result<Vec<Refresh>, B::Error> {
        let mut memory = check::collect(self.layout(), "tables", tables)?;
        for (number, (table, known)) in memory.iter_mut().zip(&self.tables).enumerate() {
            let len = |view: &mut B::ViewMut<'_>| B::len(B::read_only(B::reborrow(view)));
            let want = known.config.table.parameters();
            check::length("parameters", Some(number), len(&mut table.params), want)?;
            let want = known.config.state_layout().len();
            check::length("optimiser state", Some(number), len(&mut table.state), want)?;
        }
        // First, so that nothing is taken for current if loading fails.
        let generation = self.generation;
        self.generation += 1;
        let mut refreshes = Vec::with_capacity(self.tables.len());
        for (number, table) in memory.iter_mut().enumerate() {
            let refresh = self.tables[number].cache.as_mut().map(FrequencyCache::refresh).unwrap_or_default();
            self.load(queue, worker, number, table, &refresh)?;
            refreshes.push(refresh);
        }
        if refreshes.iter().all(|refresh| refresh.load.is_empty() && refresh.evicted.is_empty()) {
            self.generation = generation;
        } else {
            self.parameters_changed();
        }
        Ok(refreshes)
    }

    fn load(
        &self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        number: usize,
        table: &mut TableMut<'_, B>,
        refresh: &Refresh,
    ) -> Result<(), B::Error> {
        let (rows, slots): (Vec<u64>, Vec<usize>) = refresh.load.iter().copied().unzip();
        let config = &self.tables[number].config;
        let (shape, layout) = (&config.table, config.state_layout());
        let len = rows.len() * shape.dim();
        let mut buffer = self.backend.alloc(queue, len)?;
        let params = B::read_only(B::reborrow(&mut table.params));
        let wanted = Expand { table: number, params, rows: &rows, out: B::view_mut(&mut buffer) };
        self.expand(queue, worker, wanted)?;
        let mut values = check::zeros("cached rows", len)?;
        self.backend.download(queue, B::view(&buffer), &mut values)?;
        for (slot, value) in slots.into_iter().zip(values.chunks_exact(shape.dim())) {
            let start = shape.core_parameters() + slot * shape.dim();
            let range = start..start + shape.dim();
            let place = B::slice_mut(B::reborrow(&mut table.params), range.clone());
            self.backend.upload(queue, value, place)?;
            let block = layout.slices() + slot;
            let blocks = if layout.rows() > 0 { Some(block..block + 1) } else { None };
            for range in blocks.into_iter().chain((0..layout.planes()).map(|plane| layout.plane(plane, range.clone())))
            {
                self.backend.zero(queue, B::slice_mut(B::reborrow(&mut table.state), range))?;
            }
        }
        Ok(())
    }

    /// What the cache of a table knows, for a checkpoint; `None` without a cache.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn cache_state(&self, table: usize) -> Result<Option<CacheState>, B::Error> {
        Ok(self.known(table)?.cache.as_ref().map(FrequencyCache::state))
    }

    /// Continues with what a cache knew. The values of its rows are among the parameters.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::CacheState`].
    pub fn set_cache_state(&mut self, table: usize, state: &CacheState) -> Result<(), B::Error> {
        let rows = self.known(table)?.config.rows();
        let cache = self.tables[table].cache.as_mut().ok_or(Error::CacheState { what: "the table has no cache" })?;
        cache.restore(state, rows)?;
        self.generation += 1;
        Ok(())
    }
}
