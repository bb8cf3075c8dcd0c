//! Parameters, state and rows of a collection, read and replaced.

use alloc::vec::Vec;
use core::ops::Range;

use super::EmbeddingBagCollection;
use crate::backend::Backend;
use crate::check;
use crate::error::Error;

impl<B: Backend> EmbeddingBagCollection<B> {
    /// Rows of a table as a lookup would give them, `[n][N]`: cached ones from the cache, others from the cores.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Row`], or the backend's.
    pub fn rows(&mut self, queue: &mut B::Queue, table: usize, rows: &[u64]) -> Result<Vec<B::Float>, B::Error> {
        let len = rows.len() * self.config(table)?.table.dim();
        let mut buffer = self.backend().alloc(queue, len)?;
        let Self { session, memory } = self;
        let params = B::view(&memory.params[table]);
        session.rows(queue, &mut memory.worker, table, params, rows, B::view_mut(&mut buffer))?;
        let mut values = check::zeros("rows", len)?;
        session.backend().download(queue, B::view(&buffer), &mut values)?;
        Ok(values)
    }

    /// The parameters of a table, on the host: cores, then dense rows.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], or the backend's.
    pub fn parameters(&self, queue: &mut B::Queue, table: usize) -> Result<Vec<B::Float>, B::Error> {
        let mut values = check::zeros("table", self.config(table)?.table.parameters())?;
        self.backend().download(queue, self.parameters_view(table)?, &mut values)?;
        Ok(values)
    }

    /// Replaces the parameters of a table: cores, then dense rows.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Length`], or the backend's.
    pub fn set_parameters(&mut self, queue: &mut B::Queue, table: usize, values: &[B::Float]) -> Result<(), B::Error> {
        check::length("parameters", Some(table), values.len(), self.config(table)?.table.parameters())?;
        self.set_parameters_part(queue, table, 0, values)
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
        let range = part("parameters", table, start, values.len(), self.config(table)?.table.parameters())?;
        let Self { session, memory } = self;
        session.parameters_changed();
        session.backend().upload(queue, values, B::slice_mut(B::view_mut(&mut memory.params[table]), range))
    }

    /// The parameters of a table where they lie: cores, then dense rows. For reading them in parts.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn parameters_view(&self, table: usize) -> Result<B::View<'_>, B::Error> {
        self.config(table)?;
        Ok(B::view(&self.memory.params[table]))
    }

    /// The parameters of a table, for an optimiser outside to write. Forwards before this cannot be used in a backward
    /// any more.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn parameters_mut(&mut self, table: usize) -> Result<B::ViewMut<'_>, B::Error> {
        self.config(table)?;
        self.session.parameters_changed();
        Ok(B::view_mut(&mut self.memory.params[table]))
    }

    /// The optimiser state of a table, on the host, as
    /// [`TableConfig::state_layout`](crate::TableConfig::state_layout) says.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], or the backend's.
    pub fn state(&self, queue: &mut B::Queue, table: usize) -> Result<Vec<B::Float>, B::Error> {
        let mut values = check::zeros("state", self.config(table)?.state_layout().len())?;
        self.backend().download(queue, self.state_view(table)?, &mut values)?;
        Ok(values)
    }

    /// Replaces the optimiser state of a table.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Length`], or the backend's.
    pub fn set_state(&mut self, queue: &mut B::Queue, table: usize, values: &[B::Float]) -> Result<(), B::Error> {
        check::length("optimiser state", Some(table), values.len(), self.config(table)?.state_layout().len())?;
        self.set_state_part(queue, table, 0, values)
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
        let range = part("optimiser state", table, start, values.len(), self.config(table)?.state_layout().len())?;
        let Self { session, memory } = self;
        session.backend().upload(queue, values, B::slice_mut(B::view_mut(&mut memory.state[table]), range))
    }

    /// The optimiser state of a table where it lies. For reading it in parts.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub fn state_view(&self, table: usize) -> Result<B::View<'_>, B::Error> {
        self.config(table)?;
        Ok(B::view(&self.memory.state[table]))
    }
}

/// Where a part of a table's numbers lies, if it is within them.
fn part(what: &'static str, table: usize, start: usize, len: usize, whole: usize) -> Result<Range<usize>, Error> {
    let end = start.saturating_add(len);
    if end > whole { Err(Error::Length { what, table: Some(table), got: end, want: whole }) } else { Ok(start..end) }
}
