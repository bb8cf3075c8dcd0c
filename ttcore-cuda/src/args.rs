//! Arguments of the kernels: the structs of `kernels/`, field by field. Their sizes are asserted on both sides.
//!
//! Addresses are `u64`, of numbers of the kernel's type where `kernels/` says `F*`; 0 is null.

mod fused;

pub use crate::sinks::Kind;
pub use fused::{
    FUSED_TABLES, FusedArgs, FusedTable, FusedUnit, GroupArgs, GroupTable, ImportArgs, ImportFound, ImportTable,
};

/// Marks the structs that kernels take.
///
/// # Safety
///
/// The struct is `repr(C)` and laid out as the one of the same name in `kernels/`.
pub unsafe trait Args: Copy {}

macro_rules! args {
    ($($(#[$doc:meta])* $name:ident: $bytes:literal { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        // Without padding too: then order and types of the fields are all there is to a layout.
        const _: () = assert!(size_of::<$name>() == $bytes && $bytes == 0 $(+ size_of::<$type>())*);

        // SAFETY: the fields are those of the struct in kernels/, whose size is asserted there.
        unsafe impl Args for $name {}
    )*};
}

use args;

args! {
    /// What becomes of the gradients of a table.
    Sink: 80 {
        params: u64,
        first: u64,
        second: u64,
        core_rate: f64,
        dense_rate: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        root: f64,
        kind: u32,
        unused: u32,
    }

    /// An operand of a batched product.
    Operand: 24 { base: u64, stride: u64, digits: u64, }

    /// Of [`Kernel::Pointers`](crate::device::Kernel::Pointers).
    PointersArgs: 112 {
        operands: [Operand; 3],
        pointers: u64,
        row_of: u64,
        first: u64,
        count: u32,
        capacity: u32,
        core_rows: u32,
        unused: u32,
    }

    /// Of [`Kernel::Pool`](crate::device::Kernel::Pool).
    PoolArgs: 104 {
        rows: u64,
        dense: u64,
        dense_rows: u64,
        row_of: u64,
        bag_starts: u64,
        places: u64,
        factors: u64,
        out: u64,
        unit: u64,
        dim: u64,
        first: u64,
        count: u32,
        core_rows: u32,
        bags: u32,
        unused: u32,
    }

    /// Of [`Kernel::RowGradients`](crate::device::Kernel::RowGradients).
    RowGradientsArgs: 72 {
        grad_out: u64,
        bag_of: u64,
        places: u64,
        factors: u64,
        grads: u64,
        unit: u64,
        dim: u64,
        first: u64,
        count: u64,
    }

    /// Of [`Kernel::Accumulate`](crate::device::Kernel::Accumulate).
    AccumulateArgs: 72 {
        digits: u64,
        starts: u64,
        lookups: u64,
        grads: u64,
        target: u64,
        first: u64,
        count: u32,
        runs: u32,
        len: u64,
        overwrite: u64,
    }

    /// Of [`Kernel::ApplySlices`](crate::device::Kernel::ApplySlices) and
    /// [`Kernel::NormSlices`](crate::device::Kernel::NormSlices).
    ApplyArgs: 128 {
        sink: Sink,
        digits: u64,
        grads: u64,
        base: u64,
        len: u64,
        runs: u64,
        slices_before: u64,
    }

    /// Of [`Kernel::Weights`](crate::device::Kernel::Weights).
    WeightsArgs: 96 {
        rows: u64,
        dense: u64,
        dense_rows: u64,
        row_of: u64,
        bag_of: u64,
        places: u64,
        scales: u64,
        grad_out: u64,
        out: u64,
        unit: u64,
        dim: u64,
        count: u32,
        core_rows: u32,
    }

    /// Of [`Kernel::DenseRows`](crate::device::Kernel::DenseRows) and
    /// [`Kernel::NormDense`](crate::device::Kernel::NormDense).
    DenseArgs: 160 {
        sink: Sink,
        dense_rows: u64,
        starts: u64,
        places: u64,
        factors: u64,
        grad_out: u64,
        unit: u64,
        dim: u64,
        base: u64,
        rows: u64,
        grads: u64,
    }

    /// Of [`Kernel::Untouched`](crate::device::Kernel::Untouched).
    UntouchedArgs: 120 {
        sink: Sink,
        touched: u64,
        base: u64,
        slices: u64,
        len: u64,
        count: u32,
        cores: u32,
    }

    /// Of [`Kernel::CopyRows`](crate::device::Kernel::CopyRows).
    CopyRowsArgs: 40 { dense_rows: u64, dense: u64, out: u64, dim: u64, count: u64, }

    /// Of [`Kernel::Bias`](crate::device::Kernel::Bias).
    BiasArgs: 48 { values: u64, bias: u64, marks: u64, rows: u64, width: u64, relu: u64, }

    /// Of [`Kernel::BiasPartial`](crate::device::Kernel::BiasPartial) and
    /// [`Kernel::BiasGrad`](crate::device::Kernel::BiasGrad).
    BiasGradArgs: 56 {
        outputs: u64,
        grads: u64,
        partial: u64,
        bias_grad: u64,
        rows: u64,
        width: u64,
        relu: u64,
    }

    /// Of [`Kernel::Interact`](crate::device::Kernel::Interact) and
    /// [`Kernel::InteractGrad`](crate::device::Kernel::InteractGrad).
    InteractArgs: 64 {
        bottom: u64,
        embedded: u64,
        out: u64,
        grad_bottom: u64,
        grad_embedded: u64,
        marks: u64,
        samples: u64,
        dim: u32,
        others: u32,
    }

    /// Of [`Kernel::Loss`](crate::device::Kernel::Loss).
    LossArgs: 48 { logits: u64, labels: u64, probabilities: u64, grads: u64, losses: u64, samples: u64, }

    /// Of [`Kernel::Tally`](crate::device::Kernel::Tally).
    TallyArgs: 32 { losses: u64, marks: u64, out: u64, samples: u64, }

    /// Of [`Kernel::Update`](crate::device::Kernel::Update).
    UpdateArgs: 96 { sink: Sink, grads: u64, len: u64, }
}
