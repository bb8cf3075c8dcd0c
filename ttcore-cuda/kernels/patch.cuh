// Products of matrices in shared memory, `C[row][column] = sum over k of A[row][k] B[column][k]`.
//
// A thread sums a patch of 8 x 4 numbers of C in registers, so 12 numbers loaded serve 32 multiplications, and loads 16
// bytes at once. The order of the sum is that of k: a number does not depend on which thread has it.

const u32 PATCH_ROWS = 8;
const u32 PATCH_COLUMNS = 4;

// What one load takes, from an address that is a multiple of 16.
template <class F>
struct alignas(16) Vector {
    static const u32 LEN = 16 / sizeof(F);
    F at[LEN];
};

// So many numbers, filled up to whole vectors.
template <class F>
__device__ u32 whole(u32 numbers) {
    return (numbers + Vector<F>::LEN - 1) / Vector<F>::LEN * Vector<F>::LEN;
}

// An operand, `[line][k]` or `[k][line]`: its lines are rows of C, or columns. `stride` is an odd number of vectors. Of the
// lines of a patch there are always all, those behind the last one's too: what is there is computed with and not used. What
// is behind the last `k` must be zero, up to a whole vector.
template <class F>
struct AlongLines {
    // [line][k], at the k of the next load. Lines of a thread are `step` apart: neighbours then have neighbouring lines,
    // which share no bank.
    const F* at;
    u32 stride, first, step;

    METHOD AlongLines(const F* matrix, u32 stride, u32 first, u32 step)
        : at(matrix + first * stride), stride(stride), first(first), step(step) {}

    METHOD u32 line(u32 i) const { return first + i * step; }

    template <u32 LINES>
    METHOD void load(F (&x)[LINES][Vector<F>::LEN]) {
        const F* next = at;
        UNROLL for (u32 i = 0; i < LINES; ++i) {
            const Vector<F> part = PERHAPS_UNWRITTEN(reinterpret_cast<const Vector<F>*>(next));
            UNROLL for (u32 v = 0; v < Vector<F>::LEN; ++v) x[i][v] = part.at[v];
            next += step * stride;
        }
        at += Vector<F>::LEN;
    }
};

template <class F, u32 STRIDE>
struct AcrossLines {
    // [k][line], at the k of the next load. Lines of a thread follow each other.
    const F* at;
    u32 first;

    METHOD AcrossLines(const F* matrix, u32 first) : at(matrix + first), first(first) {}

    METHOD u32 line(u32 i) const { return first + i; }

    template <u32 LINES>
    METHOD void load(F (&x)[LINES][Vector<F>::LEN]) {
        UNROLL for (u32 v = 0; v < Vector<F>::LEN; ++v) {
            UNROLL for (u32 i = 0; i < LINES; i += Vector<F>::LEN) {
                const Vector<F> part = PERHAPS_UNWRITTEN(reinterpret_cast<const Vector<F>*>(at + v * STRIDE + i));
                UNROLL for (u32 l = 0; l < Vector<F>::LEN; ++l) x[i + l][v] = part.at[l];
            }
        }
        at += Vector<F>::LEN * STRIDE;
    }
};

// Adds a patch of a product over `inner` values of k, whole vectors. The operands are read to their end.
template <class F, class A, class B>
__device__ void multiply(F (&sum)[PATCH_ROWS][PATCH_COLUMNS], A& a, B& b, u32 inner) {
    UNROLL_2 for (u32 k = 0; k < inner; k += Vector<F>::LEN) {
        F x[PATCH_ROWS][Vector<F>::LEN], y[PATCH_COLUMNS][Vector<F>::LEN];
        a.load(x);
        b.load(y);
        UNROLL for (u32 v = 0; v < Vector<F>::LEN; ++v) {
            UNROLL for (u32 i = 0; i < PATCH_ROWS; ++i) {
                UNROLL for (u32 j = 0; j < PATCH_COLUMNS; ++j) sum[i][j] += x[i][v] * y[j][v];
            }
        }
    }
}

// Reads a patch whose columns follow each other from a matrix in shared memory, or writes it there: all of it, also what is
// outside of C, for which there must be room.
template <class F, u32 WIDE, class A, class B>
__device__ void read_patch(F (&sum)[PATCH_ROWS][PATCH_COLUMNS], const A& a, const B& b, const F (*from)[WIDE]) {
    UNROLL for (u32 i = 0; i < PATCH_ROWS; ++i) {
        UNROLL for (u32 j = 0; j < PATCH_COLUMNS; j += Vector<F>::LEN) {
            const Vector<F> part = *reinterpret_cast<const Vector<F>*>(&from[a.line(i)][b.line(j)]);
            UNROLL for (u32 v = 0; v < Vector<F>::LEN; ++v) sum[i][j + v] = part.at[v];
        }
    }
}

template <class F, u32 WIDE, class A, class B>
__device__ void write_patch(const F (&sum)[PATCH_ROWS][PATCH_COLUMNS], const A& a, const B& b, F (*to)[WIDE]) {
    UNROLL for (u32 i = 0; i < PATCH_ROWS; ++i) {
        UNROLL for (u32 j = 0; j < PATCH_COLUMNS; j += Vector<F>::LEN) {
            Vector<F> part;
            UNROLL for (u32 v = 0; v < Vector<F>::LEN; ++v) part.at[v] = sum[i][j + v];
            *reinterpret_cast<Vector<F>*>(&to[a.line(i)][b.line(j)]) = part;
        }
    }
}

// Which patch of C is the one of a number: in strips of 8 patches, where the columns are so many, so that the threads of a
// warp share the lines they load.
struct Patches {
    u32 down, across, strip;

    METHOD Patches(u32 rows, u32 columns)
        : down((rows + PATCH_ROWS - 1) / PATCH_ROWS), across((columns + PATCH_COLUMNS - 1) / PATCH_COLUMNS),
          strip(across % 8 == 0 ? 8 : across) {}

    METHOD u32 count() const { return down * across; }
    METHOD u32 row(u32 number) const { return number / strip % down; }
    METHOD u32 column(u32 number) const { return number / (strip * down) * strip + number % strip; }
};
