// What all kernels share. The sources are compiled twice: by NVRTC for the device, and as C++ behind emulator/shim.h for
// tests on machines without one. So they use what both have: no headers, no atomics, `SHARED` for shared memory.
//
// Every number has one owner, a thread of one block, which sums in an order that follows from the batch alone. Loops go
// in steps of the block or grid, so any launch size gives the same result.

typedef unsigned int u32;
typedef unsigned long long u64;

// A kernel that is written for both types of numbers. One whose threads meet at barriers says so, for the emulator.
#ifndef KERNEL
#define KERNEL(name, Args)                                                                              \
    extern "C" __global__ void __launch_bounds__(256) name##_f32(Args<float> args) { name(args); }      \
    extern "C" __global__ void __launch_bounds__(256) name##_f64(Args<double> args) { name(args); }
#define KERNEL_WITH_BARRIERS(name, Args) KERNEL(name, Args)
// One of 128 threads that each need many registers: but no more than leave room for some blocks beside each other.
#define KERNEL_OF_TILES(name, Args)                                                                     \
    extern "C" __global__ void __launch_bounds__(128, 5) name##_f32(Args<float> args) { name(args); }   \
    extern "C" __global__ void __launch_bounds__(128, 3) name##_f64(Args<double> args) { name(args); }
// One of 512 threads, with barriers: few blocks, which have much to do.
#define KERNEL_OF_GROUPS(name, Args)                                                                    \
    extern "C" __global__ void __launch_bounds__(512) name##_f32(Args<float> args) { name(args); }      \
    extern "C" __global__ void __launch_bounds__(512) name##_f64(Args<double> args) { name(args); }

// Dynamic shared memory as values of a type.
extern __shared__ __align__(16) u64 ttcore_shared[];
#define SHARED(T, name) T* name = reinterpret_cast<T*>(ttcore_shared)

// Of a struct.
#define METHOD __device__

// Loops of few steps without a jump, so that arrays are registers; and several steps of others at once, so that their
// loads are on their way together.
#define UNROLL _Pragma("unroll")
#define UNROLL_2 _Pragma("unroll 2")
#define UNROLL_4 _Pragma("unroll 4")
#define UNROLL_8 _Pragma("unroll 8")
#endif

// What the race detector of the emulator could take for mistakes; for others, nothing but the store and the load. Several
// threads store the same value, and none loads it before the next barrier. A load of shared memory that perhaps nobody has
// written: what it gives is computed with and not used.
#ifndef STORE_SAME
#define STORE_SAME(to, value) ((to) = (value))
#define PERHAPS_UNWRITTEN(at) (*(at))
#endif

// Asserts the size of a struct of arguments, as src/args.rs does. They have no padding that a compiler could choose.
#define SIZE(Args, bytes)                                                       \
    static_assert(sizeof(Args<float>) == bytes, "as in src/args.rs");           \
    static_assert(sizeof(Args<double>) == bytes, "as in src/args.rs")

// What becomes of the gradients of a table: `Kind` in src/sinks.rs.
// ADAGRAD_NORM is a rule of blocks, slices of cores and dense rows, which have to have their whole gradients first; all others
// take them number by number.
enum { ACCUMULATE = 0, SGD = 1, ADAGRAD = 2, ADAM = 3, FROZEN = 4, ADAGRAD_NORM = 5, OVERWRITE = 6 };

template <class F>
struct Sink {
    F* params;
    // Gradients to add to or to store, the first plane of the state, or under a rule of blocks a number for each slice.
    F* first;
    // The second plane of the state, or under a rule of blocks a number for each dense row.
    F* second;
    // Learning rates of cores and dense rows; for Adam with its first correction.
    double core_rate;
    double dense_rate;
    double beta1;
    double beta2;
    double eps;
    // Root of Adam's second correction.
    double root;
    u32 kind;
    u32 unused;
};
SIZE(Sink, 80);

// One number's gradient, but for rules of blocks: ttcore's `Update::apply`, line by line.
template <class F>
__device__ void apply(const Sink<F>& sink, double rate64, u64 at, F g) {
    F rate = (F)rate64, eps = (F)sink.eps;
    if (sink.kind == ACCUMULATE) {
        sink.first[at] += g;
    } else if (sink.kind == OVERWRITE) {
        // As if added to zero: -0.0 becomes 0.0.
        sink.first[at] = (F)0 + g;
    } else if (sink.kind == SGD) {
        sink.params[at] -= rate * g;
    } else if (sink.kind == ADAGRAD) {
        if (g != (F)0) {
            F& state = sink.first[at];
            F h = state + g * g;
            state = h;
            F root = sqrt(h) + eps;
            // The square underflows, and eps is zero too.
            if (root != (F)0) {
                sink.params[at] -= rate * g / root;
            }
        }
    } else if (sink.kind == ADAM) {
        F b1 = (F)sink.beta1, b2 = (F)sink.beta2;
        F &first = sink.first[at], &second = sink.second[at];
        F m = b1 * first + ((F)1 - b1) * g;
        F v = b2 * second + ((F)1 - b2) * g * g;
        first = m;
        second = v;
        F root = sqrt(v) / (F)sink.root + eps;
        if (root != (F)0) {
            sink.params[at] -= rate * m / root;
        }
    }
}

// Place of the first of `count` ascending numbers that is not below `x`.
template <class T>
__device__ u32 lower_bound(const T* numbers, u32 count, u64 x) {
    u32 low = 0;
    while (count > 0) {
        u32 half = count / 2;
        if (numbers[low + half] < x) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

// The place of a bag in the output: its number, unless the table has several features, whose bags have theirs in a list.
__device__ u64 place_of(const u32* places, u64 bag) { return places ? places[bag] : bag; }

// Where a unique row lies that is not held by cores.
template <class F>
__device__ const F* dense_row(const F* dense, const u64* dense_rows, u32 number, u64 dim) {
    return dense + dense_rows[number] * dim;
}
