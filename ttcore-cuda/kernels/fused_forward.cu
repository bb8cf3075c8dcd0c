// Forward: fused_pairs, then fused_pool; gradients of weights, which need rows and no more.

// The second contraction: what the products of a unit, with r2 from `r2` on, `ranks` of them, add to its rows. An item has
// one j1 of one row, two j2 and two j3.
template <class F>
__device__ void contract_rows(const FusedArgs<F>& args, Tiles<F>& tiles, const Unit<F>& unit, u32 r2, u32 ranks) {
    const FusedTable& table = unit.table;
    const u32 held = 2;
    const u32 n1 = unit.n1, n2 = unit.n2, n3 = table.n3, table_n2 = table.n2;
    const u32 across = parts_of(n3, held), each = parts_of(n2, held) * across * n1;
    const u32 items = (unit.row_to - unit.row_from) * each, vectors = ranks / Vector<F>::LEN * Vector<F>::LEN;
    const u64 dim = dim_of(table);
    F* rows = rows_of(args, table);
    for (u32 item = threadIdx.x; item < items; item += blockDim.x) {
        u32 row = unit.row_from + item / each, rest = item % each;
        u32 j3 = rest % across * held, j1 = rest / across % n1, j2 = rest / across / n1 * held;
        // Behind the last j2 and j3 the last again: the same numbers to the same places.
        u32 more_j2 = j2 + 1 < n2, more_j3 = j3 + 1 < n3;
        const F* product = tiles.product[(table.row_pairs[row] - unit.pair) * n1 + j1] + j2 * ranks;
        const F* last = unit.params + table.core3 + ((u64)table.row_digits[row] * table.r2 + r2) * n3 + j3;
        F* out = rows + row * dim + ((u64)(unit.j1 + j1) * table_n2 + unit.j2 + j2) * n3 + j3;
        u32 second = more_j2 ? ranks : 0, next = more_j2 ? n3 : 0;
        F sum[held][held] = {};
        if (r2 > 0) {
            sum[0][0] = out[0], sum[0][1] = out[more_j3];
            sum[1][0] = out[next], sum[1][1] = out[next + more_j3];
        }
        for (u32 r = 0; r < vectors; r += Vector<F>::LEN) {
            const Vector<F> x = *reinterpret_cast<const Vector<F>*>(product + r);
            const Vector<F> y = *reinterpret_cast<const Vector<F>*>(product + second + r);
            UNROLL for (u32 v = 0; v < Vector<F>::LEN; ++v) {
                F left = last[0], right = last[more_j3];
                sum[0][0] += x.at[v] * left, sum[0][1] += x.at[v] * right;
                sum[1][0] += y.at[v] * left, sum[1][1] += y.at[v] * right;
                last += n3;
            }
        }
        // With a rest there is one j2.
        for (u32 r = vectors; r < ranks; ++r, last += n3) {
            sum[0][0] += product[r] * last[0], sum[0][1] += product[r] * last[more_j3];
            sum[1][0] = sum[0][0], sum[1][1] = sum[0][1];
        }
        out[0] = sum[0][0], out[more_j3] = sum[0][1];
        out[next] = sum[1][0], out[next + more_j3] = sum[1][1];
    }
}

template <class F>
__device__ void fused_pairs(const FusedArgs<F>& args) {
    SHARED(Tiles<F>, shared);
    Tiles<F>& tiles = *shared;
    for (u32 number = blockIdx.x; number < args.tables[args.count - 1].units_end; number += gridDim.x) {
        const Unit<F> unit(args, args.units[number]);
        const FusedTable& table = unit.table;
        // The unit before is still read.
        __syncthreads();
        // To the products of all pairs.
        find_places(tiles, unit, [&](u32 pair, u32 j1) { return ((u64)pair * table.n1 + j1) * unit.width; });
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
                    AlongLines<F> a(tiles.first[0], Tiles<F>::NARROW, patches.row(n), patches.down);
                    AcrossLines<F, Tiles<F>::WIDE> b(tiles.middle[0], patches.column(n) * PATCH_COLUMNS);
                    F sum[PATCH_ROWS][PATCH_COLUMNS] = {};
                    if (r1 > 0) read_patch(sum, a, b, tiles.product);
                    multiply(sum, a, b, whole<F>(inner));
                    write_patch(sum, a, b, tiles.product);
                }
            }
            __syncthreads();
            if (args.saved) {
                copy_tile(tiles.product, unit.rows, columns, unit.vectors, args.saved + table.products + column,
                          [&](u32 row) { return tiles.result_at[row]; });
            }
            contract_rows(args, tiles, unit, r2, ranks);
        }
    }
}
KERNEL_OF_TILES(fused_pairs, FusedArgs)

template <class F>
__device__ void fused_pool(const FusedArgs<F>& args) {
    const FusedTable& last = args.tables[args.count - 1];
    const u64 output_rows = last.output_rows;
    const u32 features = last.features_before + last.features;
    const u64 numbers = output_rows * features * args.dim;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < numbers; i += (u64)gridDim.x * blockDim.x) {
        u64 column = i % args.dim, bag = i / args.dim % output_rows;
        u32 feature = (u32)(i / args.dim / output_rows);
        const bool alone = features == args.count;
        const u32 t = alone ? feature : table_of<&FusedTable::features_before>(args.tables, args.count, feature);
        const FusedTable& table = args.tables[t];
        if (column >= dim_of(table)) continue;
        bag += (feature - table.features_before) * output_rows;
        const F* factors = (const F*)table.factors;
        const F* rows = rows_of(args, table) + column;
        const F* dense = args.sinks[t].params + table.dense + column;
        const u32* row_of = table.row_of;
        const u32 core_rows = table.core_rows, end = table.bag_starts[bag + 1];
        const u64 dim = dim_of(table);
        F sum = 0;
        UNROLL_4 for (u32 j = table.bag_starts[bag]; j < end; ++j) {
            u32 row = row_of[j];
            const F* at = row < core_rows ? rows + row * dim : dense_row(dense, table.dense_rows, row - core_rows, dim);
            sum += factors[j] * *at;
        }
        args.out[table.origin + place_of(table.places, bag) * table.unit + column] = sum;
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
            const F* grad = args.grad_out + table.origin + place_of(table.places, bag) * table.unit;
            const F* row = row_at(args, table, args.sinks[t].params, table.row_of[j]);
            const u32 dim = (u32)dim_of(table);
            F sum = 0;
            UNROLL_8 for (u32 column = 0; column < dim; ++column) sum += row[column] * grad[column];
            args.out[table.lookups_before + j] = ((const F*)table.scales)[bag] * sum;
        }
    }
}
KERNEL(fused_weights, FusedArgs)
