// What the fused kernels share. They take tables of three cores, and those without cores, all of a model's in a launch:
//
//   fused_pairs    one unit: the products G1[i1] G2[i2] of some pairs (i1, i2) of one i2, and the rows of these pairs
//   fused_pool     one column of one bag
//   fused_middle   one unit: gradients of the rows and products of its pairs, and what these add to G1 and to G2[i2]
//   fused_outer    a slice of a core, or dense rows: sums what was added, and applies the rule
//   fused_slices   a slice of a core: applies a rule of blocks, if there is one
//   fused_untouched  a slice or dense rows that the batch does not touch, for sinks that visit all parameters
//
// A unit has so many pairs that the rows (pair, j1) of their products, stacked, are a matrix of at most 64 rows, and so
// many j2 that its columns (j2, r) fit beside it in shared memory. A longer list of pairs is several units, which add to
// their G2[i2] in parts. Every number has one owner all the same, which adds the parts in order.
//
// Launches depend on the plan alone: all that depends on the batch is read from the descriptors, so a step can be captured
// in a graph and replayed for other batches of the same group.

// One table of a batch, with the lists that the host made: see FusedTable in src/args.rs.
struct FusedTable {
    // By bag, of which each feature has as many as the output has rows; null places are the bags' numbers. By lookup.
    const u32* bag_starts;
    const u32* places;
    const u32* bag_of;
    const u32* row_of;
    const void* factors;
    const void* scales;
    // By unique row: its lookups, in order; then the dense rows.
    const u32* row_starts;
    const u32* row_places;
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
    // The pairs of each i1.
    const u32* first_starts;
    const u32* first_pairs;
    // The parts of each i2: none if one unit has all of its pairs.
    const u32* middle_parts;
    // The rows of each i3.
    const u32* last_starts;
    const u32* last_rows;
    // Where the table's values are, in numbers. In saved: products [P][n1][n2 R2] and rows [U][N].
    u64 products;
    u64 rows;
    // In scratch memory: gradients of rows [U][N], of dense ones too under a rule of blocks, or the rows where nothing is
    // saved; what each pair adds to its slice of core 1, by block of columns [P][blocks][n1][R1]; parts of gradients of
    // slices of core 2 [parts][R1][n2 R2].
    u64 row_grads;
    u64 first_grads;
    u64 middle_grads;
    // There too: gradients of the slices that occur, where they are among the parameters. For a rule of blocks.
    u64 core_grads;
    // Where cores 2 and 3 and the dense rows are among the parameters, and how many these are.
    u64 core2;
    u64 core3;
    u64 dense;
    u64 parameters;
    // Where in the output place 0 is, and numbers from one place to the next.
    u64 origin;
    u64 unit;
    // Lookups of the tables before.
    u64 lookups_before;
    // Outer units of the tables before, and of this one; units of this one and those before.
    u32 outers_before;
    u32 outers;
    u32 units_end;
    // Features of the tables before, and of this one; rows of the output.
    u32 features_before;
    u32 features;
    u32 output_rows;
    u32 lookups;
    u32 core_rows;
    u32 dense_count;
    // How many i1, i2 and i3 occur.
    u32 firsts;
    u32 middles;
    u32 lasts;
    // Slices that occur in the tables before.
    u32 slices_before;
    // Factors of the rows, of cores 1 and 2; those of the columns, and ranks.
    u32 m1;
    u32 m2;
    u32 n1;
    u32 n2;
    u32 n3;
    u32 r1;
    u32 r2;
    // Most j1 and j2 of a unit; ranks of what it multiplies at once.
    u32 tile_n1;
    u32 tile_n2;
    u32 tile_r1;
    u32 tile_r2;
};
static_assert(sizeof(FusedTable) == 376, "as in src/args.rs");

// Pairs `pair ..` of one i2, by its number among those that occur; which j1 and j2, in tiles; which part of the gradient
// of G2[i2], or all ones for the whole of it.
struct FusedUnit {
    u32 table;
    u32 group;
    u32 pair;
    u32 pairs;
    u32 tile;
    u32 part;
};
static_assert(sizeof(FusedUnit) == 24, "as in src/args.rs");

const u32 FUSED_TABLES = 32;
const u32 WHOLE = ~0u;

template <class F>
struct FusedArgs {
    const FusedTable* tables;
    const FusedUnit* units;
    // What forward leaves, null if nothing; scratch memory.
    F* saved;
    F* scratch;
    const F* grad_out;
    // The output, or gradients of weights.
    F* out;
    u32 count;
    // Columns of the widest table.
    u32 dim;
    Sink<F> sinks[FUSED_TABLES];
};
SIZE(FusedArgs, 2616);

// Numbers in the product of a pair, and columns of the table.
__device__ u64 product_len(const FusedTable& table) { return (u64)table.n1 * table.n2 * table.r2; }
__device__ u64 dim_of(const FusedTable& table) { return (u64)table.n1 * table.n2 * table.n3; }

__device__ u32 least(u32 a, u32 b) { return a < b ? a : b; }
__device__ u32 parts_of(u32 numbers, u32 part) { return (numbers + part - 1) / part; }

// Units of some kind of the tables before come first: the last table of which `before` is not above a unit.
template <u32 FusedTable::*before>
__device__ u32 table_of(const FusedTable* tables, u32 count, u64 unit) {
    u32 low = 0, high = count;
    while (high - low > 1) {
        u32 half = (low + high) / 2;
        if (tables[half].*before <= unit) low = half;
        else high = half;
    }
    return low;
}

// The gradient of a number of the cores, once in a step. A rule of blocks needs that of the whole slice: it is kept, and what
// an earlier step left there overwritten.
template <class F>
__device__ void apply_core(const FusedArgs<F>& args, const FusedTable& table, const Sink<F>& sink, u64 at, F g) {
    if (sink.kind == ADAGRAD_NORM) args.scratch[table.core_grads + at] = g;
    else apply(sink, sink.core_rate, at, g);
}

// Where the rows of a batch are.
template <class F>
__device__ F* rows_of(const FusedArgs<F>& args, const FusedTable& table) {
    return args.saved ? args.saved + table.rows : args.scratch + table.row_grads;
}

// A unique row [N], of the cores or dense.
template <class F>
__device__ const F* row_at(const FusedArgs<F>& args, const FusedTable& table, const F* params, u32 row) {
    u64 dim = dim_of(table);
    if (row < table.core_rows) return rows_of(args, table) + row * dim;
    return dense_row(params + table.dense, table.dense_rows, row - table.core_rows, dim);
}

// A row of more lookups is popular: its gradient is summed in segments, by threads of their own, and these in order.
const u32 POPULAR = 32;
const u32 ROW_SEGMENTS = 16;
// Of the columns of a popular row at once: so many bytes of shared memory for each segment.
const u32 POPULAR_BYTES = 1024;

__device__ bool is_popular(const FusedTable& table, u32 row) {
    return table.row_starts[row + 1] - table.row_starts[row] > POPULAR;
}

// One column of the gradient of a unique row: that of its bags, in the order of lookups; of every `step`-th from `first`
// on, of which there is one.
template <class F>
__device__ F row_gradient(const FusedArgs<F>& args, const FusedTable& table, u32 row, u64 column, u32 first = 0,
                          u32 step = 1) {
    const F* factors = (const F*)table.row_factors;
    const F* grad = args.grad_out + table.origin + column;
    const u32* places = table.row_places;
    const u64 unit = table.unit;
    u32 p = table.row_starts[row] + first, end = table.row_starts[row + 1];
    F sum = factors[p] * grad[places[p] * unit];
    UNROLL_4 for (p += step; p < end; p += step) sum += factors[p] * grad[places[p] * unit];
    return sum;
}

// The gradient of a popular row, by all threads of a block: `count` columns, of the row `column(i)`, to `use(i, number)`.
template <class F, class Column, class Use>
__device__ void popular_gradient(const FusedArgs<F>& args, const FusedTable& table, u32 row, u32 count, F* shared,
                                 Column column, Use use) {
    const u32 at_once = POPULAR_BYTES / sizeof(F);
    for (u32 base = 0; base < count; base += at_once) {
        u32 width = least(count - base, at_once);
        for (u32 i = threadIdx.x; i < ROW_SEGMENTS * width; i += blockDim.x) {
            shared[i] = row_gradient(args, table, row, column(base + i % width), i / width, ROW_SEGMENTS);
        }
        __syncthreads();
        for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
            F sum = 0;
            UNROLL for (u32 segment = 0; segment < ROW_SEGMENTS; ++segment) sum += shared[segment * width + i];
            use(base + i, sum);
        }
        __syncthreads();
    }
}
