// The race detector: what a kernel of the emulator loads and stores, checked against what its other threads do.
//
// It is exact for one launch: the emulator runs one thread after the other from barrier to barrier, and whether something is
// found does not depend on in which order. The first finding ends the launch: what comes after may be at any address.

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "race.h"
#include "shadow.h"
#include "source.h"
#include "tsan.h"

namespace race {
namespace {

struct Finding {
    const char* what = nullptr;
    const void* code = nullptr;
    Barrier barrier{};
    unsigned block = 0, thread = 0;
    // Those with whom there is a conflict.
    std::string other;
};

struct Launch {
    const char* kernel = nullptr;
    void (*abandon)() = nullptr;
    // Blocks of earlier launches have lower numbers than `first`.
    unsigned first = 0;
    Now now{};
    // Of this launch, as the kernel knows it.
    unsigned block = 0;
    // What a thread may use unchecked: its stack, and what the emulator keeps.
    uintptr_t stack = 0, own = 0;
    size_t stack_bytes = 0, own_bytes = 0;
    Finding finding;
};

// A launch has it from its beginning to its end, so everything below belongs to one thread at a time.
std::mutex lock;
Launch launch;
Range shared{0, 0};
std::map<uintptr_t, Range> allocations;
// That of the last access, which the next is likely to be in.
Range* last = nullptr;
// Kernels that have run.
std::set<std::string> kernels;
// The barrier that is passed without waiting, by the end of its file's name, and how often it was.
std::string skipped_file;
unsigned skipped_line = 0;
unsigned long long skips_done = 0;
// Whether a thread of a kernel runs in this thread of the host.
thread_local bool runs = false;
// What the last launch of this thread of the host found.
thread_local std::string text;

// Who else; empty if nobody.
std::string others(const Trace& trace) {
    if (!trace.any(launch.first)) return "";
    if (trace.block != launch.now.block || trace.blocks) return "another block";
    return trace.threads ? "several threads" : "thread " + std::to_string(trace.thread);
}

[[noreturn]] void report(const char* what, const void* code, const Trace& other = {}) {
    launch.finding = {what, code, {}, launch.block, launch.now.thread, others(other)};
    runs = false;
    launch.abandon();
    __builtin_unreachable();
}

enum class Marked { NO, SAME, PERHAPS_UNWRITTEN };

// One word. True if it is a store of the same value, and another thread's was before.
bool touch(Word& word, bool is_shared, bool writes, Marked marked, const void* code) {
    const Now& now = launch.now;
    // Shared memory is another's in every block.
    const unsigned oldest = is_shared ? now.block : launch.first;
    bool again = false;
    if (word.writes.conflicts(oldest, now)) {
        again = writes && marked == Marked::SAME && word.same;
        const char* what = writes ? "two threads write, with no barrier between"
                                  : "a thread reads what another writes, with no barrier between";
        if (!again) report(what, code, word.writes);
    }
    if (!writes) {
        if (is_shared && !word.writes.any(oldest) && marked != Marked::PERHAPS_UNWRITTEN) {
            report("shared memory is read that no thread of the block has written", code);
        }
        word.reads.add(oldest, now);
        return false;
    }
    if (word.reads.conflicts(oldest, now)) {
        report("a thread writes what another reads, with no barrier between", code, word.reads);
    }
    const bool alone = !again && !(word.writes.any(oldest) && word.writes.interval == now.interval);
    word.same = marked == Marked::SAME && (alone || word.same);
    word.writes.add(oldest, now);
    return again;
}

bool touch_all(Range& range, uintptr_t at, size_t bytes, bool writes, Marked marked, const void* code) {
    if (bytes > range.to - at) report("an access goes beyond the end of its memory", code);
    bool again = false;
    const size_t first = (at - range.from) / WORD, end = (at + bytes - 1 - range.from) / WORD;
    for (size_t i = first; i <= end; ++i) {
        again |= touch(range.words[i], &range == &shared, writes, marked, code);
    }
    return again;
}

Range* find(uintptr_t at) {
    if (last && last->has(at)) return last;
    auto next = allocations.upper_bound(at);
    if (next == allocations.begin()) return nullptr;
    Range& range = (--next)->second;
    return range.has(at) ? last = &range : nullptr;
}

bool access(const void* pointer, size_t bytes, bool writes, Marked marked, const void* code) {
    if (!runs) return false;
    const uintptr_t at = reinterpret_cast<uintptr_t>(pointer);
    if (at - launch.stack < launch.stack_bytes || at - launch.own < launch.own_bytes) return false;
    Range* range = shared.has(at) ? &shared : find(at);
    if (!range) report(writes ? "a write outside of all memory" : "a read outside of all memory", code);
    if (bytes < WORD) report("an access of less than 4 bytes, which the detector does not tell apart", code);
    if (at % bytes != 0) report("an address is not a multiple of the bytes that are accessed", code);
    return touch_all(*range, at, bytes, writes, marked, code);
}

std::string sentence(const Finding& finding) {
    std::string said = std::string(launch.kernel) + ": " + finding.what + "; block " + std::to_string(finding.block) +
                       ", thread " + std::to_string(finding.thread);
    if (!finding.other.empty()) said += ", and " + finding.other;
    if (finding.barrier.file) return said + "; " + place(finding.barrier.file, finding.barrier.line);
    return said + "; " + source_of(finding.code);
}

}  // namespace

void accessed(const void* at, size_t bytes, bool writes, const void* code) {
    access(at, bytes, writes, Marked::NO, code);
}

void begin(const char* kernel, void (*abandon)()) {
    lock.lock();
    launch.kernel = kernels.insert(kernel).first->c_str();
    launch.abandon = abandon;
    launch.first = launch.now.block + 1;
    launch.finding = {};
}

void end() {
    text = found() ? sentence(launch.finding) : "";
    shared = Range{0, 0};
    lock.unlock();
}

void block(unsigned number, const void* memory, size_t bytes) {
    launch.block = number;
    launch.now.block += 1;
    launch.now.interval += 1;
    shared = Range{reinterpret_cast<uintptr_t>(memory), bytes};
}

void run(unsigned thread, const void* stack, size_t bytes, const void* own, size_t own_bytes) {
    launch.now.thread = thread;
    launch.stack = reinterpret_cast<uintptr_t>(stack);
    launch.stack_bytes = bytes;
    launch.own = reinterpret_cast<uintptr_t>(own);
    launch.own_bytes = own_bytes;
    runs = true;
}

void pause() { runs = false; }

void meet() { launch.now.interval += 1; }

bool skips(const Barrier& barrier) {
    if (skipped_line != barrier.line || !ends_with(barrier.file, skipped_file)) return false;
    ++skips_done;
    return true;
}

void divergent(const char* what, unsigned thread, const Barrier& barrier) {
    launch.finding = {what, nullptr, barrier, launch.block, thread, ""};
}

bool found() { return launch.finding.what; }

bool stores_same(const void* at, size_t bytes, const void* code) {
    return access(at, bytes, true, Marked::SAME, code);
}

void stores_another(const void* code) {
    report("threads that say that they write the same write different values", code);
}

void loads_perhaps_unwritten(const void* at, size_t bytes, const void* code) {
    access(at, bytes, false, Marked::PERHAPS_UNWRITTEN, code);
}

}  // namespace race

// What the last launch of the calling thread found, a sentence; empty if nothing. It lives until the next launch.
extern "C" const char* ttcore_race_finding() { return race::text.c_str(); }

// Whether a kernel of this name has run.
extern "C" bool ttcore_race_has_run(const char* kernel) {
    std::lock_guard<std::mutex> guard(race::lock);
    return race::kernels.count(kernel) > 0;
}

// Memory that kernels may use, from now on; and not any more.
extern "C" void ttcore_race_remember(const void* at, size_t bytes) {
    std::lock_guard<std::mutex> guard(race::lock);
    const uintptr_t from = reinterpret_cast<uintptr_t>(at);
    race::allocations.insert_or_assign(from, race::Range{from, bytes});
}

extern "C" void ttcore_race_forget(const void* at) {
    std::lock_guard<std::mutex> guard(race::lock);
    race::last = nullptr;
    race::allocations.erase(reinterpret_cast<uintptr_t>(at));
}

// Passes a barrier without waiting, from now on: that of a line (0: none) of a file of kernels/. Returns how often the one
// before was passed so.
extern "C" unsigned long long ttcore_race_skip(const char* file, unsigned line) {
    std::lock_guard<std::mutex> guard(race::lock);
    race::skipped_file = file;
    race::skipped_line = line;
    const unsigned long long done = race::skips_done;
    race::skips_done = 0;
    return done;
}
