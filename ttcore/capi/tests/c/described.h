/* Two tables: a tensor train with a cache, and a dense one; and a batch of them. */
#ifndef DESCRIBED_H
#define DESCRIBED_H

#include "test.h"

#define BAGS 2
#define LOOKUPS 4
#define STRIDE 16

/* A tensor train with a cache, and a dense table. */
typedef struct model {
    ttc_table tables[2];
    ttc_options options;
    ttc_session *session;
    ttc_worker *worker;
    ttc_batch *batch;
    numbers params[2], state[2], out, grad_out;
    ttc_view params_view[2], grad_view;
    ttc_view_mut params_mut[2], state_mut[2], out_view;
    int64_t indices[2][LOOKUPS];
    int32_t offsets[BAGS];
    ttc_bags bags[2];
} model;

static inline void describe(model *of) {
    size_t t;
    memset(of, 0, sizeof *of);
    for (t = 0; t < 2; t++) {
        INIT(of->tables[t]);
        INIT(of->bags[t]);
        of->bags[t].index_type = TTC_I64;
        of->bags[t].offset_type = TTC_I32;
        of->bags[t].indices = of->indices[t];
        of->bags[t].lookups = LOOKUPS;
        of->bags[t].offsets = of->offsets;
        of->bags[t].offsets_len = BAGS;
    }
    of->offsets[1] = 2;
    of->tables[0].kind = TTC_TENSOR_TRAIN;
    of->tables[0].rows = 60;
    of->tables[0].dim = 12;
    of->tables[0].cores = 3;
    of->tables[0].rank = 4;
    of->tables[0].cache_slots = 4;
    of->tables[1].kind = TTC_DENSE;
    of->tables[1].rows = 10;
    of->tables[1].dim = 4;
    INIT(of->options);
    of->options.dtype = TTC_F32;
    of->options.bags = BAGS;
    of->options.lookups = LOOKUPS;
    of->options.threads = 1;
}

#endif
