/* Tables and options that make no session: errors say what, of which table, where and with which value. */
#include "described.h"

static void tables(void) {
    size_t ones[] = {1, 1, 1}, rows[] = {4, 4, 4}, with_zero[] = {4, 0, 4}, cols[] = {2, 3, 2}, ranks[] = {1, 4, 4, 2};
    ttc_session *session = (ttc_session *)&ones;
    ttc_rule rule;
    ttc_error *error;
    double number = 0;
    model of;
    describe(&of);
    INIT(rule);
#define NEW ttc_session_new(of.tables, 2, &of.options, &session)
    FAILS(ttc_session_new(NULL, 2, &of.options, &session), TTC_NULL);
    CHECK(session == NULL);
    FAILS(ttc_session_new(of.tables, 2, NULL, &session), TTC_NULL);
    FAILS(ttc_session_new(of.tables, 2, &of.options, NULL), TTC_NULL);
    FAILS_AT(ttc_session_new(of.tables, 0, &of.options, &session), TTC_TABLES, -1, -1, 0);
    of.options.threads = UINT32_MAX;
    FAILS(NEW, TTC_SYSTEM);
    describe(&of);
    of.tables[1].kind = 9;
    FAILS_AT(NEW, TTC_ENUM, 1, -1, 9);
    describe(&of);
    of.tables[1].size = 4;
    FAILS_AT(NEW, TTC_STRUCT_SIZE, 1, -1, 4);
    describe(&of);
    of.tables[0].size = 0;
    FAILS_AT(NEW, TTC_STRUCT_SIZE, 0, -1, 0);
    describe(&of);
    of.tables[1].rows = 0;
    FAILS(NEW, TTC_SHAPE);
    describe(&of);
    of.tables[0].cores = 1;
    FAILS_AT(NEW, TTC_SHAPE, 0, -1, 1);
    of.tables[0].cores = 65;
    FAILS_AT(NEW, TTC_SHAPE, 0, -1, 65);
    of.tables[0].cores = (size_t)-1;
    FAILS(NEW, TTC_SHAPE);
    describe(&of);
    of.tables[0].row_factors = ones;
    FAILS_AT(NEW, TTC_SHAPE, 0, -1, 1);
    of.tables[0].row_factors = with_zero;
    FAILS_AT(NEW, TTC_SHAPE, 0, 1, 0);
    of.tables[0].row_factors = rows;
    of.tables[0].col_factors = ones;
    FAILS_AT(NEW, TTC_SHAPE, 0, -1, 1);
    of.tables[0].col_factors = cols;
    of.tables[0].ranks = ranks;
    FAILS_AT(NEW, TTC_SHAPE, 0, 3, 2);
    of.tables[0].ranks = (size_t *)((char *)ranks + 1);
    FAILS(NEW, TTC_ALIGNMENT);
    describe(&of);
    of.tables[0].rank = (size_t)-1 / 2;
    FAILS(NEW, TTC_SHAPE);
    describe(&of);
    of.tables[0].lr_multiplier = -2.5;
    error = NEW;
    CHECK(ttc_error_code(error) == TTC_SETTING && ttc_error_table(error) == 0);
    CHECK(ttc_error_number(error, &number) && number == -2.5 && !ttc_error_value(error, NULL));
    ttc_error_free(error);
    describe(&of);
    of.tables[1].rule = &rule;
    FAILS_AT(NEW, TTC_ENUM, 1, -1, 0);
    rule.kind = TTC_ADAGRAD_NORM;
    FAILS_AT(NEW, TTC_ENUM, 1, -1, TTC_ADAGRAD_NORM);
    rule.kind = TTC_ADAM;
    rule.beta2 = 1;
    FAILS(NEW, TTC_SETTING);
    rule.kind = TTC_ADAGRAD;
    rule.eps = NAN;
    FAILS(NEW, TTC_SETTING);
    describe(&of);
    of.tables[0].init_entries = 7;
    FAILS_AT(NEW, TTC_ENUM, 0, -1, 7);
    of.tables[0].init_entries = 0;
    of.tables[0].init_scale = 8;
    FAILS_AT(NEW, TTC_ENUM, 0, -1, 8);
    describe(&of);
    of.options.dtype = 3;
    FAILS_AT(NEW, TTC_DTYPE, -1, -1, 3);
    describe(&of);
    of.options.bags = (size_t)-1;
    FAILS(NEW, TTC_TOO_LARGE);
    /* Sizes that are right, and no machine has memory for a batch of them: 2^54 bytes. */
    describe(&of);
    of.options.lookups = 0xffffffff;
    of.tables[0].rows = (uint64_t)1 << 40;
    of.tables[0].dim = (size_t)1 << 20;
    FAILS(NEW, TTC_TOO_LARGE);
    describe(&of);
    of.options.columns = rows;
    of.options.stride = STRIDE;
    FAILS_AT(NEW, TTC_COLUMNS, 0, -1, 4);
    CHECK(session == NULL);
#undef NEW
}

int main(void) {
    CHECK(ttc_abi_version() == TTC_ABI_VERSION);
    tables();
    printf("errors of tables: each as it should be\n");
    return 0;
}
