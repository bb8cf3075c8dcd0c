// The rule of blocks, AdaGrad-Norm, for slices (dense.cu has it for dense rows): one block of threads has a slice, whose whole
// gradient lies in scratch memory.

// Partial sums of squares, of every so-many-th number: as many whatever the block, so that their sum has the same bits.
const u32 NORM_LANES = 256;

// A step of the slice at `at` of the parameters, the `number`-th of its table, by its gradient [len]: ttcore's
// `CoreRule::adagrad_norm`. For all threads of a block.
template <class F>
__device__ void norm_step(const Sink<F>& sink, u64 number, u64 at, u64 len, const F* grads, F* shared) {
    // All are done with the slice before.
    __syncthreads();
    for (u32 lane = threadIdx.x; lane < NORM_LANES; lane += blockDim.x) {
        F sum = 0;
        UNROLL_4 for (u64 i = lane; i < len; i += NORM_LANES) sum += grads[i] * grads[i];
        shared[lane] = sum;
    }
    __syncthreads();
    for (u32 half = NORM_LANES / 2; half > 0; half /= 2) {
        for (u32 lane = threadIdx.x; lane < half; lane += blockDim.x) shared[lane] += shared[lane + half];
        __syncthreads();
    }
    const F square = shared[0];
    // Nothing to do, and perhaps 0 / 0.
    if (square == (F)0) return;
    if (threadIdx.x == 0) {
        F h = sink.first[number] + square;
        sink.first[number] = h;
        shared[1] = (F)sink.core_rate / (sqrt(h) + (F)sink.eps);
    }
    __syncthreads();
    const F rate = shared[1];
    F* params = sink.params + at;
    UNROLL_4 for (u64 i = threadIdx.x; i < len; i += blockDim.x) params[i] -= rate * grads[i];
}

// Of a core, once for the whole batch, the slices that it touched.
template <class F>
__device__ void norm_slices(const ApplyArgs<F>& args) {
    SHARED(F, shared);
    for (u64 run = blockIdx.x; run < args.runs; run += gridDim.x) {
        u64 digit = args.digits[run], at = digit * args.len;
        norm_step(args.sink, args.slices_before + digit, args.base + at, args.len, args.grads + at, shared);
    }
}
KERNEL_WITH_BARRIERS(norm_slices, ApplyArgs)

// The slices of all fused tables whose cores have the rule; the longest ones, of core 2, first.
template <class F>
__device__ void fused_slices(const FusedArgs<F>& args) {
    SHARED(F, shared);
    const FusedTable& end = args.tables[args.count - 1];
    const u32 units = end.slices_before + end.firsts + end.middles + end.lasts;
    for (u32 unit = blockIdx.x; unit < units; unit += gridDim.x) {
        const u32 t = table_of<&FusedTable::slices_before>(args.tables, args.count, unit);
        const FusedTable& table = args.tables[t];
        const Sink<F>& sink = args.sinks[t];
        if (sink.kind != ADAGRAD_NORM) continue;
        const u32 number = unit - table.slices_before, outer = number - table.middles;
        u64 slice, at, len;
        if (number < table.middles) {
            u64 digit = table.digits[1][number];
            len = (u64)table.r1 * table.n2 * table.r2;
            slice = table.m1 + digit;
            at = table.core2 + digit * len;
        } else if (outer < table.firsts) {
            u64 digit = table.digits[0][outer];
            len = (u64)table.n1 * table.r1;
            slice = digit;
            at = digit * len;
        } else {
            u64 digit = table.digits[2][outer - table.firsts];
            len = (u64)table.r2 * table.n3;
            slice = (u64)table.m1 + table.m2 + digit;
            at = table.core3 + digit * len;
        }
        norm_step(sink, slice, at, len, args.scratch + table.core_grads + at, shared);
    }
}
KERNEL_WITH_BARRIERS(fused_slices, FusedArgs)
