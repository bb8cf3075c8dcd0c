// The dense part of a recommendation model, around cuBLAS's products: biases and ReLU, dot products between features, loss,
// and the update of parameters. All matrices are row major, a sample a row.

template <class T>
__device__ bool is_finite(T x) { return x - x == (T)0; }

template <class F>
struct BiasArgs {
    // [rows][width]
    F* values;
    // [width]
    const F* bias;
    // For each row, whether a number is not finite: written if one is. Null if nobody asks.
    u32* marks;
    u64 rows;
    u64 width;
    u64 relu;
};
SIZE(BiasArgs, 48);

// y + c, and zero for what is negative if a ReLU follows. Whatever is not a number stays so.
template <class F>
__device__ void bias(const BiasArgs<F>& args) {
    u64 first = blockIdx.x * (u64)blockDim.x + threadIdx.x, step = (u64)gridDim.x * blockDim.x;
    if (args.width == 0) return;
    // Divided once, not for each number.
    u64 row = first / args.width, column = first % args.width;
    const u64 rows = step / args.width, columns = step % args.width;
    while (row < args.rows) {
        u64 i = row * args.width + column;
        F y = args.values[i] + args.bias[column];
        if (args.relu && y < (F)0) y = 0;
        args.values[i] = y;
        if (args.marks && !is_finite(y)) STORE_SAME(args.marks[row], 1u);
        row += rows;
        column += columns;
        if (column >= args.width) {
            column -= args.width;
            ++row;
        }
    }
}
KERNEL(bias, BiasArgs)

// Rows whose gradients are summed one after the other. Part of the order of sums.
const u32 BIAS_ROWS = 64;
// Of them, how many are loaded at once.
const u32 ROWS_AT_ONCE = 8;

template <class F>
struct BiasGradArgs {
    // Outputs of a layer behind its ReLU, if there is one, and their gradients [rows][width].
    const F* outputs;
    F* grads;
    // Sums over every BIAS_ROWS rows [..][width]; over all of them [width].
    F* partial;
    F* bias_grad;
    u64 rows;
    u64 width;
    u64 relu;
};
SIZE(BiasGradArgs, 56);

// Backward through ReLU, in place, and sums of the columns over every BIAS_ROWS rows: a thread for each.
template <class F>
__device__ void bias_partial(const BiasGradArgs<F>& args) {
    u64 parts = (args.rows + BIAS_ROWS - 1) / BIAS_ROWS;
    u64 len = parts * args.width;
    for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < len; i += (u64)gridDim.x * blockDim.x) {
        u64 column = i % args.width, from = i / args.width * BIAS_ROWS;
        u64 to = from + BIAS_ROWS < args.rows ? from + BIAS_ROWS : args.rows;
        F sum = 0;
        // Several rows are loaded before the first is stored: one after the other, each would wait for memory.
        for (u64 row = from; row < to; row += ROWS_AT_ONCE) {
            F grads[ROWS_AT_ONCE], outputs[ROWS_AT_ONCE];
            UNROLL for (u32 n = 0; n < ROWS_AT_ONCE; ++n) {
                u64 at = (row + n < to ? row + n : to - 1) * args.width + column;
                grads[n] = args.grads[at];
                outputs[n] = args.relu ? args.outputs[at] : (F)1;
            }
            UNROLL for (u32 n = 0; n < ROWS_AT_ONCE; ++n) {
                if (row + n < to) {
                    if (outputs[n] <= (F)0) args.grads[(row + n) * args.width + column] = grads[n] = 0;
                    sum += grads[n];
                }
            }
        }
        args.partial[i] = sum;
    }
}
KERNEL(bias_partial, BiasGradArgs)

// The sum of the partial sums.
template <class F>
__device__ void bias_grad(const BiasGradArgs<F>& args) {
    u64 parts = (args.rows + BIAS_ROWS - 1) / BIAS_ROWS;
    for (u64 column = blockIdx.x * blockDim.x + threadIdx.x; column < args.width; column += gridDim.x * blockDim.x) {
        F sum = 0;
        for (u64 part = 0; part < parts; ++part) sum += args.partial[part * args.width + column];
        args.bias_grad[column] = sum;
    }
}
KERNEL(bias_grad, BiasGradArgs)

template <class F>
struct InteractArgs {
    // The features of a sample: the output of the bottom MLP [samples][dim], and embeddings [samples][others][dim].
    const F* bottom;
    const F* embedded;
    // [samples][dim + pairs], or its gradient.
    F* out;
    F* grad_bottom;
    F* grad_embedded;
    // For each sample, whether a product, or a gradient of an embedding, is not finite: written if one is. Null if nobody asks.
    u32* marks;
    u64 samples;
    u32 dim;
    u32 others;
};
SIZE(InteractArgs, 64);

// Numbers from one feature to the next in shared memory: odd, so that threads that read down a column meet no bank twice.
__device__ u32 feature_stride(u32 dim) { return dim | 1; }

// The features of a sample, to shared memory.
template <class F>
__device__ void load_features(const InteractArgs<F>& args, u64 sample, F* features) {
    u32 dim = args.dim, stride = feature_stride(dim), len = (args.others + 1) * dim;
    const F* embedded = args.embedded + sample * args.others * dim;
    for (u32 i = threadIdx.x; i < len; i += blockDim.x) {
        features[i / dim * stride + i % dim] = i < dim ? args.bottom[sample * dim + i] : embedded[i - dim];
    }
}

// [x, Z]: the output of the bottom MLP, and the strict lower triangle of the features' products, row by row. A block for
// each sample, a thread for each product.
template <class F>
__device__ void interact(const InteractArgs<F>& args) {
    SHARED(F, features);
    u32 dim = args.dim, stride = feature_stride(dim), count = args.others + 1;
    u64 width = dim + (u64)count * args.others / 2;
    for (u64 sample = blockIdx.x; sample < args.samples; sample += gridDim.x) {
        // The features before may still be read.
        __syncthreads();
        load_features(args, sample, features);
        __syncthreads();
        F* out = args.out + sample * width;
        for (u32 i = threadIdx.x; i < dim; i += blockDim.x) out[i] = features[i];
        // Product (f, g) is number f (f - 1) / 2 + g.
        u32 f = 1, before = 0;
        for (u32 p = threadIdx.x; p < width - dim; p += blockDim.x) {
            while (before + f <= p) before += f++;
            const F* left = features + f * stride;
            const F* right = features + (p - before) * stride;
            F sum = 0;
            for (u32 c = 0; c < dim; ++c) sum += left[c] * right[c];
            out[dim + p] = sum;
            if (args.marks && !is_finite(sum)) STORE_SAME(args.marks[sample], 1u);
        }
    }
}
KERNEL_WITH_BARRIERS(interact, InteractArgs)

// Gradients of the features: dT = G T, with the symmetric G of the gradients of the products; that of x also has its copy's.
template <class F>
__device__ void interact_grad(const InteractArgs<F>& args) {
    SHARED(F, features);
    u32 dim = args.dim, stride = feature_stride(dim), count = args.others + 1;
    u64 width = dim + (u64)count * args.others / 2;
    // The gradients of the products of a sample.
    F* products = features + count * stride;
    for (u64 sample = blockIdx.x; sample < args.samples; sample += gridDim.x) {
        __syncthreads();
        load_features(args, sample, features);
        const F* grad = args.out + sample * width;
        for (u32 p = threadIdx.x; p < width - dim; p += blockDim.x) products[p] = grad[dim + p];
        __syncthreads();
        for (u32 i = threadIdx.x; i < count * dim; i += blockDim.x) {
            u32 f = i / dim, c = i % dim;
            F sum = 0;
            for (u32 g = 0; g < f; ++g) sum += products[f * (f - 1) / 2 + g] * features[g * stride + c];
            for (u32 g = f + 1; g < count; ++g) sum += products[g * (g - 1) / 2 + f] * features[g * stride + c];
            if (f == 0) sum += grad[c];
            if (f > 0 && !is_finite(sum)) STORE_SAME(args.marks[sample], 1u);
            F* to = f == 0 ? args.grad_bottom + sample * dim : args.grad_embedded + (sample * args.others + f - 1) * dim;
            to[c] = sum;
        }
    }
}
KERNEL_WITH_BARRIERS(interact_grad, InteractArgs)

template <class F>
struct LossArgs {
    const F* logits;
    const F* labels;
    F* probabilities;
    // Gradients of the logits; null if they are not wanted.
    F* grads;
    // Loss of each sample.
    double* losses;
    u64 samples;
};
SIZE(LossArgs, 48);

// Probabilities, the binary cross entropy of each sample, and the gradient of the mean of all. Logarithms are not below
// -100, as in the reference model; what is not a number stays so.
template <class F>
__device__ void loss(const LossArgs<F>& args) {
    for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < args.samples; i += (u64)gridDim.x * blockDim.x) {
        F p = (F)1 / ((F)1 + exp(-args.logits[i]));
        args.probabilities[i] = p;
        if (!args.grads) continue;
        F y = args.labels[i], least = (F)-100, yes = log(p), no = log((F)1 - p);
        yes = yes < least ? least : yes;
        no = no < least ? least : no;
        args.losses[i] = -(y * yes + ((F)1 - y) * no);
        args.grads[i] = (p - y) / (F)args.samples;
    }
}
KERNEL(loss, LossArgs)

// Samples `i`, `i + TALLY`, .. are summed one after the other, then TALLY_PART such sums, then what is left. Part of the order
// of sums.
const u32 TALLY = 256;
const u32 TALLY_PART = 16;

template <class F>
struct TallyArgs {
    const double* losses;
    const u32* marks;
    // The sum of the losses, and the first sample that is marked or whose loss is not finite; `samples` if there is none.
    double* out;
    u64 samples;
};
SIZE(TallyArgs, 32);

// One block.
template <class F>
__device__ void tally(const TallyArgs<F>& args) {
    SHARED(double, sums);
    double* firsts = sums + TALLY;
    for (u32 lane = threadIdx.x; lane < TALLY; lane += blockDim.x) {
        double sum = 0;
        u64 first = args.samples;
        for (u64 i = lane; i < args.samples; i += TALLY) {
            sum += args.losses[i];
            if (first == args.samples && (args.marks[i] || !is_finite(args.losses[i]))) first = i;
        }
        sums[lane] = sum;
        firsts[lane] = (double)first;
    }
    __syncthreads();
    // Each to the place of its first, which nobody else reads.
    auto join = [&](u32 from, u32 step) {
        for (u32 lane = from + step; lane < from + TALLY_PART * step; lane += step) {
            sums[from] += sums[lane];
            if (firsts[lane] < firsts[from]) firsts[from] = firsts[lane];
        }
    };
    for (u32 part = threadIdx.x; part < TALLY / TALLY_PART; part += blockDim.x) join(part * TALLY_PART, 1);
    __syncthreads();
    if (blockIdx.x > 0 || threadIdx.x > 0) return;
    join(0, TALLY_PART);
    args.out[0] = sums[0];
    args.out[1] = firsts[0];
}
KERNEL_WITH_BARRIERS(tally, TallyArgs)

template <class F>
struct UpdateArgs {
    Sink<F> sink;
    const F* grads;
    u64 len;
};
SIZE(UpdateArgs, 96);

// A rule on consecutive parameters.
template <class F>
__device__ void update(const UpdateArgs<F>& args) {
    for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < args.len; i += (u64)gridDim.x * blockDim.x) {
        apply(args.sink, args.sink.dense_rate, i, args.grads[i]);
    }
}
KERNEL(update, UpdateArgs)
