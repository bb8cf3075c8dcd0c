//! The layers users hold, on any backend: what they refuse, and what they report.

use ttcore::embedding::Batch;
use ttcore::{Backend, Bags, EmbeddingBagCollection, Error, Mode, Offsets, Pooling, Rule, Stale, TableConfig, TtShape};

const ROWS: u64 = 30;
const DIM: usize = 4;

/// A TT table with a cache of two rows and a dense table, for two bags and four lookups.
fn collection<B: Backend>(backend: B, queue: &mut B::Queue) -> EmbeddingBagCollection<B> {
    let shape = TtShape::with_rank(ROWS, &[5, 6], &[2, 2], 3).expect("a shape");
    let cached = TableConfig::tt(shape).with_cache(2).expect("a cache").with_rule(Rule::Adagrad { eps: 1e-8 });
    let dense = TableConfig::dense(7, DIM).expect("a table");
    EmbeddingBagCollection::new(backend, queue, vec![cached, dense], 2, 4, 5).expect("a collection")
}

fn bags<F: ttcore::Real>(rows: u64, indices: &[u32]) -> Bags<'_, F> {
    Bags::new(rows, indices, Offsets::WithLast(&[0, 2, 4]), Pooling::Mean, None).expect("bags")
}

/// Groups the rows for both tables and runs forward.
fn forward<B: Backend>(
    tables: &mut EmbeddingBagCollection<B>,
    queue: &mut B::Queue,
    batch: &mut Batch<B>,
    indices: [u32; 4],
    mode: Mode,
) -> Result<Vec<B::Float>, B::Error> {
    let small = indices.map(|i| i % 7);
    tables.group(queue, batch, [bags(ROWS, &indices), bags(7, &small)], mode)?;
    let mut out = tables.backend().alloc(queue, 2 * 2 * DIM)?;
    tables.forward(queue, batch, B::view_mut(&mut out))?;
    let mut host = vec![B::Float::default(); 2 * 2 * DIM];
    tables.backend().download(queue, B::view(&out), &mut host)?;
    Ok(host)
}

fn step<B: Backend>(
    tables: &mut EmbeddingBagCollection<B>,
    queue: &mut B::Queue,
    batch: &Batch<B>,
) -> Result<(), B::Error> {
    let ones = vec![<B::Float as num_traits::One>::one(); 2 * 2 * DIM];
    let mut grad = tables.backend().alloc(queue, ones.len())?;
    tables.backend().upload(queue, &ones, B::view_mut(&mut grad))?;
    tables.step(queue, batch, B::view(&grad), 0.1, None)
}

/// That a call was refused with this error.
#[track_caller]
fn refused<B: Backend, T>(result: Result<T, B::Error>, want: Error) {
    let got = result.map(|_| "nothing").map_err(|error| error.to_string());
    assert_eq!(got, Err(B::Error::from(want).to_string()));
}

/// Batches whose parameters or cache changed under way are refused, and nothing is updated.
///
/// # Panics
///
/// If not.
pub fn stale_batches_are_refused<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let (tables, queue) = (&mut collection(backend, &mut queue), &mut queue);
    let (mut first, mut second) = (tables.batch(queue).expect("memory"), tables.batch(queue).expect("memory"));
    let stale = |what| Error::Stale { what };
    refused::<B, _>(step(tables, queue, &first), stale(Stale::Nothing));

    forward(tables, queue, &mut first, [1, 2, 3, 3], Mode::Train).expect("forward");
    forward(tables, queue, &mut second, [4, 5, 6, 1], Mode::Train).expect("forward");
    step(tables, queue, &first).expect("step");
    let before = tables.parameters(queue, 0).expect("parameters");
    refused::<B, _>(step(tables, queue, &second), stale(Stale::Parameters));
    refused::<B, _>(step(tables, queue, &first), stale(Stale::Parameters));
    assert_eq!(tables.parameters(queue, 0).expect("parameters"), before);

    forward(tables, queue, &mut first, [1, 2, 3, 3], Mode::Train).expect("forward");
    tables.parameters_mut(1).expect("table 1");
    refused::<B, _>(step(tables, queue, &first), stale(Stale::Parameters));

    forward(tables, queue, &mut first, [1, 2, 3, 3], Mode::Train).expect("forward");
    tables.refresh(queue).expect("refresh");
    refused::<B, _>(step(tables, queue, &first), stale(Stale::Cache));

    forward(tables, queue, &mut first, [1, 2, 3, 3], Mode::Evaluate).expect("forward");
    refused::<B, _>(step(tables, queue, &first), stale(Stale::Nothing));
    assert_eq!(tables.steps(), 1);
}

/// Batches that do not fit are refused before anything is counted; more room makes them fit.
///
/// # Panics
///
/// If not.
pub fn room_for_batches<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let (tables, queue) = (&mut collection(backend, &mut queue), &mut queue);
    let mut batch = tables.batch(queue).expect("memory");
    let (cached, small) = (bags(ROWS, &[1, 2, 3, 4]), bags(7, &[1, 2, 3, 4]));
    let mut group = |bags: &[Bags<'_, B::Float>]| tables.group(queue, &mut batch, bags.iter().copied(), Mode::Train);

    refused::<B, _>(group(&[cached]), Error::TableCount { what: "batches", got: 1, tables: 2 });
    refused::<B, _>(group(&[cached; 3]), Error::Rows { table: 1, got: ROWS, want: 7 });
    refused::<B, _>(group(&[cached, small, small]), Error::TableCount { what: "batches", got: 3, tables: 2 });
    let one = Bags::new(7, &[1u32], Offsets::Starts(&[0]), Pooling::Sum, None).expect("bags");
    refused::<B, _>(group(&[cached, one]), Error::BagCount { table: 1, got: 1, want: 2 });
    let five = Bags::new(7, &[1u32; 5], Offsets::Starts(&[0, 1]), Pooling::Sum, None).expect("bags");
    refused::<B, _>(group(&[cached, five]), Error::Capacity { what: "lookups", table: 1, got: 5, capacity: 4 });
    assert_eq!(tables.cache_state(0).expect("table 0").expect("a cache").counts, []);

    tables.reserve(queue, 2, 5).expect("room");
    let mut batch = tables.batch(queue).expect("memory");
    tables.group(queue, &mut batch, [cached, five], Mode::Train).expect("it fits now");
    let counts = tables.cache_state(0).expect("table 0").expect("a cache").counts;
    assert_eq!(counts, [(1, 1), (2, 1), (3, 1), (4, 1)]);
}

/// A collection restored from parameters, optimiser state, steps and cache state goes on as the one it was taken from,
/// bit for bit: outputs, updates and refreshes.
///
/// # Panics
///
/// If not.
pub fn collections_restore<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let ((backend, mut queue), (other_backend, mut other_queue)) = (make(), make());
    let (tables, queue) = (&mut collection(backend, &mut queue), &mut queue);
    let mut batch = tables.batch(queue).expect("memory");
    for round in 0..6 {
        forward(tables, queue, &mut batch, [1, 1, 2, 8 + round], Mode::Train).expect("forward");
        step(tables, queue, &batch).expect("step");
        if round % 3 == 2 {
            tables.refresh(queue).expect("refresh");
        }
    }

    let (other, other_queue) = (&mut collection(other_backend, &mut other_queue), &mut other_queue);
    for table in 0..2 {
        let parameters = tables.parameters(queue, table).expect("parameters");
        other.set_parameters(other_queue, table, &parameters).expect("they fit");
        let state = tables.state(queue, table).expect("state");
        other.set_state(other_queue, table, &state).expect("it fits");
    }
    other.set_steps(tables.steps());
    let state = tables.cache_state(0).expect("table 0").expect("a cache");
    assert_eq!(state.slots.iter().flatten().count(), 2);
    other.set_cache_state(0, &state).expect("it fits");
    let mut other_batch = other.batch(other_queue).expect("memory");
    let out = forward(tables, queue, &mut batch, [1, 2, 9, 29], Mode::Evaluate).expect("forward");
    assert_eq!(forward(other, other_queue, &mut other_batch, [1, 2, 9, 29], Mode::Evaluate).expect("forward"), out);

    for round in 0..6 {
        let indices = [1, 8 + round, 8 + round, 8];
        let out = forward(tables, queue, &mut batch, indices, Mode::Train).expect("forward");
        assert_eq!(forward(other, other_queue, &mut other_batch, indices, Mode::Train).expect("forward"), out);
        step(tables, queue, &batch).expect("step");
        step(other, other_queue, &other_batch).expect("step");
        if round % 3 == 2 {
            assert_eq!(tables.refresh(queue).expect("refresh"), other.refresh(other_queue).expect("refresh"));
        }
    }
    for table in 0..2 {
        let [ours, theirs] = [
            (tables.parameters(queue, table), tables.state(queue, table)),
            (other.parameters(other_queue, table), other.state(other_queue, table)),
        ]
        .map(|(parameters, state)| (parameters.expect("parameters"), state.expect("state")));
        assert_eq!(ours, theirs);
        // In parts, where they lie, as in one piece.
        let mut parts = ours.1.clone();
        for (part, start) in parts.chunks_mut(5).zip((0..).step_by(5)) {
            let view = tables.state_view(table).expect("state");
            tables.backend().download(queue, B::slice(view, start..start + part.len()), part).expect("a part");
        }
        assert_eq!(parts, ours.1);
        for (part, start) in ours.0.chunks(7).zip((0..).step_by(7)) {
            let negated: Vec<_> = part.iter().map(|&x| -x).collect();
            other.set_parameters_part(other_queue, table, start, &negated).expect("a part");
        }
        for (part, start) in ours.1.chunks(7).zip((0..).step_by(7)) {
            let negated: Vec<_> = part.iter().map(|&x| -x).collect();
            other.set_state_part(other_queue, table, start, &negated).expect("a part");
        }
        let negated = |values: Vec<B::Float>| values.into_iter().map(|x| -x).collect::<Vec<_>>();
        assert_eq!(other.parameters(other_queue, table).expect("parameters"), negated(ours.0));
        assert_eq!(other.state(other_queue, table).expect("state"), negated(ours.1));
    }
    assert_eq!((tables.steps(), other.steps()), (12, 12));

    let wrong = vec![B::Float::default(); 3];
    refused::<B, _>(
        other.set_state(other_queue, 1, &wrong),
        Error::Length { what: "optimiser state", table: Some(1), got: 3, want: 0 },
    );
    refused::<B, _>(
        other.set_parameters_part(other_queue, 1, 7 * DIM - 2, &wrong),
        Error::Length { what: "parameters", table: Some(1), got: 7 * DIM + 1, want: 7 * DIM },
    );
    refused::<B, _>(other.set_cache_state(1, &state), Error::CacheState { what: "the table has no cache" });
    refused::<B, _>(other.parameters(other_queue, 2), Error::NoTable { table: 2, tables: 2 });
    refused::<B, _>(
        other.rows(other_queue, 0, &[0, ROWS]),
        Error::Row { table: 0, position: 1, row: ROWS, rows: ROWS },
    );
}

/// Statistics: bytes follow from the shapes, traffic from the batches, in training and evaluation.
///
/// # Panics
///
/// If not.
pub fn statistics<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let (tables, queue) = (&mut collection(backend, &mut queue), &mut queue);
    let mut batch = tables.batch(queue).expect("memory");
    forward(tables, queue, &mut batch, [3, 3, 4, 5], Mode::Train).expect("forward");
    tables.refresh(queue).expect("refresh");
    forward(tables, queue, &mut batch, [3, 4, 5, 6], Mode::Evaluate).expect("forward");

    let float = size_of::<B::Float>();
    let [cached, dense] = tables.statistics().try_into().expect("two tables");
    let cores = 5 * 2 * 3 + 6 * 3 * 2;
    assert_eq!((cached.bytes.cores, cached.bytes.dense_rows), (cores * float, 2 * DIM * float));
    assert_eq!(cached.bytes.state, (cores + 2 * DIM) * float, "Adagrad has one number for each parameter");
    assert_eq!(cached.bytes.uncompressed, 30 * (DIM * float) as u128);
    assert!(cached.bytes.counter > 0 && cached.bytes.total() > cached.bytes.parameters() + cached.bytes.state);
    assert_eq!((dense.bytes.total(), dense.bytes.uncompressed), (7 * DIM * float, 7 * (DIM * float) as u128));
    // Row 3, and of the equally frequent rows 4 and 5 the lower one; hits only after the refresh.
    assert_eq!(cached.cached_rows, 2);
    let traffic = cached.traffic.expect("a cache");
    assert_eq!((traffic.hits, traffic.lookups, traffic.hit_rate()), (2, 8, 0.25));
    assert!(dense.traffic.is_none() && dense.init.is_none() && cached.init.is_some());
    assert_eq!(tables.statistics()[0].traffic, Some(ttcore::cache::Traffic::default()), "taken");
}

/// A collection goes on in another thread, with its queue and a batch under way, and comes back; several threads read it.
///
/// # Panics
///
/// If not.
pub fn layers_go_to_other_threads<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    const ROUNDS: u32 = 3;
    let train = |mut tables: EmbeddingBagCollection<B>, mut queue: B::Queue, mut batch: Batch<B>| {
        for round in 0..ROUNDS {
            forward(&mut tables, &mut queue, &mut batch, [1, 2, 3 + round, 3], Mode::Train).expect("forward");
            step(&mut tables, &mut queue, &batch).expect("step");
        }
        (tables, queue, batch)
    };
    let [(here, mut queue, _), (there, mut other_queue, _)] = [false, true].map(|moved| {
        let (backend, mut queue) = make();
        let mut tables = collection(backend, &mut queue);
        let mut batch = tables.batch(&mut queue).expect("memory");
        forward(&mut tables, &mut queue, &mut batch, [1, 2, 3, 4], Mode::Train).expect("forward");
        let go_on = || {
            step(&mut tables, &mut queue, &batch).expect("a step of a forward of another thread");
            train(tables, queue, batch)
        };
        if moved {
            std::thread::scope(|scope| scope.spawn(go_on).join().expect("a thread that ends well"))
        } else {
            go_on()
        }
    });
    assert_eq!((here.steps(), there.steps()), (1 + u64::from(ROUNDS), 1 + u64::from(ROUNDS)));
    for table in 0..2 {
        let parameters = here.parameters(&mut queue, table).expect("parameters");
        assert_eq!(parameters, there.parameters(&mut other_queue, table).expect("parameters"));
    }

    let read = |there: &EmbeddingBagCollection<B>| (there.steps(), there.parameters_view(0).map(B::len));
    let parameters = here.parameters(&mut queue, 0).expect("parameters").len();
    std::thread::scope(|scope| {
        for reader in [scope.spawn(|| read(&there)), scope.spawn(|| read(&there))] {
            let (steps, len) = reader.join().expect("a thread that ends well");
            assert_eq!((steps, len.expect("table 0")), (1 + u64::from(ROUNDS), parameters));
        }
    });
}
