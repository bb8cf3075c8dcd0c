// cuBLAS on the fake GPU: `libcublas.so` for tests. Products are plain loops, with cuBLAS's checks of sizes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

extern "C" bool ttcore_fake_push(void* stream, const std::function<void()>* work);
extern "C" void ttcore_fake_check(uint64_t at, size_t bytes);

#define CUBLAS extern "C" __attribute__((visibility("default"))) int

enum { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13 };

struct Handle {
    void* stream = nullptr;
    bool tf32 = false;
};

// A factor as TF32 has it: 10 bits behind the point, ties to even.
static float round_to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7f800000) != 0x7f800000) bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    memcpy(&x, &bits, 4);
    return x;
}
static double round_to_tf32(double x) { return x; }

CUBLAS cublasCreate_v2(Handle** out) { *out = new Handle; return SUCCESS; }
CUBLAS cublasDestroy_v2(Handle* handle) { delete handle; return SUCCESS; }
CUBLAS cublasSetStream_v2(Handle* handle, void* stream) { handle->stream = stream; return SUCCESS; }

// 3 is TF32.
CUBLAS cublasSetMathMode(Handle* handle, int mode) { handle->tf32 = mode == 3; return SUCCESS; }

// A product `C = op(A) op(B)`, column major.
template <class F>
struct Product {
    bool transpose_a, transpose_b;
    int m, n, k, lda, ldb, ldc;
    F alpha, beta;
    bool tf32;

    bool is_valid() const {
        return m >= 0 && n >= 0 && k >= 0 && lda >= std::max(1, transpose_a ? k : m) &&
               ldb >= std::max(1, transpose_b ? n : k) && ldc >= std::max(1, m);
    }

    static void check(const F* at, int rows, int columns, int leading) {
        if (rows && columns) {
            ttcore_fake_check(reinterpret_cast<uintptr_t>(at), sizeof(F) * (size_t(columns - 1) * leading + rows));
        }
    }

    void compute(const F* a, const F* b, F* c) const {
        check(a, transpose_a ? k : m, transpose_a ? m : k, lda);
        check(b, transpose_b ? n : k, transpose_b ? k : n, ldb);
        check(c, m, n, ldc);
        for (int column = 0; column < n; ++column) {
            for (int row = 0; row < m; ++row) {
                F sum = 0;
                for (int l = 0; l < k; ++l) {
                    F x = a[transpose_a ? l + size_t(row) * lda : row + size_t(l) * lda];
                    F y = b[transpose_b ? column + size_t(l) * ldb : l + size_t(column) * ldb];
                    sum += tf32 ? round_to_tf32(x) * round_to_tf32(y) : x * y;
                }
                F& to = c[row + size_t(column) * ldc];
                to = beta == 0 ? alpha * sum : alpha * sum + beta * to;
            }
        }
    }
};

template <class F>
static int one(Handle* handle, const Product<F>& product, const F* a, const F* b, F* c) {
    if (!product.is_valid()) return INVALID_VALUE;
    const std::function<void()> work = [=] { product.compute(a, b, c); };
    return ttcore_fake_push(handle->stream, &work) ? SUCCESS : EXECUTION_FAILED;
}

template <class F>
static int several(Handle* handle, const Product<F>& product, F* const* a, F* const* b, F* const* c, int count) {
    if (!product.is_valid() || count < 0) return INVALID_VALUE;
    const std::function<void()> work = [=] {
        for (F* const* array : {a, b, c}) ttcore_fake_check(reinterpret_cast<uintptr_t>(array), 8 * size_t(count));
        for (int i = 0; i < count; ++i) product.compute(a[i], b[i], c[i]);
    };
    return ttcore_fake_push(handle->stream, &work) ? SUCCESS : EXECUTION_FAILED;
}

#define GEMM(F, name, batched)                                                                                        \
    CUBLAS name(Handle* handle, int ta, int tb, int m, int n, int k, const F* alpha, const F* a, int lda, const F* b, \
                int ldb, const F* beta, F* c, int ldc) {                                                              \
        return one<F>(handle, {ta != 0, tb != 0, m, n, k, lda, ldb, ldc, *alpha, *beta, handle->tf32}, a, b, c);       \
    }                                                                                                                 \
    CUBLAS batched(Handle* handle, int ta, int tb, int m, int n, int k, const F* alpha, F* const* a, int lda,          \
                   F* const* b, int ldb, const F* beta, F* const* c, int ldc, int count) {                            \
        return several<F>(handle, {ta != 0, tb != 0, m, n, k, lda, ldb, ldc, *alpha, *beta, handle->tf32}, a, b, c,        \
                          count);                                                                                     \
    }

GEMM(float, cublasSgemm_v2, cublasSgemmBatched)
GEMM(double, cublasDgemm_v2, cublasDgemmBatched)
