// Backward: fused_middle, then fused_outer.

// Gradients of the rows of a unit: the columns of its j1 and j2.
template <class F>
__device__ void find_row_gradients(const FusedArgs<F>& args, const Unit<F>& unit) {
    const FusedTable& table = unit.table;
    F* grads = args.scratch + table.row_grads;
    u32 across = unit.n2 * table.n3, each = unit.n1 * across;
    for (u32 item = threadIdx.x; item < (unit.row_to - unit.row_from) * each; item += blockDim.x) {
        u32 row = unit.row_from + item / each, j1 = item % each / across, rest = item % across;
        u64 column = ((u64)(unit.j1 + j1) * table.n2 + unit.j2) * table.n3 + rest;
        grads[row * dim_of(table) + column] = row_gradient(args, table, row, column);
    }
}

// Gradients of the products of a unit: those of the rows of each pair times their slices of core 3, transposed. An item has
// one column (j2, r2) and four j1 of one pair.
template <class F>
__device__ void find_product_gradients(const FusedArgs<F>& args, Tiles<F>& tiles, const Unit<F>& unit, u32 r2, u32 ranks) {
    const FusedTable& table = unit.table;
    const u32 held = 4, width = Tiles<F>::COLUMNS;
    const F* grads = args.scratch + table.row_grads;
    u64 dim = dim_of(table), next = (u64)table.n2 * table.n3;
    u32 down = parts_of(unit.n1, held);
    for (u32 item = threadIdx.x; item < unit.pairs * down * width; item += blockDim.x) {
        u32 c = item % width, pair = item / width / down, j1 = item / width % down * held;
        bool inside = c < unit.n2 * ranks;
        u32 j2 = inside ? c / ranks : 0, r = inside ? c % ranks : 0;
        F sum[held] = {};
        u32 row_to = inside ? table.pair_rows[unit.pair + pair + 1] : 0;
        for (u32 row = table.pair_rows[unit.pair + pair]; row < row_to; ++row) {
            const F* last = unit.params + table.core3 + ((u64)table.row_digits[row] * table.r2 + r2 + r) * table.n3;
            const F* grad = grads + row * dim + ((u64)(unit.j1 + j1) * table.n2 + unit.j2 + j2) * table.n3;
            UNROLL_4 for (u32 j3 = 0; j3 < table.n3; ++j3) {
                F x = last[j3];
                UNROLL for (u32 k = 0; k < held; ++k) {
                    if (j1 + k < unit.n1) sum[k] += grad[k * next + j3] * x;
                }
            }
        }
        UNROLL for (u32 k = 0; k < held; ++k) {
            if (j1 + k < unit.n1) tiles.product[pair * unit.n1 + j1 + k][c] = sum[k];
        }
    }
    // The zeros behind the last row, for the sum over rows.
    for (u32 i = unit.rows * width + threadIdx.x; i < whole<F>(unit.rows) * width; i += blockDim.x) {
        tiles.product[i / width][i % width] = 0;
    }
}

// Shared memory of fused_middle.
template <class F>
struct MiddleTiles {
    Tiles<F> tiles;
    // The gradient of G2[i2].
    F grad[Tiles<F>::INNER][Tiles<F>::WIDE];
};
static_assert(sizeof(MiddleTiles<float>) == 44544 && sizeof(MiddleTiles<double>) == 35840, "as in src/tiles.rs");

// Two products of the gradients of products, some warps for each: times G2[i2], transposed, what the pairs add to their
// slices of core 1; and the stacked slices of core 1, transposed, times them, the gradient of G2[i2].
template <class F>
__device__ void multiply_both(const FusedArgs<F>& args, MiddleTiles<F>& shared, const Unit<F>& unit, u32 r1, u32 inner,
                              u32 columns, u32 block, u32 blocks) {
    const FusedTable& table = unit.table;
    const Tiles<F>& tiles = shared.tiles;
    F* first_grads = args.scratch + table.first_grads;
    const Patches firsts(unit.rows, inner), middles(inner, columns);
    const u32 from = (firsts.count() + 31) / 32 * 32;
    for (u32 n = threadIdx.x; n < from + middles.count(); n += blockDim.x) {
        F sum[PATCH_ROWS][PATCH_COLUMNS] = {};
        if (n < firsts.count()) {
            const AlongLines<F> a = {tiles.product[0], Tiles<F>::WIDE, firsts.row(n), firsts.down};
            const AlongLines<F> b = {tiles.middle[0], Tiles<F>::WIDE, firsts.column(n), firsts.across};
            multiply(sum, a, b, whole<F>(columns));
            each(sum, a, b, unit.rows, inner, [&](u32 row, u32 r, F x) {
                u64 at = (unit.pair + row / unit.n1) * (u64)blocks + block;
                first_grads[(at * table.n1 + unit.j1 + row % unit.n1) * table.r1 + r1 + r] = x;
            });
        } else if (n >= from) {
            u32 m = n - from;
            const AcrossLines<F> a = {tiles.first[0], Tiles<F>::NARROW, middles.row(m) * PATCH_ROWS};
            const AcrossLines<F> b = {tiles.product[0], Tiles<F>::WIDE, middles.column(m) * PATCH_COLUMNS};
            multiply(sum, a, b, whole<F>(unit.rows));
            each(sum, a, b, inner, columns, [&](u32 r, u32 c, F x) { shared.grad[r][c] = x; });
        }
    }
}

template <class F>
__device__ void fused_middle(const FusedArgs<F>& args) {
    SHARED(MiddleTiles<F>, shared);
    Tiles<F>& tiles = shared->tiles;
    const Lanes lanes;
    for (u32 number = blockIdx.x; number < args.tables[args.count - 1].units_end; number += gridDim.x) {
        const FusedUnit& what = args.units[number];
        const Sink<F>& sink = args.sinks[what.table];
        if (sink.kind == FROZEN) continue;
        const Unit<F> unit(args, what);
        const FusedTable& table = unit.table;
        // Blocks of columns of a product, and the first one of this unit.
        const u32 each_j2 = parts_of(table.r2, table.tile_r2), blocks = parts_of(table.n2, table.tile_n2) * each_j2;
        u32 block = unit.j2 / table.tile_n2 * each_j2;
        // The unit before is still read.
        __syncthreads();
        find_firsts(tiles, unit);
        find_row_gradients(args, unit);
        for (u32 r2 = 0; r2 < table.r2; r2 += table.tile_r2, ++block) {
            const u32 ranks = least(table.tile_r2, table.r2 - r2);
            const u32 column = unit.j2 * table.r2 + r2, columns = unit.n2 * ranks;
            for (u32 r1 = 0; r1 < table.r1; r1 += table.tile_r1) {
                const u32 inner = least(table.tile_r1, table.r1 - r1);
                __syncthreads();
                if (r1 == 0) find_product_gradients(args, tiles, unit, r2, ranks);
                stage_slices(tiles, unit, r1, inner, column, columns);
                __syncthreads();
                multiply_both(args, *shared, unit, r1, inner, columns, block, blocks);
                __syncthreads();
                // Nobody else reads or writes these numbers of the slice.
                const u64 place = (u64)r1 * unit.width + column;
                F* part = args.scratch + table.middle_grads + (u64)unit.part * table.r1 * unit.width + place;
                for (u32 r = lanes.line; r < inner; r += lanes.lines) {
                    for (u32 c = lanes.lane; c < columns; c += lanes.lanes) {
                        u64 at = (u64)r * unit.width + c;
                        if (unit.part == WHOLE) {
                            apply(sink, sink.core_rate, unit.middle_at() + place + at, shared->grad[r][c]);
                        } else {
                            part[at] = shared->grad[r][c];
                        }
                    }
                }
            }
        }
    }
}
KERNEL_OF_TILES(fused_middle, FusedArgs)
