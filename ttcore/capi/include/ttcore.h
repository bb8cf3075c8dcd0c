/*
 * ttcore: embedding tables as tensor trains, on the CPU.
 *
 * A call that can fail returns an error, or NULL for success; the caller frees it with ttc_error_free. Nothing ends the
 * process: bad input is an error that names table, position and value, and so is a bug in the library (TTC_PANIC).
 *
 * Structs begin with `size`, which the caller sets to their sizeof; what else is not set is zero: memset first. Constants
 * are uint32_t.
 *
 * Numbers are the caller's: parameters, state, gradients and outputs lie where the caller has them, and no call keeps a
 * pointer to them. Handles (ttc_session, ttc_worker, ttc_batch) are freed by their functions.
 *
 * Threads: calls never wait for each other. A call that needs a handle alone while it is in use is refused with TTC_BUSY;
 * what each call needs is said at the function. Many threads may work on one session, each with its own worker and batch.
 */


#ifndef TTCORE_H
#define TTCORE_H

/* Made by cbindgen from the sources of ttcore-capi; not to be changed by hand. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The version of this interface. Functions and structs of one version stay as they are: structs only grow, behind their last
 * field.
 */
#define TTC_ABI_VERSION 1

/**
 * Integers of 32 bits, `int32_t`.
 */
#define TTC_I32 1

/**
 * Integers of 64 bits, `int64_t`.
 */
#define TTC_I64 2

/**
 * `B` offsets, where each bag begins; the first is 0, and the last bag ends with the lookups.
 */
#define TTC_STARTS 0

/**
 * `B + 1` offsets; the first is 0, the last the number of lookups.
 */
#define TTC_WITH_LAST 1

/**
 * `B + 1` offsets of a longer list: lookup 0 is at the first, whatever that is, and the last is the end of the lookups.
 */
#define TTC_WINDOW 2

/**
 * No offsets: bag `b` has lookup `b` alone.
 */
#define TTC_ONE_PER_BAG 3

/**
 * Rows of a bag are summed.
 */
#define TTC_SUM 0

/**
 * The sum is divided by the number of lookups of the bag.
 */
#define TTC_MEAN 1

/**
 * Lookups of the row `padding` count for nothing.
 */
#define TTC_SKIP_PADDING 1

/**
 * Lookups of negative rows count for nothing. They are refused otherwise.
 */
#define TTC_SKIP_NEGATIVE 2

/**
 * Stands for no row, in a slot that is free.
 */
#define TTC_NO_ROW UINT64_MAX

/**
 * Rows as products of cores.
 */
#define TTC_TENSOR_TRAIN 1

/**
 * Rows as they are.
 */
#define TTC_DENSE 2

/**
 * `w -= lr g`.
 */
#define TTC_SGD 1

/**
 * `h += g^2; w -= lr g / (sqrt(h) + eps)`: one number of state a parameter.
 */
#define TTC_ADAGRAD 2

/**
 * As `torch.optim.Adam`: two numbers of state a parameter.
 */
#define TTC_ADAM 3

/**
 * For tables with cores: `h += |g|^2; G -= lr g / (sqrt(h) + eps)` for each slice of a core and each cached row, with one
 * number of state. The default of a tensor train, with an `eps` of 1e-10.
 */
#define TTC_ADAGRAD_NORM 4

/**
 * The tails of a Gaussian, as in the paper.
 */
#define TTC_SAMPLED_GAUSSIAN 0

/**
 * A Gaussian.
 */
#define TTC_GAUSSIAN 1

/**
 * Uniform around zero.
 */
#define TTC_UNIFORM 2

/**
 * Plus or minus one.
 */
#define TTC_SIGNS 3

/**
 * The core of the largest slices is small, the others keep lengths. A row then learns like one of a dense table.
 */
#define TTC_ISOMETRIC 0

/**
 * All entries alike, and rows of the size they should have.
 */
#define TTC_CALIBRATED 1

/**
 * As the published code of TT-Rec: for comparison.
 */
#define TTC_PAPER 2

/**
 * A pointer that must not be is NULL.
 */
#define TTC_NULL 1

/**
 * A struct begins with a size that is not one of its sizes, or uses fields that this library does not know. The value is
 * the size.
 */
#define TTC_STRUCT_SIZE 2

/**
 * An enumeration has no such value. The value is the number.
 */
#define TTC_ENUM 3

/**
 * Numbers are of another type than the session's. The value is the type given.
 */
#define TTC_DTYPE 4

/**
 * A pointer is not a multiple of the size of what it points at. The value is the address.
 */
#define TTC_ALIGNMENT 5

/**
 * Memory that a call writes overlaps other memory of the call.
 */
#define TTC_OVERLAP 6

/**
 * A buffer has a wrong length. The value is the length given.
 */
#define TTC_LENGTH 7

/**
 * A row number is not a row of the table. Position and value say which.
 */
#define TTC_INDEX 8

/**
 * Offsets that do not begin, rise or end as they must. Position and value say where.
 */
#define TTC_OFFSET 9

/**
 * Factors, ranks or sizes that are no shape.
 */
#define TTC_SHAPE 10

/**
 * A number that a table is configured with does not make sense: `ttc_error_number`.
 */
#define TTC_SETTING 11

/**
 * Another number of tables than the session has, no such table, or another table. The value is the number given.
 */
#define TTC_TABLES 12

/**
 * Columns of the output overlap or leave the row. The value is the column.
 */
#define TTC_COLUMNS 13

/**
 * A batch is larger than the session has room for, or its tables differ in bags. The value is the size given.
 */
#define TTC_CAPACITY 14

/**
 * Something would not fit in the address space.
 */
#define TTC_TOO_LARGE 15

/**
 * A backward or step without a forward that it could go on from.
 */
#define TTC_STALE 16

/**
 * The state of a cache does not fit it.
 */
#define TTC_CACHE 17

/**
 * A worker or batch of another session.
 */
#define TTC_OTHER_SESSION 18

/**
 * A handle is in use in another call that excludes this one.
 */
#define TTC_BUSY 19

/**
 * The session was freed.
 */
#define TTC_CLOSED 20

/**
 * A call panicked while it had this handle: free it.
 */
#define TTC_POISONED 21

/**
 * A bug in this library, which was caught. The message says where; the handles of the call are poisoned.
 */
#define TTC_PANIC 22

/**
 * The system, or the environment of the process, does not give what is needed: threads, an instruction set.
 */
#define TTC_SYSTEM 23

/**
 * An error of a kind that has no code yet.
 */
#define TTC_UNKNOWN 24

/**
 * Forward leaves what backward needs, and lookups count as accesses for caches.
 */
#define TTC_TRAIN 0

/**
 * Neither.
 */
#define TTC_EVALUATE 1

/**
 * Gradients are added to `memory`, for an optimiser outside.
 */
#define TTC_ACCUMULATE 1

/**
 * A rule is applied to `params`, with its state in `memory`.
 */
#define TTC_UPDATE 2

/**
 * Nothing is computed for the table.
 */
#define TTC_FROZEN 3

/**
 * Gradients are written to `memory`, whatever was there: zeros where the batch touches nothing.
 */
#define TTC_OVERWRITE 4

/**
 * Numbers of 32 bits, `float`.
 */
#define TTC_F32 1

/**
 * Numbers of 64 bits, `double`.
 */
#define TTC_F64 2

/**
 * One batch of all tables, filled again and again.
 */
typedef struct ttc_batch ttc_batch;

/**
 * Why a call failed: what, of which table, where and with which value, and in words. Freed by `ttc_error_free`. Nothing
 * changes in one: any threads may ask it.
 */
typedef struct ttc_error ttc_error;

/**
 * What is known of the tables of a model, without their numbers: shapes, caches, rules, steps, and which batch belongs to
 * which parameters.
 */
typedef struct ttc_session ttc_session;

/**
 * Memory for one thread to work in.
 */
typedef struct ttc_worker ttc_worker;

/**
 * Numbers of the caller, to read and write.
 */
typedef struct ttc_view_mut {
  /**
   * `sizeof(ttc_view_mut)`.
   */
  uint32_t size;
  /**
   * `TTC_F32` or `TTC_F64`, as the session's.
   */
  uint32_t dtype;
  /**
   * The first, the others behind it; may be NULL if there are none.
   */
  void *data;
  /**
   * How many.
   */
  size_t len;
} ttc_view_mut;

/**
 * What a cache did, and what a table takes.
 */
typedef struct ttc_statistics {
  /**
   * `sizeof(ttc_statistics)`, set by the caller.
   */
  uint32_t size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Rows in the cache now.
   */
  size_t cached_rows;
  /**
   * Lookups of cached rows since this was last asked, of any table of the session.
   */
  uint64_t hits;
  /**
   * All lookups of a table with a cache, since then.
   */
  uint64_t lookups;
  /**
   * Bytes of parameters.
   */
  size_t parameter_bytes;
  /**
   * Bytes of optimiser state.
   */
  size_t state_bytes;
  /**
   * Bytes of the cache's counter and index.
   */
  size_t counter_bytes;
} ttc_statistics;

/**
 * Numbers of the caller, to read.
 */
typedef struct ttc_view {
  /**
   * `sizeof(ttc_view)`.
   */
  uint32_t size;
  /**
   * `TTC_F32` or `TTC_F64`, as the session's.
   */
  uint32_t dtype;
  /**
   * The first, the others behind it; may be NULL if there are none.
   */
  const void *data;
  /**
   * How many.
   */
  size_t len;
} ttc_view;

/**
 * The batch of one table: `B` bags of rows. What is not set is zero.
 */
typedef struct ttc_bags {
  /**
   * `sizeof(ttc_bags)`.
   */
  uint32_t size;
  /**
   * `TTC_I32` or `TTC_I64`: what `indices` points at.
   */
  uint32_t index_type;
  /**
   * `TTC_I32` or `TTC_I64`: what `offsets` points at, if there are any.
   */
  uint32_t offset_type;
  /**
   * `TTC_STARTS`, `TTC_WITH_LAST`, `TTC_WINDOW` or `TTC_ONE_PER_BAG`.
   */
  uint32_t offset_form;
  /**
   * `TTC_SUM` or `TTC_MEAN`.
   */
  uint32_t pooling;
  /**
   * `TTC_SKIP_PADDING`, `TTC_SKIP_NEGATIVE`, both or 0. What is skipped is neither in a sum nor in the divisor of a mean.
   */
  uint32_t skip;
  /**
   * The row that `TTC_SKIP_PADDING` skips, which need not be a row of the table.
   */
  uint64_t padding;
  /**
   * `[lookups]`, row numbers; may be NULL if there are none.
   */
  const void *indices;
  /**
   * How many lookups.
   */
  size_t lookups;
  /**
   * `[offsets_len]`; may be NULL if there are none.
   */
  const void *offsets;
  /**
   * How many offsets.
   */
  size_t offsets_len;
  /**
   * `[lookups]`, what the rows are multiplied by; NULL for 1.
   */
  const struct ttc_view *weights;
} ttc_bags;

/**
 * An update rule, without its learning rate.
 */
typedef struct ttc_rule {
  /**
   * `sizeof(ttc_rule)`.
   */
  uint32_t size;
  /**
   * `TTC_SGD`, `TTC_ADAGRAD`, `TTC_ADAM` or `TTC_ADAGRAD_NORM`.
   */
  uint32_t kind;
  /**
   * Added to the root; not for SGD. PyTorch has 1e-10 for Adagrad and 1e-8 for Adam.
   */
  double eps;
  /**
   * Adam's decay of the mean, usually 0.9.
   */
  double beta1;
  /**
   * Adam's decay of the mean square, usually 0.999.
   */
  double beta2;
} ttc_rule;

/**
 * One step of a rule.
 */
typedef struct ttc_update {
  /**
   * `sizeof(ttc_update)`.
   */
  uint32_t size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * The rule; NULL for the table's.
   */
  const struct ttc_rule *rule;
  /**
   * The learning rate.
   */
  double lr;
  /**
   * What it is multiplied by for the cores; 0 for 1.
   */
  double core_lr_multiplier;
  /**
   * Which step it is, from 1, for Adam's corrections; 0 for the one behind those of `ttc_step`.
   */
  uint64_t step;
} ttc_update;

/**
 * What becomes of the gradients of a table.
 */
typedef struct ttc_sink {
  /**
   * `sizeof(ttc_sink)`.
   */
  uint32_t size;
  /**
   * `TTC_ACCUMULATE`, `TTC_UPDATE`, `TTC_FROZEN` or `TTC_OVERWRITE`.
   */
  uint32_t kind;
  /**
   * `[parameters]`, as they were in forward; written only by an update.
   */
  const struct ttc_view_mut *params;
  /**
   * `[parameters]` of gradients to add to or to write; or `[state]`, as the rule of the update has it, zeros to begin with.
   * NULL for a frozen table.
   */
  const struct ttc_view_mut *memory;
  /**
   * For an update.
   */
  const struct ttc_update *update;
} ttc_sink;

/**
 * How one table is held, drawn and trained. What is not set is zero.
 */
typedef struct ttc_table {
  /**
   * `sizeof(ttc_table)`.
   */
  uint32_t size;
  /**
   * `TTC_TENSOR_TRAIN` or `TTC_DENSE`.
   */
  uint32_t kind;
  /**
   * Rows.
   */
  uint64_t rows;
  /**
   * Columns, the embedding dimension.
   */
  size_t dim;
  /**
   * How many cores, at least 2. For a tensor train, as the next four.
   */
  size_t cores;
  /**
   * `[cores]`, with a product of at least `rows`; NULL for those of the paper's rule.
   */
  const size_t *row_factors;
  /**
   * `[cores]`, with a product of `dim`; NULL for the most balanced ones.
   */
  const size_t *col_factors;
  /**
   * `[cores + 1]`, the first and the last 1; NULL for `rank` between all cores.
   */
  const size_t *ranks;
  /**
   * The rank, where `ranks` is NULL.
   */
  size_t rank;
  /**
   * How many of the most frequent rows of a tensor train are held as they are; 0 for none.
   */
  size_t cache_slots;
  /**
   * How many rows the cache counts at most; 0 for 16 a slot, at least 1024.
   */
  size_t max_counted;
  /**
   * The update rule; NULL for AdaGrad-Norm of a tensor train and SGD of a dense table.
   */
  const struct ttc_rule *rule;
  /**
   * What the learning rate is multiplied by for this table; 0 for 1.
   */
  double lr_multiplier;
  /**
   * What it is multiplied by for the cores; 0 for 1.
   */
  double core_lr_multiplier;
  /**
   * Not 0 for a table that `ttc_step` leaves as it is.
   */
  uint32_t frozen;
  /**
   * The distribution new cores are drawn from, `TTC_SAMPLED_GAUSSIAN` ...
   */
  uint32_t init_entries;
  /**
   * Their scale, `TTC_ISOMETRIC` ...
   */
  uint32_t init_scale;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * The standard deviation that numbers of a new tensor train should have; 0 for `1/sqrt(3 rows)`.
   */
  double init_std;
} ttc_table;

/**
 * What a session is made for. What is not set is zero.
 */
typedef struct ttc_options {
  /**
   * `sizeof(ttc_options)`.
   */
  uint32_t size;
  /**
   * `TTC_F32` or `TTC_F64`: the type of all numbers.
   */
  uint32_t dtype;
  /**
   * Room for so many bags in a batch.
   */
  size_t bags;
  /**
   * Room for so many lookups of one table in a batch.
   */
  size_t lookups;
  /**
   * `[tables]`, the first output column of each table; NULL for outputs side by side.
   */
  const size_t *columns;
  /**
   * Numbers in an output row, where `columns` are given.
   */
  size_t stride;
  /**
   * Threads that compute; 0 for one for each core, 1 for the calling thread alone. Results do not depend on their number.
   */
  uint32_t threads;
  /**
   * 0.
   */
  uint32_t reserved;
} ttc_options;

/**
 * Sizes of one table: what to allocate for it.
 */
typedef struct ttc_sizes {
  /**
   * `sizeof(ttc_sizes)`, set by the caller.
   */
  uint32_t size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Rows of the table.
   */
  uint64_t rows;
  /**
   * Columns.
   */
  size_t dim;
  /**
   * Numbers of parameters: cores `G_1 .. G_d`, each `[m_k][R_(k-1)][n_k][R_k]`, then dense or cached rows `[rows][dim]`.
   */
  size_t parameters;
  /**
   * Those of the cores.
   */
  size_t core_parameters;
  /**
   * Numbers of optimiser state, zeros to begin with; may be 0.
   */
  size_t state;
  /**
   * How many cores; 0 for a dense table.
   */
  size_t cores;
  /**
   * First output column in a session, 0 without one.
   */
  size_t column;
} ttc_sizes;

/**
 * Sizes of a session.
 */
typedef struct ttc_layout {
  /**
   * `sizeof(ttc_layout)`, set by the caller.
   */
  uint32_t size;
  /**
   * `TTC_F32` or `TTC_F64`.
   */
  uint32_t dtype;
  /**
   * How many tables.
   */
  size_t tables;
  /**
   * Numbers in an output row.
   */
  size_t stride;
  /**
   * Room for so many bags in a batch.
   */
  size_t bags;
  /**
   * Room for so many lookups of one table in a batch.
   */
  size_t lookups;
  /**
   * Updates by `ttc_step` so far.
   */
  uint64_t steps;
} ttc_layout;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the interface of the library that is linked: equal to `TTC_ABI_VERSION` of the header that the caller was
 * compiled with, or one that it does not fit. Any thread.
 */
uint32_t ttc_abi_version(void);

/**
 * Shows a batch to the caches: its lookups are traffic, and in training they count as accesses. Once for each time it was
 * filled, however often it is called.
 *
 * # Safety
 *
 * Threads: this call uses session and batch alone; others on the session are refused meanwhile.
 */
struct ttc_error *ttc_observe(struct ttc_session *session,
                              struct ttc_batch *batch);

/**
 * Lets every cache choose its rows anew, and loads those that are new from the cores, with fresh state. Batches that were
 * filled before must be filled again, if any row changed.
 *
 * # Safety
 *
 * `params` and `state` are `tables` structs each, and nobody uses their numbers meanwhile. Threads: this call uses session
 * and worker alone; others on the session are refused meanwhile.
 */
struct ttc_error *ttc_refresh(struct ttc_session *session,
                              struct ttc_worker *worker,
                              const struct ttc_view_mut *params,
                              const struct ttc_view_mut *state,
                              size_t tables);

/**
 * How long the lists are that `ttc_cache_state` writes: slots and counts.
 *
 * # Safety
 *
 * `slots` and `counts` are places for a number each. Threads: others may use the session meanwhile, but for calls that need
 * it alone.
 */
struct ttc_error *ttc_cache_sizes(const struct ttc_session *session,
                                  size_t table,
                                  size_t *slots,
                                  size_t *counts);

/**
 * What the cache of a table knows, for a checkpoint: the row in each slot, or `TTC_NO_ROW`, and the counts of rows, by
 * ascending row. The values of cached rows are among the parameters.
 *
 * # Safety
 *
 * `slots` has room for `slots_len` numbers, `counted_rows` and `counts` for `counts_len` each. Threads: others may use the
 * session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_cache_state(const struct ttc_session *session,
                                  size_t table,
                                  uint64_t *slots,
                                  size_t slots_len,
                                  uint64_t *counted_rows,
                                  uint64_t *counts,
                                  size_t counts_len);

/**
 * Continues with what a cache knew. Batches must be filled again.
 *
 * # Safety
 *
 * `slots` are `slots_len` numbers, `counted_rows` and `counts` `counts_len` each. Threads: this call uses the session alone;
 * others are refused meanwhile.
 */
struct ttc_error *ttc_set_cache_state(struct ttc_session *session,
                                      size_t table,
                                      const uint64_t *slots,
                                      size_t slots_len,
                                      const uint64_t *counted_rows,
                                      const uint64_t *counts,
                                      size_t counts_len);

/**
 * What the caches did since this was last called, and what the tables take: one struct for each table.
 *
 * # Safety
 *
 * `results` are `tables` structs with their size set. Threads: this call uses the session alone; others are refused
 * meanwhile.
 */
struct ttc_error *ttc_session_statistics(struct ttc_session *session, struct ttc_statistics *results, size_t tables);

/**
 * What kind of error it is, `TTC_NULL` .. `TTC_UNKNOWN`; 0 for NULL, which is success.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
uint32_t ttc_error_code(const struct ttc_error *error);

/**
 * The error in words, English, in UTF-8, as long as the error is there; an empty text for NULL.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
const char *ttc_error_message(const struct ttc_error *error);

/**
 * Of which table, from 0; -1 if it is of none.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
int64_t ttc_error_table(const struct ttc_error *error);

/**
 * Where in a list, from 0; -1 if it is nowhere in one.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
int64_t ttc_error_position(const struct ttc_error *error);

/**
 * The wrong value, if it is an integer: false if not. What does not fit is the nearest number that does.
 *
 * # Safety
 *
 * NULL, or an error that was not freed; `value` to write to, or NULL. Any thread.
 */
bool ttc_error_value(const struct ttc_error *error, int64_t *value);

/**
 * The wrong value, if it is a floating point number: false if not.
 *
 * # Safety
 *
 * NULL, or an error that was not freed; `number` to write to, or NULL. Any thread.
 */
bool ttc_error_number(const struct ttc_error *error, double *number);

/**
 * Frees an error. NULL is nothing to free.
 *
 * # Safety
 *
 * NULL, or an error that was not freed, which no other thread uses.
 */
void ttc_error_free(struct ttc_error *error);

/**
 * Fills a batch with the bags of all tables, in order, checked and copied: indices and offsets are not used after the call,
 * and may be freed. `mode` is `TTC_TRAIN` or `TTC_EVALUATE`. A batch that is refused holds no bags.
 *
 * # Safety
 *
 * `bags` are `tables` structs, whose lists are as long as they say. Others may write indices and offsets meanwhile, if they
 * like rows that nobody knows; nobody writes `weights`. Threads: the batch is used by this call alone; other calls on the
 * session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_group(const struct ttc_session *session,
                            struct ttc_batch *batch,
                            const struct ttc_bags *bags,
                            size_t tables,
                            uint32_t mode);

/**
 * Pooled rows of all tables, `out` `[bags][stride]`: each table's at its columns, others left as they are. `params` are
 * `[parameters]` for each table, in order. In training mode the batch keeps what backward needs.
 *
 * # Safety
 *
 * `params` are `tables` structs; nobody writes the numbers of `params` or uses those of `out` meanwhile. Threads: worker and
 * batch are used by this call alone; other calls on the session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_forward(const struct ttc_session *session,
                              struct ttc_worker *worker,
                              struct ttc_batch *batch,
                              const struct ttc_view *params,
                              size_t tables,
                              const struct ttc_view_mut *out);

/**
 * Gradients of all tables from that of the output, `grad_out` `[bags][stride]`, into a sink for each table. `grad_weights`,
 * unless NULL, is written: the gradients of the weights of all lookups of table 0, then of table 1, .., of a weight of 1
 * where a table has none, and 0 for lookups that are skipped. An update changes the parameters: other batches need another
 * forward then.
 *
 * # Safety
 *
 * `sinks` are `tables` structs; nobody writes what is read nor uses what is written meanwhile. Threads: worker and batch are
 * used by this call alone; other calls on the session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_backward(const struct ttc_session *session,
                               struct ttc_worker *worker,
                               struct ttc_batch *batch,
                               const struct ttc_sink *sinks,
                               size_t tables,
                               const struct ttc_view *grad_out,
                               const struct ttc_view_mut *grad_weights);

/**
 * Computes the gradients of all tables and applies their rules in one pass, with the learning rate `lr` times their
 * multipliers; frozen tables stay as they are. `params` `[parameters]` and `state` `[state]` are for each table, in order;
 * `state` is zeros to begin with. `grad_weights` as in `ttc_backward`.
 *
 * # Safety
 *
 * `params` and `state` are `tables` structs each; nobody writes `grad_out` nor uses the other numbers meanwhile. Threads:
 * worker and batch are used by this call alone; other calls on the session may run beside it, but for those that need it
 * alone.
 */
struct ttc_error *ttc_step(const struct ttc_session *session,
                           struct ttc_worker *worker,
                           struct ttc_batch *batch,
                           const struct ttc_view_mut *params,
                           const struct ttc_view_mut *state,
                           size_t tables,
                           const struct ttc_view *grad_out,
                           double lr,
                           const struct ttc_view_mut *grad_weights);

/**
 * Rows of a table as a lookup would give them, `out` `[len][dim]`: cached ones from the cache, others from the cores.
 *
 * # Safety
 *
 * `rows` are `len` numbers; nobody writes what is read nor uses `out` meanwhile. Threads: the worker is used by this call
 * alone; other calls on the session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_rows(const struct ttc_session *session,
                           struct ttc_worker *worker,
                           size_t table,
                           const struct ttc_view *params,
                           const uint64_t *rows,
                           size_t len,
                           const struct ttc_view_mut *out);

/**
 * A session for these tables: `*session`, or NULL if it fails. Nothing of what is given is used after the call.
 *
 * # Safety
 *
 * `tables` are `count` structs, whose lists are as long as they say; `columns` of the options are `count` numbers; `session`
 * is a place for a pointer. Any thread.
 */
struct ttc_error *ttc_session_new(const struct ttc_table *tables,
                                  size_t count,
                                  const struct ttc_options *options,
                                  struct ttc_session **session);

/**
 * Frees a session. Its workers and batches are freed on their own, before it or after it, and refuse to work meanwhile. NULL
 * is nothing to free.
 *
 * # Safety
 *
 * NULL, or a session that was not freed. Threads: no other call uses the session.
 */
void ttc_session_free(struct ttc_session *session);

/**
 * A worker for a session: `*worker`, or NULL if it fails. Each thread that computes needs one.
 *
 * # Safety
 *
 * `worker` is a place for a pointer. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_worker_new(const struct ttc_session *session, struct ttc_worker **worker);

/**
 * Frees a worker. NULL is nothing to free.
 *
 * # Safety
 *
 * NULL, or a worker that was not freed. Threads: no other call uses it.
 */
void ttc_worker_free(struct ttc_worker *worker);

/**
 * A batch for a session: `*batch`, or NULL if it fails. Several may be under way at once.
 *
 * # Safety
 *
 * `batch` is a place for a pointer. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_batch_new(const struct ttc_session *session, struct ttc_batch **batch);

/**
 * Frees a batch. NULL is nothing to free.
 *
 * # Safety
 *
 * NULL, or a batch that was not freed. Threads: no other call uses it.
 */
void ttc_batch_free(struct ttc_batch *batch);

/**
 * Sizes of a table that is not in a session yet.
 *
 * # Safety
 *
 * The lists of the table are as long as it says. Any thread.
 */
struct ttc_error *ttc_table_sizes(const struct ttc_table *table, struct ttc_sizes *result);

/**
 * Sizes of table `table`, counted from 0.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_session_sizes(const struct ttc_session *session, size_t table, struct ttc_sizes *result);

/**
 * Sizes of the session.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_session_layout(const struct ttc_session *session, struct ttc_layout *result);

/**
 * The shape of a tensor train, as it was given or chosen: `row_factors` and `col_factors` `[cores]`, `ranks`
 * `[cores + 1]`.
 *
 * # Safety
 *
 * The lists have room for so many numbers. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_session_shape(const struct ttc_session *session,
                                    size_t table,
                                    size_t cores,
                                    size_t *row_factors,
                                    size_t *col_factors,
                                    size_t *ranks);

/**
 * Draws new parameters of a table from a seed: the same for the same seed, on all machines. Rows of a cache begin at zero,
 * which nothing reads.
 *
 * # Safety
 *
 * Nobody uses the numbers meanwhile. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_draw(const struct ttc_session *session,
                           size_t table,
                           uint64_t seed,
                           const struct ttc_view_mut *params);

/**
 * To be called when parameters were changed by anyone but this library: a forward before that cannot be followed by a
 * backward any more.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_parameters_changed(const struct ttc_session *session);

/**
 * Continues as after so many steps: Adam's corrections depend on it.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_set_steps(const struct ttc_session *session, uint64_t steps);

/**
 * Holds or trains a table in another way from now on: rule, multipliers, frozen or not. Shape and cache must be the same. A
 * rule with other state needs other state, zeros to begin with: `ttc_session_sizes`.
 *
 * # Safety
 *
 * The lists of `changed` are as long as it says. Threads: this call uses the session alone; others are refused meanwhile.
 */
struct ttc_error *ttc_set_table(struct ttc_session *session,
                                size_t table,
                                const struct ttc_table *changed);

/**
 * Makes room for larger batches. Batches under way go on, and take the new room when they are filled again.
 *
 * # Safety
 *
 * Threads: this call uses the session alone; others are refused meanwhile.
 */
struct ttc_error *ttc_reserve(struct ttc_session *session, size_t bags, size_t lookups);

/**
 * What kind of error it is, `TTC_NULL` .. `TTC_UNKNOWN`; 0 for NULL, which is success.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
uint32_t ttc_error_code(const struct ttc_error *error);

/**
 * The error in words, English, in UTF-8, as long as the error is there; an empty text for NULL.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
const char *ttc_error_message(const struct ttc_error *error);

/**
 * Of which table, from 0; -1 if it is of none.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
int64_t ttc_error_table(const struct ttc_error *error);

/**
 * Where in a list, from 0; -1 if it is nowhere in one.
 *
 * # Safety
 *
 * NULL, or an error that was not freed. Any thread.
 */
int64_t ttc_error_position(const struct ttc_error *error);

/**
 * The wrong value, if it is an integer: false if not. What does not fit is the nearest number that does.
 *
 * # Safety
 *
 * NULL, or an error that was not freed; `value` to write to, or NULL. Any thread.
 */
bool ttc_error_value(const struct ttc_error *error, int64_t *value);

/**
 * The wrong value, if it is a floating point number: false if not.
 *
 * # Safety
 *
 * NULL, or an error that was not freed; `number` to write to, or NULL. Any thread.
 */
bool ttc_error_number(const struct ttc_error *error, double *number);

/**
 * Frees an error. NULL is nothing to free.
 *
 * # Safety
 *
 * NULL, or an error that was not freed, which no other thread uses.
 */
void ttc_error_free(struct ttc_error *error);

/**
 * A session for these tables: `*session`, or NULL if it fails. Nothing of what is given is used after the call.
 *
 * # Safety
 *
 * `tables` are `count` structs, whose lists are as long as they say; `columns` of the options are `count` numbers; `session`
 * is a place for a pointer. Any thread.
 */
struct ttc_error *ttc_session_new(const struct ttc_table *tables,
                                  size_t count,
                                  const struct ttc_options *options,
                                  struct ttc_session **session);

/**
 * Frees a session. Its workers and batches are freed on their own, before it or after it, and refuse to work meanwhile. NULL
 * is nothing to free.
 *
 * # Safety
 *
 * NULL, or a session that was not freed. Threads: no other call uses the session.
 */
void ttc_session_free(struct ttc_session *session);

/**
 * A worker for a session: `*worker`, or NULL if it fails. Each thread that computes needs one.
 *
 * # Safety
 *
 * `worker` is a place for a pointer. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_worker_new(const struct ttc_session *session, struct ttc_worker **worker);

/**
 * Frees a worker. NULL is nothing to free.
 *
 * # Safety
 *
 * NULL, or a worker that was not freed. Threads: no other call uses it.
 */
void ttc_worker_free(struct ttc_worker *worker);

/**
 * A batch for a session: `*batch`, or NULL if it fails. Several may be under way at once.
 *
 * # Safety
 *
 * `batch` is a place for a pointer. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_batch_new(const struct ttc_session *session, struct ttc_batch **batch);

/**
 * Frees a batch. NULL is nothing to free.
 *
 * # Safety
 *
 * NULL, or a batch that was not freed. Threads: no other call uses it.
 */
void ttc_batch_free(struct ttc_batch *batch);

/**
 * Sizes of a table that is not in a session yet.
 *
 * # Safety
 *
 * The lists of the table are as long as it says. Any thread.
 */
struct ttc_error *ttc_table_sizes(const struct ttc_table *table, struct ttc_sizes *result);

/**
 * Sizes of table `table`, counted from 0.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_session_sizes(const struct ttc_session *session, size_t table, struct ttc_sizes *result);

/**
 * Sizes of the session.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_session_layout(const struct ttc_session *session, struct ttc_layout *result);

/**
 * The shape of a tensor train, as it was given or chosen: `row_factors` and `col_factors` `[cores]`, `ranks`
 * `[cores + 1]`.
 *
 * # Safety
 *
 * The lists have room for so many numbers. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_session_shape(const struct ttc_session *session,
                                    size_t table,
                                    size_t cores,
                                    size_t *row_factors,
                                    size_t *col_factors,
                                    size_t *ranks);

/**
 * Draws new parameters of a table from a seed: the same for the same seed, on all machines. Rows of a cache begin at zero,
 * which nothing reads.
 *
 * # Safety
 *
 * Nobody uses the numbers meanwhile. Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_draw(const struct ttc_session *session,
                           size_t table,
                           uint64_t seed,
                           const struct ttc_view_mut *params);

/**
 * To be called when parameters were changed by anyone but this library: a forward before that cannot be followed by a
 * backward any more.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_parameters_changed(const struct ttc_session *session);

/**
 * Continues as after so many steps: Adam's corrections depend on it.
 *
 * # Safety
 *
 * Threads: others may use the session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_set_steps(const struct ttc_session *session, uint64_t steps);

/**
 * Holds or trains a table in another way from now on: rule, multipliers, frozen or not. Shape and cache must be the same. A
 * rule with other state needs other state, zeros to begin with: `ttc_session_sizes`.
 *
 * # Safety
 *
 * The lists of `changed` are as long as it says. Threads: this call uses the session alone; others are refused meanwhile.
 */
struct ttc_error *ttc_set_table(struct ttc_session *session,
                                size_t table,
                                const struct ttc_table *changed);

/**
 * Makes room for larger batches. Batches under way go on, and take the new room when they are filled again.
 *
 * # Safety
 *
 * Threads: this call uses the session alone; others are refused meanwhile.
 */
struct ttc_error *ttc_reserve(struct ttc_session *session, size_t bags, size_t lookups);

/**
 * Fills a batch with the bags of all tables, in order, checked and copied: indices and offsets are not used after the call,
 * and may be freed. `mode` is `TTC_TRAIN` or `TTC_EVALUATE`. A batch that is refused holds no bags.
 *
 * # Safety
 *
 * `bags` are `tables` structs, whose lists are as long as they say. Others may write indices and offsets meanwhile, if they
 * like rows that nobody knows; nobody writes `weights`. Threads: the batch is used by this call alone; other calls on the
 * session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_group(const struct ttc_session *session,
                            struct ttc_batch *batch,
                            const struct ttc_bags *bags,
                            size_t tables,
                            uint32_t mode);

/**
 * Pooled rows of all tables, `out` `[bags][stride]`: each table's at its columns, others left as they are. `params` are
 * `[parameters]` for each table, in order. In training mode the batch keeps what backward needs.
 *
 * # Safety
 *
 * `params` are `tables` structs; nobody writes the numbers of `params` or uses those of `out` meanwhile. Threads: worker and
 * batch are used by this call alone; other calls on the session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_forward(const struct ttc_session *session,
                              struct ttc_worker *worker,
                              struct ttc_batch *batch,
                              const struct ttc_view *params,
                              size_t tables,
                              const struct ttc_view_mut *out);

/**
 * Gradients of all tables from that of the output, `grad_out` `[bags][stride]`, into a sink for each table. `grad_weights`,
 * unless NULL, is written: the gradients of the weights of all lookups of table 0, then of table 1, .., of a weight of 1
 * where a table has none, and 0 for lookups that are skipped. An update changes the parameters: other batches need another
 * forward then.
 *
 * # Safety
 *
 * `sinks` are `tables` structs; nobody writes what is read nor uses what is written meanwhile. Threads: worker and batch are
 * used by this call alone; other calls on the session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_backward(const struct ttc_session *session,
                               struct ttc_worker *worker,
                               struct ttc_batch *batch,
                               const struct ttc_sink *sinks,
                               size_t tables,
                               const struct ttc_view *grad_out,
                               const struct ttc_view_mut *grad_weights);

/**
 * Computes the gradients of all tables and applies their rules in one pass, with the learning rate `lr` times their
 * multipliers; frozen tables stay as they are. `params` `[parameters]` and `state` `[state]` are for each table, in order;
 * `state` is zeros to begin with. `grad_weights` as in `ttc_backward`.
 *
 * # Safety
 *
 * `params` and `state` are `tables` structs each; nobody writes `grad_out` nor uses the other numbers meanwhile. Threads:
 * worker and batch are used by this call alone; other calls on the session may run beside it, but for those that need it
 * alone.
 */
struct ttc_error *ttc_step(const struct ttc_session *session,
                           struct ttc_worker *worker,
                           struct ttc_batch *batch,
                           const struct ttc_view_mut *params,
                           const struct ttc_view_mut *state,
                           size_t tables,
                           const struct ttc_view *grad_out,
                           double lr,
                           const struct ttc_view_mut *grad_weights);

/**
 * Rows of a table as a lookup would give them, `out` `[len][dim]`: cached ones from the cache, others from the cores.
 *
 * # Safety
 *
 * `rows` are `len` numbers; nobody writes what is read nor uses `out` meanwhile. Threads: the worker is used by this call
 * alone; other calls on the session may run beside it, but for those that need it alone.
 */
struct ttc_error *ttc_rows(const struct ttc_session *session,
                           struct ttc_worker *worker,
                           size_t table,
                           const struct ttc_view *params,
                           const uint64_t *rows,
                           size_t len,
                           const struct ttc_view_mut *out);

/**
 * Shows a batch to the caches: its lookups are traffic, and in training they count as accesses. Once for each time it was
 * filled, however often it is called.
 *
 * # Safety
 *
 * Threads: this call uses session and batch alone; others on the session are refused meanwhile.
 */
struct ttc_error *ttc_observe(struct ttc_session *session,
                              struct ttc_batch *batch);

/**
 * Lets every cache choose its rows anew, and loads those that are new from the cores, with fresh state. Batches that were
 * filled before must be filled again, if any row changed.
 *
 * # Safety
 *
 * `params` and `state` are `tables` structs each, and nobody uses their numbers meanwhile. Threads: this call uses session
 * and worker alone; others on the session are refused meanwhile.
 */
struct ttc_error *ttc_refresh(struct ttc_session *session,
                              struct ttc_worker *worker,
                              const struct ttc_view_mut *params,
                              const struct ttc_view_mut *state,
                              size_t tables);

/**
 * How long the lists are that `ttc_cache_state` writes: slots and counts.
 *
 * # Safety
 *
 * `slots` and `counts` are places for a number each. Threads: others may use the session meanwhile, but for calls that need
 * it alone.
 */
struct ttc_error *ttc_cache_sizes(const struct ttc_session *session,
                                  size_t table,
                                  size_t *slots,
                                  size_t *counts);

/**
 * What the cache of a table knows, for a checkpoint: the row in each slot, or `TTC_NO_ROW`, and the counts of rows, by
 * ascending row. The values of cached rows are among the parameters.
 *
 * # Safety
 *
 * `slots` has room for `slots_len` numbers, `counted_rows` and `counts` for `counts_len` each. Threads: others may use the
 * session meanwhile, but for calls that need it alone.
 */
struct ttc_error *ttc_cache_state(const struct ttc_session *session,
                                  size_t table,
                                  uint64_t *slots,
                                  size_t slots_len,
                                  uint64_t *counted_rows,
                                  uint64_t *counts,
                                  size_t counts_len);

/**
 * Continues with what a cache knew. Batches must be filled again.
 *
 * # Safety
 *
 * `slots` are `slots_len` numbers, `counted_rows` and `counts` `counts_len` each. Threads: this call uses the session alone;
 * others are refused meanwhile.
 */
struct ttc_error *ttc_set_cache_state(struct ttc_session *session,
                                      size_t table,
                                      const uint64_t *slots,
                                      size_t slots_len,
                                      const uint64_t *counted_rows,
                                      const uint64_t *counts,
                                      size_t counts_len);

/**
 * What the caches did since this was last called, and what the tables take: one struct for each table.
 *
 * # Safety
 *
 * `results` are `tables` structs with their size set. Threads: this call uses the session alone; others are refused
 * meanwhile.
 */
struct ttc_error *ttc_session_statistics(struct ttc_session *session, struct ttc_statistics *results, size_t tables);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TTCORE_H */
