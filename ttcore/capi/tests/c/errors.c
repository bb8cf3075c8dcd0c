/* Calls that are wrong are errors that say what, of which table, where and with which value, and leave all usable. */
#include "described.h"

static void build(model *of) {
    size_t t;
    describe(of);
    OK(ttc_session_new(of->tables, 2, &of->options, &of->session));
    OK(ttc_worker_new(of->session, &of->worker));
    OK(ttc_batch_new(of->session, &of->batch));
    for (t = 0; t < 2; t++) {
        ttc_sizes sizes;
        INIT(sizes);
        OK(ttc_session_sizes(of->session, t, &sizes));
        of->params[t] = zeros(TTC_F32, sizes.parameters);
        of->state[t] = zeros(TTC_F32, sizes.state);
        of->params_view[t] = read_only(of->params[t]);
        of->params_mut[t] = writable(of->params[t]);
        of->state_mut[t] = writable(of->state[t]);
        OK(ttc_draw(of->session, t, 7, &of->params_mut[t]));
    }
    of->out = zeros(TTC_F32, BAGS * STRIDE);
    of->grad_out = zeros(TTC_F32, BAGS * STRIDE);
    of->out_view = writable(of->out);
    of->grad_view = read_only(of->grad_out);
}

static void unbuild(model *of) {
    size_t t;
    ttc_batch_free(of->batch);
    ttc_worker_free(of->worker);
    ttc_session_free(of->session);
    for (t = 0; t < 2; t++) {
        free(of->params[t].data);
        free(of->state[t].data);
    }
    free(of->out.data);
    free(of->grad_out.data);
}

static ttc_error *group(model *of) { return ttc_group(of->session, of->batch, of->bags, 2, TTC_TRAIN); }

static ttc_error *forward(model *of) {
    return ttc_forward(of->session, of->worker, of->batch, of->params_view, 2, &of->out_view);
}

static ttc_error *step(model *of) {
    return ttc_step(of->session, of->worker, of->batch, of->params_mut, of->state_mut, 2, &of->grad_view, 0.1, NULL);
}

/* Everything works. */
static void works(model *of) {
    OK(group(of));
    OK(forward(of));
    OK(step(of));
}

static void bags(model *of) {
    ttc_view weights = view_of(of->out.data, LOOKUPS - 1, TTC_F32);
    FAILS(ttc_group(NULL, of->batch, of->bags, 2, TTC_TRAIN), TTC_NULL);
    FAILS(ttc_group(of->session, NULL, of->bags, 2, TTC_TRAIN), TTC_NULL);
    FAILS(ttc_group(of->session, of->batch, NULL, 2, TTC_TRAIN), TTC_NULL);
    FAILS_AT(ttc_group(of->session, of->batch, of->bags, 1, TTC_TRAIN), TTC_TABLES, -1, -1, 1);
    FAILS_AT(ttc_group(of->session, of->batch, of->bags, 2, 5), TTC_ENUM, -1, -1, 5);
    of->indices[1][3] = 10;
    FAILS_AT(group(of), TTC_INDEX, 1, 3, 10);
    of->indices[1][3] = 0;
    of->indices[0][2] = -7;
    FAILS_AT(group(of), TTC_INDEX, 0, 2, -7);
    /* A batch that is refused holds nothing. */
    FAILS(forward(of), TTC_STALE);
    of->indices[0][2] = 0;
    of->offsets[0] = 1;
    FAILS_AT(group(of), TTC_OFFSET, 0, 0, 1);
    of->offsets[0] = 0;
    of->offsets[1] = -1;
    FAILS_AT(group(of), TTC_OFFSET, 0, 1, -1);
    of->offsets[1] = 5;
    FAILS_AT(group(of), TTC_OFFSET, 0, 1, 5);
    of->offsets[1] = 2;
    of->bags[1].offset_form = TTC_WITH_LAST;
    FAILS_AT(group(of), TTC_OFFSET, 1, 1, 2);
    of->bags[1].offset_form = 9;
    FAILS_AT(group(of), TTC_ENUM, 1, -1, 9);
    of->bags[1].offset_form = TTC_ONE_PER_BAG;
    FAILS_AT(group(of), TTC_CAPACITY, 1, -1, LOOKUPS);
    of->bags[1].offset_form = TTC_STARTS;
    of->bags[1].offsets_len = 1;
    FAILS_AT(group(of), TTC_CAPACITY, 1, -1, 1);
    of->bags[1].offsets_len = (size_t)-1;
    FAILS(group(of), TTC_CAPACITY);
    of->bags[1].offsets_len = BAGS;
    of->bags[1].lookups = (size_t)-1;
    FAILS(group(of), TTC_CAPACITY);
    of->bags[1].lookups = LOOKUPS;
    of->bags[1].indices = NULL;
    FAILS_OF(group(of), TTC_NULL, 1);
    of->bags[1].indices = of->indices[1];
    of->bags[1].index_type = 0;
    FAILS_AT(group(of), TTC_ENUM, 1, -1, 0);
    of->bags[1].index_type = TTC_I64;
    of->bags[1].indices = (char *)of->indices[1] + 1;
    FAILS(group(of), TTC_ALIGNMENT);
    of->bags[1].indices = of->indices[1];
    of->bags[1].pooling = 2;
    FAILS_AT(group(of), TTC_ENUM, 1, -1, 2);
    of->bags[1].pooling = TTC_SUM;
    of->bags[1].skip = 4;
    FAILS_AT(group(of), TTC_ENUM, 1, -1, 4);
    of->bags[1].skip = 0;
    of->bags[1].weights = &weights;
    FAILS_AT(group(of), TTC_LENGTH, 1, -1, LOOKUPS - 1);
    weights.len = LOOKUPS;
    weights.dtype = TTC_F64;
    FAILS_AT(group(of), TTC_DTYPE, 1, -1, TTC_F64);
    of->bags[1].weights = NULL;
    of->bags[1].size = 8;
    FAILS_AT(group(of), TTC_STRUCT_SIZE, 1, -1, 8);
    of->bags[1].size = sizeof(ttc_bags);
    works(of);
}

static void calls(model *of) {
    uint64_t rows[] = {59, 60};
    ttc_view view = of->params_view[0];
    ttc_view_mut place = of->out_view;
    size_t parameters = of->params[0].len;
    OK(group(of));
    FAILS(step(of), TTC_STALE);
    FAILS(ttc_forward(NULL, of->worker, of->batch, of->params_view, 2, &of->out_view), TTC_NULL);
    FAILS(ttc_forward(of->session, NULL, of->batch, of->params_view, 2, &of->out_view), TTC_NULL);
    FAILS(ttc_forward(of->session, of->worker, NULL, of->params_view, 2, &of->out_view), TTC_NULL);
    FAILS(ttc_forward(of->session, of->worker, of->batch, NULL, 2, &of->out_view), TTC_NULL);
    FAILS(ttc_forward(of->session, of->worker, of->batch, of->params_view, 2, NULL), TTC_NULL);
    FAILS_AT(ttc_forward(of->session, of->worker, of->batch, of->params_view, 1, &of->out_view), TTC_TABLES, -1, -1, 1);
    of->params_view[0].len = parameters - 1;
    FAILS_AT(forward(of), TTC_LENGTH, 0, -1, (int64_t)parameters - 1);
    of->params_view[0].len = (size_t)-1;
    FAILS(forward(of), TTC_LENGTH);
    of->params_view[0] = view;
    of->params_view[0].dtype = TTC_F64;
    FAILS_AT(forward(of), TTC_DTYPE, 0, -1, TTC_F64);
    of->params_view[0] = view;
    of->params_view[0].data = NULL;
    FAILS(forward(of), TTC_NULL);
    of->params_view[0] = view;
    of->out_view.len = 3;
    FAILS_AT(forward(of), TTC_LENGTH, -1, -1, 3);
    of->out_view.data = of->params[0].data;
    of->out_view.len = BAGS * STRIDE;
    FAILS(forward(of), TTC_OVERLAP);
    of->out_view = place;
    OK(forward(of));

    of->state_mut[1].data = of->params[1].data;
    of->state_mut[1].len = of->params[1].len;
    FAILS(step(of), TTC_OVERLAP);
    of->state_mut[1] = writable(of->state[1]);
    of->state_mut[0].len = 1;
    FAILS_AT(step(of), TTC_LENGTH, 0, -1, 1);
    of->state_mut[0] = writable(of->state[0]);
    FAILS(ttc_step(of->session, of->worker, of->batch, of->params_mut, NULL, 2, &of->grad_view, 0.1, NULL), TTC_NULL);
    FAILS(ttc_step(of->session, of->worker, of->batch, of->params_mut, of->state_mut, 2, NULL, 0.1, NULL), TTC_NULL);
    FAILS(ttc_step(of->session, of->worker, of->batch, of->params_mut, of->state_mut, 2, &of->grad_view, NAN, NULL),
          TTC_SETTING);
    FAILS_AT(ttc_step(of->session, of->worker, of->batch, of->params_mut, of->state_mut, 2, &of->grad_view, 0.1,
                      &of->out_view),
             TTC_LENGTH, -1, -1, BAGS * STRIDE);
    of->grad_view.len--;
    FAILS_AT(step(of), TTC_LENGTH, -1, -1, BAGS * STRIDE - 1);
    of->grad_view.len++;
    OK(step(of));
    FAILS(step(of), TTC_STALE);

    view = of->params_view[0];
    place = view_mut(of->out.data, 2 * 12, TTC_F32);
    FAILS_AT(ttc_rows(of->session, of->worker, 0, &view, rows, 2, &place), TTC_INDEX, 0, 1, 60);
    FAILS_AT(ttc_rows(of->session, of->worker, 2, &view, rows, 2, &place), TTC_TABLES, -1, -1, 2);
    FAILS_AT(ttc_rows(of->session, of->worker, 0, &view, rows, 1, &place), TTC_LENGTH, 0, -1, 24);
    FAILS(ttc_rows(of->session, of->worker, 0, &view, NULL, 2, &place), TTC_NULL);
    FAILS(ttc_rows(of->session, NULL, 0, &view, rows, 2, &place), TTC_NULL);
    place = of->params_mut[0];
    place.len--;
    FAILS_AT(ttc_draw(of->session, 0, 1, &place), TTC_LENGTH, 0, -1, (int64_t)parameters - 1);
    FAILS_AT(ttc_draw(of->session, 5, 1, &place), TTC_TABLES, -1, -1, 5);
}

static void sinks(model *of) {
    ttc_sink sinks[2];
    ttc_update update;
    size_t t;
    INIT(update);
    for (t = 0; t < 2; t++) {
        INIT(sinks[t]);
        sinks[t].kind = TTC_UPDATE;
        sinks[t].params = &of->params_mut[t];
        sinks[t].memory = &of->state_mut[t];
        sinks[t].update = &update;
    }
    OK(group(of));
    OK(forward(of));
#define BACKWARD ttc_backward(of->session, of->worker, of->batch, sinks, 2, &of->grad_view, NULL)
    FAILS(ttc_backward(of->session, of->worker, of->batch, NULL, 2, &of->grad_view, NULL), TTC_NULL);
    sinks[1].kind = 0;
    FAILS_AT(BACKWARD, TTC_ENUM, 1, -1, 0);
    sinks[1].kind = TTC_UPDATE;
    sinks[1].update = NULL;
    FAILS_OF(BACKWARD, TTC_NULL, 1);
    sinks[1].update = &update;
    sinks[1].memory = NULL;
    FAILS_OF(BACKWARD, TTC_NULL, 1);
    sinks[1].memory = &of->state_mut[1];
    update.lr = INFINITY;
    FAILS(BACKWARD, TTC_SETTING);
    update.lr = 0;
    update.reserved = 7;
    FAILS_AT(BACKWARD, TTC_ENUM, 0, -1, 7);
    update.reserved = 0;
    OK(BACKWARD);
#undef BACKWARD
}

static void handles(model *of) {
    ttc_table other;
    ttc_session *session;
    ttc_worker *worker;
    ttc_batch *batch;
    size_t slots = 0, counts = 0;
    ttc_statistics statistics[2];
    other = of->tables[1];
    of->options.reserved = 7;
    FAILS_AT(ttc_session_new(of->tables, 2, &of->options, &session), TTC_ENUM, -1, -1, 7);
    of->options.reserved = 0;
    of->tables[1].reserved = 7;
    FAILS_AT(ttc_session_new(of->tables, 2, &of->options, &session), TTC_ENUM, 1, -1, 7);
    of->tables[1].reserved = 0;
    /* Of another session, of other numbers at that. */
    of->options.dtype = TTC_F64;
    OK(ttc_session_new(of->tables, 2, &of->options, &session));
    OK(ttc_worker_new(session, &worker));
    OK(ttc_batch_new(session, &batch));
    FAILS(ttc_group(of->session, batch, of->bags, 2, TTC_TRAIN), TTC_OTHER_SESSION);
    OK(group(of));
    FAILS(ttc_forward(of->session, worker, of->batch, of->params_view, 2, &of->out_view), TTC_OTHER_SESSION);
    FAILS(ttc_observe(of->session, batch), TTC_OTHER_SESSION);
    /* Freed, and still there as long as its worker and batch are. */
    ttc_session_free(session);
    FAILS(ttc_group(session, batch, of->bags, 2, TTC_TRAIN), TTC_CLOSED);
    ttc_session_free(session);
    ttc_worker_free(worker);
    ttc_batch_free(batch);

    FAILS_OF(ttc_set_table(of->session, 0, &other), TTC_TABLES, 0);
    FAILS_AT(ttc_set_table(of->session, 3, &other), TTC_TABLES, -1, -1, 3);
    FAILS(ttc_cache_sizes(of->session, 1, &slots, &counts), TTC_CACHE);
    FAILS(ttc_cache_sizes(of->session, 0, NULL, &counts), TTC_NULL);
    FAILS_AT(ttc_cache_state(of->session, 0, NULL, 3, NULL, NULL, 0), TTC_LENGTH, 0, -1, 3);
    FAILS(ttc_set_cache_state(of->session, 0, NULL, 0, NULL, NULL, 0), TTC_CACHE);
    FAILS(ttc_set_cache_state(of->session, 0, NULL, 4, NULL, NULL, 0), TTC_NULL);
    memset(statistics, 0, sizeof statistics);
    FAILS_AT(ttc_session_statistics(of->session, statistics, 1), TTC_TABLES, -1, -1, 1);
    FAILS_AT(ttc_session_statistics(of->session, statistics, 2), TTC_STRUCT_SIZE, 0, -1, 0);
    FAILS(ttc_reserve(of->session, (size_t)-1, 1), TTC_TOO_LARGE);
    FAILS(ttc_worker_new(NULL, &worker), TTC_NULL);
    FAILS(ttc_worker_new(of->session, NULL), TTC_NULL);
    FAILS(ttc_batch_new(of->session, NULL), TTC_NULL);
    ttc_session_free(NULL);
    ttc_worker_free(NULL);
    ttc_batch_free(NULL);
    ttc_error_free(NULL);
    CHECK(ttc_error_code(NULL) == 0 && ttc_error_message(NULL)[0] == 0);
}

int main(void) {
    model of;
    build(&of);
    works(&of);
    bags(&of);
    calls(&of);
    sinks(&of);
    handles(&of);
    works(&of);
    unbuild(&of);
    printf("errors of calls: each as it should be\n");
    return 0;
}
