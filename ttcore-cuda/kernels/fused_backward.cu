// Backward: fused_middle, then fused_outer; and fused_slices for rules of blocks.

// Shared memory of fused_middle.
template <class F>
struct MiddleTiles {
    Tiles<F> tiles;
    // The gradient of G2[i2].
    F grad[Tiles<F>::INNER][Tiles<F>::WIDE];
    // Whether a row of the unit is popular.
    u64 popular;
};
static_assert(sizeof(MiddleTiles<float>) == 45064 && sizeof(MiddleTiles<double>) == 36360, "as in src/tiles.rs");
static_assert(sizeof(Tiles<float>::product) >= ROW_SEGMENTS * POPULAR_BYTES, "popular rows fit");
static_assert(sizeof(Tiles<double>::product) >= ROW_SEGMENTS * POPULAR_BYTES, "popular rows fit");

// Gradients of the rows of a unit: the columns of its j1 and j2.
template <class F>
__device__ void find_row_gradients(const FusedArgs<F>& args, MiddleTiles<F>& shared, const Unit<F>& unit) {
    const FusedTable& table = unit.table;
    const Lanes lanes;
    const u64 dim = dim_of(table);
    const u32 across = unit.n2 * table.n3, columns = unit.n1 * across, row_to = unit.row_to;
    F* grads = args.scratch + table.row_grads;
    auto column = [&](u32 i) {
        return ((u64)(unit.j1 + i / across) * table.n2 + unit.j2) * table.n3 + i % across;
    };
    for (u32 i = lanes.lane; i < columns; i += lanes.lanes) {
        const u64 at = column(i);
        for (u32 row = unit.row_from + lanes.line; row < row_to; row += lanes.lines) {
            if (is_popular(table, row)) STORE_SAME(shared.popular, (u64)1);
            else grads[row * dim + at] = row_gradient(args, table, row, at);
        }
    }
    __syncthreads();
    if (!shared.popular) return;
    for (u32 row = unit.row_from; row < row_to; ++row) {
        if (!is_popular(table, row)) continue;
        popular_gradient(args, table, row, columns, shared.tiles.product[0], column,
                         [&](u32 i, F sum) { grads[row * dim + column(i)] = sum; });
    }
}

// Gradients of the products of a unit: those of the rows of each pair times their slices of core 3, transposed. An item has
// four j1 of one pair, one j2 and four r2, which are `step` apart.
template <class F>
__device__ void find_product_gradients(const FusedArgs<F>& args, Tiles<F>& tiles, const Unit<F>& unit, u32 r2,
                                       u32 ranks) {
    const FusedTable& table = unit.table;
    const u32 held = 4;
    const u32 n1 = unit.n1, n2 = unit.n2, n3 = table.n3, next = table.n2 * n3, columns = n2 * ranks;
    const u32 down = parts_of(n1, held), step = parts_of(ranks, held), items = unit.pairs * down * n2 * step;
    const u64 dim = dim_of(table), slice = (u64)table.r2 * n3;
    const F* lasts = unit.params + table.core3 + (u64)r2 * n3;
    const F* grads = args.scratch + table.row_grads + ((u64)unit.j1 * table.n2 + unit.j2) * n3;
    const u32* pair_rows = table.pair_rows + unit.pair;
    const u32* row_digits = table.row_digits;
    for (u32 item = threadIdx.x; item < items; item += blockDim.x) {
        u32 r = item % step, j2 = item / step % n2, j1 = item / step / n2 % down * held, pair = item / step / n2 / down;
        // Behind the last j1 and r2 the first again: the same numbers to the same places.
        u32 rows[held], ranks_of[held];
        UNROLL for (u32 k = 0; k < held; ++k) {
            rows[k] = j1 + k < n1 ? j1 + k : j1;
            ranks_of[k] = r + k * step < ranks ? r + k * step : r;
        }
        F sum[held][held] = {};
        for (u32 row = pair_rows[pair], row_to = pair_rows[pair + 1]; row < row_to; ++row) {
            const F* grad = grads + row * dim + (u64)j2 * n3;
            const F* last = lasts + row_digits[row] * slice;
            const F* left[held];
            const F* right[held];
            UNROLL for (u32 k = 0; k < held; ++k) left[k] = grad + rows[k] * next, right[k] = last + ranks_of[k] * n3;
            UNROLL_4 for (u32 j3 = 0; j3 < n3; ++j3) {
                F x[held], y[held];
                UNROLL for (u32 k = 0; k < held; ++k) x[k] = *left[k]++, y[k] = *right[k]++;
                UNROLL for (u32 i = 0; i < held; ++i) {
                    UNROLL for (u32 k = 0; k < held; ++k) sum[i][k] += x[i] * y[k];
                }
            }
        }
        F* product = &tiles.product[pair * n1][j2 * ranks];
        UNROLL for (u32 i = 0; i < held; ++i) {
            UNROLL for (u32 k = 0; k < held; ++k) product[rows[i] * Tiles<F>::WIDE + ranks_of[k]] = sum[i][k];
        }
    }
    // Zeros behind the last column, and behind the last row, which are summed over.
    const u32 rows = whole<F>(unit.rows), padded = whole<F>(columns);
    for (u32 row = threadIdx.x; row < rows; row += blockDim.x) {
        for (u32 c = row < unit.rows ? columns : 0; c < padded; ++c) tiles.product[row][c] = 0;
    }
}

// Two products of the gradients of products, some warps for each: times G2[i2], transposed, what the pairs add to their
// slices of core 1; and the stacked slices of core 1, transposed, times them, the gradient of G2[i2].
template <class F>
__device__ void multiply_both(MiddleTiles<F>& shared, const Unit<F>& unit, u32 inner, u32 columns, F* first_grads) {
    const Tiles<F>& tiles = shared.tiles;
    const Patches firsts(unit.rows, inner), middles(inner, columns);
    const u32 from = (firsts.count() + 31) / 32 * 32;
    for (u32 n = threadIdx.x; n < from + middles.count(); n += blockDim.x) {
        F sum[PATCH_ROWS][PATCH_COLUMNS] = {};
        if (n < firsts.count()) {
            AlongLines<F> a(tiles.product[0], Tiles<F>::WIDE, firsts.row(n), firsts.down);
            AlongLines<F> b(tiles.middle[0], Tiles<F>::WIDE, firsts.column(n), firsts.across);
            multiply(sum, a, b, whole<F>(columns));
            UNROLL for (u32 i = 0; i < PATCH_ROWS; ++i) {
                if (a.line(i) >= unit.rows) continue;
                F* grads = first_grads + tiles.result_at[a.line(i)];
                UNROLL for (u32 j = 0; j < PATCH_COLUMNS; ++j) {
                    if (b.line(j) < inner) grads[b.line(j)] = sum[i][j];
                }
            }
        } else if (n >= from) {
            u32 m = n - from;
            AcrossLines<F, Tiles<F>::NARROW> a(tiles.first[0], middles.row(m) * PATCH_ROWS);
            AcrossLines<F, Tiles<F>::WIDE> b(tiles.product[0], middles.column(m) * PATCH_COLUMNS);
            multiply(sum, a, b, whole<F>(unit.rows));
            write_patch(sum, a, b, shared.grad);
        }
    }
}

template <class F>
__device__ void fused_middle(const FusedArgs<F>& args) {
    SHARED(MiddleTiles<F>, shared);
    Tiles<F>& tiles = shared->tiles;
    const Lanes lanes;
    if (threadIdx.x == 0) shared->popular = 0;
    for (u32 number = blockIdx.x; number < args.tables[args.count - 1].units_end; number += gridDim.x) {
        const FusedUnit& what = args.units[number];
        const Sink<F>& sink = args.sinks[what.table];
        if (sink.kind == FROZEN) continue;
        const Unit<F> unit(args, what);
        const FusedTable& table = unit.table;
        // What the pairs add to core 1, from the first block of columns of this unit.
        const u32 each_j2 = parts_of(table.r2, table.tile_r2), blocks = parts_of(table.n2, table.tile_n2) * each_j2;
        const u64 block_len = (u64)table.n1 * table.r1, block = unit.j2 / table.tile_n2 * each_j2;
        F* first_grads = args.scratch + table.first_grads + block * block_len;
        // All are done with the unit before.
        __syncthreads();
        find_places(tiles, unit, [&](u32 pair, u32 j1) { return (u64)pair * blocks * block_len + j1 * table.r1; });
        find_row_gradients(args, *shared, unit);
        for (u32 r2 = 0; r2 < table.r2; r2 += table.tile_r2, first_grads += block_len) {
            const u32 ranks = least(table.tile_r2, table.r2 - r2);
            const u32 column = unit.j2 * table.r2 + r2, columns = unit.n2 * ranks;
            for (u32 r1 = 0; r1 < table.r1; r1 += table.tile_r1) {
                const u32 inner = least(table.tile_r1, table.r1 - r1);
                // All are done with the tiles before: there was a barrier behind their products, or in the function above.
                if (r1 == 0) find_product_gradients(args, tiles, unit, r2, ranks);
                stage_slices(tiles, unit, r1, inner, column, columns);
                __syncthreads();
                multiply_both(*shared, unit, inner, columns, first_grads + r1);
                __syncthreads();
                const u64 place = (u64)r1 * unit.width + column;
                if (unit.part == WHOLE) {
                    // Nobody else reads or writes these numbers of the slice.
                    const u64 at = unit.middle_at() + place;
                    for (u32 c = lanes.lane; c < columns; c += lanes.lanes) {
                        for (u32 r = lanes.line; r < inner; r += lanes.lines) {
                            apply_core(args, table, sink, at + r * unit.width + c, shared->grad[r][c]);
                        }
                    }
                } else {
                    F* part = args.scratch + table.middle_grads + (u64)unit.part * table.r1 * unit.width + place;
                    copy_tile(shared->grad, inner, columns, unit.vectors, part, [&](u32 r) { return r * unit.width; });
                }
            }
        }
        // Read long ago.
        if (threadIdx.x == 0) shared->popular = 0;
    }
}
KERNEL_OF_TILES(fused_middle, FusedArgs)
