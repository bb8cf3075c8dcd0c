//! Forward through a TT table, with what backward needs kept.

mod common;

use common::Training;
use criterion::{Criterion, criterion_group, criterion_main};

fn forward(criterion: &mut Criterion) {
    common::measure(criterion, "forward", &common::kaggle_largest(), Training::next_to_forward, Training::forward);
}

criterion_group! { name = benches; config = common::criterion(); targets = forward }
criterion_main!(benches);
