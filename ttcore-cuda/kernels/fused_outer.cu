// The end of backward: sums what fused_middle left, over pairs, rows and parts in order, and applies the rule, if it is one
// of blocks to dense rows only.

// Numbers of a slice of core 2, and dense rows, of one unit of work.
const u32 OUTER_NUMBERS = 1024;
const u32 OUTER_ROWS = 16;
static_assert(OUTER_ROWS <= NORM_ROWS, "a unit is one step of rows");

// The rows of an i3 are summed in so many segments, each by threads of its own, and these in order.
const u32 SEGMENTS = 8;
// A thread has one r2 and so many j3; so many threads have a segment.
const u32 HELD = 4;
const u32 SEGMENT_THREADS = 128;
template <class F>
struct Segments {
    F sum[SEGMENTS][SEGMENT_THREADS][HELD];
};
static_assert(sizeof(Segments<float>) >= ROW_SEGMENTS * POPULAR_BYTES, "popular rows fit");
static_assert(sizeof(Segments<float>) >= NORM_ROWS * ROW_LANES * sizeof(float), "sums of squares of rows fit");
static_assert(sizeof(Segments<float>) == 16384 && sizeof(Segments<double>) == 32768, "as in src/tiles.rs");

// A slice of core 1: what its pairs add, block of columns by block of columns.
template <class F>
__device__ void outer_first(const FusedArgs<F>& args, const FusedTable& table, const Sink<F>& sink, u32 number) {
    u32 len = table.n1 * table.r1;
    u32 blocks = parts_of(table.n2, table.tile_n2) * parts_of(table.r2, table.tile_r2);
    u32 from = table.first_starts[number], count = (table.first_starts[number + 1] - from) * blocks;
    for (u32 i = threadIdx.x; i < len; i += blockDim.x) {
        const u32* pairs = table.first_pairs + from;
        const F* grads = args.scratch + table.first_grads + i;
        F sum = 0;
        u32 block = 0;
        UNROLL_8 for (u32 n = 0; n < count; ++n) {
            sum += grads[((u64)*pairs * blocks + block) * len];
            bool last = ++block == blocks;
            pairs += last ? 1 : 0;
            block = last ? 0 : block;
        }
        apply_core(args, table, sink, table.digits[0][number] * len + i, sum);
    }
}

// Some numbers of a slice of core 2 whose pairs are several units.
template <class F>
__device__ void outer_middle(const FusedArgs<F>& args, const FusedTable& table, const Sink<F>& sink, u32 number,
                             u32 chunk) {
    u32 parts_from = table.middle_parts[number], parts_to = table.middle_parts[number + 1];
    u64 len = (u64)table.r1 * table.n2 * table.r2, from = (u64)chunk * OUTER_NUMBERS;
    u64 to = from + OUTER_NUMBERS < len ? from + OUTER_NUMBERS : len;
    if (parts_from == parts_to) return;
    for (u64 i = from + threadIdx.x; i < to; i += blockDim.x) {
        const F* grads = args.scratch + table.middle_grads + i;
        F sum = 0;
        UNROLL_4 for (u32 part = parts_from; part < parts_to; ++part) sum += grads[part * len];
        apply_core(args, table, sink, table.core2 + table.digits[1][number] * len + i, sum);
    }
}

// A slice of core 3: over its rows, the products of their pairs, transposed, times the gradients of the rows.
template <class F>
__device__ void outer_last(const FusedArgs<F>& args, const FusedTable& table, const Sink<F>& sink, u32 number) {
    SHARED(Segments<F>, shared);
    const u32 r2 = table.r2, n3 = table.n3, height = table.n1 * table.n2;
    const u32 across = parts_of(n3, HELD), items = r2 * across;
    u32 from = table.last_starts[number], to = table.last_starts[number + 1];
    u64 dim = dim_of(table), product_numbers = product_len(table);
    u64 at = table.core3 + table.digits[2][number] * table.r2 * table.n3;
    for (u32 base = 0; base < items; base += SEGMENT_THREADS) {
        u32 width = least(items - base, SEGMENT_THREADS);
        for (u32 i = threadIdx.x; i < SEGMENTS * width; i += blockDim.x) {
            u32 segment = i / width, item = base + i % width;
            u32 r = item % r2, j3 = item / r2 * HELD;
            // Behind the last j3 the first again.
            u32 grad_at[HELD];
            UNROLL for (u32 k = 0; k < HELD; ++k) grad_at[k] = j3 + k < n3 ? k : 0;
            F sum[HELD] = {};
            for (u32 place = from + segment; place < to; place += SEGMENTS) {
                u32 row = table.last_rows[place];
                const F* left = args.saved + table.products + table.row_pairs[row] * product_numbers + r;
                const F* grad = args.scratch + table.row_grads + row * dim + j3;
                UNROLL_8 for (u32 a = 0; a < height; ++a, left += r2, grad += n3) {
                    F x = *left;
                    UNROLL for (u32 k = 0; k < HELD; ++k) sum[k] += x * grad[grad_at[k]];
                }
            }
            UNROLL for (u32 k = 0; k < HELD; ++k) shared->sum[segment][i % width][k] = sum[k];
        }
        __syncthreads();
        for (u32 i = threadIdx.x; i < width * HELD; i += blockDim.x) {
            u32 item = base + i / HELD, r = item % r2, j3 = item / r2 * HELD + i % HELD;
            if (j3 >= n3) continue;
            F sum = 0;
            UNROLL for (u32 segment = 0; segment < SEGMENTS; ++segment) sum += shared->sum[segment][i / HELD][i % HELD];
            apply_core(args, table, sink, at + r * n3 + j3, sum);
        }
        __syncthreads();
    }
}

// Some dense rows. A rule of blocks takes them when their gradients lie in scratch memory, behind those of the rows of the
// cores.
template <class F>
__device__ void outer_dense(const FusedArgs<F>& args, const FusedTable& table, const Sink<F>& sink, u32 number) {
    SHARED(F, shared);
    u64 dim = dim_of(table);
    u32 from = number * OUTER_ROWS, to = least(table.dense_count, from + OUTER_ROWS);
    const bool by_rows = sink.kind == ADAGRAD_NORM;
    F* grads = args.scratch + table.row_grads + (table.core_rows + from) * dim;
    auto add = [&](u32 row, u64 column, F sum) {
        if (by_rows) grads[(row - from) * dim + column] = sum;
        else apply(sink, sink.dense_rate, table.dense + table.dense_rows[row] * dim + column, sum);
    };
    for (u64 i = threadIdx.x; i < (to - from) * dim; i += blockDim.x) {
        u32 row = from + (u32)(i / dim), unique = table.core_rows + row;
        if (!is_popular(table, unique)) add(row, i % dim, row_gradient(args, table, unique, i % dim));
    }
    u32 popular = 0;
    UNROLL for (u32 n = 0; n < OUTER_ROWS; ++n) {
        popular |= from + n < to && is_popular(table, table.core_rows + from + n) ? 1u << n : 0;
    }
    for (u32 row = from; popular != 0; ++row, popular >>= 1) {
        if (popular % 2 == 0) continue;
        popular_gradient(args, table, table.core_rows + row, (u32)dim, shared, [](u32 i) { return (u64)i; },
                         [&](u32 i, F sum) { add(row, i, sum); });
    }
    if (by_rows) norm_rows(sink, table.dense, table.dense_rows + from, to - from, dim, grads, shared);
}

template <class F>
__device__ void fused_outer(const FusedArgs<F>& args) {
    const FusedTable& end = args.tables[args.count - 1];
    const u32 units = end.outers_before + end.outers;
    for (u32 unit = blockIdx.x; unit < units; unit += gridDim.x) {
        u32 t = table_of<&FusedTable::outers_before>(args.tables, args.count, unit);
        const FusedTable& table = args.tables[t];
        const Sink<F>& sink = args.sinks[t];
        if (sink.kind == FROZEN) continue;
        u32 number = unit - table.outers_before;
        u32 chunks = parts_of(table.r1 * table.n2 * table.r2, OUTER_NUMBERS);
        if (number < table.lasts) {
            outer_last(args, table, sink, number);
            continue;
        }
        number -= table.lasts;
        if (number < table.firsts) {
            outer_first(args, table, sink, number);
            continue;
        }
        number -= table.firsts;
        if (number < table.middles * chunks) {
            outer_middle(args, table, sink, number / chunks, number % chunks);
            continue;
        }
        outer_dense(args, table, sink, number - table.middles * chunks);
    }
}
KERNEL_WITH_BARRIERS(fused_outer, FusedArgs)
