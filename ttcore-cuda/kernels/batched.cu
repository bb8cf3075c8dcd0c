// The kernels of Algorithms 1 and 2 of the paper, around cuBLAS's batched products: pointers, pooling, gradients of rows,
// and their accumulation into slices of cores. A chunk is `count` lookups from lookup `first` on.

// One operand of a batched product: of item `i`, `base + i * stride`, or a slice of a core, `base + digit * stride`.
template <class F>
struct Operand {
    F* base;
    u64 stride;
    // By unique row; null for no core.
    const u32* digits;
};
SIZE(Operand, 24);

template <class F>
struct PointersArgs {
    Operand<F> operands[3];
    // [3][capacity]
    F** pointers;
    // Unique row of each lookup; null where items are rows themselves.
    const u32* row_of;
    u64 first;
    u32 count;
    u32 capacity;
    u32 core_rows;
    u32 unused;
};
SIZE(PointersArgs, 112);

// Lines 3 to 7 of Algorithm 1, 4 to 17 of Algorithm 2, for one product. Lookups of dense rows get slice 0: their product
// is computed and not used.
template <class F>
__device__ void pointers(const PointersArgs<F>& args) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < args.count; i += gridDim.x * blockDim.x) {
        u32 row = args.row_of ? args.row_of[args.first + i] : i;
        for (u32 o = 0; o < 3; ++o) {
            const Operand<F>& operand = args.operands[o];
            u64 place = i;
            if (operand.digits) place = row < args.core_rows ? operand.digits[row] : 0;
            args.pointers[o * args.capacity + i] = operand.base + place * operand.stride;
        }
    }
}
KERNEL(pointers, PointersArgs)

template <class F>
struct PoolArgs {
    // Rows of the chunk's lookups [count][dim], where cores hold them.
    const F* rows;
    const F* dense;
    const u64* dense_rows;
    const u32* row_of;
    const u32* bag_starts;
    // By bag, see place_of; where place 0 is in the output, and numbers from one to the next.
    const u32* places;
    const F* factors;
    F* out;
    u64 unit;
    u64 dim;
    u64 first;
    u32 count;
    u32 core_rows;
    u32 bags;
    u32 unused;
};
SIZE(PoolArgs, 104);

// Line 13 of Algorithm 1: the sum over a bag ends at offsets[i + 1] - 1. A bag that began in an earlier chunk goes on from
// what that left; the first chunk also writes the empty bags.
template <class F>
__device__ void pool(const PoolArgs<F>& args) {
    u64 first = args.first, last = first + args.count;
    for (u32 bag = blockIdx.x; bag < args.bags; bag += gridDim.x) {
        u64 start = args.bag_starts[bag], end = args.bag_starts[bag + 1];
        bool empty = start == end;
        if (empty ? first > 0 : (end <= first || start >= last)) continue;
        bool begins = empty || start >= first;
        F* pooled = args.out + place_of(args.places, bag) * args.unit;
        u64 from = start < first ? first : start, to = end < last ? end : last;
        for (u64 column = threadIdx.x; column < args.dim; column += blockDim.x) {
            F sum = begins ? (F)0 : pooled[column];
            for (u64 j = from; j < to; ++j) {
                u32 row = args.row_of[j];
                const F* w = row < args.core_rows
                    ? args.rows + (j - first) * args.dim
                    : dense_row(args.dense, args.dense_rows, row - args.core_rows, args.dim);
                sum += args.factors[j] * w[column];
            }
            pooled[column] = sum;
        }
    }
}
KERNEL(pool, PoolArgs)

template <class F>
struct RowGradientsArgs {
    // Place 0; by lookup its bag, by bag its place, see place_of.
    const F* grad_out;
    const u32* bag_of;
    const u32* places;
    const F* factors;
    // [count][dim]
    F* grads;
    u64 unit;
    u64 dim;
    u64 first;
    u64 count;
};
SIZE(RowGradientsArgs, 72);

// dx of Algorithm 2: the gradient of the row of each lookup, that of its bag times weight and scale.
template <class F>
__device__ void row_gradients(const RowGradientsArgs<F>& args) {
    for (u64 i = blockIdx.x; i < args.count; i += gridDim.x) {
        u64 j = args.first + i;
        const F* grad = args.grad_out + place_of(args.places, args.bag_of[j]) * args.unit;
        for (u64 column = threadIdx.x; column < args.dim; column += blockDim.x) {
            args.grads[i * args.dim + column] = args.factors[j] * grad[column];
        }
    }
}
KERNEL(row_gradients, RowGradientsArgs)

template <class F>
struct AccumulateArgs {
    // The digits that occur, ascending, and for each the lookups that have it, in order.
    const u64* digits;
    const u32* starts;
    const u32* lookups;
    // Gradient of the slice of each lookup of the chunk [count][len].
    const F* grads;
    // Of the core.
    F* target;
    u64 first;
    u32 count;
    u32 runs;
    u64 len;
    // Whether the first chunk with a lookup of a slice does not add to what is there, but to zero.
    u64 overwrite;
};
SIZE(AccumulateArgs, 72);

// Lines 22 and 23 of Algorithm 2, without atomics: a slice belongs to one block, which adds the lookups of the chunk in
// order.
template <class F>
__device__ void accumulate(const AccumulateArgs<F>& args) {
    for (u32 run = blockIdx.x; run < args.runs; run += gridDim.x) {
        u32 start = args.starts[run], count = args.starts[run + 1] - start;
        const u32* lookups = args.lookups + start;
        u32 from = lower_bound(lookups, count, args.first);
        u32 to = lower_bound(lookups, count, args.first + args.count);
        if (from == to) continue;
        bool stores = args.overwrite && from == 0;
        F* target = args.target + args.digits[run] * args.len;
        for (u64 element = threadIdx.x; element < args.len; element += blockDim.x) {
            F sum = 0;
            for (u32 i = from; i < to; ++i) sum += args.grads[(lookups[i] - args.first) * args.len + element];
            target[element] = (stores ? (F)0 : target[element]) + sum;
        }
    }
}
KERNEL(accumulate, AccumulateArgs)

template <class F>
struct ApplyArgs {
    Sink<F> sink;
    const u64* digits;
    // Of the core.
    const F* grads;
    // Where the core begins among the parameters.
    u64 base;
    u64 len;
    u64 runs;
    // Slices of the cores before.
    u64 slices_before;
};
SIZE(ApplyArgs, 128);

// The rule, once for the whole batch, on the slices that it touched.
template <class F>
__device__ void apply_slices(const ApplyArgs<F>& args) {
    for (u64 run = blockIdx.x; run < args.runs; run += gridDim.x) {
        u64 slice = args.digits[run] * args.len;
        for (u64 element = threadIdx.x; element < args.len; element += blockDim.x) {
            u64 at = slice + element;
            apply(args.sink, args.sink.core_rate, args.base + at, args.grads[at]);
        }
    }
}
KERNEL(apply_slices, ApplyArgs)

template <class F>
struct WeightsArgs {
    // Rows of all lookups [L][dim], where cores hold them.
    const F* rows;
    const F* dense;
    const u64* dense_rows;
    const u32* row_of;
    const u32* bag_of;
    const u32* places;
    const F* scales;
    // Place 0.
    const F* grad_out;
    F* out;
    u64 unit;
    u64 dim;
    u32 count;
    u32 core_rows;
};
SIZE(WeightsArgs, 96);

// Gradient of the weight of a lookup: the bag's scale times the product of row and gradient.
template <class F>
__device__ void weights(const WeightsArgs<F>& args) {
    for (u32 j = blockIdx.x * blockDim.x + threadIdx.x; j < args.count; j += gridDim.x * blockDim.x) {
        u32 row = args.row_of[j], bag = args.bag_of[j];
        const F* w = row < args.core_rows
            ? args.rows + (u64)j * args.dim
            : dense_row(args.dense, args.dense_rows, row - args.core_rows, args.dim);
        const F* grad = args.grad_out + place_of(args.places, bag) * args.unit;
        F sum = 0;
        for (u64 column = 0; column < args.dim; ++column) sum += w[column] * grad[column];
        args.out[j] = args.scales[bag] * sum;
    }
}
KERNEL(weights, WeightsArgs)
