//! The ends of what can be asked for: each works, and is what the reference says, or gives the error that names it.

use dlrm::data::UNSEEN;
use dlrm::model::{Dlrm, ModelConfig, Samples, StepError};
use ttcore::{
    Backend, Bags, BagsError, EmbeddingBagCollection, Error, Index, Layout, Mode, Offsets, Pooling, Reference, Rule,
    ShapeError, TableConfig, TtShape,
};
use ttcore_conformance::tolerance::assert_error;
use ttcore_cpu::{Cpu, Threads};

/// A million million.
const ROWS: u64 = 1_000_000_000_000;

/// Pooled rows, and the parameters and the rows looked up after a step, of one table on a backend.
fn step<B>(
    backend: B,
    queue: &mut B::Queue,
    config: &TableConfig,
    bags: Bags<'_, f64>,
    looked_up: &[u64],
) -> [Vec<f64>; 3]
where
    B: for<'a> Backend<Float = f64, View<'a> = &'a [f64], ViewMut<'a> = &'a mut [f64]>,
{
    let room = (bags.bags(), bags.lookups());
    let mut tables =
        EmbeddingBagCollection::new(backend, queue, vec![config.clone()], room.0, room.1, 7).expect("a table");
    let mut batch = tables.batch(queue).expect("memory");
    let mut out = vec![f64::NAN; room.0 * config.table().dim()];
    tables.group(queue, &mut batch, [bags], Mode::Train).expect("a batch");
    tables.forward(queue, &mut batch, &mut out).expect("forward");
    tables.step(queue, &batch, &out, 0.5, None).expect("backward");
    let rows = tables.rows(queue, 0, looked_up).expect("rows");
    [out, tables.parameters(queue, 0).expect("parameters"), rows]
}

/// That the CPU computes what the reference does, and that a step changed something where there is something.
fn same(name: &str, config: &TableConfig, bags: Bags<'_, f64>) {
    let rows: Vec<u64> = (0..bags.lookups().min(20)).map(|j| bags.row(j)).collect();
    let want = step(Reference::<f64>::new(), &mut (), config, bags, &rows);
    let mut queue = Threads::new(2).expect("threads");
    let got = step(Cpu::<f64>::new().expect("a backend"), &mut queue, config, bags, &rows);
    for ((what, got), want) in ["output", "parameters", "rows"].into_iter().zip(&got).zip(&want) {
        assert_error(&format!("{name}: {what}"), got, want, 1e-12);
    }
    let non_zero = want[0].iter().any(|&x| x != 0.0);
    assert_eq!(non_zero, bags.lookups() > 0, "{name}: rows are no zeros");
}

#[test]
fn a_table_of_a_million_million_rows() {
    for cores in [3, 4] {
        let shape = TtShape::paper(ROWS, 64, cores, 4).expect("a shape");
        assert!(shape.padded_rows() >= ROWS && shape.padded_rows() < ROWS + ROWS / 50, "{}", shape.padded_rows());
        let product: u64 = shape.row_factors().iter().map(|&m| m as u64).product();
        assert_eq!(product, shape.padded_rows());
        let last: Vec<usize> = (0..cores).map(|k| shape.digit(ROWS - 1, k)).collect();
        let back = last.iter().zip(shape.row_factors()).fold(0, |row, (&i, &m)| row * m as u64 + i as u64);
        assert_eq!(back, ROWS - 1);
        let config = TableConfig::tt(shape).with_rule(Rule::Adagrad { eps: 1e-8 });
        let ends = [0, ROWS - 1, u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1, ROWS - 2, 0, ROWS / 2];
        let offsets = [0, 2, 2, 5];
        let bags = Bags::new(ROWS, &ends, Offsets::Starts(&offsets), Pooling::Sum, None).expect("bags");
        same(&format!("{cores} cores, u64"), &config, bags);
        let ends = ends.map(|row| row as i64);
        let offsets = offsets.map(|start| start as i64);
        let bags = Bags::new(ROWS, &ends, Offsets::Starts(&offsets), Pooling::Mean, None).expect("bags");
        same(&format!("{cores} cores, i64"), &config, bags);
        // 32 bits reach the first rows.
        let bags = Bags::new(ROWS, &[0, u32::MAX], Offsets::Starts(&[0, 1]), Pooling::Sum, None).expect("bags");
        same(&format!("{cores} cores, u32"), &config, bags);
    }
}

#[test]
fn a_table_of_a_million_million_rows_in_a_model() {
    let tt = TableConfig::tt(TtShape::paper(ROWS, 8, 3, 2).expect("a shape"));
    let config = ModelConfig::new(8, vec![2, 8], vec![9, 1], vec![tt]).expect("a model");
    let mut queue = Threads::one();
    let mut model = Dlrm::new(Cpu::<f32>::new().expect("a backend"), &mut queue, config, 3, 1).expect("a model");
    // Indices of the model are u32, as the categories of its data are: rows behind them cannot be named.
    let indices = [vec![0, u32::MAX, 77]];
    let samples = Samples::new(&[0.5; 6], &indices, &[1.0, 0.0, 1.0]);
    let first = model.train_step(&mut queue, samples, 0.1).expect("a step");
    let losses: Vec<f64> = (0..50).map(|_| model.train_step(&mut queue, samples, 0.1).expect("a step")).collect();
    assert!(losses[49] < first, "{first} {losses:?}");
}

#[test]
fn tables_that_nothing_can_hold() {
    // 256 TB.
    let dense = TableConfig::dense(ROWS, 64).expect("its sizes are numbers");
    let made =
        EmbeddingBagCollection::new(Cpu::<f32>::new().expect("a backend"), &mut Threads::one(), vec![dense], 1, 1, 1);
    assert!(matches!(made.err(), Some(Error::TooLarge { .. })));
    assert!(matches!(TableConfig::dense(u64::MAX, 64), Err(Error::TooLarge { .. })));
    assert!(matches!(TableConfig::dense(0, 64), Err(Error::Shape(ShapeError::NoRows))));
    // The product of the factors is more than 64 bits, the most rows there can be.
    assert_eq!(TtShape::paper(u64::MAX, 64, 4, 2).map(|shape| shape.padded_rows()), Ok(u64::MAX));
    assert!(matches!(TtShape::with_rank(5, &[1 << 32, 1 << 32], &[2, 2], 2), Err(ShapeError::Overflow { .. })));
    let one = TableConfig::dense(1, 1).expect("a table");
    for (bags, lookups) in [(1 << 32, 1), (1, 1 << 32), (usize::MAX, 1), (1, usize::MAX)] {
        let made = EmbeddingBagCollection::new(Reference::<f64>::new(), &mut (), vec![one.clone()], bags, lookups, 1);
        assert!(matches!(made.err(), Some(Error::TooLarge { .. })), "{bags} bags, {lookups} lookups");
    }
}

/// Indices at every boundary of a table with `M` rows: what is a row works, and all else is named.
#[test]
fn indices_at_every_boundary() {
    fn check<I: Index>(rows: u64, index: I) {
        let indices = [index];
        let zero: [I; 0] = [];
        assert!(Bags::<f64>::new(rows, &zero, Offsets::Starts(&zero), Pooling::Sum, None).is_ok());
        let two = [index; 2];
        let error = Bags::<f64>::new(rows, &two, Offsets::Starts(&indices[..0]), Pooling::Sum, None).err();
        let number = index.to_i128();
        let want = match (0..i128::from(rows)).contains(&number) {
            true => BagsError::LookupsWithoutBag { lookups: 2 },
            false => BagsError::IndexOutOfRange { position: 0, index: number, rows },
        };
        assert_eq!(error, Some(want), "{number} of {rows}");
    }
    for rows in [1, 2, 100, u64::from(u32::MAX), u64::from(u32::MAX) + 1, ROWS, u64::MAX] {
        for index in [0, 1, rows - 1, rows.wrapping_add(1), rows, u64::from(u32::MAX), u64::MAX] {
            check(rows, index);
            check(rows, index as i64);
            check(rows, index as u32);
            check(rows, index as i32);
        }
        check(rows, -1i32);
        check(rows, i64::MIN);
    }
    for rows in [1, 2, 100] {
        let tt = TableConfig::tt(TtShape::with_rank(rows, &[5, 5, 5], &[2, 1, 2], 3).expect("a shape"));
        for config in [tt.clone(), tt.with_cache(2).expect("a cache"), TableConfig::dense(rows, 4).expect("a table")] {
            let ends = [0, rows - 1];
            let bags = Bags::new(rows, &ends, Offsets::Starts(&[0, 1]), Pooling::Sum, None).expect("bags");
            same(&format!("{rows} rows"), &config, bags);
        }
    }
}

#[test]
fn indices_at_every_boundary_of_a_model() {
    let rows = 10;
    let table = TableConfig::dense(rows, 4).expect("a table");
    let config = ModelConfig::new(4, vec![2, 4], vec![7, 1], vec![table.clone(), table]).expect("a model");
    let mut queue = Threads::one();
    let mut model = Dlrm::new(Cpu::<f32>::new().expect("a backend"), &mut queue, config, 2, 1).expect("a model");
    for index in [0, 9, 10, 11, u32::MAX - 1, UNSEEN] {
        let indices = [vec![0, 9], vec![9, index]];
        let samples = Samples::new(&[0.5; 4], &indices, &[1.0, 0.0]);
        let error = match model.train_step(&mut queue, samples, 0.1) {
            Ok(loss) => {
                assert!((index < 10 || index == UNSEEN) && loss.is_finite());
                continue;
            }
            Err(StepError::Backend(error)) => error,
            Err(other) => panic!("{other}"),
        };
        assert!(index >= 10 && index != UNSEEN);
        let want = BagsError::IndexOutOfRange { position: 1, index: index.into(), rows };
        assert!(matches!(&error, Error::Bags { table: Some(1), error } if *error == want), "{error}");
    }
}

#[test]
fn nothing_in_a_batch() {
    let tt = |rows| TableConfig::tt(TtShape::with_rank(rows, &[3, 3, 3], &[2, 1, 2], 3).expect("a shape"));
    let dense = |rows| TableConfig::dense(rows, 4).expect("a table");
    for config in [tt(20), tt(20).with_cache(3).expect("a cache"), dense(20), tt(1), dense(1)] {
        let rows = config.rows();
        let bags =
            |offsets: Offsets<'static, u32>| Bags::new(rows, &[0u32; 0], offsets, Pooling::Mean, None).expect("bags");
        same("no bag", &config, bags(Offsets::Starts(&[])));
        same("no bag", &config, bags(Offsets::WithLast(&[0])));
        same("empty bags", &config, bags(Offsets::Starts(&[0, 0, 0])));
        let bags = Bags::new(rows, &[0u32], Offsets::Starts(&[0, 0, 1, 1]), Pooling::Mean, None).expect("bags");
        same("empty bags around one", &config, bags);
    }
    let table = TableConfig::dense(1, 4).expect("a table");
    let config = ModelConfig::new(4, vec![2, 4], vec![5, 1], vec![table]).expect("a model");
    let mut queue = Threads::one();
    let mut model = Dlrm::new(Cpu::<f32>::new().expect("a backend"), &mut queue, config, 2, 1).expect("a model");
    let indices = [Vec::new()];
    let samples = Samples::new(&[], &indices, &[]);
    assert!(model.train_step(&mut queue, samples, 0.1).expect("a step").is_nan(), "the mean of nothing");
    assert!(model.predict(&mut queue, samples).expect("predictions").is_empty());
}

/// One bag of ten million lookups.
#[test]
fn a_bag_of_ten_million_lookups() {
    const LOOKUPS: usize = 10_000_000;
    let rows = 1000;
    let shape = TtShape::with_rank(rows, &[10, 10, 10], &[2, 1, 2], 2).expect("a shape");
    let indices: Vec<u32> = (0..LOOKUPS).map(|j| (j * 7919 % 1009 % 1000) as u32).collect();
    let mut counts = vec![0u64; rows as usize];
    indices.iter().for_each(|&row| counts[row as usize] += 1);
    let bags = Bags::<f64>::new(rows, &indices, Offsets::Starts(&[0]), Pooling::Mean, None).expect("bags");
    let mut queue = Threads::new(2).expect("threads");
    let config = TableConfig::tt(shape.clone());
    let backend = Cpu::<f64>::new().expect("a backend");
    let mut table = EmbeddingBagCollection::new(backend, &mut queue, vec![config], 1, LOOKUPS, 3).expect("a table");
    let all: Vec<u64> = (0..rows).collect();
    let values = table.rows(&mut queue, 0, &all).expect("rows");
    let mut want = [0.0; 4];
    for (row, &count) in values.chunks_exact(4).zip(&counts) {
        want.iter_mut().zip(row).for_each(|(sum, &x)| *sum += count as f64 * x / LOOKUPS as f64);
    }
    let mut batch = table.batch(&mut queue).expect("memory");
    let mut out = [0.0; 4];
    table.group(&mut queue, &mut batch, [bags], Mode::Train).expect("a batch");
    table.forward(&mut queue, &mut batch, &mut out).expect("forward");
    assert_error("output", &out, &want, 1e-9);

    // Each row's gradient is that of the output as often as it was looked up.
    let mut grads = vec![0.0; shape.parameters()];
    table.backward(&mut queue, &batch, &out, [&mut grads[..]], None).expect("backward");
    let cores = table.parameters(&mut queue, 0).expect("parameters");
    let (mut want, mut scratch) = (vec![0.0; cores.len()], vec![0.0; ttcore::algebra::scratch_len(&shape)]);
    for (row, &count) in counts.iter().enumerate() {
        let grad: Vec<f64> = out.iter().map(|x| x * count as f64 / LOOKUPS as f64).collect();
        ttcore::algebra::row_backward(&shape, &cores, row as u64, &grad, &mut want, &mut scratch);
    }
    assert_error("gradient", &grads, &want, 1e-9);
}

/// What a layout asks of a backend that no address space holds is refused; no call ends the program.
fn memory_is_refused<B: Backend<Float = f32, Error = Error>>(backend: B, queue: &mut B::Queue) {
    let most = (1usize << 32) - 1;
    let too_large = |what: &str, result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::TooLarge { .. })), "{what}: {result:?}");
    };
    // Lists of four billion lookups, for each of many tables.
    let tables = vec![ttcore::Table::dense(2, 2).expect("a table"); 2000];
    let plan = backend.plan(queue, Layout::new(tables, 2, most).expect("a layout")).expect("a plan");
    too_large("group", backend.new_group(queue, &plan).map(|_| ()));
    // Wide rows of as many lookups.
    let shape = TtShape::new(ROWS, &[10_000; 3], &[64, 32, 32], &[1, 2, 2, 1]).expect("a shape");
    let table = ttcore::Table::cached(shape, 0).expect("a table");
    let plan = backend.plan(queue, Layout::new(vec![table], 2, most).expect("a layout")).expect("a plan");
    too_large("saved", backend.new_saved(queue, &plan).map(|_| ()));
    too_large("scratch", backend.new_scratch(queue, &plan).map(|_| ()));
    let workspace = B::workspace(&plan);
    assert!(workspace.saved > 1 << 47 && workspace.scratch > 1 << 47, "{workspace:?}");
    // Ranks that make cores of more numbers than can be counted, or than there is memory for.
    for rank in [100_000_000, 1 << 40] {
        let shape = TtShape::new(ROWS, &[10_000; 3], &[4, 2, 2], &[1, rank, rank, 1]);
        if let Ok(shape) = shape {
            let made = EmbeddingBagCollection::new(backend, queue, vec![TableConfig::tt(shape)], 1, 1, 1);
            return too_large("ranks", made.map(|_| ()));
        }
    }
}

#[test]
fn memory_that_there_is_not_is_refused() {
    memory_is_refused(Reference::<f32>::new(), &mut ());
    memory_is_refused(Cpu::<f32>::new().expect("a backend"), &mut Threads::one());
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "infinity"), (f32::NEG_INFINITY, "-infinity")] {
        let weights = [1.0, value, 2.0];
        let bags = Bags::new(9, &[1u32, 2, 3], Offsets::Starts(&[0u32]), Pooling::Sum, Some(&weights));
        let error = bags.map(|_| ()).expect_err("a weight that is not finite");
        assert_eq!(error, BagsError::WeightNotFinite { position: 1, value: name });
        assert_eq!(error.to_string(), format!("the weight at position 1 is {name}"));
        let error = ttcore::check::finite("gradient", &[0.0, 1.0, value]).expect_err("not finite");
        assert_eq!(error.to_string(), format!("the gradient is {name} at position 2"));
    }
    ttcore::check::finite("gradient", &[0.0, f32::MAX, f32::MIN_POSITIVE / 2.0]).expect("finite numbers");
    // A learning rate that is none changes nothing.
    let mut queue = Threads::one();
    let config = TableConfig::dense(4, 2).expect("a table");
    let backend = Cpu::<f32>::new().expect("a backend");
    let mut tables = EmbeddingBagCollection::new(backend, &mut queue, vec![config], 1, 1, 7).expect("a table");
    let mut batch = tables.batch(&mut queue).expect("memory");
    tables
        .group(&mut queue, &mut batch, [Bags::one_per_bag(4, &[2u32], None).expect("bags")], Mode::Train)
        .expect("a batch");
    let mut out = [0.0; 2];
    tables.forward(&mut queue, &mut batch, &mut out).expect("forward");
    let before = tables.parameters(&mut queue, 0).expect("parameters");
    for lr in [f64::NAN, f64::INFINITY] {
        let error = tables.step(&mut queue, &batch, &[1.0, 1.0], lr, None).expect_err("no learning rate");
        assert!(matches!(error, Error::Setting { what: "learning rate", .. }), "{error}");
    }
    assert_eq!(tables.parameters(&mut queue, 0).expect("parameters"), before);
    assert_eq!(tables.steps(), 0);
    tables.step(&mut queue, &batch, &[1.0, 1.0], 0.1, None).expect("a step");
    assert_ne!(tables.parameters(&mut queue, 0).expect("parameters"), before);
}
