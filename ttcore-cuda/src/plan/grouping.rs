//! Where a batch lies that is grouped on the device, and the stages of that: see `kernels/group.cuh`.
//!
//! What the host copies lies in front: a record of each table, then row numbers, starts of bags and weights, packed, so that
//! one copy has them, and no more than a batch has. The lists that kernels make of it are behind.

use ttcore::{Layout, Table};

use super::arena::{Arena, most_pairs};
use crate::args::{FusedTable, GroupTable, ImportFound, ImportTable};
use crate::device::{Dims, Element};
use crate::settings::Settings;
use crate::tiles::{GROUP_MOST_CHUNK, GROUP_RADIX_BITS, GROUP_THREADS, group_bytes};

/// Lookups of a batch on the device that one block checks, and most blocks of a table.
const IMPORT_LOOKUPS: usize = 2048;
const MOST_IMPORT_BLOCKS: usize = 64;

/// Places are in bytes of the memory of a group.
#[derive(Debug)]
pub(crate) struct GroupingPlan {
    /// Records of the tables.
    pub(crate) groups: usize,
    pub(crate) descriptors: usize,
    /// For each table, where the bags of its features begin among the places; nowhere for one feature.
    pub(crate) firsts: Vec<usize>,
    /// Records of tables whose batch is on the device.
    pub(crate) imports: usize,
    /// Row numbers, starts and weights begin here; what the host copies ends at most there.
    pub(crate) inputs: usize,
    pub(crate) sent_bytes: usize,
    pub(crate) tables: Vec<GroupLists>,
    /// Most lookups of a chunk, and chunks of a table.
    pub(crate) chunk: usize,
    pub(crate) chunks: usize,
    /// Passes of the longest sort of lookups, and of pairs or rows.
    pub(crate) passes: u32,
    pub(crate) outer_passes: u32,
    /// Blocks of a table that check a batch on the device, and where each writes what it finds.
    pub(crate) import_blocks: usize,
    found: usize,
}

/// Lists of one table that only grouping needs, and how it sorts.
#[derive(Debug, Default)]
pub(crate) struct GroupLists {
    pub(crate) keys: usize,
    pub(crate) order: usize,
    pub(crate) spare: usize,
    pub(crate) counts: usize,
    pub(crate) sums: usize,
    pub(crate) middle_starts: usize,
    pub(crate) pair_digits: usize,
    /// Of lookups, of pairs, of rows.
    pub(crate) passes: [u32; 3],
}

impl GroupingPlan {
    /// For a layout all of whose tables are fused: what is in front of all lists.
    pub(crate) fn new<F: Element>(layout: &Layout, settings: &Settings, arena: &mut Arena) -> Self {
        let (tables, lookups) = (layout.tables(), layout.lookups());
        let groups = arena.take::<GroupTable>(tables.len());
        let descriptors = arena.take::<FusedTable>(tables.len());
        let firsts = layout.features().iter().map(|features| match features.count() {
            1 => 0,
            count => arena.take::<u32>(count),
        });
        let firsts = firsts.collect();
        let imports = arena.take::<ImportTable>(tables.len());
        let inputs = arena.bytes;
        for (table, features) in tables.iter().zip(layout.features()) {
            take_rows(arena, table, lookups);
            take_starts(arena, features.count() * layout.bags());
            arena.take::<F>(lookups);
        }
        let chunk = settings.group_chunk.clamp(1, GROUP_MOST_CHUNK);
        let passes = tables.iter().map(passes_of).collect::<Vec<_>>();
        let most = |sort: usize| passes.iter().map(|passes| passes[sort]).max().unwrap_or(0);
        Self {
            groups,
            descriptors,
            firsts,
            imports,
            inputs,
            sent_bytes: arena.bytes,
            chunk,
            chunks: lookups.div_ceil(chunk).max(1),
            passes: most(0),
            outer_passes: most(1).max(most(2)),
            import_blocks: lookups.div_ceil(IMPORT_LOOKUPS).clamp(1, MOST_IMPORT_BLOCKS),
            found: 0,
            tables: passes.into_iter().map(|passes| GroupLists { passes, ..GroupLists::default() }).collect(),
        }
    }

    /// Makes room for the lists that only grouping needs.
    pub(crate) fn take_lists(&mut self, layout: &Layout, arena: &mut Arena) {
        let (lookups, chunks) = (layout.lookups(), self.chunks);
        self.found = arena.take::<ImportFound>(layout.tables().len() * self.import_blocks);
        for (lists, table) in self.tables.iter_mut().zip(layout.tables()) {
            let (pairs, middles) =
                table.cores().map_or((0, 0), |shape| (most_pairs(shape, lookups), shape.row_factors()[1].min(lookups)));
            *lists = GroupLists {
                keys: arena.take::<u64>(lookups),
                order: arena.take::<u32>(lookups),
                spare: arena.take::<u32>(lookups),
                // Of two sorts; and four sums of a chunk.
                counts: arena.take::<u32>((2 * chunks) << GROUP_RADIX_BITS),
                sums: arena.take::<u32>(4 * chunks),
                middle_starts: arena.take::<u32>(middles + 1),
                pair_digits: arena.take::<u32>(pairs),
                passes: lists.passes,
            };
        }
    }

    /// How many stages there are: one to prepare, two for each pass of a sort, two each for what is found in sorted lists, and
    /// one that counts units.
    pub(crate) fn stages(&self) -> u32 {
        1 + 2 * self.passes + 2 + 2 * self.outer_passes + 2 + 1
    }

    /// The stages of each launch: all, if nobody waits for another chunk.
    pub(crate) fn launches(&self) -> impl Iterator<Item = [u32; 2]> {
        let (stages, alone) = (self.stages(), self.chunks == 1);
        let step = if alone { stages } else { 1 };
        (0..stages).step_by(step as usize).map(move |from| [from, from + step])
    }

    /// Where the blocks of a table write what they find wrong.
    pub(crate) fn found_at(&self, table: usize) -> usize {
        self.found + table * self.import_blocks * size_of::<ImportFound>()
    }

    /// The blocks that check a batch on the device.
    pub(crate) fn import_dims(&self) -> Dims {
        let blocks = self.tables.len() * self.import_blocks;
        Dims { shared: group_bytes()[2], ..Dims::blocks(blocks, Dims::MOST_THREADS as usize) }
    }

    /// One block for each chunk.
    pub(crate) fn dims(&self) -> Dims {
        Dims { block: GROUP_THREADS, shared: group_bytes()[0], ..Dims::blocks(self.tables.len() * self.chunks, 1) }
    }

    /// One block for each table.
    pub(crate) fn units_dims(&self) -> Dims {
        Dims { shared: group_bytes()[1], ..Dims::blocks(self.tables.len(), Dims::MOST_THREADS as usize) }
    }
}

/// The place of the row numbers of a table that the host copies.
pub(crate) fn take_rows(arena: &mut Arena, table: &Table, lookups: usize) -> usize {
    if is_wide(table) { arena.take::<u64>(lookups) } else { arena.take::<u32>(lookups) }
}

/// That of where bags begin and the last ends.
pub(crate) fn take_starts(arena: &mut Arena, bags: usize) -> usize {
    arena.take::<u32>(bags + 1)
}

/// Whether row numbers of a table do not fit into 32 bits.
pub(crate) fn is_wide(table: &Table) -> bool {
    table.addresses() > u64::from(u32::MAX)
}

/// Passes of the sorts of a table.
fn passes_of(table: &Table) -> [u32; 3] {
    let passes = |largest: u64| (u64::BITS - largest.leading_zeros()).div_ceil(GROUP_RADIX_BITS).max(1);
    let keys = table.cores().map_or(0, |shape| shape.padded_rows()) + table.dense_rows();
    let outer = |k: usize| table.cores().map_or(0, |shape| passes(shape.row_factors()[k] as u64 - 1));
    [passes(keys.saturating_sub(1)), outer(0), outer(2)]
}
