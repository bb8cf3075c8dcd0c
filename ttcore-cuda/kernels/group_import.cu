// A batch whose numbers are on the device already: checks them, and copies them to where grouping reads them. What is wrong is
// replaced, so that nothing reads or writes outside of its lists, and the first of each kind is written down.

// The first position of each that is wrong, all ones if none; what is there, and the offset before it.
struct ImportFound {
    u32 index_at;
    u32 offset_at;
    u32 weight_at;
    u32 unused;
    u64 index;
    u64 offset;
    u64 previous;
    // Of `Found::value` in src/group/import.rs.
    u64 weight;
};
static_assert(sizeof(ImportFound) == 48, "as in src/args/fused.rs");

// One table of such a batch: see ImportTable in src/args/fused.rs.
struct ImportTable {
    // Integers of a kind below.
    const void* indices;
    const void* offsets;
    const void* weights;
    // Row of each lookup, as u32 or as u64; where each bag begins, and the end of the last.
    void* to_rows;
    u32* to_starts;
    // What is wrong, by block.
    ImportFound* found;
    u64 rows;
    u32 lookups;
    u32 bags;
    u32 index_kind;
    u32 offset_kind;
    u32 form;
    u32 wide;
};
static_assert(sizeof(ImportTable) == 80, "as in src/args/fused.rs");

template <class F>
struct ImportArgs {
    const ImportTable* tables;
    u32 count;
    // Blocks of a table.
    u32 blocks;
};
SIZE(ImportArgs, 16);

// Kinds of integers, `Integer` in src/group/given.rs; forms of offsets.
enum { INT32 = 0, INT64 = 1, UINT32 = 2, UINT64 = 3 };
enum { ONE_PER_BAG = 0, STARTS = 1, WITH_LAST = 2 };

const u32 IMPORT_LANES = 256;
struct ImportShared {
    u32 first[3][IMPORT_LANES];
};
static_assert(sizeof(ImportShared) == 3072, "as in src/tiles.rs");

// An integer, with its sign in all of the upper bits.
__device__ u64 integer_at(const void* list, u32 kind, u64 at) {
    if (kind == INT32) return (u64)(long long)((const int*)list)[at];
    if (kind == UINT32) return ((const u32*)list)[at];
    return ((const u64*)list)[at];
}
__device__ bool is_negative(u32 kind, u64 value) { return kind <= INT64 && value >> 63; }
__device__ bool is_less(u32 kind, u64 a, u64 b) { return kind <= INT64 ? (long long)a < (long long)b : a < b; }

template <class F>
__device__ void group_import(const ImportArgs<F>& args) {
    SHARED(ImportShared, shared);
    for (u32 block = blockIdx.x; block < args.count * args.blocks; block += gridDim.x) {
        const ImportTable& table = args.tables[block / args.blocks];
        const F* weights = (const F*)table.weights;
        const u32 part = block % args.blocks, step = args.blocks * blockDim.x, start = part * blockDim.x + threadIdx.x;
        u32 index_at = ~0u, offset_at = ~0u, weight_at = ~0u;
        for (u64 j = start; j < table.lookups; j += step) {
            u64 row = integer_at(table.indices, table.index_kind, j);
            if (is_negative(table.index_kind, row) || row >= table.rows) {
                index_at = least(index_at, (u32)j);
                row = 0;
            }
            if (table.wide) ((u64*)table.to_rows)[j] = row;
            else ((u32*)table.to_rows)[j] = (u32)row;
            // What is no number or not finite, less itself is no number.
            if (weights && weights[j] - weights[j] != (F)0) weight_at = least(weight_at, (u32)j);
        }
        for (u64 bag = start; bag <= table.bags; bag += step) {
            u64 to = bag < table.bags ? bag : table.lookups;
            // The last entry is checked, and known.
            if (bag < table.bags ? table.form != ONE_PER_BAG : table.form == WITH_LAST) {
                const u32 kind = table.offset_kind;
                const u64 offset = integer_at(table.offsets, kind, bag);
                const bool negative = is_negative(kind, offset), behind = !negative && offset > table.lookups;
                bool wrong = negative || behind;
                if (bag == 0) wrong = wrong || offset != 0;
                else wrong = wrong || is_less(kind, offset, integer_at(table.offsets, kind, bag - 1));
                if (bag == table.bags) wrong = wrong || offset != table.lookups;
                else to = bag == 0 || negative ? 0 : behind ? table.lookups : offset;
                if (wrong) offset_at = least(offset_at, (u32)bag);
            }
            table.to_starts[bag] = (u32)to;
        }
        // The first of all threads.
        for (u32 lane = threadIdx.x; lane < IMPORT_LANES; lane += blockDim.x) {
            const bool mine = lane == threadIdx.x;
            shared->first[0][lane] = mine ? index_at : ~0u;
            shared->first[1][lane] = mine ? offset_at : ~0u;
            shared->first[2][lane] = mine ? weight_at : ~0u;
        }
        __syncthreads();
        for (u32 half = IMPORT_LANES / 2; half > 0; half /= 2) {
            for (u32 i = threadIdx.x; i < 3 * half; i += blockDim.x) {
                u32* first = shared->first[i / half];
                first[i % half] = least(first[i % half], first[i % half + half]);
            }
            __syncthreads();
        }
        if (threadIdx.x == 0) {
            // Field by field: what is not found is not read.
            ImportFound& found = table.found[part];
            const u32 first_index = shared->first[0][0], first_offset = shared->first[1][0], first_weight = shared->first[2][0];
            found.index_at = first_index;
            found.offset_at = first_offset;
            found.weight_at = first_weight;
            if (first_index != ~0u) found.index = integer_at(table.indices, table.index_kind, first_index);
            if (first_offset != ~0u) {
                const u32 before = first_offset > 0 ? first_offset - 1 : 0;
                found.offset = integer_at(table.offsets, table.offset_kind, first_offset);
                found.previous = first_offset > 0 ? integer_at(table.offsets, table.offset_kind, before) : 0;
            }
            if (first_weight != ~0u) {
                F weight = weights[first_weight];
                found.weight = weight != weight ? 0 : weight > (F)0 ? 1 : 2;
            }
        }
        // No barrier: what thread 0 reads is overwritten by itself, for the next table.
    }
}
KERNEL_WITH_BARRIERS(group_import, ImportArgs)
