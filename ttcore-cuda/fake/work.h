// What a fake GPU is made of: memory, streams and what waits on them, events, modules, and who complains.
//
// Work is only ever queued. It is done when somebody waits for it, on the thread that waits: so whatever relies on work
// being done earlier, or reuses memory that work still reads, gets other numbers. Fresh memory holds 0xff, freed memory
// 0xdd. Everything that is handed over is looked up first; what is not found is a fault, which tests ask for.

#pragma once

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

// Answers of a driver.
enum : unsigned {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    CONTEXT_IS_DESTROYED = 709,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_IMPLICIT = 906,
};

namespace fake {

typedef std::function<void()> Work;

static std::recursive_mutex mutex;
static std::string faults;
static unsigned fault_count = 0;

// Notes a fault of the program under test.
__attribute__((format(printf, 1, 2))) static void fault(const char* format, ...) {
    char line[512];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    fprintf(stderr, "fake GPU: %s\n", line);
    // For programs that do not ask.
    if (getenv("TTCORE_FAKE_STRICT")) abort();
    faults += line;
    faults += '\n';
    ++fault_count;
}

struct Stream {
    std::deque<Work> work;
    // How much was ever queued, and done.
    uint64_t queued = 0, done = 0;
    unsigned flags = 0;
    bool capturing = false, invalidated = false;
    std::vector<Work> captured;
};

struct Event {
    Stream* stream = nullptr;
    uint64_t at = 0;
};

struct Graph {
    std::vector<Work> work;
};

struct Entry {
    std::string name;
    size_t parameter_bytes = 0;
    unsigned most_threads = 1024;
};

struct Module {
    std::map<std::string, Entry> entries;
};

struct Function {
    Module* module;
    Entry* entry;
};

struct Context {
    int retained = 0;
};

static Context primary;
// Of somebody else.
static Context foreign;
static thread_local Context* current = nullptr;

static Stream legacy;
static std::set<Stream*> streams{&legacy};
static std::set<Event*> events;
static std::set<Graph*> graphs;
static std::set<Module*> modules;
static std::set<Function*> functions;
// Where memory begins, and how long it is.
static std::map<uintptr_t, size_t> memory, pinned;
// How often each function was called.
static std::map<std::string, unsigned> calls;
// Functions that answer something else, so many calls from now, once.
struct Answer {
    unsigned code;
    unsigned after;
};
static std::map<std::string, Answer> answers;

static void run(Stream* stream, uint64_t to) {
    while (stream->done < to && !stream->work.empty()) {
        Work work = std::move(stream->work.front());
        stream->work.pop_front();
        ++stream->done;
        work();
    }
}

static void run_all() {
    for (Stream* stream : streams) run(stream, stream->queued);
}

static bool is_capturing() {
    return std::any_of(streams.begin(), streams.end(), [](Stream* stream) { return stream->capturing; });
}

static void push(Stream* stream, Work work) {
    if (stream->capturing) {
        stream->captured.push_back(std::move(work));
        return;
    }
    stream->work.push_back(std::move(work));
    ++stream->queued;
}

// Whether `bytes` bytes at an address are inside one allocation.
static bool inside(const std::map<uintptr_t, size_t>& allocations, uintptr_t at, size_t bytes) {
    auto next = allocations.upper_bound(at);
    if (next == allocations.begin()) return false;
    --next;
    return at + bytes <= next->first + next->second;
}

// The stream of a handle, of which null is the legacy one; none, and a fault, if it is no stream.
static Stream* find(void* handle, const char* who) {
    Stream* stream = handle ? static_cast<Stream*>(handle) : &legacy;
    if (streams.count(stream)) return stream;
    fault("%s on a stream that is none", who);
    return nullptr;
}

}  // namespace fake
