#![doc = include_str!("../README.md")]
//!
//! # What it checks
//!
//! * [`golden`]: outputs, gradients and updates that PyTorch computed.
//! * [`forward`]: the output and `expand_rows` against the expanded table.
//! * [`adjoint`]: gradients against the definition, the adjoint identity and central differences.
//! * [`linearity`]: of the output in each core, of gradients in the gradient of the output.
//! * [`bags`]: batches that mean the same give the same.
//! * [`sinks`]: accumulated, fused and frozen.
//! * [`overwrite`]: written over whatever was there; what a batch touches.
//! * [`runs`]: the same bits every time; two batches in use at once.
//! * [`contract`] and [`lengths`]: what is refused, with which error, and with nothing written.
//! * [`memory`]: the small functions of memory.
//! * [`equivalence`](mod@equivalence) and [`collections`]: two backends agree, in steps and in layers with caches; a test for each pair:
//!   see [`equivalence!`](macro@equivalence).
//! * [`bits`]: the same bits whatever queue a backend runs on.
//! * [`cache`]: the cache path against a map of rows; [`layer`]: what the layers refuse and report.
//! * [`session`]: sessions on memory that is someone else's, by many threads, and changed later.
//! * [`plans`]: values of one plan or collection are refused by another.
//!
//! # With what
//!
//! * [`case`](mod@case): random tables; [`batch`]: their batches, in every form.
//! * [`device`] and [`harness`]: a backend as functions of host numbers.
//! * [`rules`]: the update rules, and how accurately a step by one can be compared.
//! * [`oracle`]: the right answers, from the definition, without the algebra of `ttcore`.
//! * [`tolerance`]: the one bound on errors; [`runner`]: runs a property over cases. Set `PROPTEST_CASES` for more.

pub mod batch;
pub mod cache;
pub mod case;
pub mod device;
pub mod golden;
pub mod harness;
pub mod layer;
pub mod oracle;
pub mod plans;
pub mod properties;
pub mod rules;
pub mod runner;
pub mod session;
pub mod tolerance;

/// The crates whose types are part of this one's: the contract, strategies, the generator of [`case::rng`](fn@case::rng), and what
/// golden files are read by.
#[doc(no_inline)]
pub use {proptest, rand_chacha, serde, ttcore};

pub use device::Device;
pub use properties::{
    adjoint, bags, bits, collections, contract, equivalence, forward, lengths, linearity, memory, overwrite, runs,
    sinks,
};

/// Makes a module of tests, the whole suite, for a backend: a name, an expression for the backend and one for a queue.
#[macro_export]
macro_rules! conformance {
    ($name:ident, $backend:expr, $queue:expr) => {
        $crate::conformance! { @list $name, $backend, $queue;
            golden: output, full_table, core_gradients, weight_gradients, several_features, sgd, adagrad;
            forward: equals_the_expanded_table, needs_no_saved, expand_rows_gives_the_table,
                expand_rows_takes_any_lists, rows_beyond_32_bits, a_dense_table_is_a_gather, tables_of_one_call_do_not_mix;
            adjoint: gradients_are_the_definition, the_adjoint_identity, the_adjoint_identity_of_weights,
                central_differences;
            linearity: output_in_each_core, gradients_in_the_output_gradient;
            bags: a_permuted_bag_is_the_same_bag, a_duplicate_is_a_weight, merged_bags_add_up,
                a_mean_is_a_sum_over_a_count, weights_of_one_are_no_weights,
                every_form_of_a_batch_is_the_same_batch, one_lookup_a_bag_needs_no_offsets, empty_bags_are_zeros,
                skipped_lookups_count_for_nothing;
            sinks: accumulate_adds, fused_is_accumulate_then_apply, every_table_has_its_own_sink,
                every_touched_slice_gets_its_gradient, a_zero_gradient_moves_nothing, a_square_that_underflows_makes_nothing_infinite;
            overwrite: is_accumulate_into_zeros, beside_other_sinks, an_empty_batch_gives_zeros, of_a_large_table,
                touched_is_where_lookups_are, touched_of_nothing, gradients_of_other_lengths;
            runs: same_bits_every_time, two_batches_at_once, backward_twice, other_weights_are_seen_or_refused;
            contract: a_stale_version, saved_of_another_batch, nothing_saved, a_batch_above_the_capacity,
                different_numbers_of_bags, bags_of_features, bags_for_other_rows, rows_that_are_none;
            lengths: views_of_forward, views_of_backward, views_of_expand_rows, one_of_each_for_every_table;
            memory: what_is_written_is_read, copies_of_other_lengths_are_refused;
            ; // The layers.
            cache: is_a_map_of_rows;
            layer: stale_batches_are_refused, room_for_batches, collections_restore, statistics, layers_go_to_other_threads;
            session: is_a_collection_on_other_memory, many_threads_look_up_at_once, the_next_batch_is_grouped_beside_a_step,
                batches_go_on_when_there_is_more_room, tables_are_trained_in_another_way_later,
                parameters_there_are_and_batches_seen_once, one_table_of_two_features;
            plans: values_of_another_plan, batches_of_another_collection;
        }
    };
    (@list $name:ident, $backend:expr, $queue:expr;
        $($subject:ident: $($test:ident),+;)+
        ; $($layer:ident: $($layer_test:ident),+;)+
    ) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(mod $subject {
                #[allow(unused_imports)]
                use super::*;

                $(#[test]
                fn $test() {
                    $crate::$subject::$test(&$crate::Device::new($backend, $queue));
                })+
            })+

            $(mod $layer {
                #[allow(unused_imports)]
                use super::*;

                $(#[test]
                fn $layer_test() {
                    // A layer owns its backend.
                    $crate::$layer::$layer_test(|| ($backend, $queue));
                })+
            })+
        }
    };
}

/// Makes two tests for each pair of these backends, that they agree in steps and in layers: a name for each, an expression
/// for the backend and one for a queue. All compute in the same float.
///
/// ```
/// use ttcore::Reference;
///
/// // Yours takes the place of the first.
/// ttcore_conformance::equivalence! {
///     mine: Reference::<f64>::new(), ();
///     reference: Reference::<f64>::new(), ();
/// }
/// ```
#[macro_export]
macro_rules! equivalence {
    ($name:ident: $backend:expr, $queue:expr; $($other:ident: $other_backend:expr, $other_queue:expr;)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(mod $other {
                #[allow(unused_imports)]
                use super::*;

                #[test]
                fn steps() {
                    $crate::equivalence::equivalent(|| ($backend, $queue), || ($other_backend, $other_queue));
                }

                #[test]
                fn layers() {
                    $crate::collections::equivalent(|| ($backend, $queue), || ($other_backend, $other_queue));
                }
            })*
        }

        $crate::equivalence! { $($other: $other_backend, $other_queue;)* }
    };
    () => {};
}
