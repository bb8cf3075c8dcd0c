// What a unit works on: its part of a table, its matrices in shared memory, and how they get there and out.

// The most that a unit multiplies at once: rows (pair, j1), and in bytes columns (j2, r2), and values of r1 between them.
const u32 TILE_ROWS = 64;
const u32 TILE_COLUMN_BYTES = 256;
const u32 TILE_INNER_BYTES = 128;

// Shared memory of a unit. Lines are one vector longer than what they hold: an odd number of vectors.
template <class F>
struct Tiles {
    static const u32 COLUMNS = TILE_COLUMN_BYTES / sizeof(F);
    static const u32 INNER = TILE_INNER_BYTES / sizeof(F);
    static const u32 WIDE = COLUMNS + Vector<F>::LEN;
    static const u32 NARROW = INNER + Vector<F>::LEN;
    // Products, or their gradients.
    F product[TILE_ROWS][WIDE];
    // Of G2[i2].
    F middle[INNER][WIDE];
    // The slices G1[i1], stacked.
    F first[TILE_ROWS][NARROW];
    // Where each of their rows is among the parameters, and where what is computed for it goes.
    u64 first_at[TILE_ROWS];
    u64 result_at[TILE_ROWS];
};
static_assert(sizeof(Tiles<float>) == 36352 && sizeof(Tiles<double>) == 32000, "as in src/tiles.rs");

// A unit with its table: pairs, j1 and j2 from where on, and how many.
template <class F>
struct Unit {
    const FusedTable& table;
    const F* params;
    u32 group, pair, pairs, part;
    u32 j1, n1, j2, n2;
    // Rows of the stacked products.
    u32 rows;
    // Unique rows of the pairs.
    u32 row_from, row_to;
    // Columns of all j2 of the table; whether those of each are whole vectors.
    u32 width;
    bool vectors;

    METHOD Unit(const FusedArgs<F>& args, const FusedUnit& unit)
        : table(args.tables[unit.table]), params(args.sinks[unit.table].params), group(unit.group), pair(unit.pair),
          pairs(unit.pairs), part(unit.part) {
        u32 across = parts_of(table.n2, table.tile_n2);
        j1 = unit.tile / across * table.tile_n1;
        n1 = least(table.tile_n1, table.n1 - j1);
        j2 = unit.tile % across * table.tile_n2;
        n2 = least(table.tile_n2, table.n2 - j2);
        rows = pairs * n1;
        row_from = table.pair_rows[pair];
        row_to = table.pair_rows[pair + pairs];
        width = table.n2 * table.r2;
        vectors = table.r2 % Vector<F>::LEN == 0 && table.tile_r2 % Vector<F>::LEN == 0;
    }

    // Where the slice G2[i2] begins among the parameters.
    METHOD u64 middle_at() const { return table.core2 + table.digits[1][group] * table.r1 * width; }
};

// The threads of a block as lines of up to 32 lanes.
struct Lanes {
    u32 lane, lanes, line, lines;

    METHOD Lanes() {
        lanes = least(blockDim.x, 32);
        lane = threadIdx.x % lanes;
        line = threadIdx.x / lanes;
        lines = blockDim.x / lanes;
    }
};

// Fills a matrix in shared memory: lines of `WIDTH` numbers, `from(line, column)` where `lines` and `columns` have one and
// zero behind, up to `padded` lines. Several at once, so that their loads are on their way together.
template <u32 WIDTH, u32 STRIDE, class F, class From>
__device__ void stage(F (*to)[STRIDE], u32 lines, u32 padded, u32 columns, From from) {
    const u32 AT_ONCE = 4;
    const Lanes lanes;
    for (u32 column = lanes.lane; column < WIDTH; column += lanes.lanes) {
        // What is not there is loaded as the last that is, so that nobody has to wait for a condition.
        const u32 last_column = least(column, columns - 1);
        for (u32 line = lanes.line; line < padded; line += AT_ONCE * lanes.lines) {
            F x[AT_ONCE];
            UNROLL for (u32 n = 0; n < AT_ONCE; ++n) x[n] = *from(least(line + n * lanes.lines, lines - 1), last_column);
            UNROLL for (u32 n = 0; n < AT_ONCE; ++n) {
                u32 at = line + n * lanes.lines;
                if (at < padded) to[at][column] = at < lines && column < columns ? x[n] : (F)0;
            }
        }
    }
}

// Copies a matrix from shared memory, lines of at most `COLUMNS` numbers, to `to + place(line)`, `T` by `T`: numbers, or
// vectors where all are whole.
template <class T, class F, u32 WIDE, class Place>
__device__ void copy_tile(const F (*from)[WIDE], u32 lines, u32 columns, F* to, Place place) {
    const u32 each = sizeof(T) / sizeof(F), width = Tiles<F>::COLUMNS / each;
    UNROLL_4 for (u32 i = threadIdx.x; i < lines * width; i += blockDim.x) {
        u32 line = i / width, c = i % width * each;
        if (c < columns) *reinterpret_cast<T*>(to + place(line) + c) = *reinterpret_cast<const T*>(&from[line][c]);
    }
}

template <class F, u32 WIDE, class Place>
__device__ void copy_tile(const F (*from)[WIDE], u32 lines, u32 columns, bool vectors, F* to, Place place) {
    if (vectors) copy_tile<Vector<F>>(from, lines, columns, to, place);
    else copy_tile<F>(from, lines, columns, to, place);
}

// Where the rows of the stacked slices of core 1 are, and those of what is computed: `result(pair, j1)`. Barriers are the
// caller's.
template <class F, class Result>
__device__ void find_places(Tiles<F>& tiles, const Unit<F>& unit, Result result) {
    const FusedTable& table = unit.table;
    for (u32 row = threadIdx.x; row < unit.rows; row += blockDim.x) {
        u32 pair = unit.pair + row / unit.n1, j1 = unit.j1 + row % unit.n1;
        u64 digit = table.digits[0][table.pair_firsts[pair]];
        tiles.first_at[row] = (digit * table.n1 + j1) * table.r1;
        tiles.result_at[row] = result(pair, j1);
    }
}

// Stages the slices of core 1, stacked, and that of core 2: `inner` values of r1 from `r1` on, `columns` columns from
// `column` on. Barriers are the caller's.
template <class F>
__device__ void stage_slices(Tiles<F>& tiles, const Unit<F>& unit, u32 r1, u32 inner, u32 column, u32 columns) {
    const F* firsts = unit.params + r1;
    stage<Tiles<F>::INNER>(tiles.first, unit.rows, whole<F>(unit.rows), inner,
                           [&](u32 row, u32 r) { return firsts + tiles.first_at[row] + r; });
    const F* slice = unit.params + unit.middle_at() + (u64)r1 * unit.width + column;
    stage<Tiles<F>::COLUMNS>(tiles.middle, inner, whole<F>(inner), columns,
                             [&](u32 r, u32 c) { return slice + r * unit.width + c; });
}
