/* What the tests share: checks that say where they fail, and views. */
#ifndef TEST_H
#define TEST_H

#include "ttcore.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)
/* The call succeeds. */
#define OK(call) check_error((call), 0, -2, -2, 0, false, #call, __FILE__, __LINE__)
/* The call fails with this code, whatever table, position and value. */
#define FAILS(call, code) check_error((call), (code), -2, -2, 0, false, #call, __FILE__, __LINE__)
/* And of this table, -1 for none. */
#define FAILS_OF(call, code, table) check_error((call), (code), (table), -2, 0, false, #call, __FILE__, __LINE__)
/* And of this table, at this position, -1 for none, with this value. */
#define FAILS_AT(call, code, table, position, value)                                                                   \
    check_error((call), (code), (table), (position), (value), true, #call, __FILE__, __LINE__)
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
/* Sets all of a struct to zero and its size. */
#define INIT(record) (memset(&(record), 0, sizeof(record)), (record).size = (uint32_t)sizeof(record))

static inline void check(bool good, const char *what, const char *file, int line) {
    if (!good) {
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
        exit(1);
    }
}

static inline void check_error(ttc_error *error, uint32_t code, int64_t table, int64_t position, int64_t value,
                               bool with_value, const char *what, const char *file, int line) {
    uint32_t got = ttc_error_code(error);
    int64_t got_value = 0;
    bool has_value = ttc_error_value(error, &got_value);
    bool good = got == code && (code == 0) == (error == NULL) && (code == 0 || ttc_error_message(error)[0] != 0);
    good = good && (table == -2 || ttc_error_table(error) == table);
    good = good && (position == -2 || ttc_error_position(error) == position);
    good = good && (!with_value || (has_value && got_value == value));
    if (!good) {
        fprintf(stderr, "%s:%d: %s\n    code %u table %lld position %lld value %lld: %s\n", file, line, what,
                (unsigned)got, (long long)ttc_error_table(error), (long long)ttc_error_position(error),
                (long long)got_value, ttc_error_message(error));
        exit(1);
    }
    ttc_error_free(error);
}

static inline ttc_view_mut view_mut(void *data, size_t len, uint32_t dtype) {
    ttc_view_mut view;
    INIT(view);
    view.dtype = dtype;
    view.data = data;
    view.len = len;
    return view;
}

static inline ttc_view view_of(const void *data, size_t len, uint32_t dtype) {
    ttc_view view;
    INIT(view);
    view.dtype = dtype;
    view.data = data;
    view.len = len;
    return view;
}

/* Numbers of either type. */
typedef struct numbers {
    uint32_t dtype;
    size_t len;
    void *data;
} numbers;

static inline numbers zeros(uint32_t dtype, size_t len) {
    numbers made;
    made.dtype = dtype;
    made.len = len;
    /* Its own size, so that a tool that watches memory sees a number too many. */
    made.data = calloc(len > 0 ? len : 1, dtype == TTC_F32 ? sizeof(float) : sizeof(double));
    CHECK(made.data != NULL);
    return made;
}

static inline double get(numbers of, size_t i) {
    CHECK(i < of.len);
    return of.dtype == TTC_F32 ? (double)((float *)of.data)[i] : ((double *)of.data)[i];
}

static inline void set(numbers of, size_t i, double value) {
    CHECK(i < of.len);
    if (of.dtype == TTC_F32) {
        ((float *)of.data)[i] = (float)value;
    } else {
        ((double *)of.data)[i] = value;
    }
}

static inline ttc_view read_only(numbers of) { return view_of(of.data, of.len, of.dtype); }

static inline ttc_view_mut writable(numbers of) { return view_mut(of.data, of.len, of.dtype); }

#endif
