//! The memory of all tables of a model, and a session's operations on it.

use alloc::vec::Vec;
use core::fmt;

use super::super::{Batch, Session, TableConfig, TableMut, Worker};
use crate::backend::{Backend, Sink};
use crate::cache::Refresh;
use crate::check;
use crate::init;

/// The parameters and optimiser state of the tables of a session, and memory to work in. Each operation is the
/// [`Session`]'s of that name.
pub struct TableMemory<B: Backend> {
    pub(super) params: Vec<B::Buffer>,
    pub(super) state: Vec<B::Buffer>,
    pub(super) worker: Worker<B>,
}

impl<B: Backend> TableMemory<B> {
    pub(super) fn drawn(session: &Session<B>, queue: &mut B::Queue, seed: u64) -> Result<Self, B::Error> {
        let mut params = Vec::with_capacity(session.configs().len());
        for (number, config) in session.configs().enumerate() {
            // First, as the backend says in an error that there is no room for so many.
            let mut buffer = session.backend().alloc(queue, config.table.parameters())?;
            let mut values = check::zeros("table", config.table.parameters())?;
            config.draw(init::table_seed(seed, number), &mut values);
            session.backend().upload(queue, &values, B::view_mut(&mut buffer))?;
            params.push(buffer);
        }
        Self::with_parameters(session, queue, params)
    }

    pub(super) fn with_parameters(
        session: &Session<B>,
        queue: &mut B::Queue,
        params: impl IntoIterator<Item = B::Buffer>,
    ) -> Result<Self, B::Error> {
        let params = check::collect(session.layout(), "parameters", params)?;
        for (number, (config, params)) in session.configs().zip(&params).enumerate() {
            check::length("parameters", Some(number), B::len(B::view(params)), config.table.parameters())?;
        }
        let state = session.configs().map(|config| session.backend().alloc(queue, config.state_layout().len()));
        let state = state.collect::<Result<_, _>>()?;
        Ok(Self { params, state, worker: session.worker(queue)? })
    }

    pub(super) fn views(&self) -> impl Iterator<Item = B::View<'_>> {
        self.params.iter().map(B::view)
    }

    fn all(&mut self) -> (impl Iterator<Item = TableMut<'_, B>>, &mut Worker<B>) {
        let Self { params, state, worker } = self;
        let tables = params.iter_mut().zip(state);
        let table = |(params, state)| TableMut { params: B::view_mut(params), state: B::view_mut(state) };
        (tables.map(table), worker)
    }

    /// As [`Session::forward`].
    ///
    /// # Errors
    ///
    /// As [`Session::forward`].
    pub fn forward(
        &mut self,
        session: &Session<B>,
        queue: &mut B::Queue,
        batch: &mut Batch<B>,
        out: B::ViewMut<'_>,
    ) -> Result<(), B::Error> {
        session.forward(queue, &mut self.worker, batch, self.params.iter().map(B::view), out)
    }

    /// As [`Session::backward`], with [`Sink::Accumulate`] for all tables.
    ///
    /// # Errors
    ///
    /// As [`Session::backward`].
    pub fn backward<'a>(
        &'a mut self,
        session: &Session<B>,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        grads: impl IntoIterator<Item = B::ViewMut<'a>>,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        let grads = check::collect(session.layout(), "gradients", grads)?;
        let tables = self.params.iter().zip(grads);
        let sinks = tables.map(|(params, grads)| Sink::Accumulate { params: B::view(params), grads });
        session.backward(queue, &mut self.worker, batch, sinks, grad_out, grad_weights)
    }

    /// As [`Session::step`].
    ///
    /// # Errors
    ///
    /// As [`Session::step`].
    pub fn step(
        &mut self,
        session: &Session<B>,
        queue: &mut B::Queue,
        batch: &Batch<B>,
        grad_out: B::View<'_>,
        lr: f64,
        grad_weights: Option<B::ViewMut<'_>>,
    ) -> Result<(), B::Error> {
        let (tables, worker) = self.all();
        session.step(queue, worker, batch, tables, grad_out, lr, grad_weights)
    }

    pub(super) fn refresh(&mut self, session: &mut Session<B>, queue: &mut B::Queue) -> Result<Vec<Refresh>, B::Error> {
        let (tables, worker) = self.all();
        session.refresh(queue, worker, tables)
    }

    pub(super) fn set_config(
        &mut self,
        session: &mut Session<B>,
        queue: &mut B::Queue,
        table: usize,
        config: TableConfig,
    ) -> Result<(), B::Error> {
        let before = session.known(table)?.config.state_layout();
        let layout = config.state_layout();
        // First, so that nothing has changed if there is no room.
        let state = if layout == before { None } else { Some(session.backend().alloc(queue, layout.len())?) };
        session.set_config(table, config)?;
        if let Some(state) = state {
            self.state[table] = state;
        }
        Ok(())
    }
}

impl<B: Backend> fmt::Debug for TableMemory<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableMemory").field("tables", &self.params.len()).finish_non_exhaustive()
    }
}
