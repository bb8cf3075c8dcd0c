//! The tables of a session with numbers of one type: the caller's memory is borrowed here, and the calls are made.

use std::any::Any;
use std::mem::take;

use ttcore::backend::Sink;
use ttcore::cache::CacheState;
use ttcore::embedding::{Session, TableMut, TableStatistics};
use ttcore::{Backend, Bags, Layout, Mode, TableConfig, check};
use ttcore_cpu::{Cpu, Threads};

use crate::bags::{Copied, ttc_bags};
use crate::error::Outcome;
use crate::memory::{TypedBatch, TypedWorker, fits, own, with_weights};
use crate::ops::{ttc_sink, typed_sink};
use crate::record::Records;
use crate::tables::{Memory, TableViews, Tables};
use crate::view::{Borrows, Lender, Number, recycle, ttc_view, ttc_view_mut};

/// The tables of a session with numbers of this type.
pub(crate) struct Typed<F: Number> {
    session: Session<Cpu<F>>,
    threads: Threads,
}

impl<F: Number> Typed<F> {
    pub(crate) fn new(threads: Threads, configs: Vec<TableConfig>, layout: Layout, cpu: Cpu<F>) -> Outcome<Self> {
        let session = Session::with_layout(cpu, &mut threads.clone(), configs, layout)?;
        let typed = Self { session, threads };
        typed.fits()?;
        Ok(typed)
    }

    fn fits(&self) -> Outcome {
        fits(self.session.workspace())
    }

    fn count(&self, what: &'static str, got: usize) -> Outcome {
        Ok(check::table_count(self.session.layout(), what, got)?)
    }

    /// The memory of all tables, borrowed.
    fn lend<'a>(
        &self,
        lender: &mut Lender<'_, 'a>,
        tables: TableViews<'_>,
        list: &mut Vec<TableMut<'a, Cpu<F>>>,
    ) -> Outcome {
        self.count("parameter views", tables.params.len())?;
        self.count("state views", tables.state.len())?;
        for (number, (params, state)) in tables.params.iter().zip(tables.state.iter()).enumerate() {
            let params = lender.write(params?, "params").map_err(|error| error.of_table(number))?;
            let state = lender.write(state?, "state").map_err(|error| error.of_table(number))?;
            list.push(TableMut { params, state });
        }
        Ok(())
    }
}

impl<F: Number> Tables for Typed<F> {
    fn worker(&self) -> Outcome<Memory> {
        self.fits()?;
        let mut threads = self.threads.clone();
        let worker = self.session.worker(&mut threads)?;
        let tables = self.session.layout().tables().len();
        Ok(Box::new(TypedWorker {
            worker,
            threads,
            borrows: Borrows::default(),
            kept: Vec::new(),
            params: Vec::with_capacity(tables),
            tables: Vec::with_capacity(tables),
            sinks: Vec::with_capacity(tables),
        }))
    }

    fn batch(&self) -> Outcome<Memory> {
        self.fits()?;
        let mut threads = self.threads.clone();
        let batch = self.session.batch(&mut threads)?;
        let copied: Vec<_> = self.session.configs().map(|_| Copied::default()).collect();
        let bags = Vec::with_capacity(copied.len());
        Ok(Box::new(TypedBatch { batch, threads, copied, bags, grouped: false }))
    }

    unsafe fn group(&self, batch: &mut dyn Any, bags: Records<'_, ttc_bags>, mode: Mode) -> Outcome {
        self.count("batches", bags.len())?;
        let TypedBatch { batch, threads, copied, bags: list, grouped } = own::<TypedBatch<F>>(batch)?;
        *grouped = false;
        let mut views: Vec<Bags<'_, F>> = recycle(take(list));
        for (table, ((bags, copied), config)) in bags.iter().zip(copied).zip(self.session.configs()).enumerate() {
            // SAFETY: the caller's.
            let bags = unsafe { copied.fill(&bags?, self.session.layout(), table, config.rows()) };
            views.push(bags.map_err(|error| error.of_table(table))?);
        }
        self.session.group(threads, batch, views.iter().copied(), mode)?;
        *list = recycle(views);
        *grouped = true;
        Ok(())
    }

    unsafe fn forward(
        &self,
        worker: &mut dyn Any,
        batch: &mut dyn Any,
        params: Records<'_, ttc_view>,
        out: ttc_view_mut,
    ) -> Outcome {
        self.count("parameter views", params.len())?;
        let TypedBatch { batch, .. } = own::<TypedBatch<F>>(batch)?.grouped()?;
        let TypedWorker { worker, threads, borrows, params: list, .. } = own(worker)?;
        // SAFETY: the caller's, until the end of this function.
        let mut lender = unsafe { borrows.begin() };
        let out = lender.write(out, "out")?;
        let mut views: Vec<&[F]> = recycle(take(list));
        for (table, params) in params.iter().enumerate() {
            views.push(lender.read(params?, "params").map_err(|error| error.of_table(table))?);
        }
        self.session.forward(threads, worker, batch, views.iter().copied(), out)?;
        *list = recycle(views);
        Ok(())
    }

    unsafe fn backward(
        &self,
        worker: &mut dyn Any,
        batch: &mut dyn Any,
        sinks: Records<'_, ttc_sink>,
        grad_out: ttc_view,
        grad_weights: Option<ttc_view_mut>,
    ) -> Outcome {
        self.count("sinks", sinks.len())?;
        let TypedBatch { batch, copied, .. } = own::<TypedBatch<F>>(batch)?.grouped()?;
        let TypedWorker { worker, threads, borrows, kept, sinks: list, .. } = own(worker)?;
        // SAFETY: the caller's, until the end of this function.
        let mut lender = unsafe { borrows.begin() };
        let grad_out = lender.read(grad_out, "grad_out")?;
        let grad_weights = grad_weights.map(|view| lender.write(view, "grad_weights")).transpose()?;
        let mut views: Vec<Sink<'_, Cpu<F>>> = recycle(take(list));
        for (table, (sink, config)) in sinks.iter().zip(self.session.configs()).enumerate() {
            // SAFETY: the caller's.
            let sink = unsafe { typed_sink(&mut lender, sink?, config, self.session.steps() + 1) };
            views.push(sink.map_err(|error| error.of_table(table))?);
        }
        with_weights(copied, kept, grad_weights, |grad_weights| {
            self.session.backward(threads, worker, batch, views.drain(..), grad_out, grad_weights)
        })?;
        *list = recycle(views);
        Ok(())
    }

    unsafe fn step(
        &self,
        worker: &mut dyn Any,
        batch: &mut dyn Any,
        tables: TableViews<'_>,
        grad_out: ttc_view,
        lr: f64,
        grad_weights: Option<ttc_view_mut>,
    ) -> Outcome {
        let TypedBatch { batch, copied, .. } = own::<TypedBatch<F>>(batch)?.grouped()?;
        let TypedWorker { worker, threads, borrows, kept, tables: list, .. } = own(worker)?;
        // SAFETY: the caller's, until the end of this function.
        let mut lender = unsafe { borrows.begin() };
        let grad_out = lender.read(grad_out, "grad_out")?;
        let grad_weights = grad_weights.map(|view| lender.write(view, "grad_weights")).transpose()?;
        let mut views = recycle(take(list));
        self.lend(&mut lender, tables, &mut views)?;
        with_weights(copied, kept, grad_weights, |grad_weights| {
            self.session.step(threads, worker, batch, views.drain(..), grad_out, lr, grad_weights)
        })?;
        *list = recycle(views);
        Ok(())
    }

    unsafe fn rows(
        &self,
        worker: &mut dyn Any,
        table: usize,
        params: ttc_view,
        rows: &[u64],
        out: ttc_view_mut,
    ) -> Outcome {
        let TypedWorker::<F> { worker, threads, borrows, .. } = own(worker)?;
        // SAFETY: the caller's, until the end of this function.
        let mut lender = unsafe { borrows.begin() };
        let (params, out) = (lender.read(params, "params")?, lender.write(out, "out")?);
        Ok(self.session.rows(threads, worker, table, params, rows, out)?)
    }

    unsafe fn draw(&self, table: usize, seed: u64, params: ttc_view_mut) -> Outcome {
        let config = self.config(table)?;
        let mut borrows = Borrows::default();
        // SAFETY: the caller's, until the end of this function.
        let params: &mut [F] = unsafe { borrows.begin() }.write(params, "params")?;
        check::length("parameters", Some(table), params.len(), config.table().parameters())?;
        config.draw(seed, params);
        self.session.parameters_changed();
        Ok(())
    }

    fn observe(&mut self, batch: &mut dyn Any) -> Outcome {
        let TypedBatch { batch, .. } = own::<TypedBatch<F>>(batch)?.grouped()?;
        Ok(self.session.observe(batch)?)
    }

    unsafe fn refresh(&mut self, worker: &mut dyn Any, tables: TableViews<'_>) -> Outcome {
        let TypedWorker { worker, threads, borrows, .. } = own(worker)?;
        // SAFETY: the caller's, until the end of this function.
        let mut lender = unsafe { borrows.begin() };
        let mut views = Vec::new();
        self.lend(&mut lender, tables, &mut views)?;
        self.session.refresh(threads, worker, views)?;
        Ok(())
    }

    fn cache_state(&self, table: usize) -> Outcome<Option<CacheState>> {
        Ok(self.session.cache_state(table)?)
    }

    fn set_cache_state(&mut self, table: usize, state: &CacheState) -> Outcome {
        Ok(self.session.set_cache_state(table, state)?)
    }

    fn config(&self, table: usize) -> Outcome<&TableConfig> {
        let tables = self.session.layout().tables().len();
        Ok(self.session.configs().nth(table).ok_or(ttcore::Error::NoTable { table, tables })?)
    }

    fn set_config(&mut self, table: usize, config: TableConfig) -> Outcome {
        Ok(self.session.set_config(table, config)?)
    }

    fn reserve(&mut self, bags: usize, lookups: usize) -> Outcome {
        let old = self.session.layout();
        let layout = old.with_room(bags.max(old.bags()), lookups.max(old.lookups()))?;
        fits(Cpu::<F>::workspace(&self.session.backend().plan(&mut self.threads, layout)?))?;
        Ok(self.session.reserve(&mut self.threads, bags, lookups)?)
    }

    fn statistics(&mut self) -> Vec<TableStatistics> {
        self.session.statistics()
    }

    fn parameters_changed(&self) {
        self.session.parameters_changed();
    }

    fn steps(&self) -> u64 {
        self.session.steps()
    }

    fn set_steps(&self, steps: u64) {
        self.session.set_steps(steps);
    }

    fn layout(&self) -> &Layout {
        self.session.layout()
    }

    fn dtype(&self) -> u32 {
        F::DTYPE
    }
}
