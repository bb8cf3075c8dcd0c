// The stages of grouping: see group.cuh.

// The sorts: of lookups; of pairs by i1; of rows by i3.
__device__ Sort sort_of_lookups(const FusedTable& table, const GroupTable& group) {
    return Sort{table.lookups, group.passes, group.order, group.spare, group.counts};
}
__device__ Sort sort_of_pairs(const FusedTable& table, const GroupTable& group) {
    return Sort{group.pairs, group.first_passes, (u32*)table.first_pairs, group.order, group.counts};
}
__device__ Sort sort_of_rows(const FusedTable& table, const GroupTable& group, u32 chunks) {
    return Sort{table.core_rows, group.last_passes, (u32*)table.last_rows, group.spare, group.counts + chunks * RADIX};
}

// The bag of a lookup: the last that begins at it or before.
__device__ u32 bag_at(const u32* starts, u32 bags, u32 lookup) {
    // Mostly there is one lookup in each.
    if (lookup < bags && starts[lookup] == lookup && starts[lookup + 1] > lookup) return lookup;
    return lower_bound(starts, bags, (u64)lookup + 1) - 1;
}

template <class F>
__device__ F scale_of(const u32* starts, u32 bag, bool mean) {
    u32 lookups = starts[bag + 1] - starts[bag];
    return mean && lookups > 0 ? (F)1 / (F)lookups : (F)1;
}

template <class F>
__device__ void prepare(const GroupChunk<F>& on) {
    const GroupTable& group = on.group;
    const u32* starts = on.table.bag_starts;
    const u32 m1 = on.table.m1, m2 = on.table.m2, m3 = group.m3, bags = group.bags;
    const u64 held = group.held, core_keys = group.core_keys;
    const bool wide = group.wide != 0, mean = group.mean != 0;
    const u32* narrow_rows = (const u32*)group.indices;
    const u64* wide_rows = (const u64*)group.indices;
    const F* weights = (const F*)group.weights;
    u64* keys = group.keys;
    u32* bag_of = (u32*)on.table.bag_of;
    F* factors = (F*)on.table.factors;
    const Span lookups = on.of(on.table.lookups);
    for (u32 j = lookups.from + threadIdx.x; j < lookups.to; j += blockDim.x) {
        u64 row = wide ? wide_rows[j] : narrow_rows[j];
        if (row < held) {
            u64 pair = divide(row, m3), first = divide(pair, m2);
            keys[j] = ((pair - first * m2) * m1 + first) * m3 + (row - pair * m3);
        } else {
            keys[j] = core_keys + (row - held);
        }
        u32 bag = bag_at(starts, bags, j);
        F scale = scale_of<F>(starts, bag, mean);
        bag_of[j] = bag;
        factors[j] = weights ? scale * weights[j] : scale;
    }
    F* scales = (F*)on.table.scales;
    u32* places = (u32*)on.table.places;
    const u32 rows = on.table.output_rows, step = group.step;
    for (u32 bag = on.number * blockDim.x + threadIdx.x; bag < bags; bag += on.chunks * blockDim.x) {
        scales[bag] = scale_of<F>(starts, bag, mean);
        if (places) places[bag] = group.firsts[bag / rows] + bag % rows * step;
    }
}

// How many there are of what: of all unique rows, those of the cores, pairs, i2.
struct RunCounts {
    u32 rows;
    u32 cores;
    u32 pairs;
    u32 middles;

    METHOD void add(const RunCounts& other) {
        rows += other.rows;
        cores += other.cores;
        pairs += other.pairs;
        middles += other.middles;
    }
};

// Visits the sorted lookups of a thread: `visit(place, lookup, key, counts)`, where `counts` has what came so far, this one
// included, and of `before` what is new with it.
template <class F, class Visit>
__device__ void walk_lookups(const GroupChunk<F>& on, RunCounts& counts, Visit visit) {
    const u32* order = on.group.order;
    const u64* keys = on.group.keys;
    const u64 core_keys = on.group.core_keys;
    const u32 m1 = on.table.m1, m3 = on.group.m3;
    const Span span = thread_span(on.of(on.table.lookups));
    // Before the first: more than any key, whose pair and i2 are none.
    u64 last = span.from < span.to && span.from > 0 ? keys[order[span.from - 1]] : ~0ull;
    for (u32 place = span.from; place < span.to; ++place) {
        const u32 lookup = order[place];
        const u64 key = keys[lookup];
        const RunCounts before = counts;
        if (key != last) {
            ++counts.rows;
            if (key < core_keys) {
                ++counts.cores;
                u64 pair = divide(key, m3), last_pair = divide(last, m3);
                counts.pairs += pair != last_pair;
                counts.middles += divide(pair, m1) != divide(last_pair, m1);
            }
        }
        visit(place, lookup, key, before);
        last = key;
    }
}

// What the threads of a chunk before have, and all of the chunk.
template <class F>
__device__ RunCounts scan_runs(const GroupChunk<F>& on, RunCounts& total) {
    RunCounts mine = {};
    walk_lookups(on, mine, [](u32, u32, u64, const RunCounts&) {});
    // Two numbers of 16 bits at once.
    u32 rows, pairs;
    u32 rows_before = scan(on.shared.scan, mine.rows | mine.cores << 16, rows);
    u32 pairs_before = scan(on.shared.scan, mine.pairs | mine.middles << 16, pairs);
    total = RunCounts{rows & 0xffff, rows >> 16, pairs & 0xffff, pairs >> 16};
    return RunCounts{rows_before & 0xffff, rows_before >> 16, pairs_before & 0xffff, pairs_before >> 16};
}

template <class F>
__device__ void count_runs(const GroupChunk<F>& on) {
    RunCounts total;
    scan_runs(on, total);
    if (threadIdx.x == 0) ((RunCounts*)on.group.sums)[on.number] = total;
}

template <class F>
__device__ void write_runs(const GroupChunk<F>& on) {
    FusedTable& table = on.table;
    GroupTable& group = on.group;
    RunCounts total, counts = scan_runs(on, total);
    if (on.chunks > 1) {
        total = RunCounts{};
        for (u32 c = 0; c < on.chunks; ++c) {
            const RunCounts chunk = ((const RunCounts*)group.sums)[c];
            if (c < on.number) counts.add(chunk);
            total.add(chunk);
        }
    }
    u32 *row_of = (u32*)table.row_of, *row_starts = (u32*)table.row_starts, *row_places = (u32*)table.row_places;
    u32 *row_pairs = (u32*)table.row_pairs, *row_digits = (u32*)table.row_digits, *pair_rows = (u32*)table.pair_rows;
    u32 *pair_digits = group.pair_digits, *middle_starts = group.middle_starts;
    u64 *dense_rows = (u64*)table.dense_rows, *middle_digits = (u64*)table.digits[1];
    F* row_factors = (F*)table.row_factors;
    const u32 *bag_of = table.bag_of, *places = table.places;
    const F* factors = (const F*)table.factors;
    const u32 m1 = table.m1, m3 = group.m3;
    const u64 core_keys = group.core_keys;
    walk_lookups(on, counts, [&](u32 place, u32 lookup, u64 key, const RunCounts& before) {
        const u32 row = counts.rows - 1;
        row_of[lookup] = row;
        row_places[place] = (u32)place_of(places, bag_of[lookup]);
        row_factors[place] = factors[lookup];
        if (counts.rows == before.rows) return;
        row_starts[row] = place;
        if (key >= core_keys) {
            dense_rows[row - total.cores] = key - core_keys;
            return;
        }
        const u64 pair = divide(key, m3), middle = divide(pair, m1);
        row_pairs[row] = counts.pairs - 1;
        row_digits[row] = (u32)(key - pair * m3);
        if (counts.pairs == before.pairs) return;
        pair_rows[counts.pairs - 1] = row;
        pair_digits[counts.pairs - 1] = (u32)(pair - middle * m1);
        if (counts.middles == before.middles) return;
        middle_starts[counts.middles - 1] = counts.pairs - 1;
        middle_digits[counts.middles - 1] = middle;
    });
    if (on.number > 0 || threadIdx.x > 0) return;
    row_starts[total.rows] = table.lookups;
    table.core_rows = total.cores;
    table.dense_count = total.rows - total.cores;
    if (m1 == 0) return;
    pair_rows[total.pairs] = total.cores;
    middle_starts[total.middles] = total.pairs;
    table.middles = total.middles;
    group.pairs = total.pairs;
}

// The digits that occur in a sorted list, and where each begins: by chunk, `sums` has how many. For each item which of them
// it has, to `number_of`, if given. Counts them if told so, else writes, and gives how many there are.
template <class F>
__device__ u32 digit_runs(const GroupChunk<F>& on, bool counting, u32 len, const u32* order, const u32* digits, u32* sums,
                          const u64* run_digits, const u32* run_starts, const u32* number_of) {
    const Span span = thread_span(on.of(len));
    u32 runs = 0, total, last = span.from < span.to && span.from > 0 ? digits[order[span.from - 1]] : ~0u;
    const u32 last_before = last;
    for (u32 place = span.from; place < span.to; ++place) {
        u32 digit = digits[order[place]];
        runs += digit != last;
        last = digit;
    }
    runs = scan(on.shared.scan, runs, total);
    if (counting) {
        if (threadIdx.x == 0) sums[on.number] = total;
        return total;
    }
    if (on.chunks > 1) {
        total = 0;
        for (u32 c = 0; c < on.chunks; ++c) {
            runs += c < on.number ? sums[c] : 0;
            total += sums[c];
        }
    }
    last = last_before;
    for (u32 place = span.from; place < span.to; ++place) {
        u32 item = order[place], digit = digits[item];
        if (digit != last) {
            ((u64*)run_digits)[runs] = digit;
            ((u32*)run_starts)[runs] = place;
            ++runs;
        }
        if (number_of) ((u32*)number_of)[item] = runs - 1;
        last = digit;
    }
    if (on.number == 0 && threadIdx.x == 0) ((u32*)run_starts)[total] = len;
    return total;
}

template <class F>
__device__ void outer_runs(const GroupChunk<F>& on, bool counting) {
    FusedTable& table = on.table;
    u32* sums = on.group.sums;
    u32 firsts = digit_runs(on, counting, on.group.pairs, table.first_pairs, on.group.pair_digits, sums, table.digits[0],
                            table.first_starts, table.pair_firsts);
    u32 lasts = digit_runs(on, counting, table.core_rows, table.last_rows, table.row_digits, sums + on.chunks,
                           table.digits[2], table.last_starts, 0);
    if (counting || on.number > 0 || threadIdx.x > 0) return;
    table.firsts = firsts;
    table.lasts = lasts;
}

// The stages, numbered: see `stages` in src/plan/grouping.rs.
template <class F>
__device__ void run_stage(const GroupArgs<F>& args, const GroupChunk<F>& on, u32 stage) {
    const FusedTable& table = on.table;
    const GroupTable& group = on.group;
    if (stage == 0) return prepare(on);
    stage -= 1;
    // Without other chunks, nobody has to be told what this one counts.
    const bool counting = stage % 2 == 0;
    if (counting && on.chunks == 1 && stage < 2 * (args.passes + args.outer_passes) + 4) return;
    if (stage < 2 * args.passes) {
        const u64* keys = group.keys;
        const Sort sort = sort_of_lookups(table, group);
        auto key = [&](u32 lookup) { return keys[lookup]; };
        if (counting) count_digits(on.shared, sort, stage / 2, on.of(sort.len), on.number, key);
        else move_digits(on.shared, sort, stage / 2, on.of(sort.len), on.number, on.chunks, key);
        return;
    }
    stage -= 2 * args.passes;
    if (stage < 2) return counting ? count_runs(on) : write_runs(on);
    stage -= 2;
    // There is no more to a table without cores.
    if (table.m1 == 0) return;
    if (stage < 2 * args.outer_passes) {
        const u32 *pair_digits = group.pair_digits, *row_digits = table.row_digits;
        const Sort pairs = sort_of_pairs(table, group), rows = sort_of_rows(table, group, on.chunks);
        auto first = [&](u32 pair) { return (u64)pair_digits[pair]; };
        auto last = [&](u32 row) { return (u64)row_digits[row]; };
        if (counting) {
            count_digits(on.shared, pairs, stage / 2, on.of(pairs.len), on.number, first);
            count_digits(on.shared, rows, stage / 2, on.of(rows.len), on.number, last);
        } else {
            move_digits(on.shared, pairs, stage / 2, on.of(pairs.len), on.number, on.chunks, first);
            move_digits(on.shared, rows, stage / 2, on.of(rows.len), on.number, on.chunks, last);
        }
        return;
    }
    stage -= 2 * args.outer_passes;
    if (stage < 2) outer_runs(on, counting);
    else count_units(on);
}

template <class F>
__device__ void group_tables(const GroupArgs<F>& args) {
    SHARED(GroupShared, shared);
    for (u32 block = blockIdx.x; block < args.count * args.chunks; block += gridDim.x) {
        const u32 t = block / args.chunks;
        const GroupChunk<F> on = {args.tables[t], args.groups[t], *shared, args.chunk, block % args.chunks, args.chunks};
        for (u32 stage = args.from; stage < args.to; ++stage) {
            run_stage(args, on, stage);
            // What it wrote is read by all of the block.
            __syncthreads();
        }
    }
}
KERNEL_OF_GROUPS(group_tables, GroupArgs)
