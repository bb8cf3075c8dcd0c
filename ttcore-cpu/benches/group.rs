//! Grouping a batch of a TT table: unique rows and the prefix tree above them.

mod common;

use common::Training;
use criterion::{Criterion, criterion_group, criterion_main};

fn group(criterion: &mut Criterion) {
    common::measure(criterion, "group", &common::kaggle_largest(), Training::next, Training::group);
}

criterion_group! { name = benches; config = common::criterion(); targets = group }
criterion_main!(benches);
