// CUDA's names for a C++ compiler: enough to run the kernels of this crate on one thread of the host.
//
// The threads of a block are fibres. Each runs until it waits at `__syncthreads` or ends, then the next does, so a round
// of all of them is what happens between two barriers. Every second round, and every second launch's blocks, go in the
// opposite order, and shared memory begins as numbers that are none: a missing barrier or a value that nobody wrote gives
// other results. With the race detector (race.h), it is also said what is wrong.

#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "race.h"

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
#define SHARED(T, name) T* name = reinterpret_cast<T*>(emulator::shared_memory())

namespace emulator {

struct Index {
    unsigned x;
};

struct Fibre {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool running;
    // The last barrier at which it waited.
    race::Barrier barrier;
};

struct Block {
    std::vector<unsigned long long> shared;
    std::vector<std::unique_ptr<Fibre>> fibres;
    ucontext_t scheduler;
    Fibre* current;
    void (*kernel)(const void*);
    const void* args;
    bool synchronises;
    unsigned launches;
};

static const unsigned STACK_BYTES = 64 << 10;

// Which thread runs. Kernels read these, so they are plain numbers, and the block is found by a plain pointer: nothing that
// would be initialised, with loads of its own, when somebody asks for it first.
struct Here {
    Index thread, block, block_size, grid_size;
    Block* running;
};

static thread_local Here here;

UNCHECKED static void* shared_memory() { return here.running->shared.data(); }

UNCHECKED static void start() {
    Block& block = *here.running;
    block.kernel(block.args);
    block.current->running = false;
}

// Leaves the thread that runs, for good.
UNCHECKED static void abandon() { setcontext(&here.running->scheduler); }

// Whether all threads that have not ended wait, and at one barrier. Only the race detector wants to know.
static void check_barriers(const Block& block, unsigned threads) {
    const Fibre *waits = nullptr, *ended = nullptr;
    for (unsigned i = 0; i < threads; ++i) {
        const Fibre& fibre = *block.fibres[i];
        if (!fibre.running) ended = &fibre;
        else if (!waits) waits = &fibre;
        else if (waits->barrier.number != fibre.barrier.number) {
            return race::divergent("threads of a block wait at different barriers", i, fibre.barrier);
        }
    }
    if (waits && ended) race::divergent("a thread of the block has ended before a barrier", 0, waits->barrier);
    if (waits && !block.synchronises) race::divergent("a barrier in a kernel that is said to have none", 0, waits->barrier);
}

// Runs the threads of one block.
UNCHECKED static void run_block(Block& block, unsigned shared_bytes) {
    const unsigned threads = here.block_size.x;
    block.shared.assign((shared_bytes + 7) / 8, ~0ull);
    race::block(here.block.x, block.shared.data(), shared_bytes);
    // The race detector leaves threads in their midst: all are fibres.
    if (!block.synchronises && !race::ON) {
        for (unsigned i = 0; i < threads; ++i) {
            here.thread.x = i;
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
            here.thread.x = i;
            block.current = &fibre;
            race::run(i, fibre.stack.get(), STACK_BYTES, &here, sizeof here);
            swapcontext(&block.scheduler, &fibre.context);
            race::pause();
            if (race::found()) return;
            any = any || fibre.running;
        }
        if (race::ON) check_barriers(block, threads);
        if (race::found()) return;
        race::meet();
    }
}

UNCHECKED static void synchronise(const race::Barrier& barrier) {
    if (race::skips(barrier)) return;
    Block& block = *here.running;
    block.current->barrier = barrier;
    swapcontext(&block.current->context, &block.scheduler);
}

struct Entry {
    const char* name;
    void (*kernel)(const void*);
    bool synchronises;
};

static void launch(const Entry& entry, unsigned grid, unsigned threads, unsigned shared_bytes, const void* args) {
    // Kept from launch to launch, for its fibres.
    static thread_local Block block;
    here.running = &block;
    block.kernel = entry.kernel;
    block.args = args;
    block.synchronises = entry.synchronises;
    here.grid_size.x = grid;
    here.block_size.x = threads;
    const bool backwards = block.launches++ % 2;
    race::begin(entry.name, abandon);
    for (unsigned i = 0; i < grid && !race::found(); ++i) {
        here.block.x = backwards ? grid - 1 - i : i;
        run_block(block, shared_bytes);
    }
    race::end();
}

inline std::vector<Entry>& entries() {
    static std::vector<Entry> entries;
    return entries;
}

template <class Args, void (*kernel)(const Args&)>
UNCHECKED void call(const void* args) {
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
#define KERNEL_OF_GROUPS(name, Args) TTCORE_ENTER(name, Args, true)

#define threadIdx emulator::here.thread
#define blockIdx emulator::here.block
#define blockDim emulator::here.block_size
#define gridDim emulator::here.grid_size
#define __syncthreads() emulator::synchronise({__FILE__, __LINE__, __COUNTER__})
