// Units of work of a grouped batch, as src/group/units.rs has them: the pairs of each i2 in pieces, and a unit for each tile
// of a piece.

// Unique rows with which a unit has enough pairs, however few: as in src/tiles.rs.
const u32 UNIQUE_ROWS = 64;

// The pieces of the pairs `pair .. to` of one i2: `visit(pair, how many)`.
template <class Visit>
__device__ void for_each_piece(const u32* rows, u32 pair, u32 to, u32 most_pairs, Visit visit) {
    while (pair < to) {
        const u32 most = pair + least(most_pairs, to - pair), first = rows[pair];
        u32 end = most;
        if (most > pair + 1 && rows[most - 1] - first >= UNIQUE_ROWS) {
            for (end = pair + 1; rows[end] - first < UNIQUE_ROWS;) ++end;
        }
        visit(pair, end - pair);
        pair = end;
    }
}

// How many pieces an i2 has, and parts of the gradient of its slice.
struct Pieces {
    u32 pieces;
    u32 parts;
};

__device__ Pieces pieces_of(const FusedTable& table, const GroupTable& group, u32 number) {
    u32 pieces = 0;
    for_each_piece(table.pair_rows, group.middle_starts[number], group.middle_starts[number + 1], group.unit_pairs,
                   [&](u32, u32) { ++pieces; });
    // One unit has the whole gradient where one piece has all pairs and j1.
    const bool alone = pieces == 1 && group.tiles_down == 1;
    return Pieces{pieces, alone ? 0 : pieces * group.tiles_down};
}

// The last stage of grouping. For all threads of a block.
template <class F>
__device__ void count_units(const GroupChunk<F>& on) {
    if (on.number > 0) return;
    u32 pieces = 0, total;
    for (u32 number = threadIdx.x; number < on.table.middles; number += blockDim.x) {
        pieces += pieces_of(on.table, on.group, number).pieces;
    }
    scan(on.shared.scan, pieces, total);
    if (threadIdx.x == 0) on.group.units_count = total * on.group.tiles;
}

// Units of the kernel that ends backward, as fused_outer counts them.
__device__ u32 outers_of(const FusedTable& table) {
    return table.firsts + table.middles * parts_of(table.r1 * table.n2 * table.r2, OUTER_NUMBERS) + table.lasts +
           parts_of(table.dense_count, OUTER_ROWS);
}

// What the tables before it in its launch have, and its units behind theirs.
template <class F>
__device__ void group_units(const GroupArgs<F>& args) {
    SHARED(Scan, shared);
    for (u32 t = blockIdx.x; t < args.count; t += gridDim.x) {
        FusedTable& table = args.tables[t];
        const GroupTable& group = args.groups[t];
        const u32 first = group.launch_first;
        u32 units = 0, outers = 0, slices = 0;
        for (u32 before = first; before < t; ++before) {
            const FusedTable& other = args.tables[before];
            units += args.groups[before].units_count;
            outers += outers_of(other);
            slices += other.firsts + other.middles + other.lasts;
        }
        if (threadIdx.x == 0) {
            table.units_end = units + group.units_count;
            table.outers_before = outers;
            table.outers = outers_of(table);
            table.slices_before = slices;
        }
        if (table.m1 == 0) continue;
        const u32 tiles = group.tiles, down = group.tiles_down, across = tiles / down, middles = table.middles;
        u32* middle_parts = (u32*)table.middle_parts;
        u32 part = 0;
        for (u32 base = 0; base < middles; base += blockDim.x) {
            const u32 number = base + threadIdx.x;
            const Pieces mine = number < middles ? pieces_of(table, group, number) : Pieces{};
            u32 all_pieces, all_parts;
            u32 pieces_before = scan(*shared, mine.pieces, all_pieces), parts_before = scan(*shared, mine.parts, all_parts);
            if (number < middles) {
                FusedUnit* to = group.units + units + pieces_before * tiles;
                u32 next = part + parts_before;
                middle_parts[number] = next;
                const u32 from = group.middle_starts[number], end = group.middle_starts[number + 1];
                for_each_piece(table.pair_rows, from, end, group.unit_pairs, [&](u32 pair, u32 pairs) {
                    for (u32 tile = 0; tile < tiles; ++tile) {
                        to->table = t - first;
                        to->group = number;
                        to->pair = pair;
                        to->pairs = pairs;
                        to->tile = tile;
                        to->part = mine.parts ? next + tile / across : WHOLE;
                        ++to;
                    }
                    next += down;
                });
            }
            units += all_pieces * tiles;
            part += all_parts;
        }
        if (threadIdx.x == 0) middle_parts[middles] = part;
    }
}
KERNEL_WITH_BARRIERS(group_units, GroupArgs)
