// The functions that -fsanitize=thread calls, by the names that compilers give them. They stand in for the sanitizer's
// library, which is not linked: it knows threads of the host, not fibres that stand for those of a GPU.

#include "tsan.h"

extern "C" {

#define CODE __builtin_return_address(0)

#define ACCESSES(bytes)                                                                                       \
    void __tsan_read##bytes(void* at) { race::accessed(at, bytes, false, CODE); }                             \
    void __tsan_write##bytes(void* at) { race::accessed(at, bytes, true, CODE); }                             \
    void __tsan_unaligned_read##bytes(void* at) { race::accessed(at, bytes, false, CODE); }                   \
    void __tsan_unaligned_write##bytes(void* at) { race::accessed(at, bytes, true, CODE); }                   \
    void __tsan_volatile_read##bytes(void* at) { race::accessed(at, bytes, false, CODE); }                    \
    void __tsan_volatile_write##bytes(void* at) { race::accessed(at, bytes, true, CODE); }

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void* at, unsigned long bytes) { race::accessed(at, bytes, false, CODE); }
void __tsan_write_range(void* at, unsigned long bytes) { race::accessed(at, bytes, true, CODE); }

// Kernels have no atomics; static variables of functions do, the first time that somebody passes.
signed char __tsan_atomic8_load(const volatile signed char* at, int) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }

}  // extern "C"
