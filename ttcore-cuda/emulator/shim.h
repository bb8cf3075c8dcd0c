// CUDA's names for a C++ compiler: enough to run the kernels of this crate on one thread of the host.
//
// The threads of a block are fibres. Each runs until it waits at `__syncthreads` or ends, then the next does, so a round
// of all of them is what happens between two barriers. Every second round, and every second launch's blocks, go in the
// opposite order, and shared memory begins as numbers that are none: a missing barrier or a value that nobody wrote gives
// other results.

#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

using std::exp;
using std::log;
using std::sqrt;

#define __device__ static inline
#define __launch_bounds__(threads)

#define METHOD

// For the compiler to choose.
#define UNROLL
#define UNROLL_2
#define UNROLL_4
#define UNROLL_8

// Dynamic shared memory as values of a type.
#define SHARED(T, name) T* name = reinterpret_cast<T*>(emulator::block.shared.data())

namespace emulator {

struct Index {
    unsigned x;
};

struct Fibre {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool running;
};

struct Block {
    std::vector<unsigned long long> shared;
    std::vector<std::unique_ptr<Fibre>> fibres;
    ucontext_t scheduler;
    Fibre* current;
    void (*kernel)(const void*);
    const void* args;
    unsigned launches;
};

static const unsigned STACK_BYTES = 64 << 10;

static thread_local Block block;
static thread_local Index thread_index, block_index, block_size, grid_size;

static void start() {
    block.kernel(block.args);
    block.current->running = false;
}

// Runs the threads of one block.
static void run_block(bool synchronises, unsigned shared_bytes) {
    const unsigned threads = block_size.x;
    block.shared.assign((shared_bytes + 7) / 8, ~0ull);
    if (!synchronises) {
        for (unsigned i = 0; i < threads; ++i) {
            thread_index.x = i;
            block.kernel(block.args);
        }
        return;
    }
    while (block.fibres.size() < threads) {
        block.fibres.emplace_back(new Fibre);
        block.fibres.back()->stack.reset(new char[STACK_BYTES]);
    }
    for (unsigned i = 0; i < threads; ++i) {
        Fibre& fibre = *block.fibres[i];
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.get();
        fibre.context.uc_stack.ss_size = STACK_BYTES;
        fibre.context.uc_link = &block.scheduler;
        fibre.running = true;
        makecontext(&fibre.context, start, 0);
    }
    bool any = true;
    for (unsigned round = 0; any; ++round) {
        any = false;
        for (unsigned turn = 0; turn < threads; ++turn) {
            const unsigned i = round % 2 ? threads - 1 - turn : turn;
            Fibre& fibre = *block.fibres[i];
            if (!fibre.running) continue;
            thread_index.x = i;
            block.current = &fibre;
            swapcontext(&block.scheduler, &fibre.context);
            any = any || fibre.running;
        }
    }
}

inline void synchronise() { swapcontext(&block.current->context, &block.scheduler); }

static void launch(void (*kernel)(const void*), bool synchronises, unsigned grid, unsigned threads,
                   unsigned shared_bytes, const void* args) {
    block.kernel = kernel;
    block.args = args;
    grid_size.x = grid;
    block_size.x = threads;
    const bool backwards = block.launches++ % 2;
    for (unsigned i = 0; i < grid; ++i) {
        block_index.x = backwards ? grid - 1 - i : i;
        run_block(synchronises, shared_bytes);
    }
}

}  // namespace emulator

namespace emulator {

struct Entry {
    const char* name;
    void (*kernel)(const void*);
    bool synchronises;
};

inline std::vector<Entry>& entries() {
    static std::vector<Entry> entries;
    return entries;
}

template <class Args, void (*kernel)(const Args&)>
void call(const void* args) {
    // A copy, as on the device.
    const Args copy = *static_cast<const Args*>(args);
    kernel(copy);
}

struct Registration {
    Registration(std::initializer_list<Entry> list) { entries().insert(entries().end(), list); }
};

}  // namespace emulator

// Kernels are entered in a list instead of being compiled as entry points.
#define TTCORE_ENTER(name, Args, synchronises)                                              \
    static const emulator::Registration name##_entries{                                     \
        {#name "_f32", emulator::call<Args<float>, name<float>>, synchronises},             \
        {#name "_f64", emulator::call<Args<double>, name<double>>, synchronises}};
#define KERNEL(name, Args) TTCORE_ENTER(name, Args, false)
#define KERNEL_WITH_BARRIERS(name, Args) TTCORE_ENTER(name, Args, true)
#define KERNEL_OF_TILES(name, Args) TTCORE_ENTER(name, Args, true)

#define threadIdx emulator::thread_index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size
#define __syncthreads() emulator::synchronise()
