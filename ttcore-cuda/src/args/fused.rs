//! Arguments of the fused kernels and of grouping, and what these read from the memory of a group.

use super::{Args, Sink, args};

/// Tables of one launch of the fused kernels: what becomes of their gradients fits into the arguments of a kernel.
pub const FUSED_TABLES: usize = 32;

args! {
    /// One table of a batch, for the fused kernels, which read it from the memory of the group.
    FusedTable: 376 {
        bag_starts: u64,
        places: u64,
        bag_of: u64,
        row_of: u64,
        factors: u64,
        scales: u64,
        row_starts: u64,
        row_places: u64,
        row_factors: u64,
        dense_rows: u64,
        row_pairs: u64,
        row_digits: u64,
        pair_firsts: u64,
        pair_rows: u64,
        digits: [u64; 3],
        first_starts: u64,
        first_pairs: u64,
        middle_parts: u64,
        last_starts: u64,
        last_rows: u64,
        products: u64,
        rows: u64,
        row_grads: u64,
        first_grads: u64,
        middle_grads: u64,
        core_grads: u64,
        core2: u64,
        core3: u64,
        dense: u64,
        parameters: u64,
        origin: u64,
        unit: u64,
        lookups_before: u64,
        outers_before: u32,
        outers: u32,
        units_end: u32,
        features_before: u32,
        features: u32,
        output_rows: u32,
        lookups: u32,
        core_rows: u32,
        dense_count: u32,
        firsts: u32,
        middles: u32,
        lasts: u32,
        slices_before: u32,
        m1: u32,
        m2: u32,
        n1: u32,
        n2: u32,
        n3: u32,
        r1: u32,
        r2: u32,
        tile_n1: u32,
        tile_n2: u32,
        tile_r1: u32,
        tile_r2: u32,
    }

    /// A unit of work of the fused kernels, which read it from the memory of the group.
    FusedUnit: 24 { table: u32, group: u32, pair: u32, pairs: u32, tile: u32, part: u32, }

    /// One table of a batch to be grouped, which the kernels of grouping read from the memory of the group.
    GroupTable: 160 {
        indices: u64,
        weights: u64,
        firsts: u64,
        keys: u64,
        order: u64,
        spare: u64,
        counts: u64,
        sums: u64,
        middle_starts: u64,
        pair_digits: u64,
        units: u64,
        held: u64,
        core_keys: u64,
        m3: u32,
        bags: u32,
        wide: u32,
        mean: u32,
        step: u32,
        passes: u32,
        first_passes: u32,
        last_passes: u32,
        unit_pairs: u32,
        tiles: u32,
        tiles_down: u32,
        launch_first: u32,
        pairs: u32,
        units_count: u32,
    }

    /// Of [`Kernel::GroupTables`](crate::device::Kernel::GroupTables) and
    /// [`Kernel::GroupUnits`](crate::device::Kernel::GroupUnits).
    GroupArgs: 48 {
        tables: u64,
        groups: u64,
        count: u32,
        chunks: u32,
        chunk: u32,
        from: u32,
        to: u32,
        passes: u32,
        outer_passes: u32,
        unused: u32,
    }

    /// One table of a batch on the device, which [`Kernel::GroupImport`](crate::device::Kernel::GroupImport) reads from the memory
    /// of the group.
    ImportTable: 80 {
        indices: u64,
        offsets: u64,
        weights: u64,
        to_rows: u64,
        to_starts: u64,
        found: u64,
        rows: u64,
        lookups: u32,
        bags: u32,
        index_kind: u32,
        offset_kind: u32,
        form: u32,
        wide: u32,
    }

    /// What a block finds that is wrong: positions, all ones if none, and what is there.
    ImportFound: 48 {
        index_at: u32,
        offset_at: u32,
        weight_at: u32,
        unused: u32,
        index: u64,
        offset: u64,
        previous: u64,
        weight: u64,
    }

    /// Of [`Kernel::GroupImport`](crate::device::Kernel::GroupImport).
    ImportArgs: 16 { tables: u64, count: u32, blocks: u32, }

    /// Of the fused kernels, all alike.
    FusedArgs: 2616 {
        tables: u64,
        units: u64,
        saved: u64,
        scratch: u64,
        grad_out: u64,
        out: u64,
        count: u32,
        dim: u32,
        sinks: [Sink; FUSED_TABLES],
    }
}

macro_rules! pod {
    ($($name:ident)*) => {$(
        // SAFETY: of integers alone, for which any bits are values.
        unsafe impl bytemuck::Zeroable for $name {}

        // SAFETY: as above, and without padding, as asserted above.
        unsafe impl bytemuck::Pod for $name {}
    )*};
}

pod! { FusedTable FusedUnit GroupTable ImportTable ImportFound }
