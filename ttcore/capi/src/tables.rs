//! The tables of a session, whatever the type of their numbers.

use std::any::Any;

use ttcore::cache::CacheState;
use ttcore::embedding::TableStatistics;
use ttcore::{Layout, Mode, TableConfig};

use crate::bags::ttc_bags;
use crate::error::Outcome;
use crate::ops::ttc_sink;
use crate::record::Records;
use crate::view::{ttc_view, ttc_view_mut};

/// Memory of a worker or a batch, for numbers of one type.
pub(crate) type Memory = Box<dyn Any + Send + Sync>;

/// The parameters and the state of all tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableViews<'a> {
    pub(crate) params: Records<'a, ttc_view_mut>,
    pub(crate) state: Records<'a, ttc_view_mut>,
}

impl TableViews<'_> {
    /// # Safety
    ///
    /// As for [`Records::new`].
    pub(crate) unsafe fn new(params: *const ttc_view_mut, state: *const ttc_view_mut, tables: usize) -> Outcome<Self> {
        // SAFETY: the caller's.
        unsafe {
            Ok(Self { params: Records::new(params, tables, "params")?, state: Records::new(state, tables, "state")? })
        }
    }
}

/// A [`Session`](ttcore::embedding::Session), whatever the type of its numbers. Workers and batches must be its own.
///
/// # Safety
///
/// Not of the trait but of its methods that are marked so: all memory that views and bags name is there during the call;
/// nothing writes it meanwhile, and nothing else reads what the call writes.
pub(crate) trait Tables: Send + Sync {
    fn worker(&self) -> Outcome<Memory>;
    fn batch(&self) -> Outcome<Memory>;
    unsafe fn group(&self, batch: &mut dyn Any, bags: Records<'_, ttc_bags>, mode: Mode) -> Outcome;
    unsafe fn forward(
        &self,
        worker: &mut dyn Any,
        batch: &mut dyn Any,
        params: Records<'_, ttc_view>,
        out: ttc_view_mut,
    ) -> Outcome;
    unsafe fn backward(
        &self,
        worker: &mut dyn Any,
        batch: &mut dyn Any,
        sinks: Records<'_, ttc_sink>,
        grad_out: ttc_view,
        grad_weights: Option<ttc_view_mut>,
    ) -> Outcome;
    unsafe fn step(
        &self,
        worker: &mut dyn Any,
        batch: &mut dyn Any,
        tables: TableViews<'_>,
        grad_out: ttc_view,
        lr: f64,
        grad_weights: Option<ttc_view_mut>,
    ) -> Outcome;
    unsafe fn rows(
        &self,
        worker: &mut dyn Any,
        table: usize,
        params: ttc_view,
        rows: &[u64],
        out: ttc_view_mut,
    ) -> Outcome;
    unsafe fn draw(&self, table: usize, seed: u64, params: ttc_view_mut) -> Outcome;
    fn observe(&mut self, batch: &mut dyn Any) -> Outcome;
    unsafe fn refresh(&mut self, worker: &mut dyn Any, tables: TableViews<'_>) -> Outcome;
    fn cache_state(&self, table: usize) -> Outcome<Option<CacheState>>;
    fn set_cache_state(&mut self, table: usize, state: &CacheState) -> Outcome;
    fn config(&self, table: usize) -> Outcome<&TableConfig>;
    fn set_config(&mut self, table: usize, config: TableConfig) -> Outcome;
    fn reserve(&mut self, bags: usize, lookups: usize) -> Outcome;
    fn statistics(&mut self) -> Vec<TableStatistics>;
    fn parameters_changed(&self);
    fn steps(&self) -> u64;
    fn set_steps(&self, steps: u64);
    fn layout(&self) -> &Layout;
    fn dtype(&self) -> u32;
}
