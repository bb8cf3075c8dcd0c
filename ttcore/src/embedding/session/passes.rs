//! What a session computes: each call on a batch, with a worker, and on the caller's memory.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;

use super::{Known, Session, TableMut};
use crate::backend::{Backend, Expand, Sink};
use crate::bags::Bags;
use crate::check;
use crate::embedding::{Batch, Mode, TableConfig, Worker};
use crate::error::Error;
use crate::optim::Update;

impl<B: Backend> Session<B> {
    /// Fills a batch: one [`Bags`] for each table, validated for its [rows](TableConfig::rows). Cached rows are found here.
    ///
    /// # Errors
    ///
    /// [`Error`] for bags that do not fit the tables or the room for batches.
    pub fn group<'a>(
        &self,
        queue: &mut B::Queue,
        batch: &mut Batch<B>,
        bags: impl IntoIterator<Item = Bags<'a, B::Float>, IntoIter: Clone>,
        mode: Mode,
    ) -> Result<(), B::Error> {
        let bags = bags.into_iter();
        self.check_owner(batch)?;
        self.check(bags.clone())?;
        if !Arc::ptr_eq(&batch.plan, &self.plan) {
            *batch = self.batch(queue)?;
        }
        (batch.mode, batch.generation, batch.unobserved) = (mode, self.generation, false);
        for ((known, lookups), bags) in self.tables.iter().zip(&mut batch.lookups).zip(bags.clone()) {
            if let Some(cache) = &known.cache {
                lookups.find(cache, &bags, known.config.rows());
            }
        }
        let addressed = bags.zip(&self.tables).zip(&batch.lookups).map(|((bags, known), lookups)| match known.cache {
            Some(_) => bags.with_addresses(&lookups.all, known.config.table.addresses()),
            None => bags,
        });
        self.backend.group(queue, &self.plan, addressed, &mut batch.group)?;
        batch.unobserved = true;
        Ok(())
    }

    /// That there is one batch for each table and it fits. Before anything changes.
    fn check<'a>(&self, bags: impl Iterator<Item = Bags<'a, B::Float>>) -> Result<(), Error> {
        let (mut count, mut rows_before) = (0, None);
        for (table, bags) in bags.enumerate() {
            let tables = self.tables.len();
            let known = self.tables.get(table).ok_or(Error::TableCount { what: "batches", got: table + 1, tables })?;
            let want = known.config.rows();
            if bags.rows() != want {
                return Err(Error::Rows { table, got: bags.rows(), want });
            }
            rows_before = Some(check::batch_size(self.layout(), table, bags.bags(), bags.lookups(), rows_before)?);
            count = table + 1;
        }
        check::table_count(self.layout(), "batches", count)
    }

    /// Pooled rows of all tables, `out` `[B][stride]` (see [`Layout`](crate::Layout)).
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a batch grouped before a cache was refreshed, [`Error::Length`], or the backend's.
    pub fn forward<'a>(
        &self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        batch: &mut Batch<B>,
        params: impl IntoIterator<Item = B::View<'a>>,
        out: B::ViewMut<'_>,
    ) -> Result<(), B::Error> {
        self.check_generation(batch)?;
        let Batch { plan, group, saved, mode, .. } = batch;
        let saved = match mode {
            Mode::Train => Some(saved),
            Mode::Evaluate => None,
        };
        let call = worker.call(&self.backend, queue, plan, group)?;
        self.backend.forward(call, self.version(), params, out, saved)
    }

    /// Gradients of all tables from that of the output, `grad_out` `[B][stride]`, into a sink for each: see
    /// [`Backend::backward`]. If one of them is an update, the parameters have changed.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the parameters changed since the batch's forward, [`Error::Length`], or the backend's.
    pub fn backward<'a>(
        &self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        batch: &Batch<B>,
        sinks: impl IntoIterator<Item = Sink<'a, B>>,
        grad_out: B::View<'_>,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        self.check_trained(batch)?;
        let call = worker.call(&self.backend, queue, &batch.plan, &batch.group)?;
        let updated = Cell::new(false);
        let sinks = sinks.into_iter().inspect(|sink| updated.set(updated.get() | matches!(sink, Sink::Update { .. })));
        self.backend.backward(call, self.version(), &batch.saved, sinks, grad_out, grad_weights)?;
        if updated.get() {
            self.parameters_changed();
        }
        Ok(())
    }

    /// Computes the gradients of all tables and applies their rules, in one pass. Frozen tables stay as they are.
    /// `grad_weights` as in [`Backend::backward`]. A gradient that is not finite makes parameters so; it is not looked for here:
    /// [`check::finite`](crate::check::finite) does.
    ///
    /// # Errors
    ///
    /// As [`Session::backward`]; [`Error::Setting`] for a learning rate that is not finite. Nothing is updated then.
    // What a step works on, one by one, is what makes it lend itself: all of it is the caller's.
    #[allow(clippy::too_many_arguments)]
    pub fn step<'a>(
        &self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        batch: &Batch<B>,
        tables: impl IntoIterator<Item = TableMut<'a, B>>,
        grad_out: B::View<'_>,
        lr: f64,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        if !lr.is_finite() {
            return Err(Error::Setting { what: "learning rate", table: 0, value: lr }.into());
        }
        let step = self.steps() + 1;
        let sinks = tables.into_iter().enumerate().map(|(number, TableMut { params, state })| {
            // One too many is the backend's to refuse.
            let Some(Known { config, .. }) = self.tables.get(number).filter(|known| !known.config.frozen) else {
                return Sink::Frozen { params: B::read_only(params) };
            };
            let TableConfig { rule, core_rule, core_lr_multiplier, lr_multiplier, .. } = *config;
            let update = Update { rule, core_rule, lr: lr * lr_multiplier, core_lr_multiplier, step };
            Sink::Update { params, state, update }
        });
        self.backward(queue, worker, batch, sinks, grad_out, grad_weights)?;
        self.set_steps(step);
        Ok(())
    }

    /// Rows of a table as a lookup would give them, into `out` `[n][N]`: cached ones from the cache, others from the cores.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Row`], [`Error::Length`], or the backend's.
    pub fn rows<'a>(
        &self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        table: usize,
        params: B::View<'a>,
        rows: &[u64],
        out: B::ViewMut<'a>,
    ) -> Result<(), B::Error> {
        let known = self.known(table)?;
        let want = known.config.rows();
        if let Some(position) = rows.iter().position(|&row| row >= want) {
            return Err(Error::Row { table, position, row: rows[position], rows: want }.into());
        }
        match &known.cache {
            Some(cache) => {
                let addresses: Vec<u64> = rows.iter().map(|&row| cache.address(row, want)).collect();
                self.expand(queue, worker, Expand { table, params, rows: &addresses, out })
            }
            None => self.expand(queue, worker, Expand { table, params, rows, out }),
        }
    }

    /// Rows at their addresses.
    pub(super) fn expand(
        &self,
        queue: &mut B::Queue,
        worker: &mut Worker<B>,
        wanted: Expand<'_, '_, B>,
    ) -> Result<(), B::Error> {
        let scratch = worker.scratch(&self.backend, queue, &self.plan)?;
        self.backend.expand_rows(queue, &self.plan, scratch, [wanted])
    }
}
