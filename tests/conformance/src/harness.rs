//! A backend as functions from host numbers to host numbers, so that a property reads as mathematics.
//!
//! Host numbers are `f64`, whatever the backend computes in: those that go in must be exact in its float, those that
//! come out always are.

use std::fmt;
use std::ops::Range;

use ttcore::backend::{Call, Expand, Sink, Version};
use ttcore::{Backend, Bags, Layout, Update};

use crate::batch::{Batch, HostBatch};
use crate::case::Case;
use crate::device::{Device, Guarded};
use crate::oracle::UNWRITTEN;

/// A [`Sink`] with numbers of the host. What backward may write is read back after the call.
#[derive(Clone, Debug, PartialEq)]
pub enum HostSink {
    /// [`Sink::Accumulate`].
    Accumulate {
        /// Parameters.
        params: Vec<f64>,
        /// Gradients are added to these.
        grads: Vec<f64>,
    },
    /// [`Sink::Overwrite`].
    Overwrite {
        /// Parameters.
        params: Vec<f64>,
        /// Gradients are written over these.
        grads: Vec<f64>,
    },
    /// [`Sink::Update`].
    Update {
        /// Parameters.
        params: Vec<f64>,
        /// State of the rule.
        state: Vec<f64>,
        /// The step.
        update: Update,
    },
    /// [`Sink::Frozen`].
    Frozen {
        /// Parameters.
        params: Vec<f64>,
    },
}

/// A [`HostSink`] in device memory: parameters, and gradients or state.
struct DeviceSink<B: Backend> {
    params: Guarded<B>,
    other: Guarded<B>,
}

impl<B: Backend> DeviceSink<B> {
    fn new(device: &Device<B>, host: &HostSink) -> Self {
        let (params, other) = match host {
            HostSink::Accumulate { params, grads } | HostSink::Overwrite { params, grads } => (params, &grads[..]),
            HostSink::Update { params, state, .. } => (params, &state[..]),
            HostSink::Frozen { params } => (params, &[][..]),
        };
        Self { params: Guarded::new(device, params), other: Guarded::new(device, other) }
    }

    fn sink(&mut self, host: &HostSink) -> Sink<'_, B> {
        match *host {
            HostSink::Accumulate { .. } => {
                Sink::Accumulate { params: self.params.view(), grads: self.other.view_mut() }
            }
            HostSink::Overwrite { .. } => Sink::Overwrite { params: self.params.view(), grads: self.other.view_mut() },
            HostSink::Update { update, .. } => {
                Sink::Update { params: self.params.view_mut(), state: self.other.view_mut(), update }
            }
            HostSink::Frozen { .. } => Sink::Frozen { params: self.params.view() },
        }
    }

    fn download(&self, device: &Device<B>, host: &mut HostSink) {
        let [new, other] = [&self.params, &self.other].map(|buffer| buffer.download(device));
        match host {
            HostSink::Update { params, state, .. } => (*params, *state) = (new, other),
            HostSink::Accumulate { params, grads } | HostSink::Overwrite { params, grads } => {
                assert_eq!(*params, new, "parameters that were only lent changed");
                *grads = other;
            }
            HostSink::Frozen { params } => assert_eq!(*params, new, "frozen parameters changed"),
        }
    }
}

/// Rows wanted of a table: which one, its parameters, the rows, and where they go.
pub type HostExpand<'a> = (usize, &'a [f64], &'a [u64], &'a mut Vec<f64>);

/// A batch and what its forward left.
pub struct Slot<B: Backend> {
    group: B::Group,
    saved: B::Saved,
}

impl<B: Backend> fmt::Debug for Slot<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// A backend with everything a step of one layout needs.
pub struct Harness<'d, B: Backend> {
    device: &'d Device<B>,
    plan: B::Plan,
    scratch: B::Scratch,
    /// The batch that is worked on: swap it with another to have two in use.
    pub slot: Slot<B>,
    /// Version of the parameters for the next call. [`Harness::forward`] counts it up, `try_` functions do not.
    pub version: Version,
}

impl<B: Backend> fmt::Debug for Harness<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("layout", &B::layout(&self.plan))
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl<'d, B: Backend> Harness<'d, B> {
    /// A harness for a layout, without a batch.
    pub fn new(device: &'d Device<B>, layout: &Layout) -> Self {
        let plan = device.with(|backend, queue| backend.plan(queue, layout.clone())).expect("plan");
        assert_eq!(B::layout(&plan), layout);
        let scratch = device.with(|backend, queue| backend.new_scratch(queue, &plan)).expect("scratch");
        Self { slot: new_slot(device, &plan), device, plan, scratch, version: Version(0) }
    }

    /// A harness that holds the batch of a case.
    pub fn of(device: &'d Device<B>, case: &Case) -> Self {
        let mut harness = Self::new(device, &case.layout);
        harness.group(&case.batches);
        harness
    }

    /// Room for another batch of the same plan.
    pub fn new_slot(&self) -> Slot<B> {
        new_slot(self.device, &self.plan)
    }

    /// Groups a batch.
    pub fn group(&mut self, batches: &[Batch]) {
        let tables = B::layout(&self.plan).tables().to_vec();
        let host: Vec<HostBatch<B::Float>> = batches.iter().map(Batch::host).collect();
        let bags = host.iter().zip(&tables).map(|(host, table)| host.bags(table.addresses()).expect("a valid batch"));
        self.try_group(bags).expect("group");
    }

    /// The output, for new parameters, [`UNWRITTEN`] in columns of no table. Backward can follow.
    pub fn forward(&mut self, params: &[Vec<f64>], bags: usize) -> Vec<f64> {
        self.version.0 += 1;
        let mut out = vec![UNWRITTEN; bags * B::layout(&self.plan).stride()];
        self.try_forward(params, &mut out, true).expect("forward");
        out
    }

    /// Backward into these sinks, after a forward of the same parameters.
    pub fn backward(&mut self, sinks: &mut [HostSink], grad_out: &[f64]) {
        self.try_backward(sinks, grad_out, None).expect("backward");
    }

    /// Gradients of all parameters, after a forward of the same parameters.
    pub fn grads(&mut self, params: &[Vec<f64>], grad_out: &[f64]) -> Vec<Vec<f64>> {
        let sink = |params: &Vec<f64>| HostSink::Accumulate { params: params.clone(), grads: vec![0.0; params.len()] };
        let mut sinks: Vec<HostSink> = params.iter().map(sink).collect();
        self.backward(&mut sinks, grad_out);
        let grads = |sink| if let HostSink::Accumulate { grads, .. } = sink { grads } else { unreachable!() };
        sinks.into_iter().map(grads).collect()
    }

    /// Gradients of the weights of `lookups` lookups, after a forward of the same parameters.
    pub fn weight_grads(&mut self, params: &[Vec<f64>], grad_out: &[f64], lookups: usize) -> Vec<f64> {
        let mut sinks: Vec<HostSink> =
            params.iter().map(|params| HostSink::Frozen { params: params.clone() }).collect();
        let mut grads = vec![UNWRITTEN; lookups];
        self.try_backward(&mut sinks, grad_out, Some(&mut grads)).expect("backward");
        grads
    }

    /// Updates all parameters and state, after a forward of the same parameters.
    pub fn update(&mut self, params: &mut [Vec<f64>], state: &mut [Vec<f64>], update: Update, grad_out: &[f64]) {
        let sink = |(params, state): (&Vec<f64>, &Vec<f64>)| HostSink::Update {
            params: params.clone(),
            state: state.clone(),
            update,
        };
        let mut sinks: Vec<HostSink> = params.iter().zip(&*state).map(sink).collect();
        self.backward(&mut sinks, grad_out);
        for (t, sink) in sinks.into_iter().enumerate() {
            if let HostSink::Update { params: new, state: new_state, .. } = sink {
                (params[t], state[t]) = (new, new_state);
            }
        }
    }

    /// Rows of one table.
    pub fn expand(&mut self, table: usize, params: &[f64], rows: &[u64]) -> Vec<f64> {
        let mut out = vec![UNWRITTEN; rows.len() * B::layout(&self.plan).tables()[table].dim()];
        self.try_expand(&mut [(table, params, rows, &mut out)]).expect("expand_rows");
        out
    }

    /// Ranges of the parameters of a table that the batch touches.
    pub fn touched(&self, table: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        self.try_touched(table, |range| ranges.push(range)).expect("touched");
        ranges
    }

    /// [`Backend::touched`].
    ///
    /// # Errors
    ///
    /// As the backend.
    pub fn try_touched(&self, table: usize, visit: impl FnMut(Range<usize>)) -> Result<(), B::Error> {
        B::touched(&self.plan, &self.slot.group, table, visit)
    }

    /// [`Backend::group`].
    ///
    /// # Errors
    ///
    /// As the backend.
    pub fn try_group<'a>(&mut self, bags: impl IntoIterator<Item = Bags<'a, B::Float>>) -> Result<(), B::Error> {
        let (plan, group) = (&self.plan, &mut self.slot.group);
        self.device.with(|backend, queue| backend.group(queue, plan, bags, group))
    }

    /// [`Backend::forward`], which may write `out`, for parameters of the current version.
    ///
    /// # Errors
    ///
    /// As the backend. `out` is what the backend left in it.
    pub fn try_forward(&mut self, params: &[Vec<f64>], out: &mut Vec<f64>, save: bool) -> Result<(), B::Error> {
        let (device, version) = (self.device, self.version);
        let params: Vec<_> = params.iter().map(|params| Guarded::new(device, params)).collect();
        let mut output = Guarded::new(device, out);
        let Self { plan, scratch, slot: Slot { group, saved }, .. } = self;
        let result = device.with(|backend, queue| {
            let call = Call { plan: &*plan, group: &*group, queue, scratch };
            let params = params.iter().map(Guarded::view);
            backend.forward(call, version, params, output.view_mut(), save.then_some(saved))
        });
        *out = output.download(device);
        result
    }

    /// [`Backend::backward`] for parameters of the current version.
    ///
    /// # Errors
    ///
    /// As the backend. Sinks and `grad_weights` are what the backend left in them.
    pub fn try_backward(
        &mut self,
        sinks: &mut [HostSink],
        grad_out: &[f64],
        mut grad_weights: Option<&mut Vec<f64>>,
    ) -> Result<(), B::Error> {
        let (device, version) = (self.device, self.version);
        let mut buffers: Vec<_> = sinks.iter().map(|sink| DeviceSink::new(device, sink)).collect();
        let grad_out = Guarded::new(device, grad_out);
        let mut weights = grad_weights.as_deref().map(|grads| Guarded::new(device, grads));
        let Self { plan, scratch, slot: Slot { group, saved }, .. } = self;
        let result = device.with(|backend, queue| {
            let call = Call { plan: &*plan, group: &*group, queue, scratch };
            let sinks = buffers.iter_mut().zip(&*sinks).map(|(buffer, host)| buffer.sink(host));
            backend.backward(call, version, saved, sinks, grad_out.view(), weights.as_mut().map(Guarded::view_mut))
        });
        for (buffer, host) in buffers.iter().zip(sinks) {
            buffer.download(device, host);
        }
        if let (Some(host), Some(weights)) = (&mut grad_weights, weights) {
            **host = weights.download(device);
        }
        result
    }

    /// [`Backend::expand_rows`].
    ///
    /// # Errors
    ///
    /// As the backend. `out` are what the backend left in them.
    pub fn try_expand(&mut self, wanted: &mut [HostExpand<'_>]) -> Result<(), B::Error> {
        let device = self.device;
        let buffer =
            |(_, params, _, out): &HostExpand<'_>| (Guarded::<B>::new(device, params), Guarded::<B>::new(device, out));
        let mut buffers: Vec<_> = wanted.iter().map(buffer).collect();
        let Self { plan, scratch, .. } = self;
        let result = device.with(|backend, queue| {
            let expand = buffers.iter_mut().zip(&*wanted).map(|((params, out), &(table, _, rows, _))| Expand {
                table,
                params: params.view(),
                rows,
                out: out.view_mut(),
            });
            backend.expand_rows(queue, plan, scratch, expand)
        });
        for ((_, buffer), (.., out)) in buffers.iter().zip(wanted) {
            **out = buffer.download(device);
        }
        result
    }
}

fn new_slot<B: Backend>(device: &Device<B>, plan: &B::Plan) -> Slot<B> {
    let group = device.with(|backend, queue| backend.new_group(queue, plan)).expect("group");
    let saved = device.with(|backend, queue| backend.new_saved(queue, plan)).expect("saved");
    Slot { group, saved }
}
