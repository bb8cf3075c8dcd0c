// Grouping a batch: what its kernels share. They find the lists of FusedTable from what the caller gave, row numbers and
// where bags begin, exactly as ttcore-cpu does on the host: the same order of lookups, rows, pairs and units, so the same
// bits of everything that is summed along them.
//
//   group_tables   a chunk of the lookups of a table: the stages below
//   group_units    a table: its units of work, and what the tables before it have
//
// Stages of a table, one after the other, each of which reads what the ones before wrote:
//
//   prepare              a key for each lookup, (i2, i1, i3) and dense rows behind; its bag, its factor
//   count, move          lookups in order of keys: a stable radix sort, 4 bits in a pass
//   count runs, write    unique rows, and for those of the cores pairs (i1, i2) and the i2 that occur
//   count, move          pairs in order of i1, rows in order of i3, in the same way
//   count runs, write    the i1 and i3 that occur
//   count units          how many units of work there are
//
// A block has a chunk. Where a batch may have more than one, each stage is a launch, and chunks tell each other what they
// counted through memory. Where one chunk is always enough, all stages are one launch, with a barrier between them, and the
// stages that count do nothing: a chunk knows its own numbers.
//
// Every place is written by one thread, and which one, and what, follows from the batch and the size of a chunk: there are
// no atomics.

// One table of a batch to be grouped: see GroupTable in src/args.rs.
struct GroupTable {
    // Row of each lookup, as u32 or as u64; its weight, null where all are one.
    const void* indices;
    const void* weights;
    // Where the bags of each feature begin among the places; null for one feature.
    const u32* firsts;
    // Key of each lookup, and lookups in order of keys; in between, and as a spare list of any sort.
    u64* keys;
    u32* order;
    u32* spare;
    // What each chunk counted: of every digit, for two sorts at once; of runs.
    u32* counts;
    u32* sums;
    // First pair of each i2 that occurs; the i1 of each pair.
    u32* middle_starts;
    u32* pair_digits;
    // The units of all tables of the launch.
    FusedUnit* units;
    // Rows held by the cores, and keys that these have: the product of the row factors.
    u64 held;
    u64 core_keys;
    // The last row factor.
    u32 m3;
    u32 bags;
    // Whether rows are u64; whether bags are means.
    u32 wide;
    u32 mean;
    // Places from one output row to the next.
    u32 step;
    // Passes of the sorts: of lookups, of pairs, of rows.
    u32 passes;
    u32 first_passes;
    u32 last_passes;
    // Most pairs of a unit; tiles of it, and of these such as differ in their j1.
    u32 unit_pairs;
    u32 tiles;
    u32 tiles_down;
    // The first table of its launch.
    u32 launch_first;
    // Found by grouping.
    u32 pairs;
    u32 units_count;
};
static_assert(sizeof(GroupTable) == 160, "as in src/args.rs");

template <class F>
struct GroupArgs {
    FusedTable* tables;
    GroupTable* groups;
    u32 count;
    // Most chunks of a table, and lookups of one.
    u32 chunks;
    u32 chunk;
    // Which stages; passes of the longest sort of lookups, and of pairs or rows.
    u32 from;
    u32 to;
    u32 passes;
    u32 outer_passes;
    u32 unused;
};
SIZE(GroupArgs, 48);

// Threads of a block, and values of a digit.
const u32 GROUP_THREADS = 512;
const u32 RADIX_BITS = 4;
const u32 RADIX = 1 << RADIX_BITS;
// Most lookups of a chunk are 65535: runs are counted in 16 bits.

// Of a block, to sum what its threads have.
struct Scan {
    static const u32 LINES = 32;
    u32 parts[GROUP_THREADS];
    u32 lines[LINES];
};
static_assert(sizeof(Scan) == 2176, "as in src/tiles.rs");

struct GroupShared {
    Scan scan;
    // From which place on a digit goes, less its place in the chunk.
    u32 starts[RADIX];
    u32 totals[RADIX];
    // For each digit and thread, how many there are; then, where they go. See counter.
    u32 counters[RADIX * GROUP_THREADS / 16 * 17];
};
static_assert(sizeof(GroupShared) == 37120, "as in src/tiles.rs");

// The counter of a digit and a thread, in the order of digits and then of threads: 16 of them are followed by a word that is
// not used, so that threads that each have 16 meet in no bank.
__device__ u32 counter(u32 number) { return number + number / 16; }

// The sum of what the threads before have. For all threads of a block, `total` too.
__device__ u32 scan(Scan& scan, u32 value, u32& total) {
    // Threads of a line, and the number of lines.
    const u32 each = parts_of(blockDim.x, Scan::LINES), lines = parts_of(blockDim.x, each);
    scan.parts[threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.x < lines) {
        const u32 from = threadIdx.x * each, to = least(from + each, blockDim.x);
        u32 sum = 0;
        UNROLL_8 for (u32 i = from; i < to; ++i) sum += scan.parts[i];
        scan.lines[threadIdx.x] = sum;
    }
    __syncthreads();
    const u32 line = threadIdx.x / each;
    u32 before = 0;
    total = 0;
    UNROLL_8 for (u32 i = 0; i < lines; ++i) {
        before += i < line ? scan.lines[i] : 0;
        total += scan.lines[i];
    }
    UNROLL_8 for (u32 i = line * each; i < threadIdx.x; ++i) before += scan.parts[i];
    // What comes next may use the memory.
    __syncthreads();
    return before;
}

// So many consecutive items of a list.
struct Span {
    u32 from;
    u32 to;
};

// The items of a chunk, of a list of `len`.
__device__ Span chunk_of(u32 len, u32 chunk, u32 number) {
    // Without overflow: chunks are as many as the longest list needs.
    u32 from = least(len, chunk * number);
    return Span{from, from + least(len - from, chunk)};
}

// Those of a thread: consecutive too, so that what threads find in turn is in the order of the list.
__device__ Span thread_span(Span chunk) {
    const u32 len = chunk.to - chunk.from, each = parts_of(len, blockDim.x);
    const u32 from = least(len, each * threadIdx.x);
    return Span{chunk.from + from, chunk.from + from + least(len - from, each)};
}

// Of numbers that often have 32 bits, for which it is several times faster.
__device__ u64 divide(u64 a, u32 b) { return a >> 32 ? a / b : (u32)a / b; }

// A chunk of a table.
template <class F>
struct GroupChunk {
    FusedTable& table;
    GroupTable& group;
    GroupShared& shared;
    // Lookups of a chunk, which one this is, of how many.
    u32 chunk;
    u32 number;
    u32 chunks;

    METHOD Span of(u32 len) const { return chunk_of(len, chunk, number); }
};
