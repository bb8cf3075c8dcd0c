// What the emulator tells the race detector, and asks it. Without TTCORE_RACE there is none, and nothing of this is left.
//
// The detector (race.cpp) sees every load and store of the kernels: host.cpp is compiled with -fsanitize=thread, which
// puts a call before each, and the functions that are called are ours (tsan.cpp), not the sanitizer's.

#pragma once

#include <cstddef>

namespace race {

// A barrier in the source, which has one number however many kernels and types it is compiled for.
struct Barrier {
    const char* file;
    unsigned line;
    unsigned number;
};

#ifdef TTCORE_RACE

// Of functions of the emulator that run as part of a kernel's thread: what they load and store is not the kernel's. Not
// inlined, as the kernel around them would be checked.
#define UNCHECKED __attribute__((no_sanitize("thread"), noinline))

constexpr bool ON = true;

// A launch begins and ends. Launches of several threads of the host wait for each other. `abandon` leaves the kernel's
// thread that runs, and does not return.
void begin(const char* kernel, void (*abandon)());
void end();

// A block begins, with so much shared memory.
void block(unsigned number, const void* shared, size_t bytes);

// From here on a thread of the block runs, on this stack; then the emulator again. `own`, one range for all, are variables of
// the emulator that kernels read.
void run(unsigned thread, const void* stack, size_t bytes, const void* own, size_t own_bytes);
void pause();

// All threads of the block have met at a barrier.
void meet();

// Whether a barrier is to be passed without waiting: what would be found if it were missing?
bool skips(const Barrier& barrier);

// What is wrong with the barriers at which threads of a block wait. Null: nothing.
void divergent(const char* what, unsigned thread, const Barrier& barrier);

// Whether something was found in this launch, which then goes no further.
bool found();

// A store of a thread that others do too, with the same value: whether one has.
bool stores_same(const void* at, size_t bytes, const void* code);
[[noreturn]] void stores_another(const void* code);

// A load of shared memory that nobody may have written.
void loads_perhaps_unwritten(const void* at, size_t bytes, const void* code);

template <class T>
UNCHECKED void store_same(T& to, T value) {
    const void* code = __builtin_return_address(0);
    if (stores_same(&to, sizeof(T), code) && !(to == value)) stores_another(code);
    to = value;
}

template <class T>
UNCHECKED T load_perhaps_unwritten(const T* at) {
    loads_perhaps_unwritten(at, sizeof(T), __builtin_return_address(0));
    return *at;
}

#else

#define UNCHECKED

constexpr bool ON = false;

inline void begin(const char*, void (*)()) {}
inline void end() {}
inline void block(unsigned, const void*, size_t) {}
inline void run(unsigned, const void*, size_t, const void*, size_t) {}
inline void pause() {}
inline void meet() {}
inline bool skips(const Barrier&) { return false; }
inline void divergent(const char*, unsigned, const Barrier&) {}
inline bool found() { return false; }

#endif

}  // namespace race

#ifdef TTCORE_RACE
// See kernels/common.cuh.
#define STORE_SAME(to, value) race::store_same(to, value)
#define PERHAPS_UNWRITTEN(at) race::load_perhaps_unwritten(at)
#endif
