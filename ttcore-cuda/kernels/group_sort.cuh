// A stable radix sort of numbers 0 .. len by their keys, by all chunks of a list: see group.cuh.

// What is sorted: which list the last pass leaves, and a spare one; the digits that chunks counted [chunks][RADIX].
struct Sort {
    u32 len;
    u32 passes;
    u32* to;
    u32* spare;
    u32* counts;

    // What a pass reads; nothing in the first, in which items are where they are.
    METHOD const u32* source(u32 pass) const { return pass == 0 ? 0 : target(pass - 1); }
    METHOD u32* target(u32 pass) const { return (passes - pass) % 2 ? to : spare; }
};

__device__ u32 item_at(const u32* items, u32 place) { return items ? items[place] : place; }

__device__ u32 digit_of(u64 key, u32 pass) { return (u32)(key >> (pass * RADIX_BITS)) % RADIX; }

// Where the items of each digit and thread go in their chunk, in `shared.counters`.
template <class Key>
__device__ void rank_digits(GroupShared& shared, const Sort& sort, u32 pass, Span chunk, Key key) {
    const u32* items = sort.source(pass);
    const Span span = thread_span(chunk);
    for (u32 digit = 0; digit < RADIX; ++digit) shared.counters[counter(digit * blockDim.x + threadIdx.x)] = 0;
    UNROLL_4 for (u32 place = span.from; place < span.to; ++place) {
        ++shared.counters[counter(digit_of(key(item_at(items, place)), pass) * blockDim.x + threadIdx.x)];
    }
    __syncthreads();
    // RADIX counters one behind another for each thread.
    const u32 first = threadIdx.x * RADIX;
    u32 sum = 0, total;
    UNROLL_8 for (u32 i = 0; i < RADIX; ++i) sum += shared.counters[counter(first + i)];
    u32 before = scan(shared.scan, sum, total);
    UNROLL_8 for (u32 i = 0; i < RADIX; ++i) {
        u32 count = shared.counters[counter(first + i)];
        shared.counters[counter(first + i)] = before;
        before += count;
    }
    __syncthreads();
}

// Tells the other chunks how many of each digit this one has.
template <class Key>
__device__ void count_digits(GroupShared& shared, const Sort& sort, u32 pass, Span chunk, u32 number, Key key) {
    if (pass >= sort.passes) return;
    rank_digits(shared, sort, pass, chunk, key);
    for (u32 digit = threadIdx.x; digit < RADIX; digit += blockDim.x) {
        u32 from = shared.counters[counter(digit * blockDim.x)];
        u32 to = digit + 1 < RADIX ? shared.counters[counter((digit + 1) * blockDim.x)] : chunk.to - chunk.from;
        sort.counts[number * RADIX + digit] = to - from;
    }
    __syncthreads();
}

// Moves the items of a chunk to where the pass wants them, of so many chunks.
template <class Key>
__device__ void move_digits(GroupShared& shared, const Sort& sort, u32 pass, Span chunk, u32 number, u32 chunks, Key key) {
    if (pass >= sort.passes) return;
    rank_digits(shared, sort, pass, chunk, key);
    if (chunks > 1) {
        // Behind all of the lower digits and those of the chunks before.
        for (u32 digit = threadIdx.x; digit < RADIX; digit += blockDim.x) {
            u32 before = 0, total = 0;
            UNROLL_8 for (u32 c = 0; c < chunks; ++c) {
                u32 count = sort.counts[c * RADIX + digit];
                before += c < number ? count : 0;
                total += count;
            }
            shared.totals[digit] = total;
            shared.starts[digit] = before - shared.counters[counter(digit * blockDim.x)];
        }
        __syncthreads();
        for (u32 digit = threadIdx.x; digit < RADIX; digit += blockDim.x) {
            UNROLL_8 for (u32 lower = 0; lower < digit; ++lower) shared.starts[digit] += shared.totals[lower];
        }
    } else {
        for (u32 digit = threadIdx.x; digit < RADIX; digit += blockDim.x) shared.starts[digit] = 0;
    }
    __syncthreads();
    const u32* items = sort.source(pass);
    u32* to = sort.target(pass);
    const Span span = thread_span(chunk);
    UNROLL_4 for (u32 place = span.from; place < span.to; ++place) {
        u32 item = item_at(items, place), digit = digit_of(key(item), pass);
        u32& next = shared.counters[counter(digit * blockDim.x + threadIdx.x)];
        to[shared.starts[digit] + next] = item;
        ++next;
    }
}
