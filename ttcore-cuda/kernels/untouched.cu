// Gradients of zero, for sinks that visit all parameters: of what no other kernel visits, slices and dense rows without a
// lookup. Some rules move these, and gradients that are overwritten are zero there.

template <class F>
struct UntouchedArgs {
    Sink<F> sink;
    // The slices (or dense rows) that the batch touched, ascending.
    const u64* touched;
    u64 base;
    u64 slices;
    u64 len;
    u32 count;
    u32 cores;
};
SIZE(UntouchedArgs, 120);

// Whether a number is one of `count` ascending ones.
__device__ bool is_among(const u64* numbers, u32 count, u64 number) {
    u32 place = lower_bound(numbers, count, number);
    return place < count && numbers[place] == number;
}

// Slices of a core, or dense rows.
template <class F>
__device__ void untouched(const UntouchedArgs<F>& args) {
    double rate = args.cores ? args.sink.core_rate : args.sink.dense_rate;
    for (u64 slice = blockIdx.x; slice < args.slices; slice += gridDim.x) {
        if (is_among(args.touched, args.count, slice)) continue;
        u64 at = args.base + slice * args.len;
        for (u64 element = threadIdx.x; element < args.len; element += blockDim.x) {
            apply(args.sink, rate, at + element, (F)0);
        }
    }
}
KERNEL(untouched, UntouchedArgs)

// A slice of a fused table, by its number among all of the table.
template <class F>
__device__ void untouched_slice(const FusedTable& table, const Sink<F>& sink, u64 slice) {
    u64 len, base, digit = slice;
    bool touched;
    if (digit < table.m1) {
        len = (u64)table.n1 * table.r1;
        base = 0;
        touched = is_among(table.digits[0], table.firsts, digit);
    } else if ((digit -= table.m1) < table.m2) {
        len = (u64)table.r1 * table.n2 * table.r2;
        base = table.core2;
        touched = is_among(table.digits[1], table.middles, digit);
    } else {
        digit -= table.m2;
        len = (u64)table.r2 * table.n3;
        base = table.core3;
        touched = is_among(table.digits[2], table.lasts, digit);
    }
    if (touched) return;
    for (u64 i = threadIdx.x; i < len; i += blockDim.x) apply(sink, sink.core_rate, base + digit * len + i, (F)0);
}

// Of all fused tables, one after the other: a block has a slice, or some dense rows.
template <class F>
__device__ void fused_untouched(const FusedArgs<F>& args) {
    for (u32 t = 0; t < args.count; ++t) {
        const FusedTable& table = args.tables[t];
        const Sink<F>& sink = args.sinks[t];
        if (sink.kind != ADAM && sink.kind != OVERWRITE) continue;
        const u64 dim = dim_of(table), rows = (table.parameters - table.dense) / dim;
        // A table without cores has no first one.
        const u64 lasts = table.m1 ? (table.dense - table.core3) / ((u64)table.r2 * table.n3) : 0;
        const u64 slices = table.m1 + table.m2 + lasts, units = slices + (rows + OUTER_ROWS - 1) / OUTER_ROWS;
        for (u64 unit = blockIdx.x; unit < units; unit += gridDim.x) {
            if (unit < slices) {
                untouched_slice(table, sink, unit);
                continue;
            }
            const u64 from = (unit - slices) * OUTER_ROWS, to = from + OUTER_ROWS < rows ? from + OUTER_ROWS : rows;
            for (u64 i = threadIdx.x; i < (to - from) * dim; i += blockDim.x) {
                if (is_among(table.dense_rows, table.dense_count, from + i / dim)) continue;
                apply(sink, sink.dense_rate, table.dense + from * dim + i, (F)0);
            }
        }
    }
}
KERNEL(fused_untouched, FusedArgs)
