/* What caches learn, and lookups that are skipped. */
#include "model.h"

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

int main(void) {
    uint32_t dtype;
    for (dtype = TTC_F32; dtype <= TTC_F64; dtype++) {
        caches(dtype);
        skipping(dtype);
    }
    printf("caches, skipped lookups\n");
    return 0;
}
