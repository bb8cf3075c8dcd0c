// A driver whose one GPU is the host: `libcuda.so.1` for tests. Kernels are those of this crate, compiled as C++.
//
// Functions whose names begin with `ttcore_fake` are for tests: they ask for faults, and make functions answer otherwise.

#include "../emulator/host.cpp"

#include "image.h"
#include "work.h"

using namespace fake;

#define CUDA extern "C" __attribute__((visibility("default"))) unsigned

// What every function begins with: one at a time, and an answer that a test has ordered.
#define BEGIN                                                       \
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);       \
    ++calls[__func__];                                              \
    if (unsigned ordered = order(__func__)) return ordered

// And those that need a context.
#define BEGIN_IN_CONTEXT                                            \
    BEGIN;                                                          \
    if (current != &primary) {                                      \
        fault("%s without its context", __func__);                  \
        return INVALID_CONTEXT;                                     \
    }                                                               \
    if (!primary.retained) {                                        \
        fault("%s in a context that is released", __func__);        \
        return CONTEXT_IS_DESTROYED;                                \
    }

#define FIND(stream, handle)                                        \
    Stream* stream = find(handle, __func__);                        \
    if (!stream) return INVALID_HANDLE

// Whatever waits, or makes memory, may not be called while a stream is captured.
#define NOT_WHILE_CAPTURING                                         \
    if (is_capturing()) return CAPTURE_UNSUPPORTED

static unsigned order(const char* function) {
    auto found = answers.find(function);
    if (found == answers.end()) return SUCCESS;
    if (found->second.after-- > 0) return SUCCESS;
    unsigned code = found->second.code;
    answers.erase(found);
    return code;
}

static unsigned capability = 90, version = 12090;

CUDA cuInit(unsigned) { BEGIN; return SUCCESS; }
CUDA cuDriverGetVersion(int* out) { BEGIN; *out = version; return SUCCESS; }
CUDA cuDeviceGetCount(int* out) { BEGIN; *out = 1; return SUCCESS; }
CUDA cuDeviceGet(int* out, int ordinal) { BEGIN; *out = ordinal; return ordinal ? INVALID_DEVICE : SUCCESS; }
CUDA cuDeviceGetName(char* out, int bytes, int) { BEGIN; snprintf(out, bytes, "fake GPU"); return SUCCESS; }
CUDA cuDeviceGetAttribute(int* out, int attribute, int) {
    BEGIN;
    *out = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : 0;
    return SUCCESS;
}
// NVRTC opens the driver and asks for this.
CUDA cuGetExportTable(const void**, const void*) { return NOT_FOUND; }

// Two names that are newer than CUDA 11.4; the others are one.
CUDA cuGetErrorName(unsigned code, const char** out) {
    *out = code == 226   ? "CUDA_ERROR_CONTAINED"
           : code == 810 ? "CUDA_ERROR_MPS_CLIENT_TERMINATED"
           : code < 1000 ? "CUDA_ERROR_OF_THE_FAKE"
                         : nullptr;
    return *out ? SUCCESS : INVALID_VALUE;
}
CUDA cuGetErrorString(unsigned code, const char** out) {
    *out = code < 1000 ? "what a fake driver says" : nullptr;
    return *out ? SUCCESS : INVALID_VALUE;
}

CUDA cuDevicePrimaryCtxRetain(Context** out, int) { BEGIN; ++primary.retained; *out = &primary; return SUCCESS; }
CUDA cuDevicePrimaryCtxRelease_v2(int) {
    BEGIN;
    if (--primary.retained > 0) return SUCCESS;
    if (primary.retained < 0) fault("the context is released too often");
    primary.retained = 0;
    if (!modules.empty()) fault("the context is released with a module");
    if (!memory.empty()) fault("the context is released with %zu allocations", memory.size());
    if (!pinned.empty()) fault("the context is released with %zu allocations of the host", pinned.size());
    if (!events.empty()) fault("the context is released with %zu events", events.size());
    if (streams.size() > 1) fault("the context is released with streams");
    return SUCCESS;
}
CUDA cuCtxGetCurrent(Context** out) { BEGIN; *out = current; return SUCCESS; }
CUDA cuCtxSetCurrent(Context* context) {
    BEGIN;
    if (context && context != &primary && context != &foreign) {
        fault("a context that is none");
        return INVALID_CONTEXT;
    }
    current = context;
    return SUCCESS;
}
CUDA cuCtxSynchronize() {
    BEGIN_IN_CONTEXT;
    fault("all streams of the context are waited for");
    run_all();
    return SUCCESS;
}

CUDA cuModuleLoadData(Module** out, const void* image) {
    BEGIN_IN_CONTEXT;
    auto module = std::make_unique<Module>();
    const char* bytes = static_cast<const char*>(image);
    bool read = memcmp(bytes, "\x7f" "ELF", 4) == 0 ? read_code(bytes, *module) : read_ptx(bytes, *module);
    if (!read) return INVALID_IMAGE;
    *out = module.release();
    modules.insert(*out);
    return SUCCESS;
}
CUDA cuModuleGetFunction(Function** out, Module* module, const char* name) {
    BEGIN_IN_CONTEXT;
    if (!modules.count(module)) return INVALID_HANDLE;
    auto entry = module->entries.find(name);
    if (entry == module->entries.end()) return NOT_FOUND;
    *out = new Function{module, &entry->second};
    functions.insert(*out);
    return SUCCESS;
}
CUDA cuModuleUnload(Module* module) {
    BEGIN_IN_CONTEXT;
    if (!modules.erase(module)) {
        fault("a module that is none is unloaded");
        return INVALID_HANDLE;
    }
    // Functions are names: they stay, and are known to be of no module.
    delete module;
    return SUCCESS;
}

CUDA cuStreamCreate(Stream** out, unsigned flags) {
    BEGIN_IN_CONTEXT;
    *out = new Stream;
    (*out)->flags = flags;
    streams.insert(*out);
    return SUCCESS;
}
CUDA cuStreamDestroy_v2(void* handle) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (stream == &legacy) return INVALID_HANDLE;
    run(stream, stream->queued);
    // What was recorded on it has happened.
    for (Event* event : events) if (event->stream == stream) event->stream = nullptr;
    streams.erase(stream);
    delete stream;
    return SUCCESS;
}
CUDA cuStreamSynchronize(void* handle) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (stream->capturing) {
        stream->invalidated = true;
        return CAPTURE_UNSUPPORTED;
    }
    run(stream, stream->queued);
    return SUCCESS;
}
CUDA cuStreamWaitEvent(void* handle, Event* event, unsigned) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!events.count(event)) return INVALID_HANDLE;
    Stream* other = event->stream;
    uint64_t at = event->at;
    if (other && other != stream) push(stream, [=] { if (streams.count(other)) run(other, at); });
    return SUCCESS;
}

CUDA cuStreamIsCapturing(void* handle, unsigned* out) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    *out = stream->invalidated ? 2 : stream->capturing ? 1 : 0;
    return SUCCESS;
}
CUDA cuStreamBeginCapture_v2(void* handle, int) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (stream == &legacy) return CAPTURE_IMPLICIT;
    stream->capturing = true;
    stream->invalidated = false;
    stream->captured.clear();
    return SUCCESS;
}
CUDA cuStreamEndCapture(void* handle, Graph** out) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!stream->capturing) return INVALID_VALUE;
    stream->capturing = false;
    *out = nullptr;
    if (stream->invalidated) {
        stream->invalidated = false;
        return CAPTURE_INVALIDATED;
    }
    *out = new Graph{std::move(stream->captured)};
    graphs.insert(*out);
    return SUCCESS;
}
CUDA cuGraphInstantiateWithFlags(Graph** out, Graph* graph, unsigned long long) {
    BEGIN_IN_CONTEXT;
    if (!graphs.count(graph)) return INVALID_HANDLE;
    *out = new Graph(*graph);
    graphs.insert(*out);
    return SUCCESS;
}
CUDA cuGraphLaunch(Graph* graph, void* handle) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!graphs.count(graph)) return INVALID_HANDLE;
    for (const Work& work : graph->work) push(stream, work);
    return SUCCESS;
}
CUDA cuGraphDestroy(Graph* graph) {
    BEGIN;
    if (!graphs.erase(graph)) return INVALID_HANDLE;
    delete graph;
    return SUCCESS;
}
CUDA cuGraphExecDestroy(Graph* graph) { return cuGraphDestroy(graph); }

CUDA cuMemAlloc_v2(uint64_t* out, size_t bytes) {
    BEGIN_IN_CONTEXT;
    NOT_WHILE_CAPTURING;
    if (!bytes) return INVALID_VALUE;
    void* at = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(at, 0xff, bytes);
    memory[reinterpret_cast<uintptr_t>(at)] = bytes;
    *out = reinterpret_cast<uintptr_t>(at);
    return SUCCESS;
}
CUDA cuMemFree_v2(uint64_t address) {
    BEGIN_IN_CONTEXT;
    auto found = memory.find(address);
    if (found == memory.end()) {
        fault("memory that is none is freed");
        return INVALID_VALUE;
    }
    run_all();
    void* at = reinterpret_cast<void*>(address);
    memset(at, 0xdd, found->second);
    memory.erase(found);
    free(at);
    return SUCCESS;
}
CUDA cuMemAllocHost_v2(void** out, size_t bytes) {
    BEGIN_IN_CONTEXT;
    NOT_WHILE_CAPTURING;
    *out = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memset(*out, 0xff, bytes);
    pinned[reinterpret_cast<uintptr_t>(*out)] = bytes;
    return SUCCESS;
}
CUDA cuMemFreeHost(void* at) {
    BEGIN_IN_CONTEXT;
    auto found = pinned.find(reinterpret_cast<uintptr_t>(at));
    if (found == pinned.end()) {
        fault("memory of the host that is none is freed");
        return INVALID_VALUE;
    }
    // Does not wait for copies: they will say so.
    memset(at, 0xdd, found->second);
    pinned.erase(found);
    free(at);
    return SUCCESS;
}

CUDA cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* handle) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!inside(memory, to, bytes)) {
        fault("a copy of %zu bytes to what is not memory of the GPU", bytes);
        return INVALID_VALUE;
    }
    void* at = reinterpret_cast<void*>(to);
    uintptr_t start = reinterpret_cast<uintptr_t>(from);
    if (inside(pinned, start, bytes)) {
        // Read when its turn comes.
        push(stream, [=] {
            if (!inside(pinned, start, bytes)) return fault("memory of the host was freed before it was copied");
            memcpy(at, from, bytes);
        });
    } else {
        // Other memory is read before the call returns.
        std::string copy(static_cast<const char*>(from), bytes);
        push(stream, [=] { memcpy(at, copy.data(), copy.size()); });
    }
    return SUCCESS;
}
CUDA cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* handle) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!inside(memory, from, bytes)) {
        fault("a copy of %zu bytes from what is not memory of the GPU", bytes);
        return INVALID_VALUE;
    }
    push(stream, [=] { memcpy(to, reinterpret_cast<void*>(from), bytes); });
    return SUCCESS;
}
CUDA cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* handle) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!inside(memory, to, bytes)) {
        fault("%zu bytes are set that are not memory of the GPU", bytes);
        return INVALID_VALUE;
    }
    push(stream, [=] { memset(reinterpret_cast<void*>(to), value, bytes); });
    return SUCCESS;
}

CUDA cuEventCreate(Event** out, unsigned) { BEGIN_IN_CONTEXT; events.insert(*out = new Event); return SUCCESS; }
CUDA cuEventDestroy_v2(Event* event) {
    BEGIN_IN_CONTEXT;
    if (!events.erase(event)) return INVALID_HANDLE;
    delete event;
    return SUCCESS;
}
CUDA cuEventRecord(Event* event, void* handle) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!events.count(event)) return INVALID_HANDLE;
    event->stream = stream;
    event->at = stream->queued;
    return SUCCESS;
}
CUDA cuEventQuery(Event* event) {
    BEGIN_IN_CONTEXT;
    if (!events.count(event)) return INVALID_HANDLE;
    return event->stream && event->stream->done < event->at ? NOT_READY : SUCCESS;
}
CUDA cuEventSynchronize(Event* event) {
    BEGIN_IN_CONTEXT;
    if (!events.count(event)) return INVALID_HANDLE;
    if (event->stream) run(event->stream, event->at);
    return SUCCESS;
}
// The fake takes no time.
CUDA cuEventElapsedTime(float* out, Event* from, Event* to) {
    BEGIN_IN_CONTEXT;
    if (!events.count(from) || !events.count(to)) return INVALID_HANDLE;
    *out = 0;
    return SUCCESS;
}

// Limits of a GPU: blocks up to the bounds a kernel was compiled for, and shared memory that needs no asking for.
static const unsigned MOST_SHARED = 48 << 10;
// Cut as by the emulator: kernels go on in steps of grid and block.
static unsigned most_blocks = 3, most_threads = 32;

CUDA cuLaunchKernel(Function* function, unsigned grid, unsigned grid_y, unsigned grid_z, unsigned block, unsigned block_y,
                    unsigned block_z, unsigned shared, void* handle, void** parameters, void** extra) {
    BEGIN_IN_CONTEXT;
    FIND(stream, handle);
    if (!functions.count(function) || !modules.count(function->module)) {
        fault("a kernel of no module is started");
        return INVALID_HANDLE;
    }
    const Entry& entry = *function->entry;
    const char* name = entry.name.c_str();
    if (extra || grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || !grid || !block || grid > 0x7fffffff) {
        fault("%s is started with a grid of %u and blocks of %u", name, grid, block);
        return INVALID_VALUE;
    }
    if (block > entry.most_threads) {
        fault("%s is started with blocks of %u, compiled for %u", name, block, entry.most_threads);
        return INVALID_VALUE;
    }
    if (shared > MOST_SHARED) {
        fault("%s is started with %u bytes of shared memory", name, shared);
        return INVALID_VALUE;
    }
    ++calls["launch " + entry.name];
    std::string bytes(static_cast<const char*>(parameters[0]), entry.parameter_bytes), called = entry.name;
    unsigned blocks = std::min(grid, most_blocks), threads = std::min(block, most_threads);
    push(stream, [=] {
        // As large a multiple of what arguments are aligned to.
        std::vector<unsigned long long> copy((bytes.size() + 7) / 8);
        memcpy(copy.data(), bytes.data(), bytes.size());
        if (!ttcore_emulator_launch(called.c_str(), blocks, threads, shared, copy.data())) {
            fault("there is no kernel %s", called.c_str());
        }
    });
    return SUCCESS;
}

// For tests.

// The faults so far, one a line, and none from now on.
CUDA ttcore_fake_faults(char* out, unsigned bytes) {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    snprintf(out, bytes, "%s", faults.c_str());
    unsigned count = fault_count;
    faults.clear();
    fault_count = 0;
    return count;
}
// As after starting, whatever was left over, and what has been said of it.
CUDA ttcore_fake_reset() {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    run_all();
    // What is left over is not freed: somebody may hold it.
    streams = {&legacy};
    events.clear();
    graphs.clear();
    modules.clear();
    memory.clear();
    pinned.clear();
    answers.clear();
    primary.retained = 0;
    faults.clear();
    fault_count = 0;
    return SUCCESS;
}
// A function answers a code once, `after` calls from now.
CUDA ttcore_fake_answer(const char* function, unsigned code, unsigned after) {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    answers[function] = {code, after};
    return SUCCESS;
}
// How often a function was called, or `launch` and a kernel.
CUDA ttcore_fake_calls(const char* function) {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    return calls[function];
}
// What waits on a stream.
CUDA ttcore_fake_waiting(void* handle) {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    Stream* stream = find(handle, __func__);
    return stream ? stream->queued - stream->done : 0;
}
// The flags a stream was made with.
CUDA ttcore_fake_flags(void* handle) {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    Stream* stream = find(handle, __func__);
    return stream ? stream->flags : ~0u;
}
// Another context, that is not this GPU's.
extern "C" __attribute__((visibility("default"))) void* ttcore_fake_context() { return &foreign; }
// What the next GPU that is opened can do, and the driver's version.
CUDA ttcore_fake_gpu(unsigned new_capability, unsigned new_version) {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    capability = new_capability;
    version = new_version;
    return SUCCESS;
}

// For the fake cuBLAS.
extern "C" __attribute__((visibility("default"))) bool ttcore_fake_push(void* handle, const std::function<void()>* work) {
    std::lock_guard<std::recursive_mutex> guard(fake::mutex);
    if (current != &primary) {
        fault("cuBLAS without its context");
        return false;
    }
    Stream* stream = find(handle, "cuBLAS");
    if (!stream) return false;
    push(stream, *work);
    return true;
}
extern "C" __attribute__((visibility("default"))) void ttcore_fake_check(uint64_t at, size_t bytes) {
    if (!inside(memory, at, bytes)) fault("cuBLAS is given what is not memory of the GPU");
}
