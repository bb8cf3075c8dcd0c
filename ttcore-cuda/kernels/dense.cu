// Rows held as they are: the same for every way to compute with cores.

template <class F>
struct DenseArgs {
    Sink<F> sink;
    // The dense rows of the batch, ascending.
    const u64* dense_rows;
    // Where the lookups of each begin, in the order of rows; the places of their bags, and what each is multiplied by.
    const u32* starts;
    const u32* places;
    const F* factors;
    // Place 0.
    const F* grad_out;
    u64 unit;
    u64 dim;
    // Where the dense rows begin among the parameters.
    u64 base;
    u64 rows;
    // Gradients of the dense rows of the batch [rows][dim], for a rule of blocks; null for others.
    F* grads;
};
SIZE(DenseArgs, 160);

// The gradient of a dense row, summed over its lookups in order, into its sink; for a rule of blocks, to where it is kept.
template <class F>
__device__ void dense_rows(const DenseArgs<F>& args) {
    for (u64 row = blockIdx.x; row < args.rows; row += gridDim.x) {
        u64 at = args.base + args.dense_rows[row] * args.dim;
        for (u64 column = threadIdx.x; column < args.dim; column += blockDim.x) {
            F sum = 0;
            for (u32 p = args.starts[row]; p < args.starts[row + 1]; ++p) {
                sum += args.factors[p] * args.grad_out[args.places[p] * args.unit + column];
            }
            if (args.grads) args.grads[row * args.dim + column] = sum;
            else apply(args.sink, args.sink.dense_rate, at + column, sum);
        }
    }
}
KERNEL(dense_rows, DenseArgs)

// Most rows of one step of a block, and partial sums of the squares of each, of every so-many-th column: as many whatever the
// block. Together as many as those of a slice.
const u32 NORM_ROWS = 16;
const u32 ROW_LANES = 16;

// Steps of some dense rows, by the numbers that they have in their table, which begins at `base` of the parameters, and by
// their gradients [count][dim]: ttcore's `CoreRule::adagrad_norm`. For all threads of a block, which wrote the gradients.
template <class F>
__device__ void norm_rows(const Sink<F>& sink, u64 base, const u64* numbers, u32 count, u64 dim, const F* grads,
                          F* shared) {
    __syncthreads();
    for (u32 i = threadIdx.x; i < count * ROW_LANES; i += blockDim.x) {
        const F* row = grads + i / ROW_LANES * dim;
        F sum = 0;
        UNROLL_4 for (u64 column = i % ROW_LANES; column < dim; column += ROW_LANES) sum += row[column] * row[column];
        shared[i] = sum;
    }
    __syncthreads();
    // The sum of squares, then the rate, in place of the first two partial sums.
    for (u32 row = threadIdx.x; row < count; row += blockDim.x) {
        F* sums = shared + row * ROW_LANES;
        F square = 0;
        UNROLL for (u32 lane = 0; lane < ROW_LANES; ++lane) square += sums[lane];
        sums[0] = square;
        // Nothing to do, and perhaps 0 / 0.
        if (square == (F)0) continue;
        F h = sink.second[numbers[row]] + square;
        sink.second[numbers[row]] = h;
        sums[1] = (F)sink.core_rate / (sqrt(h) + (F)sink.eps);
    }
    __syncthreads();
    for (u64 i = threadIdx.x; i < count * dim; i += blockDim.x) {
        u64 row = i / dim;
        const F* sums = shared + row * ROW_LANES;
        if (sums[0] != (F)0) sink.params[base + numbers[row] * dim + i % dim] -= sums[1] * grads[i];
    }
    // What comes next may use the shared memory.
    __syncthreads();
}

// The rule of blocks on the dense rows of a batch, whose gradients `dense_rows` kept.
template <class F>
__device__ void norm_dense(const DenseArgs<F>& args) {
    SHARED(F, shared);
    for (u64 from = (u64)blockIdx.x * NORM_ROWS; from < args.rows; from += (u64)gridDim.x * NORM_ROWS) {
        u64 count = args.rows - from < NORM_ROWS ? args.rows - from : NORM_ROWS;
        norm_rows(args.sink, args.base, args.dense_rows + from, (u32)count, args.dim, args.grads + from * args.dim, shared);
    }
}
KERNEL_WITH_BARRIERS(norm_dense, DenseArgs)

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
