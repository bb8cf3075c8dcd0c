// The kernels as functions of the host, found by their names.

#include "shim.h"

#include "../kernels/common.cuh"
#include "../kernels/batched.cu"
#include "../kernels/dense.cu"
#include "../kernels/patch.cuh"
#include "../kernels/fused.cuh"
#include "../kernels/tiles.cuh"
#include "../kernels/fused_forward.cu"
#include "../kernels/fused_backward.cu"
#include "../kernels/fused_outer.cu"
#include "../kernels/slices.cu"
#include "../kernels/untouched.cu"
#include "../kernels/group.cuh"
#include "../kernels/group_sort.cuh"
#include "../kernels/group_units.cu"
#include "../kernels/group.cu"
#include "../kernels/group_import.cu"
#include "../kernels/layers.cu"

// How many barriers these have: each `__syncthreads` has counted one.
const unsigned BARRIERS = __COUNTER__;

#ifdef TTCORE_RACE
#include "faults.cu"
#endif

// Runs a kernel to its end. False if there is none of this name.
extern "C" bool ttcore_emulator_launch(const char* name, unsigned grid, unsigned threads, unsigned shared_bytes,
                                       const void* args) {
    for (const emulator::Entry& entry : emulator::entries()) {
        if (std::strcmp(entry.name, name) == 0) {
            emulator::launch(entry, grid, threads, shared_bytes, args);
            return true;
        }
    }
    return false;
}

// Whether there is a kernel of this name.
extern "C" bool ttcore_emulator_has(const char* name) {
    for (const emulator::Entry& entry : emulator::entries()) {
        if (std::strcmp(entry.name, name) == 0) return true;
    }
    return false;
}

// How many barriers the kernels' source has.
extern "C" unsigned ttcore_emulator_barriers() { return BARRIERS; }
