// Rows held as they are, and parameters that a batch does not touch: the same for every way to compute with cores.

template <class F>
struct DenseArgs {
    Sink<F> sink;
    // The dense rows of the batch, ascending.
    const u64* dense_rows;
    // Where the lookups of each begin, in the order of rows; their bags, and what each is multiplied by.
    const u32* starts;
    const u32* bags;
    const F* factors;
    const F* grad_out;
    u64 stride;
    u64 dim;
    // Where the dense rows begin among the parameters.
    u64 base;
    u64 rows;
};
SIZE(DenseArgs, 176);

// The gradient of a dense row, summed over its lookups in order, into its sink.
template <class F>
__device__ void dense_rows(const DenseArgs<F>& args) {
    for (u64 row = blockIdx.x; row < args.rows; row += gridDim.x) {
        u64 at = args.base + args.dense_rows[row] * args.dim;
        for (u64 column = threadIdx.x; column < args.dim; column += blockDim.x) {
            F sum = 0;
            for (u32 p = args.starts[row]; p < args.starts[row + 1]; ++p) {
                sum += args.factors[p] * args.grad_out[args.bags[p] * args.stride + column];
            }
            apply(args.sink, args.sink.dense_rate, at + column, sum);
        }
    }
}
KERNEL(dense_rows, DenseArgs)

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
SIZE(UntouchedArgs, 144);

// A rule that moves parameters without a gradient, on the slices that no other kernel visits.
template <class F>
__device__ void untouched(const UntouchedArgs<F>& args) {
    double rate = args.cores ? args.sink.core_rate : args.sink.dense_rate;
    for (u64 slice = blockIdx.x; slice < args.slices; slice += gridDim.x) {
        u32 place = lower_bound(args.touched, args.count, slice);
        if (place < args.count && args.touched[place] == slice) continue;
        u64 at = args.base + slice * args.len;
        for (u64 element = threadIdx.x; element < args.len; element += blockDim.x) {
            apply(args.sink, rate, at + element, (F)0);
        }
    }
}
KERNEL(untouched, UntouchedArgs)

template <class F>
struct CopyRowsArgs {
    // For each row, which dense row it is; all ones if cores hold it.
    const u64* dense_rows;
    const F* dense;
    F* out;
    u64 dim;
    u64 count;
};
SIZE(CopyRowsArgs, 40);

// Rows held as they are, to where rows are wanted.
template <class F>
__device__ void copy_rows(const CopyRowsArgs<F>& args) {
    for (u64 i = blockIdx.x; i < args.count; i += gridDim.x) {
        if (args.dense_rows[i] == ~0ull) continue;
        const F* row = args.dense + args.dense_rows[i] * args.dim;
        for (u64 column = threadIdx.x; column < args.dim; column += blockDim.x) {
            args.out[i * args.dim + column] = row[column];
        }
    }
}
KERNEL(copy_rows, CopyRowsArgs)
