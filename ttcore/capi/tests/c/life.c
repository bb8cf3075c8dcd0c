/* What a session does besides computing: caches, rules, room, threads. */
#include <pthread.h>

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

static ttc_table describe(void) {
    ttc_table table;
    INIT(table);
    table.kind = TTC_TENSOR_TRAIN;
    table.rows = ROWS;
    table.dim = DIM;
    table.cores = 3;
    table.rank = 5;
    return table;
}

static model build(ttc_table table, uint32_t dtype, uint32_t threads) {
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

static void unbuild(model of) {
    ttc_batch_free(of.batch);
    ttc_worker_free(of.worker);
    ttc_session_free(of.session);
    free(of.params.data);
    free(of.state.data);
    free(of.out.data);
    free(of.grad_out.data);
}

static bool same(numbers a, numbers b) {
    return a.len == b.len && a.dtype == b.dtype &&
           memcmp(a.data, b.data, a.len * (a.dtype == TTC_F32 ? sizeof(float) : sizeof(double))) == 0;
}

static numbers copy(numbers from) {
    numbers made = zeros(from.dtype, from.len);
    size_t i;
    for (i = 0; i < from.len; i++) {
        set(made, i, get(from, i));
    }
    return made;
}

/* Two lookups a bag: of rows that come again and again, and of others. */
static void fill(int64_t indices[LOOKUPS], int64_t round) {
    size_t i;
    for (i = 0; i < LOOKUPS; i++) {
        indices[i] = i % 2 == 0 ? (int64_t)(i % 4) * 50 : (round * 37 + (int64_t)i * 11) % ROWS;
    }
}

static ttc_bags pairs(const int64_t *indices, const int64_t *offsets) {
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

static void forward(model of) {
    ttc_view params = read_only(of.params);
    ttc_view_mut out = writable(of.out);
    OK(ttc_forward(of.session, of.worker, of.batch, &params, 1, &out));
}

/* A step on the batch of this round, with the output as its own gradient; the caches see it. */
static void train(model of, int64_t round) {
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

static void caches(uint32_t dtype) {
    ttc_table table = describe();
    model of, again;
    ttc_statistics statistics;
    ttc_view_mut params, state;
    size_t slots = 0, counts = 0, i;
    uint64_t rows[4], *counted, *times;
    int64_t round;
    table.cache_slots = 4;
    of = build(table, dtype, 1);
    params = writable(of.params);
    state = writable(of.state);
    for (round = 0; round < 6; round++) {
        train(of, round);
        if (round % 2 == 1) {
            OK(ttc_refresh(of.session, of.worker, &params, &state, 1));
        }
        if (round == 1) {
            /* Its addresses are those of before the refresh. */
            FAILS(ttc_observe(of.session, of.batch), TTC_STALE);
        }
    }
    INIT(statistics);
    OK(ttc_session_statistics(of.session, &statistics, 1));
    CHECK(statistics.cached_rows == 4 && statistics.lookups == 6 * LOOKUPS);
    /* Rows 0 and 100 have half of the lookups, from the second refresh at the latest. */
    CHECK(statistics.hits >= LOOKUPS && statistics.hits < statistics.lookups);
    CHECK(statistics.parameter_bytes == of.params.len * (dtype == TTC_F32 ? 4 : 8));
    OK(ttc_session_statistics(of.session, &statistics, 1));
    CHECK(statistics.lookups == 0);

    OK(ttc_cache_sizes(of.session, 0, &slots, &counts));
    CHECK(slots == 4 && counts > 0);
    counted = (uint64_t *)malloc(counts * sizeof(uint64_t));
    times = (uint64_t *)malloc(counts * sizeof(uint64_t));
    OK(ttc_cache_state(of.session, 0, rows, slots, counted, times, counts));
    for (i = 0; i < 4; i++) {
        CHECK(rows[i] < ROWS);
    }
    CHECK(counted[0] == 0 && times[0] > 0);

    /* Another session that continues from what this one knew does the same. */
    again = build(table, dtype, 2);
    OK(ttc_set_cache_state(again.session, 0, rows, slots, counted, times, counts));
    memcpy(again.params.data, of.params.data, of.params.len * (dtype == TTC_F32 ? 4 : 8));
    memcpy(again.state.data, of.state.data, of.state.len * (dtype == TTC_F32 ? 4 : 8));
    OK(ttc_parameters_changed(again.session));
    train(of, 7);
    train(again, 7);
    CHECK(same(of.out, again.out) && same(of.params, again.params) && same(of.state, again.state));
    rows[0] = TTC_NO_ROW;
    rows[1] = ROWS;
    FAILS(ttc_set_cache_state(again.session, 0, rows, slots, counted, times, counts), TTC_CACHE);
    free(counted);
    free(times);
    unbuild(of);
    unbuild(again);
}

static void skipping(uint32_t dtype) {
    /* Rows 3, 9 and 9, 4, then nothing: padded with row 5, with -1, and as they are. */
    const int32_t padded[9] = {3, 5, 9, 9, 4, 5, 5, 5, 5}, negative[9] = {3, -1, 9, 9, 4, -2, -1, -1, -9};
    const int32_t plain[4] = {3, 9, 9, 4}, threes[3] = {0, 3, 6}, ends[3] = {0, 2, 4};
    model of = build(describe(), dtype, 1);
    numbers expected, all = zeros(dtype, 9), kept = zeros(dtype, 4), weights = zeros(dtype, 9);
    size_t way, i;
    memset(&expected, 0, sizeof expected);
    for (i = 0; i < 9; i++) {
        set(weights, i, 1);
    }
    for (way = 0; way < 3; way++) {
        ttc_view params = read_only(of.params), grad = view_of(of.grad_out.data, 3 * DIM, dtype);
        ttc_view weights_view = read_only(weights);
        ttc_view_mut params_mut = writable(of.params), out = view_mut(of.out.data, 3 * DIM, dtype);
        ttc_view_mut grad_weights = writable(way == 0 ? kept : all);
        ttc_sink sink;
        ttc_bags bags;
        INIT(sink);
        INIT(bags);
        bags.index_type = TTC_I32;
        bags.offset_type = TTC_I32;
        bags.pooling = TTC_MEAN;
        bags.indices = way == 0 ? plain : way == 1 ? padded : negative;
        bags.lookups = way == 0 ? 4 : 9;
        bags.offsets = way == 0 ? ends : threes;
        bags.offsets_len = 3;
        bags.skip = way == 0 ? 0 : way == 1 ? TTC_SKIP_PADDING : TTC_SKIP_NEGATIVE;
        bags.padding = 5;
        weights_view.len = bags.lookups;
        bags.weights = &weights_view;
        OK(ttc_group(of.session, of.batch, &bags, 1, TTC_TRAIN));
        OK(ttc_forward(of.session, of.worker, of.batch, &params, 1, &out));
        for (i = 0; i < 3 * DIM; i++) {
            set(of.grad_out, i, (double)i - 7);
        }
        for (i = 0; i < 9; i++) {
            set(all, i, NAN);
        }
        sink.kind = TTC_FROZEN;
        sink.params = &params_mut;
        OK(ttc_backward(of.session, of.worker, of.batch, &sink, 1, &grad, &grad_weights));
        if (way == 0) {
            expected = copy(of.out);
            continue;
        }
        CHECK(same(of.out, expected));
        CHECK(get(all, 0) == get(kept, 0) && get(all, 2) == get(kept, 1) && get(all, 3) == get(kept, 2));
        CHECK(get(all, 4) == get(kept, 3) && get(kept, 0) != 0);
        CHECK(get(all, 1) == 0 && get(all, 5) == 0 && get(all, 6) == 0 && get(all, 8) == 0);
        grad_weights.len--;
        FAILS_AT(ttc_backward(of.session, of.worker, of.batch, &sink, 1, &grad, &grad_weights), TTC_LENGTH, -1, -1, 8);
    }
    free(expected.data);
    free(all.data);
    free(kept.data);
    free(weights.data);
    unbuild(of);
}

static void rules(uint32_t dtype) {
    ttc_table table = describe();
    ttc_rule adam;
    ttc_layout layout;
    model of = build(table, dtype, 1);
    numbers before = copy(of.params);
    size_t row_factors[3], col_factors[3], ranks[4];
    INIT(adam);
    INIT(layout);
    OK(ttc_session_shape(of.session, 0, 3, row_factors, col_factors, ranks));
    CHECK(row_factors[0] * row_factors[1] * row_factors[2] >= ROWS);
    CHECK(col_factors[0] * col_factors[1] * col_factors[2] == DIM && ranks[0] == 1 && ranks[1] == 5 && ranks[3] == 1);
    /* AdaGrad-Norm: a number a slice. */
    CHECK(of.sizes.state == row_factors[0] + row_factors[1] + row_factors[2]);
    FAILS_AT(ttc_session_shape(of.session, 0, 2, row_factors, col_factors, ranks), TTC_LENGTH, 0, -1, 2);

    train(of, 0);
    CHECK(!same(before, of.params));
    table.frozen = 1;
    OK(ttc_set_table(of.session, 0, &table));
    memcpy(before.data, of.params.data, of.params.len * (dtype == TTC_F32 ? 4 : 8));
    train(of, 1);
    CHECK(same(before, of.params));

    table.frozen = 0;
    adam.kind = TTC_ADAM;
    adam.beta1 = 0.9;
    adam.beta2 = 0.999;
    adam.eps = 1e-8;
    table.rule = &adam;
    OK(ttc_set_table(of.session, 0, &table));
    OK(ttc_session_sizes(of.session, 0, &of.sizes));
    CHECK(of.sizes.state == 2 * of.sizes.parameters);
    free(of.state.data);
    of.state = zeros(dtype, of.sizes.state);
    OK(ttc_set_steps(of.session, 40));
    train(of, 2);
    CHECK(!same(before, of.params));
    OK(ttc_session_layout(of.session, &layout));
    CHECK(layout.steps == 41 && layout.dtype == dtype && layout.tables == 1 && layout.stride == DIM);
    OK(ttc_table_sizes(&table, &of.sizes));
    CHECK(of.sizes.state == 2 * of.sizes.parameters && of.sizes.cores == 3);
    free(before.data);
    unbuild(of);
}

static void room(uint32_t dtype) {
    int64_t indices[LOOKUPS + 1] = {0}, offsets[1] = {0};
    model of = build(describe(), dtype, 1);
    ttc_bags bags = pairs(indices, offsets);
    ttc_view params = read_only(of.params);
    ttc_view_mut out = view_mut(of.out.data, DIM, dtype);
    bags.lookups = LOOKUPS + 1;
    bags.offsets_len = 1;
    FAILS_AT(ttc_group(of.session, of.batch, &bags, 1, TTC_TRAIN), TTC_CAPACITY, 0, -1, LOOKUPS + 1);
    OK(ttc_reserve(of.session, BAGS, LOOKUPS + 1));
    OK(ttc_group(of.session, of.batch, &bags, 1, TTC_EVALUATE));
    OK(ttc_forward(of.session, of.worker, of.batch, &params, 1, &out));
    /* An empty batch. */
    bags.lookups = 0;
    bags.indices = NULL;
    bags.offsets = NULL;
    bags.offsets_len = 0;
    OK(ttc_group(of.session, of.batch, &bags, 1, TTC_TRAIN));
    out.len = 0;
    out.data = NULL;
    OK(ttc_forward(of.session, of.worker, of.batch, &params, 1, &out));
    unbuild(of);
}

static void columns(uint32_t dtype) {
    ttc_table tables[2];
    ttc_options options;
    ttc_sizes sizes;
    ttc_session *session;
    const size_t at[2] = {9, 0};
    tables[0] = describe();
    INIT(tables[1]);
    tables[1].kind = TTC_DENSE;
    tables[1].rows = 3;
    tables[1].dim = 2;
    INIT(options);
    INIT(sizes);
    options.dtype = dtype;
    options.bags = BAGS;
    options.lookups = LOOKUPS;
    options.columns = at;
    options.stride = 20;
    OK(ttc_session_new(tables, 2, &options, &session));
    OK(ttc_session_sizes(session, 0, &sizes));
    CHECK(sizes.column == 9 && sizes.dim == DIM);
    OK(ttc_session_sizes(session, 1, &sizes));
    CHECK(sizes.column == 0 && sizes.parameters == 6 && sizes.state == 0 && sizes.cores == 0);
    ttc_session_free(session);
}

/* One of several threads that look rows up in one session. */
typedef struct reader {
    model of;
    numbers expected;
    int64_t round;
} reader;

static void *look_up(void *given) {
    reader *self = (reader *)given;
    int time;
    for (time = 0; time < 20; time++) {
        int64_t indices[LOOKUPS];
        ttc_bags bags;
        fill(indices, self->round);
        bags = pairs(indices, two_a_bag);
        OK(ttc_group(self->of.session, self->of.batch, &bags, 1, TTC_EVALUATE));
        forward(self->of);
        CHECK(same(self->of.out, self->expected));
    }
    return NULL;
}

static void threads(uint32_t dtype) {
    model of = build(describe(), dtype, 2);
    reader readers[4];
    pthread_t running[4];
    size_t i;
    for (i = 0; i < 4; i++) {
        readers[i].round = (int64_t)i;
        readers[i].of = of;
        readers[i].of.out = zeros(dtype, BAGS * DIM);
        OK(ttc_worker_new(of.session, &readers[i].of.worker));
        OK(ttc_batch_new(of.session, &readers[i].of.batch));
        readers[i].expected = zeros(dtype, BAGS * DIM);
    }
    for (i = 0; i < 4; i++) {
        /* What it should be, by one thread alone. */
        int64_t indices[LOOKUPS];
        ttc_bags bags;
        model alone = of;
        alone.out = readers[i].expected;
        fill(indices, readers[i].round);
        bags = pairs(indices, two_a_bag);
        OK(ttc_group(of.session, of.batch, &bags, 1, TTC_EVALUATE));
        forward(alone);
    }
    for (i = 0; i < 4; i++) {
        CHECK(pthread_create(&running[i], NULL, look_up, &readers[i]) == 0);
    }
    for (i = 0; i < 4; i++) {
        CHECK(pthread_join(running[i], NULL) == 0);
        ttc_worker_free(readers[i].of.worker);
        ttc_batch_free(readers[i].of.batch);
        free(readers[i].of.out.data);
        free(readers[i].expected.data);
    }
    unbuild(of);
}

int main(void) {
    uint32_t dtype;
    for (dtype = TTC_F32; dtype <= TTC_F64; dtype++) {
        caches(dtype);
        skipping(dtype);
        rules(dtype);
        room(dtype);
        columns(dtype);
        threads(dtype);
    }
    printf("life: caches, rules, room, threads\n");
    return 0;
}
