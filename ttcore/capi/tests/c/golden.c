/*
 * What PyTorch computes in double precision, from text files: lines of a name, how many numbers, and the numbers. Each file
 * is one table and one batch.
 */
#include "test.h"

typedef struct list {
    char name[32];
    size_t len;
    double *values;
} list;

typedef struct vectors {
    const char *path;
    size_t count;
    list lists[32];
} vectors;

static vectors read_vectors(const char *path) {
    vectors read;
    FILE *file = fopen(path, "r");
    memset(&read, 0, sizeof read);
    read.path = path;
    CHECK(file != NULL);
    while (read.count < LENGTH(read.lists)) {
        list *next = &read.lists[read.count];
        unsigned long len;
        size_t i;
        if (fscanf(file, "%31s %lu", next->name, &len) != 2) {
            break;
        }
        next->len = len;
        next->values = (double *)malloc((len + 1) * sizeof(double));
        for (i = 0; i < len; i++) {
            CHECK(fscanf(file, "%lf", &next->values[i]) == 1);
        }
        read.count++;
    }
    CHECK(feof(file));
    fclose(file);
    return read;
}

/* An empty list where there is none of the name. */
static list find(const vectors *in, const char *name) {
    list none;
    size_t i;
    for (i = 0; i < in->count; i++) {
        if (strcmp(in->lists[i].name, name) == 0) {
            return in->lists[i];
        }
    }
    memset(&none, 0, sizeof none);
    return none;
}

static double number(const vectors *in, const char *name) {
    list found = find(in, name);
    CHECK(found.len == 1);
    return found.values[0];
}

static numbers numbers_of(list from, uint32_t dtype) {
    numbers made = zeros(dtype, from.len);
    size_t i;
    for (i = 0; i < from.len; i++) {
        set(made, i, from.values[i]);
    }
    return made;
}

/* The largest difference over the largest number, at most 1e-12 in double and 1e-4 in float. */
static void near_to(const vectors *in, const char *what, numbers got, size_t start, const double *want, size_t len) {
    double largest = 0, difference = 0;
    size_t i;
    for (i = 0; i < len; i++) {
        double off = fabs(get(got, start + i) - want[i]);
        largest = fmax(largest, fabs(want[i]));
        /* What is not a number is infinitely far away. */
        difference = off <= difference ? difference : (off == off ? off : INFINITY);
    }
    if (!(difference <= (got.dtype == TTC_F32 ? 1e-4 : 1e-12) * (largest > 0 ? largest : 1))) {
        fprintf(stderr, "%s: %s: off by %g of %g\n", in->path, what, difference, largest);
        exit(1);
    }
}

static void *integers_of(list from, size_t len, int64_t base, uint32_t type) {
    void *made = malloc((len + 1) * 8);
    size_t i;
    for (i = 0; i < len; i++) {
        if (type == TTC_I32) {
            ((int32_t *)made)[i] = (int32_t)(from.values[i] + (double)base);
        } else {
            ((int64_t *)made)[i] = (int64_t)from.values[i] + base;
        }
    }
    return made;
}

typedef struct setting {
    ttc_session *session;
    ttc_worker *worker;
    ttc_batch *batch;
    ttc_sizes sizes;
    size_t bags;
} setting;

static size_t *sizes_of(list from) {
    size_t *made = (size_t *)malloc((from.len + 1) * sizeof(size_t));
    size_t i;
    for (i = 0; i < from.len; i++) {
        made[i] = (size_t)from.values[i];
    }
    return made;
}

static setting make(const vectors *in, uint32_t dtype, uint32_t kind, uint32_t threads) {
    list row_factors = find(in, "row_factors"), col_factors = find(in, "col_factors"), ranks = find(in, "ranks");
    size_t *factors[3], dim = 1, i;
    setting made;
    ttc_rule rule;
    ttc_table table;
    ttc_options options;
    INIT(rule);
    INIT(table);
    INIT(options);
    memset(&made, 0, sizeof made);
    for (i = 0; i < col_factors.len; i++) {
        dim *= (size_t)col_factors.values[i];
    }
    factors[0] = sizes_of(row_factors);
    factors[1] = sizes_of(col_factors);
    factors[2] = sizes_of(ranks);
    rule.kind = kind;
    rule.eps = kind == TTC_ADAGRAD ? number(in, "adagrad_eps") : 0;
    table.kind = TTC_TENSOR_TRAIN;
    table.rows = (uint64_t)number(in, "rows");
    table.dim = dim;
    table.cores = row_factors.len;
    table.row_factors = factors[0];
    table.col_factors = factors[1];
    table.ranks = factors[2];
    table.rule = &rule;
    made.bags = find(in, "output").len / dim;
    options.dtype = dtype;
    options.bags = made.bags;
    options.lookups = find(in, "indices").len;
    options.threads = threads;
    OK(ttc_session_new(&table, 1, &options, &made.session));
    OK(ttc_worker_new(made.session, &made.worker));
    OK(ttc_batch_new(made.session, &made.batch));
    INIT(made.sizes);
    OK(ttc_session_sizes(made.session, 0, &made.sizes));
    CHECK(made.sizes.parameters == find(in, "cores").len);
    for (i = 0; i < 3; i++) {
        free(factors[i]);
    }
    return made;
}

static void unmake(setting made) {
    ttc_session_free(made.session);
    ttc_worker_free(made.worker);
    ttc_batch_free(made.batch);
}

/* Fills the batch with offsets of this form, integers of these types, and lists that are freed at once. */
static void group(const vectors *in, setting with, uint32_t dtype, uint32_t index_type, uint32_t offset_type,
                  uint32_t form) {
    list indices = find(in, "indices"), offsets = find(in, "offsets");
    numbers weights = numbers_of(find(in, "weights"), dtype);
    ttc_view weights_view = read_only(weights);
    size_t offsets_len = form == TTC_STARTS ? with.bags : with.bags + 1;
    double *last = (double *)malloc((with.bags + 1) * sizeof(double));
    void *index_list = integers_of(indices, indices.len, 0, index_type), *offset_list;
    list all;
    ttc_bags bags;
    INIT(bags);
    /* The files have starts, with or without the last. */
    memcpy(last, offsets.values, with.bags * sizeof(double));
    last[with.bags] = (double)indices.len;
    all.len = with.bags + 1;
    all.values = last;
    offset_list = integers_of(all, offsets_len, form == TTC_WINDOW ? 1000 : 0, offset_type);
    bags.index_type = index_type;
    bags.offset_type = offset_type;
    bags.offset_form = form;
    bags.pooling = number(in, "mean") != 0 ? TTC_MEAN : TTC_SUM;
    bags.indices = index_list;
    bags.lookups = indices.len;
    bags.offsets = offset_list;
    bags.offsets_len = offsets_len;
    bags.weights = weights.len > 0 ? &weights_view : NULL;
    OK(ttc_group(with.session, with.batch, &bags, 1, TTC_TRAIN));
    free(last);
    free(index_list);
    free(offset_list);
    free(weights.data);
}

static numbers forward(const vectors *in, setting with, uint32_t dtype, numbers params) {
    list want = find(in, "output");
    numbers out = zeros(dtype, want.len);
    ttc_view params_view = read_only(params);
    ttc_view_mut out_view = writable(out);
    OK(ttc_forward(with.session, with.worker, with.batch, &params_view, 1, &out_view));
    near_to(in, "output", out, 0, want.values, want.len);
    return out;
}

static void outputs(const vectors *in, uint32_t dtype) {
    setting with = make(in, dtype, TTC_SGD, 1);
    numbers params = numbers_of(find(in, "cores"), dtype);
    uint32_t indices, offsets, form;
    for (indices = TTC_I32; indices <= TTC_I64; indices++) {
        for (offsets = TTC_I32; offsets <= TTC_I64; offsets++) {
            for (form = TTC_STARTS; form <= TTC_WINDOW; form++) {
                group(in, with, dtype, indices, offsets, form);
                free(forward(in, with, dtype, params).data);
            }
        }
    }
    free(params.data);
    unmake(with);
}

/* Added to zeros, or written over what is no gradient. */
static void gradients(const vectors *in, uint32_t dtype, uint32_t kind) {
    setting with = make(in, dtype, TTC_SGD, 2);
    list core_lens = find(in, "core_lens"), want = find(in, "grad_cores"), want_weights = find(in, "grad_weights");
    numbers params = numbers_of(find(in, "cores"), dtype), grads = zeros(dtype, params.len);
    numbers grad_out = numbers_of(find(in, "grad_output"), dtype);
    numbers grad_weights = zeros(dtype, find(in, "indices").len);
    ttc_view_mut params_view = writable(params), grads_view = writable(grads), weights_view = writable(grad_weights);
    ttc_view grad_view = read_only(grad_out);
    ttc_sink sink;
    size_t k, start = 0;
    INIT(sink);
    sink.kind = kind;
    if (kind == TTC_OVERWRITE) {
        /* All bits set: not a number. */
        memset(grads.data, 255, grads.len * (dtype == TTC_F32 ? sizeof(float) : sizeof(double)));
    }
    sink.params = &params_view;
    sink.memory = &grads_view;
    group(in, with, dtype, TTC_I32, TTC_I64, TTC_WITH_LAST);
    free(forward(in, with, dtype, params).data);
    OK(ttc_backward(with.session, with.worker, with.batch, &sink, 1, &grad_view, &weights_view));
    for (k = 0; k < core_lens.len; k++) {
        size_t len = (size_t)core_lens.values[k];
        near_to(in, "gradient of a core", grads, start, want.values + start, len);
        start += len;
    }
    CHECK(start == want.len);
    if (want_weights.len > 0) {
        near_to(in, "gradient of the weights", grad_weights, 0, want_weights.values, want_weights.len);
    }
    free(params.data);
    free(grads.data);
    free(grad_out.data);
    free(grad_weights.data);
    unmake(with);
}

/* By a step of the session, or by a sink that names the rule itself. */
static void update(const vectors *in, uint32_t dtype, uint32_t kind, bool by_sink) {
    bool adagrad = kind == TTC_ADAGRAD;
    setting with = make(in, dtype, kind, 1);
    list cores = find(in, adagrad ? "adagrad_cores" : "sgd_cores"), state_after = find(in, "adagrad_state");
    numbers params = numbers_of(find(in, "cores"), dtype), state = zeros(dtype, with.sizes.state);
    numbers grad_out = numbers_of(find(in, "grad_output"), dtype);
    ttc_view_mut params_view = writable(params), state_view = writable(state);
    ttc_view grad_view = read_only(grad_out);
    double lr = number(in, adagrad ? "adagrad_lr" : "sgd_lr");
    group(in, with, dtype, TTC_I64, TTC_I32, TTC_STARTS);
    free(forward(in, with, dtype, params).data);
    if (by_sink) {
        ttc_rule rule;
        ttc_update update;
        ttc_sink sink;
        INIT(rule);
        INIT(update);
        INIT(sink);
        rule.kind = kind;
        rule.eps = adagrad ? number(in, "adagrad_eps") : 0;
        update.rule = &rule;
        update.lr = lr;
        sink.kind = TTC_UPDATE;
        sink.params = &params_view;
        sink.memory = &state_view;
        sink.update = &update;
        OK(ttc_backward(with.session, with.worker, with.batch, &sink, 1, &grad_view, NULL));
    } else {
        OK(ttc_step(with.session, with.worker, with.batch, &params_view, &state_view, 1, &grad_view, lr, NULL));
    }
    near_to(in, "cores after a step", params, 0, cores.values, cores.len);
    CHECK(state.len == (adagrad ? state_after.len : 0));
    near_to(in, "state after a step", state, 0, state_after.values, state.len);
    free(params.data);
    free(state.data);
    free(grad_out.data);
    unmake(with);
}

static void table(const vectors *in, uint32_t dtype) {
    setting with = make(in, dtype, TTC_SGD, 1);
    list want = find(in, "full_table");
    numbers params = numbers_of(find(in, "cores"), dtype), out = zeros(dtype, want.len);
    size_t rows = want.len / with.sizes.dim, row;
    uint64_t *list_of_rows = (uint64_t *)malloc((rows + 1) * sizeof(uint64_t));
    ttc_view params_view = read_only(params);
    ttc_view_mut out_view = writable(out);
    for (row = 0; row < rows; row++) {
        list_of_rows[row] = row;
    }
    OK(ttc_rows(with.session, with.worker, 0, &params_view, list_of_rows, rows, &out_view));
    near_to(in, "rows", out, 0, want.values, want.len);
    free(list_of_rows);
    free(params.data);
    free(out.data);
    unmake(with);
}

int main(int argc, char **argv) {
    int file;
    CHECK(argc > 1);
    for (file = 1; file < argc; file++) {
        vectors in = read_vectors(argv[file]);
        uint32_t dtype;
        size_t i;
        for (dtype = TTC_F32; dtype <= TTC_F64; dtype++) {
            outputs(&in, dtype);
            gradients(&in, dtype, TTC_ACCUMULATE);
            gradients(&in, dtype, TTC_OVERWRITE);
            update(&in, dtype, TTC_SGD, false);
            update(&in, dtype, TTC_SGD, true);
            update(&in, dtype, TTC_ADAGRAD, false);
            update(&in, dtype, TTC_ADAGRAD, true);
            table(&in, dtype);
        }
        for (i = 0; i < in.count; i++) {
            free(in.lists[i].values);
        }
    }
    printf("golden: %d files\n", argc - 1);
    return 0;
}
