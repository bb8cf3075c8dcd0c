// Forward: fused_pairs, then fused_pool; gradients of weights, which need rows and no more.

// What `columns` columns of the products add to the rows of a unit: the second contraction, with r2 from `r2` on, `ranks`
// of them. An item has one j1 and j3 of one row, and two j2.
template <class F>
__device__ void contract_rows(const FusedArgs<F>& args, Tiles<F>& tiles, const Unit<F>& unit, u32 r2, u32 ranks) {
    const FusedTable& table = unit.table;
    const u32 held = 2;
    F* rows = rows_of(args, table);
    u32 across = parts_of(unit.n2, held), each = table.n3 * unit.n1 * across;
    for (u32 item = threadIdx.x; item < (unit.row_to - unit.row_from) * each; item += blockDim.x) {
        u32 row = unit.row_from + item / each, j3 = item % table.n3, rest = item % each / table.n3;
        u32 j1 = rest % unit.n1, j2 = rest / unit.n1 * held;
        const F* last = unit.params + table.core3 + ((u64)table.row_digits[row] * table.r2 + r2) * table.n3 + j3;
        const F* product = tiles.product[(table.row_pairs[row] - unit.pair) * unit.n1 + j1] + j2 * ranks;
        // Behind the last j2 the last again.
        u32 second = j2 + 1 < unit.n2 ? ranks : 0;
        F* out = rows + row * dim_of(table) + ((u64)(unit.j1 + j1) * table.n2 + unit.j2 + j2) * table.n3 + j3;
        F sum[held] = {0, 0};
        if (r2 > 0) {
            sum[0] = out[0];
            if (second) sum[1] = out[table.n3];
        }
        UNROLL_4 for (u32 r = 0; r < ranks; ++r) {
            F x = last[r * table.n3];
            sum[0] += product[r] * x;
            sum[1] += product[second + r] * x;
        }
        out[0] = sum[0];
        if (second) out[table.n3] = sum[1];
    }
}

template <class F>
__device__ void fused_pairs(const FusedArgs<F>& args) {
    SHARED(Tiles<F>, shared);
    Tiles<F>& tiles = *shared;
    const Lanes lanes;
    for (u32 number = blockIdx.x; number < args.tables[args.count - 1].units_end; number += gridDim.x) {
        const Unit<F> unit(args, args.units[number]);
        const FusedTable& table = unit.table;
        // The unit before is still read.
        __syncthreads();
        find_firsts(tiles, unit);
        // Several values of j2 with all of their r2, or one with some of them: columns that follow each other.
        for (u32 r2 = 0; r2 < table.r2; r2 += table.tile_r2) {
            u32 ranks = least(table.tile_r2, table.r2 - r2);
            u32 column = unit.j2 * table.r2 + r2, columns = unit.n2 * ranks;
            for (u32 r1 = 0; r1 < table.r1; r1 += table.tile_r1) {
                u32 inner = least(table.tile_r1, table.r1 - r1);
                __syncthreads();
                stage_slices(tiles, unit, r1, inner, column, columns);
                __syncthreads();
                const Patches patches(unit.rows, columns);
                for (u32 n = threadIdx.x; n < patches.count(); n += blockDim.x) {
                    const AlongLines<F> a = {tiles.first[0], Tiles<F>::NARROW, patches.row(n), patches.down};
                    const AcrossLines<F> b = {tiles.middle[0], Tiles<F>::WIDE, patches.column(n) * PATCH_COLUMNS};
                    F sum[PATCH_ROWS][PATCH_COLUMNS] = {};
                    if (r1 > 0) {
                        each(sum, a, b, unit.rows, columns, [&](u32 row, u32 c, F& x) { x = tiles.product[row][c]; });
                    }
                    multiply(sum, a, b, whole<F>(inner));
                    each(sum, a, b, unit.rows, columns, [&](u32 row, u32 c, F x) { tiles.product[row][c] = x; });
                }
            }
            __syncthreads();
            if (args.saved) {
                for (u32 row = lanes.line; row < unit.rows; row += lanes.lines) {
                    F* out = args.saved + table.products + unit.product_at(row) + column;
                    for (u32 c = lanes.lane; c < columns; c += lanes.lanes) out[c] = tiles.product[row][c];
                }
            }
            contract_rows(args, tiles, unit, r2, ranks);
        }
    }
}
KERNEL_OF_TILES(fused_pairs, FusedArgs)

template <class F>
__device__ void fused_pool(const FusedArgs<F>& args) {
    u64 bags = args.tables[0].bags, numbers = bags * args.count * args.dim;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < numbers; i += (u64)gridDim.x * blockDim.x) {
        u64 column = i % args.dim, bag = i / args.dim % bags;
        u32 t = (u32)(i / args.dim / bags);
        const FusedTable& table = args.tables[t];
        if (column >= dim_of(table)) continue;
        const F* factors = (const F*)table.factors;
        F sum = 0;
        UNROLL_4 for (u32 j = table.bag_starts[bag]; j < table.bag_starts[bag + 1]; ++j) {
            sum += factors[j] * row_at(args, table, args.sinks[t].params, table.row_of[j])[column];
        }
        args.out[bag * args.stride + table.column + column] = sum;
    }
}
KERNEL(fused_pool, FusedArgs)

// Gradients of the weights of lookups.
template <class F>
__device__ void fused_weights(const FusedArgs<F>& args) {
    for (u32 t = 0; t < args.count; ++t) {
        const FusedTable& table = args.tables[t];
        for (u64 j = blockIdx.x * blockDim.x + threadIdx.x; j < table.lookups; j += gridDim.x * blockDim.x) {
            u32 bag = table.bag_of[j];
            const F* grad = args.grad_out + bag * args.stride + table.column;
            const F* row = row_at(args, table, args.sinks[t].params, table.row_of[j]);
            F sum = 0;
            UNROLL_8 for (u64 column = 0; column < dim_of(table); ++column) sum += row[column] * grad[column];
            args.out[table.lookups_before + j] = ((const F*)table.scales)[bag] * sum;
        }
    }
}
KERNEL(fused_weights, FusedArgs)
