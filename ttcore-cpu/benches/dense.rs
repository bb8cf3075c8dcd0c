//! The operations on an uncompressed table of a million rows, which models keep beside their TT tables.

mod common;

use common::Training;
use criterion::{Criterion, criterion_group, criterion_main};

fn dense(criterion: &mut Criterion) {
    let table = common::dense_million();
    common::measure(criterion, "dense_group", &table, Training::next, Training::group);
    common::measure(criterion, "dense_forward", &table, Training::next_to_forward, Training::forward);
    common::measure(criterion, "dense_backward_sgd", &table, Training::next_to_backward, Training::step);
    common::measure(criterion, "dense_backward_accumulate", &table, Training::next_to_backward, Training::accumulate);
}

criterion_group! { name = benches; config = common::criterion(); targets = dense }
criterion_main!(benches);
