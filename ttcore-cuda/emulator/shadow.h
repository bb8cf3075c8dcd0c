// What the race detector remembers of memory: for each word, who has written and read it, as far as it matters.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace race {

// Numbers of the kernels have 4 bytes or 8: what is smaller is not told apart, and reported.
constexpr size_t WORD = 4;

// Who runs: blocks and the intervals between their barriers have numbers that never come back, also in later launches.
struct Now {
    unsigned block, interval, thread;
};

// Those who did one thing, wrote or read, with a word: the latest, and whether others did that matter too. A barrier orders
// what threads of a block did before it; nothing orders two blocks of a launch.
struct Trace {
    unsigned block = 0, interval = 0, thread = 0;
    // Other threads too, in this interval of this block; other blocks too, in this launch.
    bool threads = false, blocks = false;

    // Whether there is one, since the block `oldest`.
    bool any(unsigned oldest) const { return block >= oldest; }

    // Whether one was in no order with what is done now.
    bool conflicts(unsigned oldest, const Now& now) const {
        if (!any(oldest)) return false;
        if (blocks || block != now.block) return true;
        return interval == now.interval && (threads || thread != now.thread);
    }

    void add(unsigned oldest, const Now& now) {
        const bool here = any(oldest) && block == now.block;
        const bool same_interval = here && interval == now.interval;
        blocks = any(oldest) && (blocks || block != now.block);
        threads = same_interval && (threads || thread != now.thread);
        block = now.block, interval = now.interval, thread = now.thread;
    }
};

struct Word {
    Trace writes, reads;
    // Whether all writes that are in no order wrote the same value, as they say.
    bool same = false;
};

// Memory with a word of shadow for each word of its own.
struct Range {
    uintptr_t from, to;
    std::vector<Word> words;

    Range(uintptr_t from, size_t bytes) : from(from), to(from + bytes), words((bytes + WORD - 1) / WORD) {}

    bool has(uintptr_t at) const { return at >= from && at < to; }
};

}  // namespace race
