/*
 * Trains a table of a million rows, 64 MB as it is, in a few hundred kilobytes, to say one of eight things of each row, and
 * prints the loss. Build and run:
 *
 *     cargo build --release -p ttcore-capi
 *     cc -std=c99 -Ittcore/capi/include ttcore/capi/examples/train.c target/release/libttcore_capi.a \
 *         -lpthread -ldl -lm -o target/train && target/train
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ttcore.h"

#define ROWS 1000000
#define DIM 16
#define BAGS 256
#define STEPS 400

/* An error ends this program; yours may do something better. */
static void must(ttc_error *error) {
    if (error != NULL) {
        fprintf(stderr, "error %u: %s\n", (unsigned)ttc_error_code(error), ttc_error_message(error));
        ttc_error_free(error);
        exit(1);
    }
}

static ttc_view_mut view_mut(float *data, size_t len) {
    ttc_view_mut view;
    memset(&view, 0, sizeof view);
    view.size = sizeof view;
    view.dtype = TTC_F32;
    view.data = data;
    view.len = len;
    return view;
}

static ttc_view view(const float *data, size_t len) {
    ttc_view view;
    memset(&view, 0, sizeof view);
    view.size = sizeof view;
    view.dtype = TTC_F32;
    view.data = data;
    view.len = len;
    return view;
}

/* The next of a sequence that looks random, below `below`. */
static uint64_t draw(uint64_t *state, uint64_t below) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

/* What is to be learned: a row's column k, by its last digits. */
static float target(int64_t row, size_t k) { return (row % 1000 + (int64_t)k * 7) % 8 < 4 ? 0.5f : -0.5f; }

int main(void) {
    ttc_table table;
    ttc_options options;
    ttc_sizes sizes;
    ttc_session *session;
    ttc_worker *worker;
    ttc_batch *batch;
    ttc_bags bags;
    int64_t rows[BAGS];
    float *params, *state, *out, *grad;
    ttc_view_mut params_mut, state_mut, out_view;
    ttc_view params_view, grad_view;
    double loss, first = 0;
    uint64_t random = 42;
    int step;

    /* How the table is held; what is not set is zero. */
    memset(&table, 0, sizeof table);
    table.size = sizeof table;
    table.kind = TTC_TENSOR_TRAIN;
    table.rows = ROWS;
    table.dim = DIM;
    table.cores = 3;
    table.rank = 16;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.dtype = TTC_F32;
    options.bags = BAGS;
    options.lookups = BAGS;
    options.threads = 1;
    must(ttc_session_new(&table, 1, &options, &session));
    must(ttc_worker_new(session, &worker));
    must(ttc_batch_new(session, &batch));

    /* All numbers are in our memory. */
    memset(&sizes, 0, sizeof sizes);
    sizes.size = sizeof sizes;
    must(ttc_session_sizes(session, 0, &sizes));
    params = (float *)malloc(sizes.parameters * sizeof(float));
    state = (float *)calloc(sizes.state, sizeof(float));
    out = (float *)malloc(BAGS * DIM * sizeof(float));
    grad = (float *)malloc(BAGS * DIM * sizeof(float));
    params_mut = view_mut(params, sizes.parameters);
    params_view = view(params, sizes.parameters);
    state_mut = view_mut(state, sizes.state);
    out_view = view_mut(out, BAGS * DIM);
    grad_view = view(grad, BAGS * DIM);
    must(ttc_draw(session, 0, 42, &params_mut));
    printf("%d rows of %d numbers in %lu parameters, %.0f times fewer\n", ROWS, DIM, (unsigned long)sizes.parameters,
           (double)ROWS * DIM / (double)sizes.parameters);

    /* Bags of one row each. */
    memset(&bags, 0, sizeof bags);
    bags.size = sizeof bags;
    bags.index_type = TTC_I64;
    bags.offset_form = TTC_ONE_PER_BAG;
    bags.indices = rows;
    bags.lookups = BAGS;

    for (step = 0; step <= STEPS; step++) {
        size_t b, k;
        for (b = 0; b < BAGS; b++) {
            rows[b] = (int64_t)draw(&random, ROWS);
        }
        must(ttc_group(session, batch, &bags, 1, TTC_TRAIN));
        must(ttc_forward(session, worker, batch, &params_view, 1, &out_view));
        loss = 0;
        for (b = 0; b < BAGS; b++) {
            for (k = 0; k < DIM; k++) {
                float off = out[b * DIM + k] - target(rows[b], k);
                loss += off * off / (BAGS * DIM);
                grad[b * DIM + k] = 2 * off / (BAGS * DIM);
            }
        }
        first = step == 0 ? loss : first;
        if (step % 100 == 0) {
            printf("step %3d  loss %.6f\n", step, loss);
        }
        must(ttc_step(session, worker, batch, &params_mut, &state_mut, 1, &grad_view, 0.2, NULL));
    }

    ttc_batch_free(batch);
    ttc_worker_free(worker);
    ttc_session_free(session);
    free(params);
    free(state);
    free(out);
    free(grad);
    return loss < first / 2 ? 0 : 1;
}
