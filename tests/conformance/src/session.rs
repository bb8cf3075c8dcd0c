//! Sessions, on any backend: what collections compute, on memory that is someone else's and by many threads at once.

use ttcore::backend::Sink;
use ttcore::embedding::{Batch, Session, TableMut};
use ttcore::init::{CoreInit, table_seed};
use ttcore::{
    Backend, Bags, EmbeddingBagCollection, Error, Layout, Mode, Offsets, Pooling, Rule, TableConfig, TtShape,
};

const ROWS: u64 = 30;
const DENSE_ROWS: u64 = 7;
const DIM: usize = 4;
const BAGS: usize = 2;
const LOOKUPS: usize = 4;
const OUT: usize = BAGS * 2 * DIM;
const SEED: u64 = 5;

/// A TT table with a cache of two rows and a dense table.
fn configs() -> Vec<TableConfig> {
    let shape = TtShape::with_rank(ROWS, &[5, 6], &[2, 2], 3).expect("a shape");
    let dense = TableConfig::dense(DENSE_ROWS, DIM).expect("a table");
    vec![TableConfig::tt(shape).with_cache(2).expect("a cache"), dense]
}

fn session<B: Backend>(backend: B, queue: &mut B::Queue) -> Session<B> {
    Session::new(backend, queue, configs(), BAGS, LOOKUPS).expect("a session")
}

fn collection<B: Backend>(backend: B, queue: &mut B::Queue) -> EmbeddingBagCollection<B> {
    EmbeddingBagCollection::new(backend, queue, configs(), BAGS, LOOKUPS, SEED).expect("a collection")
}

/// Rows of the first table; those of the second follow from them.
fn rows(round: u32) -> [[u32; LOOKUPS]; 2] {
    let first = [3, round * 7 % ROWS as u32, 3, (round * 5 + 1) % ROWS as u32];
    [first, first.map(|row| row % DENSE_ROWS as u32)]
}

fn bags<F: ttcore::Real>(rows: &[[u32; LOOKUPS]; 2]) -> [Bags<'_, F>; 2] {
    let one = |table: usize, of| Bags::new(of, &rows[table], Offsets::Starts(&[0, 2]), Pooling::Mean, None);
    [one(0, ROWS).expect("bags"), one(1, DENSE_ROWS).expect("bags")]
}

fn buffer<B: Backend>(backend: &B, queue: &mut B::Queue, values: &[B::Float]) -> B::Buffer {
    let mut buffer = backend.alloc(queue, values.len()).expect("memory");
    backend.upload(queue, values, B::view_mut(&mut buffer)).expect("a copy");
    buffer
}

fn read<B: Backend>(backend: &B, queue: &mut B::Queue, view: B::View<'_>) -> Vec<B::Float> {
    let mut values = vec![B::Float::default(); B::len(view)];
    backend.download(queue, view, &mut values).expect("a copy");
    values
}

fn zeros<B: Backend>(len: usize) -> Vec<B::Float> {
    vec![B::Float::default(); len]
}

/// A gradient of the output.
fn gradient<B: Backend>(backend: &B, queue: &mut B::Queue) -> B::Buffer {
    let values: Vec<B::Float> = (0..OUT).map(|i| ttcore::Real::of(i as f64 / 8.0 - 1.0)).collect();
    buffer(backend, queue, &values)
}

fn lookup<B: Backend>(
    tables: &EmbeddingBagCollection<B>,
    queue: &mut B::Queue,
    round: u32,
) -> Result<Vec<B::Float>, B::Error> {
    lookup_rows(tables, queue, &rows(round))
}

fn lookup_rows<B: Backend>(
    tables: &EmbeddingBagCollection<B>,
    queue: &mut B::Queue,
    rows: &[[u32; LOOKUPS]; 2],
) -> Result<Vec<B::Float>, B::Error> {
    let session = tables.session();
    let (mut worker, mut batch) = (session.worker(queue)?, session.batch(queue)?);
    session.group(queue, &mut batch, bags(rows), Mode::Evaluate)?;
    let mut out = buffer(tables.backend(), queue, &zeros::<B>(OUT));
    tables.lookup(queue, &mut worker, &mut batch, B::view_mut(&mut out))?;
    Ok(read(tables.backend(), queue, B::view(&out)))
}

/// Groups, computes forward and a step.
fn train<B: Backend>(tables: &mut EmbeddingBagCollection<B>, queue: &mut B::Queue, batch: &mut Batch<B>, round: u32) {
    let mut out = buffer(tables.backend(), queue, &zeros::<B>(OUT));
    let grad = gradient(tables.backend(), queue);
    tables.group(queue, batch, bags(&rows(round)), Mode::Train).expect("group");
    tables.forward(queue, batch, B::view_mut(&mut out)).expect("forward");
    tables.step(queue, batch, B::view(&grad), 0.1, None).expect("step");
}

#[track_caller]
fn refused<B: Backend, T>(result: Result<T, B::Error>, want: Error) {
    let got = result.map(|_| "nothing").map_err(|error| error.to_string());
    assert_eq!(got, Err(B::Error::from(want).to_string()));
}

/// A session on the caller's memory computes what a collection does, bit for bit: outputs, gradients, steps, refreshes, rows.
///
/// # Panics
///
/// If not.
pub fn is_a_collection_on_other_memory<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let ((backend, mut queue), (other, mut other_queue)) = (make(), make());
    let (queue, other_queue) = (&mut queue, &mut other_queue);
    let mut tables = collection(other, other_queue);
    let mut session = session(backend, queue);
    let configs = configs();
    let drawn = configs.iter().enumerate().map(|(number, config)| {
        let mut values = zeros::<B>(config.table().parameters());
        config.draw(table_seed(SEED, number), &mut values);
        buffer(session.backend(), queue, &values)
    });
    let mut params: Vec<B::Buffer> = drawn.collect();
    let state = configs.iter().map(|config| zeros::<B>(config.state_layout().len()));
    let mut state: Vec<B::Buffer> = state.map(|zeros| buffer(session.backend(), queue, &zeros)).collect();
    let (mut worker, mut batch) = (session.worker(queue).expect("memory"), session.batch(queue).expect("memory"));
    let mut other_batch = tables.batch(other_queue).expect("memory");

    for round in 0..6 {
        let rows = rows(round);
        let mut out = buffer(session.backend(), queue, &zeros::<B>(OUT));
        let mut other_out = buffer(tables.backend(), other_queue, &zeros::<B>(OUT));
        session.group(queue, &mut batch, bags(&rows), Mode::Train).expect("group");
        session.observe(&mut batch).expect("a batch of this session");
        let views = params.iter().map(B::view);
        session.forward(queue, &mut worker, &mut batch, views, B::view_mut(&mut out)).expect("forward");
        tables.group(other_queue, &mut other_batch, bags(&rows), Mode::Train).expect("group");
        tables.forward(other_queue, &mut other_batch, B::view_mut(&mut other_out)).expect("forward");
        let out = read(session.backend(), queue, B::view(&out));
        assert_eq!(out, read(tables.backend(), other_queue, B::view(&other_out)));
        assert!(out.iter().any(|&x| x != B::Float::default()));

        let (grad, other_grad) = (gradient(session.backend(), queue), gradient(tables.backend(), other_queue));
        let grads = |backend: &B, queue: &mut B::Queue| -> Vec<B::Buffer> {
            configs.iter().map(|config| buffer(backend, queue, &zeros::<B>(config.table().parameters()))).collect()
        };
        let (mut ours, mut theirs) = (grads(session.backend(), queue), grads(tables.backend(), other_queue));
        let sinks = params.iter().zip(&mut ours);
        let sinks =
            sinks.map(|(params, grads)| Sink::Accumulate { params: B::view(params), grads: B::view_mut(grads) });
        session.backward(queue, &mut worker, &batch, sinks, B::view(&grad), None).expect("backward");
        let views = theirs.iter_mut().map(B::view_mut);
        tables.backward(other_queue, &other_batch, B::view(&other_grad), views, None).expect("backward");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let ours = read(session.backend(), queue, B::view(ours));
            assert_eq!(ours, read(tables.backend(), other_queue, B::view(theirs)));
        }

        let memory = params.iter_mut().zip(&mut state);
        let memory = memory.map(|(params, state)| TableMut { params: B::view_mut(params), state: B::view_mut(state) });
        session.step(queue, &mut worker, &batch, memory, B::view(&grad), 0.1, None).expect("step");
        tables.step(other_queue, &other_batch, B::view(&other_grad), 0.1, None).expect("step");
        if round % 2 == 1 {
            let memory = params.iter_mut().zip(&mut state);
            let memory =
                memory.map(|(params, state)| TableMut { params: B::view_mut(params), state: B::view_mut(state) });
            let refresh = session.refresh(queue, &mut worker, memory).expect("refresh");
            assert_eq!(refresh, tables.refresh(other_queue).expect("refresh"));
        }
        for (table, (params, state)) in params.iter().zip(&state).enumerate() {
            let ours = [params, state].map(|buffer| read(session.backend(), queue, B::view(buffer)));
            let theirs = [tables.parameters(other_queue, table), tables.state(other_queue, table)];
            assert_eq!(ours, theirs.map(|values| values.expect("a copy")));
        }
    }
    assert_eq!((session.steps(), tables.steps()), (6, 6));
    let cached = session.cache_state(0).expect("table 0").expect("a cache");
    assert_eq!(Some(cached), tables.cache_state(0).expect("table 0"));

    let all: Vec<u64> = (0..ROWS).collect();
    let mut out = buffer(session.backend(), queue, &zeros::<B>(all.len() * DIM));
    let view = B::view(&params[0]);
    session.rows(queue, &mut worker, 0, view, &all, B::view_mut(&mut out)).expect("rows");
    let ours = read(session.backend(), queue, B::view(&out));
    assert_eq!(ours, tables.rows(other_queue, 0, &all).expect("rows"));

    // What does not fit is refused, and nothing is chosen or loaded.
    let before = session.cache_state(0);
    let (params, state) = (B::view_mut(&mut params[0]), B::view_mut(&mut state[0]));
    let one = session.refresh(queue, &mut worker, [TableMut { params, state }]);
    refused::<B, _>(one, Error::TableCount { what: "tables", got: 1, tables: 2 });
    assert_eq!(session.cache_state(0).expect("table 0"), before.expect("table 0"));
}

/// Several threads look rows up at once, each with a worker and a batch of its own.
///
/// # Panics
///
/// If not.
pub fn many_threads_look_up_at_once<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let mut tables = collection(backend, &mut queue);
    let mut batch = tables.batch(&mut queue).expect("memory");
    (0..4).for_each(|round| train(&mut tables, &mut queue, &mut batch, round));
    tables.refresh(&mut queue).expect("refresh");
    let want: Vec<_> = (0..8).map(|round| lookup(&tables, &mut queue, round).expect("a lookup")).collect();
    std::thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            let (mut queue, tables) = (make().1, &tables);
            scope.spawn(move || -> Vec<_> {
                (0..8).map(|round| lookup(tables, &mut queue, round).map_err(|error| error.to_string())).collect()
            })
        });
        for reader in readers {
            let got = reader.join().expect("a thread that ends well");
            assert_eq!(got, want.iter().cloned().map(Ok).collect::<Vec<_>>());
        }
    });
}

/// The next batch is grouped in another thread while this one is trained on, and what comes out is the same.
///
/// # Panics
///
/// If not.
pub fn the_next_batch_is_grouped_beside_a_step<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    const ROUNDS: u32 = 5;
    let ((backend, mut plain_queue), (other, mut queue)) = (make(), make());
    let mut plain = collection(backend, &mut plain_queue);
    let mut batch = plain.batch(&mut plain_queue).expect("memory");
    (0..ROUNDS).for_each(|round| train(&mut plain, &mut plain_queue, &mut batch, round));

    let mut tables = collection(other, &mut queue);
    let queue = &mut queue;
    let grad = gradient(tables.backend(), queue);
    let mut out = buffer(tables.backend(), queue, &zeros::<B>(OUT));
    let (mut this, mut next) = (tables.batch(queue).expect("memory"), tables.batch(queue).expect("memory"));
    tables.group(queue, &mut this, bags(&rows(0)), Mode::Train).expect("group");
    for round in 0..ROUNDS {
        let (session, memory) = tables.parts();
        std::thread::scope(|scope| {
            let (next, mut queue_beside) = (&mut next, make().1);
            let grouping = scope.spawn(move || {
                let grouped = session.group(&mut queue_beside, next, bags(&rows(round + 1)), Mode::Train);
                grouped.map_err(|error| error.to_string())
            });
            memory.forward(session, queue, &mut this, B::view_mut(&mut out)).expect("forward");
            memory.step(session, queue, &this, B::view(&grad), 0.1, None).expect("step");
            grouping.join().expect("a thread that ends well").expect("group");
        });
        if round + 1 < ROUNDS {
            tables.observe(&mut next).expect("a batch of these tables");
        }
        std::mem::swap(&mut this, &mut next);
    }
    for table in 0..2 {
        let ours = tables.parameters(queue, table).expect("parameters");
        assert_eq!(ours, plain.parameters(&mut plain_queue, table).expect("parameters"));
    }
    assert_eq!(tables.cache_state(0).expect("table 0"), plain.cache_state(0).expect("table 0"));
}

/// A batch that is under way when there is more room made goes on; filled again, it takes what did not fit before.
///
/// # Panics
///
/// If not.
pub fn batches_go_on_when_there_is_more_room<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let ((backend, mut queue), (other, mut other_queue)) = (make(), make());
    let (mut tables, mut plain) = (collection(backend, &mut queue), collection(other, &mut other_queue));
    let queue = &mut queue;
    let mut plain_batch = plain.batch(&mut other_queue).expect("memory");
    train(&mut plain, &mut other_queue, &mut plain_batch, 1);

    let mut batch = tables.batch(queue).expect("memory");
    let mut out = buffer(tables.backend(), queue, &zeros::<B>(OUT));
    let grad = gradient(tables.backend(), queue);
    tables.group(queue, &mut batch, bags(&rows(1)), Mode::Train).expect("group");
    tables.forward(queue, &mut batch, B::view_mut(&mut out)).expect("forward");
    tables.reserve(queue, BAGS, LOOKUPS + 1).expect("room");
    tables.step(queue, &batch, B::view(&grad), 0.1, None).expect("the step of a forward before");
    for table in 0..2 {
        let ours = tables.parameters(queue, table).expect("parameters");
        assert_eq!(ours, plain.parameters(&mut other_queue, table).expect("parameters"));
    }

    let five = |of| Bags::new(of, &[1u32; LOOKUPS + 1], Offsets::Starts(&[0, 2]), Pooling::Sum, None).expect("bags");
    let too_many = plain.group(&mut other_queue, &mut plain_batch, [five(ROWS), five(DENSE_ROWS)], Mode::Train);
    refused::<B, _>(too_many, Error::Capacity { what: "lookups", table: 0, got: LOOKUPS + 1, capacity: LOOKUPS });
    tables.group(queue, &mut batch, [five(ROWS), five(DENSE_ROWS)], Mode::Train).expect("it fits now");
    tables.forward(queue, &mut batch, B::view_mut(&mut out)).expect("forward");
    tables.step(queue, &batch, B::view(&grad), 0.1, None).expect("step");

    // Room grows to a power of two, or to what is wanted where that is too much, or not at all.
    let mut session = session(make().0, queue);
    let room = |session: &Session<B>| (session.layout().bags(), session.layout().lookups());
    session.grow(queue, BAGS, LOOKUPS - 1).expect("it fits");
    assert_eq!(room(&session), (BAGS, LOOKUPS));
    session.grow(queue, BAGS + 1, LOOKUPS + 1).expect("room");
    assert_eq!(room(&session), ((BAGS + 1).next_power_of_two(), (LOOKUPS + 1).next_power_of_two()));
    let before = room(&session);
    session.grow(queue, usize::MAX, 1).expect_err("more than there can be");
    assert_eq!(room(&session), before);
}

/// How a table is trained can be changed: frozen and trained again, its rate, its rule.
///
/// # Panics
///
/// If not.
pub fn tables_are_trained_in_another_way_later<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let mut tables = collection(backend, &mut queue);
    let queue = &mut queue;
    let mut batch = tables.batch(queue).expect("memory");
    let [cached, dense]: [TableConfig; 2] = configs().try_into().expect("two tables");
    // Which tables a step moves.
    let moved = |tables: &mut EmbeddingBagCollection<B>, queue: &mut B::Queue, batch: &mut Batch<B>| {
        let both = |tables: &EmbeddingBagCollection<B>, queue: &mut B::Queue| {
            [0, 1].map(|table| tables.parameters(queue, table).expect("parameters"))
        };
        let before = both(tables, queue);
        train(tables, queue, batch, 2);
        let after = both(tables, queue);
        [before[0] != after[0], before[1] != after[1]]
    };
    assert_eq!(moved(&mut tables, queue, &mut batch), [true, true]);
    tables.set_config(queue, 0, cached.clone().frozen()).expect("the same table");
    assert_eq!(moved(&mut tables, queue, &mut batch), [false, true]);
    tables.set_config(queue, 0, cached.clone().frozen().trained()).expect("the same table");
    tables.set_config(queue, 1, dense.clone().with_lr_multiplier(0.0)).expect("the same table");
    assert_eq!(moved(&mut tables, queue, &mut batch), [true, false]);

    // A rule with other state begins with zeros; one with the same state goes on with it.
    let state = tables.state(queue, 0).expect("state");
    tables.set_config(queue, 0, cached.clone().with_lr_multiplier(0.5)).expect("the same table");
    assert_eq!(tables.state(queue, 0).expect("state"), state);
    let adam = cached.clone().with_rule(Rule::Adam { beta1: 0.9, beta2: 0.99, eps: 1e-8 });
    tables.set_config(queue, 0, adam.clone()).expect("the same table");
    assert_eq!(tables.state(queue, 0).expect("state"), zeros::<B>(adam.state_layout().len()));
    assert_eq!(moved(&mut tables, queue, &mut batch), [true, false]);

    refused::<B, _>(tables.set_config(queue, 0, dense.clone()), Error::OtherTable { table: 0 });
    refused::<B, _>(tables.set_config(queue, 2, dense.clone()), Error::NoTable { table: 2, tables: 2 });
    let what = "learning rate multiplier";
    let negative = tables.set_config(queue, 1, dense.clone().with_lr_multiplier(-1.0));
    refused::<B, _>(negative, Error::Setting { what, table: 1, value: -1.0 });
    let init = CoreInit::default().with_std(f64::INFINITY);
    let wide = Session::new(make().0, queue, vec![dense, cached.with_init(init)], BAGS, LOOKUPS).map(drop);
    refused::<B, _>(wide, Error::Setting { what: "standard deviation", table: 1, value: f64::INFINITY });
}

/// A collection made of parameters there are has them, and refuses what does not fit; a batch counts once.
///
/// # Panics
///
/// If not.
pub fn parameters_there_are_and_batches_seen_once<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let queue = &mut queue;
    let session = session(backend, queue);
    let values = configs()
        .into_iter()
        .map(|config| (0..config.table().parameters()).map(|i| ttcore::Real::of(i as f64)).collect::<Vec<B::Float>>());
    let values: Vec<Vec<B::Float>> = values.collect();
    let params: Vec<B::Buffer> = values.iter().map(|values| buffer(session.backend(), queue, values)).collect();
    let mut tables = EmbeddingBagCollection::with_parameters(session, queue, params).expect("they fit");
    for (table, values) in values.iter().enumerate() {
        assert_eq!(&tables.parameters(queue, table).expect("parameters"), values);
    }

    let mut batch = tables.batch(queue).expect("memory");
    let rows = [[1, 2, 3, 3], [0; LOOKUPS]];
    tables.group(queue, &mut batch, bags(&rows), Mode::Train).expect("group");
    tables.observe(&mut batch).expect("a batch of these tables");
    let counts = tables.cache_state(0).expect("table 0").expect("a cache").counts;
    assert_eq!(counts, [(1, 1), (2, 1), (3, 2)]);

    let other = self::session(make().0, queue);
    let short: Vec<B::Buffer> = [3, 4].map(|len| buffer(other.backend(), queue, &zeros::<B>(len))).into();
    let want = configs()[0].table().parameters();
    let error = Error::Length { what: "parameters", table: Some(0), got: 3, want };
    refused::<B, _>(EmbeddingBagCollection::with_parameters(other, queue, short), error);
}

/// A table that two features look up, with a cache: outputs are those of a collection where each has a table to itself,
/// the cache sees the lookups of both, and a step moves what it should.
///
/// # Panics
///
/// If not.
pub fn one_table_of_two_features<B: Backend>(make: impl Fn() -> (B, B::Queue)) {
    let (backend, mut queue) = make();
    let queue = &mut queue;
    let configs = configs();
    let tables = configs.iter().map(|config| config.table().clone()).collect();
    // Feature 1 of the first table, the second table, feature 0 of the first.
    let layout = Layout::with_features(tables, vec![vec![2 * DIM, 0], vec![DIM]], 3 * DIM, BAGS, 2 * LOOKUPS);
    let session = Session::with_layout(backend, queue, configs, layout.expect("a layout")).expect("a session");
    let (other, mut other_queue) = make();
    let plain = collection(other, &mut other_queue);
    let params: Vec<B::Buffer> = (0..2)
        .map(|table| {
            let values = plain.parameters(&mut other_queue, table).expect("parameters");
            buffer(session.backend(), queue, &values)
        })
        .collect();
    let mut shared = EmbeddingBagCollection::with_parameters(session, queue, params).expect("they fit");
    let mut batch = shared.batch(queue).expect("memory");

    let (one, two) = (rows(1), rows(2));
    let both: Vec<u32> = one[0].into_iter().chain(two[0]).collect();
    let of_both = Bags::new(ROWS, &both, Offsets::Starts(&[0, 2, 4, 6]), Pooling::Mean, None).expect("bags");
    let forward = |shared: &mut EmbeddingBagCollection<B>, queue: &mut B::Queue, batch: &mut Batch<B>| {
        shared.group(queue, batch, [of_both, bags(&one)[1]], Mode::Train).expect("group");
        let mut out = buffer(shared.backend(), queue, &zeros::<B>(BAGS * 3 * DIM));
        shared.forward(queue, batch, B::view_mut(&mut out)).expect("forward");
        read(shared.backend(), queue, B::view(&out))
    };
    let out = forward(&mut shared, queue, &mut batch);
    let want = [&one, &two].map(|rows| lookup_rows(&plain, &mut other_queue, rows).expect("a lookup"));
    for bag in 0..BAGS {
        let part = |column: usize| &out[bag * 3 * DIM + column..][..DIM];
        assert_eq!(part(2 * DIM), &want[0][bag * 2 * DIM..][..DIM], "feature 0");
        assert_eq!(part(0), &want[1][bag * 2 * DIM..][..DIM], "feature 1");
        assert_eq!(part(DIM), &want[0][bag * 2 * DIM + DIM..][..DIM], "the other table");
    }
    let counts = shared.cache_state(0).expect("table 0").expect("a cache").counts;
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 2 * LOOKUPS as u64);

    // A gradient of the second feature alone moves the rows of that feature alone.
    let grad: Vec<B::Float> = (0..BAGS * 3 * DIM).map(|i| ttcore::Real::of(f64::from(i % (3 * DIM) < DIM))).collect();
    let grad = buffer(shared.backend(), queue, &grad);
    shared.step(queue, &batch, B::view(&grad), 0.1, None).expect("step");
    let after = forward(&mut shared, queue, &mut batch);
    for bag in 0..BAGS {
        assert_ne!(&after[bag * 3 * DIM..][..DIM], &out[bag * 3 * DIM..][..DIM], "feature 1");
        assert_eq!(&after[bag * 3 * DIM + DIM..][..DIM], &out[bag * 3 * DIM + DIM..][..DIM], "the other table");
    }

    let uneven = Bags::new(ROWS, &[1u32; 3], Offsets::Starts(&[0, 1, 2]), Pooling::Sum, None).expect("bags");
    let refusal = shared.group(queue, &mut batch, [uneven, bags(&one)[1]], Mode::Train);
    refused::<B, _>(refusal, Error::UnevenBags { table: 0, got: 3, features: 2 });
    shared.reserve(queue, BAGS, 3 * LOOKUPS).expect("room");
    assert_eq!(forward(&mut shared, queue, &mut batch), after, "with more room");
}
