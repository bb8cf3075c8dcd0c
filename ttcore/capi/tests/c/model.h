/* A session of one tensor train, and steps of it. */
#ifndef MODEL_H
#define MODEL_H

#include "test.h"

#define ROWS 200
#define DIM 8
#define BAGS 8
#define LOOKUPS 16

typedef struct model {
    ttc_session *session;
    ttc_worker *worker;
    ttc_batch *batch;
    ttc_sizes sizes;
    numbers params, state, out, grad_out;
} model;

static inline ttc_table describe(void) {
    ttc_table table;
    INIT(table);
    table.kind = TTC_TENSOR_TRAIN;
    table.rows = ROWS;
    table.dim = DIM;
    table.cores = 3;
    table.rank = 5;
    return table;
}

static inline model build(ttc_table table, uint32_t dtype, uint32_t threads) {
    model made;
    ttc_options options;
    ttc_view_mut view;
    memset(&made, 0, sizeof made);
    INIT(options);
    options.dtype = dtype;
    options.bags = BAGS;
    options.lookups = LOOKUPS;
    options.threads = threads;
    OK(ttc_session_new(&table, 1, &options, &made.session));
    OK(ttc_worker_new(made.session, &made.worker));
    OK(ttc_batch_new(made.session, &made.batch));
    INIT(made.sizes);
    OK(ttc_session_sizes(made.session, 0, &made.sizes));
    made.params = zeros(dtype, made.sizes.parameters);
    made.state = zeros(dtype, made.sizes.state);
    made.out = zeros(dtype, BAGS * DIM);
    made.grad_out = zeros(dtype, BAGS * DIM);
    view = writable(made.params);
    OK(ttc_draw(made.session, 0, 42, &view));
    return made;
}

static inline void unbuild(model of) {
    ttc_batch_free(of.batch);
    ttc_worker_free(of.worker);
    ttc_session_free(of.session);
    free(of.params.data);
    free(of.state.data);
    free(of.out.data);
    free(of.grad_out.data);
}

static inline bool same(numbers a, numbers b) {
    return a.len == b.len && a.dtype == b.dtype &&
           memcmp(a.data, b.data, a.len * (a.dtype == TTC_F32 ? sizeof(float) : sizeof(double))) == 0;
}

static inline numbers copy(numbers from) {
    numbers made = zeros(from.dtype, from.len);
    size_t i;
    for (i = 0; i < from.len; i++) {
        set(made, i, get(from, i));
    }
    return made;
}

/* Two lookups a bag: of rows that come again and again, and of others. */
static inline void fill(int64_t indices[LOOKUPS], int64_t round) {
    size_t i;
    for (i = 0; i < LOOKUPS; i++) {
        indices[i] = i % 2 == 0 ? (int64_t)(i % 4) * 50 : (round * 37 + (int64_t)i * 11) % ROWS;
    }
}

static inline ttc_bags pairs(const int64_t *indices, const int64_t *offsets) {
    ttc_bags bags;
    INIT(bags);
    bags.index_type = TTC_I64;
    bags.offset_type = TTC_I64;
    bags.indices = indices;
    bags.lookups = LOOKUPS;
    bags.offsets = offsets;
    bags.offsets_len = BAGS;
    return bags;
}

static const int64_t two_a_bag[BAGS] = {0, 2, 4, 6, 8, 10, 12, 14};

static inline void forward(model of) {
    ttc_view params = read_only(of.params);
    ttc_view_mut out = writable(of.out);
    OK(ttc_forward(of.session, of.worker, of.batch, &params, 1, &out));
}

/* A step on the batch of this round, with the output as its own gradient; the caches see it. */
static inline void train(model of, int64_t round) {
    int64_t indices[LOOKUPS];
    ttc_bags bags;
    ttc_view_mut params = writable(of.params), state = writable(of.state);
    ttc_view grad = read_only(of.out);
    fill(indices, round);
    bags = pairs(indices, two_a_bag);
    OK(ttc_group(of.session, of.batch, &bags, 1, TTC_TRAIN));
    /* The batch has its own copy. */
    memset(indices, 0xff, sizeof indices);
    OK(ttc_observe(of.session, of.batch));
    OK(ttc_observe(of.session, of.batch));
    forward(of);
    OK(ttc_step(of.session, of.worker, of.batch, &params, &state, 1, &grad, 0.1, NULL));
}

#endif
