// Tables of three cores, and those without cores, all of a model's in one launch each way: one kernel for the products of
// pairs, one for the second contraction, weights and pooling, and two backward. Which block owns what:
//
//   fused_pairs    the pairs (i1, i2) of one i2: their products, with the slice of core 2 in shared memory
//   fused_pool     one bag of one table
//   fused_middle   the pairs of one i2: gradients of their rows and products, of the slice of core 2, and what each pair
//                  adds to its slice of core 1
//   fused_outer    one slice of core 1 or core 3, or one dense row
//
// Launches depend on the plan alone: all that depends on the batch is read from the descriptors, so a step can be captured
// in a graph and replayed for other batches of the same group.

// One table of a batch, with the lists that the host made: see FusedTable in src/args.rs.
struct FusedTable {
    // By bag, by lookup.
    const u32* bag_starts;
    const u32* bag_of;
    const u32* row_of;
    const void* factors;
    const void* scales;
    // By unique row: its lookups, in order; then the dense rows.
    const u32* row_starts;
    const u32* row_bags;
    const void* row_factors;
    const u64* dense_rows;
    // By row of the cores: its pair, its i3.
    const u32* row_pairs;
    const u32* row_digits;
    // By pair: which of the i1 it has; where its rows begin.
    const u32* pair_firsts;
    const u32* pair_rows;
    // The digits that occur in each core.
    const u64* digits[3];
    // Where the pairs of each i2 begin.
    const u32* middle_pairs;
    // The pairs of each i1.
    const u32* first_starts;
    const u32* first_pairs;
    // The rows of each i3.
    const u32* last_starts;
    const u32* last_rows;
    // Where the table's values are, in numbers: products in saved, the others in scratch memory.
    u64 products;
    u64 row_grads;
    u64 product_grads;
    u64 first_grads;
    // Where cores 2 and 3 and the dense rows are among the parameters.
    u64 core2;
    u64 core3;
    u64 dense;
    u64 column;
    // Lookups, slices of core 2, and outer units of the tables before.
    u64 lookups_before;
    u32 middles_before;
    u32 outers_before;
    u32 bags;
    u32 lookups;
    u32 core_rows;
    u32 dense_count;
    // How many i1, i2 and i3 occur.
    u32 firsts;
    u32 middles;
    u32 lasts;
    // Factors of the columns and ranks.
    u32 n1;
    u32 n2;
    u32 n3;
    u32 r1;
    u32 r2;
};
static_assert(sizeof(FusedTable) == 296, "as in src/args.rs");

const u32 FUSED_TABLES = 32;

template <class F>
struct FusedArgs {
    const FusedTable* tables;
    // What forward leaves, and scratch memory.
    F* products;
    F* scratch;
    const F* grad_out;
    // The output, or gradients of weights.
    F* out;
    u64 stride;
    u32 count;
    // Numbers of shared memory.
    u32 shared;
    Sink<F> sinks[FUSED_TABLES];
};
SIZE(FusedArgs, 2616);

// Numbers in the product of a pair, rows of it, and columns of the table.
__device__ u64 product_len(const FusedTable& table) { return (u64)table.n1 * table.n2 * table.r2; }
__device__ u64 dim_of(const FusedTable& table) { return (u64)table.n1 * table.n2 * table.n3; }

// Which table a unit of work belongs to: the last whose units begin at or before it.
__device__ u32 table_of_middle(const FusedTable* tables, u32 count, u64 unit) {
    u32 t = count - 1;
    while (tables[t].middles_before > unit) --t;
    return t;
}

__device__ u32 table_of_outer(const FusedTable* tables, u32 count, u64 unit) {
    u32 t = count - 1;
    while (tables[t].outers_before > unit) --t;
    return t;
}

template <class F>
__device__ void fused_pairs(const FusedArgs<F>& args) {
    SHARED(F, staged);
    const FusedTable& end = args.tables[args.count - 1];
    u32 units = end.middles_before + end.middles;
    for (u32 unit = blockIdx.x; unit < units; unit += gridDim.x) {
        u32 t = table_of_middle(args.tables, args.count, unit);
        const FusedTable& table = args.tables[t];
        u32 group = unit - table.middles_before;
        u64 width = (u64)table.n2 * table.r2, len = width * table.r1, product = product_len(table);
        const F* params = args.sinks[t].params;
        const F* slice = params + table.core2 + table.digits[1][group] * len;
        if (len <= args.shared) {
            // The slice before may still be read.
            __syncthreads();
            for (u64 i = threadIdx.x; i < len; i += blockDim.x) staged[i] = slice[i];
            __syncthreads();
            slice = staged;
        }
        u32 pair = table.middle_pairs[group];
        u64 numbers = (table.middle_pairs[group + 1] - pair) * product;
        F* out = args.products + table.products + pair * product;
        for (u64 i = threadIdx.x; i < numbers; i += blockDim.x) {
            u64 a = i % product / width, c = i % width;
            u64 digit = table.digits[0][table.pair_firsts[pair + i / product]];
            const F* first = params + (digit * table.n1 + a) * table.r1;
            F sum = 0;
            for (u32 r = 0; r < table.r1; ++r) sum += first[r] * slice[r * width + c];
            out[i] = sum;
        }
    }
}
KERNEL_WITH_BARRIERS(fused_pairs, FusedArgs)

// One column of a row of the cores: the second contraction.
template <class F>
__device__ F fused_column(const FusedArgs<F>& args, const FusedTable& table, const F* params, u32 row, u64 column) {
    const F* product = args.products + table.products + table.row_pairs[row] * product_len(table)
        + column / table.n3 * table.r2;
    const F* last = params + table.core3 + (u64)table.row_digits[row] * table.r2 * table.n3 + column % table.n3;
    F sum = 0;
    for (u32 r = 0; r < table.r2; ++r) sum += product[r] * last[r * table.n3];
    return sum;
}

// One column of any row.
template <class F>
__device__ F fused_value(const FusedArgs<F>& args, const FusedTable& table, const F* params, u32 row, u64 column) {
    if (row < table.core_rows) return fused_column(args, table, params, row, column);
    return dense_row(params + table.dense, table.dense_rows, row - table.core_rows, dim_of(table))[column];
}

template <class F>
__device__ void fused_pool(const FusedArgs<F>& args) {
    u64 bags = args.tables[0].bags;
    for (u64 unit = blockIdx.x; unit < bags * args.count; unit += gridDim.x) {
        u32 t = (u32)(unit / bags), bag = (u32)(unit % bags);
        const FusedTable& table = args.tables[t];
        const F* factors = (const F*)table.factors;
        for (u64 column = threadIdx.x; column < dim_of(table); column += blockDim.x) {
            F sum = 0;
            for (u32 j = table.bag_starts[bag]; j < table.bag_starts[bag + 1]; ++j) {
                sum += factors[j] * fused_value(args, table, args.sinks[t].params, table.row_of[j], column);
            }
            args.out[bag * args.stride + table.column + column] = sum;
        }
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
            F sum = 0;
            for (u64 column = 0; column < dim_of(table); ++column) {
                sum += fused_value(args, table, args.sinks[t].params, table.row_of[j], column) * grad[column];
            }
            args.out[table.lookups_before + j] = ((const F*)table.scales)[bag] * sum;
        }
    }
}
KERNEL(fused_weights, FusedArgs)

// One column of the gradient of a unique row: that of its bags, in the order of lookups.
template <class F>
__device__ F fused_row_gradient(const FusedArgs<F>& args, const FusedTable& table, u32 row, u64 column) {
    const F* factors = (const F*)table.row_factors;
    F sum = 0;
    for (u32 p = table.row_starts[row]; p < table.row_starts[row + 1]; ++p) {
        sum += factors[p] * args.grad_out[table.row_bags[p] * args.stride + table.column + column];
    }
    return sum;
}

template <class F>
__device__ void fused_middle(const FusedArgs<F>& args) {
    const FusedTable& end = args.tables[args.count - 1];
    u32 units = end.middles_before + end.middles;
    for (u32 unit = blockIdx.x; unit < units; unit += gridDim.x) {
        u32 t = table_of_middle(args.tables, args.count, unit);
        const FusedTable& table = args.tables[t];
        const Sink<F>& sink = args.sinks[t];
        if (sink.kind == FROZEN) continue;
        u32 group = unit - table.middles_before;
        u32 pairs_from = table.middle_pairs[group], pairs_to = table.middle_pairs[group + 1];
        u64 dim = dim_of(table), product = product_len(table), width = (u64)table.n2 * table.r2;
        F* row_grads = args.scratch + table.row_grads;
        F* product_grads = args.scratch + table.product_grads;
        F* first_grads = args.scratch + table.first_grads;

        // Gradients of the rows of these pairs, which follow each other.
        u64 row_from = table.pair_rows[pairs_from], row_to = table.pair_rows[pairs_to];
        for (u64 i = row_from * dim + threadIdx.x; i < row_to * dim; i += blockDim.x) {
            row_grads[i] = fused_row_gradient(args, table, (u32)(i / dim), i % dim);
        }
        __syncthreads();

        // Gradients of the products: row gradients times slices of core 3, transposed.
        for (u64 i = pairs_from * product + threadIdx.x; i < pairs_to * product; i += blockDim.x) {
            u64 pair = i / product, a = i % product / table.r2, r = i % table.r2;
            F sum = 0;
            for (u32 row = table.pair_rows[pair]; row < table.pair_rows[pair + 1]; ++row) {
                const F* last = sink.params + table.core3 + ((u64)table.row_digits[row] * table.r2 + r) * table.n3;
                const F* grad = row_grads + row * dim + a * table.n3;
                for (u32 c = 0; c < table.n3; ++c) sum += grad[c] * last[c];
            }
            product_grads[i] = sum;
        }
        __syncthreads();

        // What the pairs add to their slices of core 1: times the slice of core 2, transposed.
        u64 at = table.digits[1][group] * table.r1 * width;
        const F* slice = sink.params + table.core2 + at;
        u64 first_len = (u64)table.n1 * table.r1;
        for (u64 i = pairs_from * first_len + threadIdx.x; i < pairs_to * first_len; i += blockDim.x) {
            const F* grad = product_grads + i / first_len * product + i % first_len / table.r1 * width;
            const F* right = slice + i % table.r1 * width;
            F sum = 0;
            for (u64 c = 0; c < width; ++c) sum += grad[c] * right[c];
            first_grads[i] = sum;
        }
        // The slice is written below.
        __syncthreads();

        // The stacked slices of core 1, transposed, times the stacked gradients.
        for (u64 i = threadIdx.x; i < table.r1 * width; i += blockDim.x) {
            u64 r = i / width, c = i % width;
            F sum = 0;
            for (u32 pair = pairs_from; pair < pairs_to; ++pair) {
                const F* first = sink.params + table.digits[0][table.pair_firsts[pair]] * first_len + r;
                const F* grad = product_grads + pair * product + c;
                for (u32 a = 0; a < table.n1; ++a) sum += first[a * table.r1] * grad[a * width];
            }
            apply(sink, sink.core_rate, table.core2 + at + i, sum);
        }
    }
}
KERNEL_WITH_BARRIERS(fused_middle, FusedArgs)

template <class F>
__device__ void fused_outer(const FusedArgs<F>& args) {
    const FusedTable& end = args.tables[args.count - 1];
    u64 units = (u64)end.outers_before + end.firsts + end.lasts + end.dense_count;
    for (u64 unit = blockIdx.x; unit < units; unit += gridDim.x) {
        u32 t = table_of_outer(args.tables, args.count, unit);
        const FusedTable& table = args.tables[t];
        const Sink<F>& sink = args.sinks[t];
        if (sink.kind == FROZEN) continue;
        u32 number = (u32)(unit - table.outers_before);
        u64 dim = dim_of(table), product = product_len(table);
        if (number < table.firsts) {
            u64 len = (u64)table.n1 * table.r1;
            for (u64 i = threadIdx.x; i < len; i += blockDim.x) {
                F sum = 0;
                for (u32 child = table.first_starts[number]; child < table.first_starts[number + 1]; ++child) {
                    sum += args.scratch[table.first_grads + table.first_pairs[child] * len + i];
                }
                apply(sink, sink.core_rate, table.digits[0][number] * len + i, sum);
            }
            continue;
        }
        number -= table.firsts;
        if (number < table.lasts) {
            u64 len = (u64)table.r2 * table.n3, at = table.core3 + table.digits[2][number] * len;
            for (u64 i = threadIdx.x; i < len; i += blockDim.x) {
                u64 r = i / table.n3, c = i % table.n3;
                F sum = 0;
                for (u32 place = table.last_starts[number]; place < table.last_starts[number + 1]; ++place) {
                    u32 row = table.last_rows[place];
                    const F* left = args.products + table.products + table.row_pairs[row] * product + r;
                    const F* grad = args.scratch + table.row_grads + row * dim + c;
                    for (u32 a = 0; a < table.n1 * table.n2; ++a) sum += left[a * table.r2] * grad[a * table.n3];
                }
                apply(sink, sink.core_rate, at + i, sum);
            }
            continue;
        }
        number -= table.lasts;
        u64 at = table.dense + table.dense_rows[number] * dim;
        for (u64 column = threadIdx.x; column < dim; column += blockDim.x) {
            F sum = fused_row_gradient(args, table, table.core_rows + number, column);
            apply(sink, sink.dense_rate, at + column, sum);
        }
    }
}
KERNEL(fused_outer, FusedArgs)
