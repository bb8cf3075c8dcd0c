//! Backward through a TT table: with SGD in the same pass, and with the gradients handed over, added or fresh.

mod common;

use common::Training;
use criterion::{Criterion, criterion_group, criterion_main};

fn backward(criterion: &mut Criterion) {
    let tables = common::kaggle_largest();
    common::measure(criterion, "backward_sgd", &tables, Training::next_to_backward, Training::step);
    common::measure(criterion, "backward_accumulate", &tables, Training::next_to_backward, Training::accumulate);
    common::measure(criterion, "backward_overwrite", &tables, Training::next_to_backward, Training::overwrite);
}

criterion_group! { name = benches; config = common::criterion(); targets = backward }
criterion_main!(benches);
