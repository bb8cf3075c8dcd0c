/* What a session does besides computing: rules, room, columns, threads. */
#include <pthread.h>

#include "model.h"

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
        rules(dtype);
        room(dtype);
        columns(dtype);
        threads(dtype);
    }
    printf("rules, room, columns, threads\n");
    return 0;
}
