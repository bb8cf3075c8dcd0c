// Kernels that do what no kernel may, one thing each: what the race detector must find. They run in two blocks of 64 threads,
// with 64 numbers of shared memory and 255 of global memory: as src/race.rs starts them.

template <class F>
struct FaultArgs {
    F* numbers;
    u64 len;
};

// Of a thread, among those of both blocks.
__device__ u32 own_place() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Nothing wrong: a neighbour's number of shared memory, behind a barrier; a mark that all set.
template <class F>
__device__ void fault_none(const FaultArgs<F>& args) {
    SHARED(F, shared);
    shared[threadIdx.x] = (F)threadIdx.x;
    __syncthreads();
    args.numbers[own_place()] = shared[(threadIdx.x + 1) % blockDim.x];
    STORE_SAME(args.numbers[args.len - 1], (F)1);
}
KERNEL_WITH_BARRIERS(fault_none, FaultArgs)

// The same without the barrier.
template <class F>
__device__ void fault_reads(const FaultArgs<F>& args) {
    SHARED(F, shared);
    shared[threadIdx.x] = (F)threadIdx.x;
    args.numbers[own_place()] = shared[threadIdx.x / 2];
}
KERNEL(fault_reads, FaultArgs)

// In two intervals, but the second writes what others still read.
template <class F>
__device__ void fault_writes(const FaultArgs<F>& args) {
    SHARED(F, shared);
    shared[threadIdx.x] = (F)threadIdx.x;
    __syncthreads();
    args.numbers[own_place()] = shared[(threadIdx.x + blockDim.x - 1) % blockDim.x];
    shared[threadIdx.x] = 0;
}
KERNEL_WITH_BARRIERS(fault_writes, FaultArgs)

template <class F>
__device__ void fault_both_write(const FaultArgs<F>& args) { args.numbers[blockIdx.x] = (F)1; }
KERNEL(fault_both_write, FaultArgs)

// Two blocks: no barrier is between them.
template <class F>
__device__ void fault_blocks_write(const FaultArgs<F>& args) {
    if (threadIdx.x == 0) args.numbers[0] = (F)1;
    __syncthreads();
}
KERNEL_WITH_BARRIERS(fault_blocks_write, FaultArgs)

template <class F>
__device__ void fault_blocks_read(const FaultArgs<F>& args) {
    if (own_place() == 0) args.numbers[0] = (F)1;
    else if (threadIdx.x == 0) args.numbers[1] = args.numbers[0];
}
KERNEL(fault_blocks_read, FaultArgs)

template <class F>
__device__ void fault_behind(const FaultArgs<F>& args) { args.numbers[args.len] = 0; }
KERNEL(fault_behind, FaultArgs)

template <class F>
__device__ void fault_before(const FaultArgs<F>& args) { args.numbers[own_place()] = args.numbers[-1]; }
KERNEL(fault_before, FaultArgs)

template <class F>
__device__ void fault_behind_shared(const FaultArgs<F>& args) {
    SHARED(F, shared);
    args.numbers[own_place()] = shared[blockDim.x];
}
KERNEL(fault_behind_shared, FaultArgs)

// Eight bytes, the first four of which are the last that there are.
template <class F>
__device__ void fault_across(const FaultArgs<F>& args) { *reinterpret_cast<u64*>(args.numbers + args.len - 1) = 0; }
KERNEL(fault_across, FaultArgs)

template <class F>
__device__ void fault_alignment(const FaultArgs<F>& args) {
    Vector<F> part = *reinterpret_cast<const Vector<F>*>(args.numbers + 1);
    args.numbers[own_place()] = part.at[0];
}
KERNEL(fault_alignment, FaultArgs)

template <class F>
__device__ void fault_narrow(const FaultArgs<F>& args) { reinterpret_cast<char*>(args.numbers)[own_place()] = 1; }
KERNEL(fault_narrow, FaultArgs)

// What the block before has left.
template <class F>
__device__ void fault_unwritten(const FaultArgs<F>& args) {
    SHARED(F, shared);
    if (blockIdx.x == args.len % 2) shared[threadIdx.x] = 0;
    else args.numbers[own_place()] = shared[threadIdx.x];
}
KERNEL(fault_unwritten, FaultArgs)

template <class F>
__device__ void fault_different(const FaultArgs<F>& args) { STORE_SAME(args.numbers[0], (F)threadIdx.x); }
KERNEL(fault_different, FaultArgs)

// A mark that is read before the barrier.
template <class F>
__device__ void fault_early(const FaultArgs<F>& args) {
    STORE_SAME(args.numbers[blockIdx.x], (F)1);
    if (args.numbers[blockIdx.x] == (F)1) args.numbers[args.len / 2 + threadIdx.x] = 0;
}
KERNEL(fault_early, FaultArgs)

template <class F>
__device__ void fault_two_barriers(const FaultArgs<F>& args) {
    if (threadIdx.x < args.len % 64) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}
KERNEL_WITH_BARRIERS(fault_two_barriers, FaultArgs)

template <class F>
__device__ void fault_ended(const FaultArgs<F>& args) {
    if (threadIdx.x == args.len % 64) return;
    __syncthreads();
}
KERNEL_WITH_BARRIERS(fault_ended, FaultArgs)

template <class F>
__device__ void fault_undeclared(const FaultArgs<F>&) { __syncthreads(); }
KERNEL(fault_undeclared, FaultArgs)
