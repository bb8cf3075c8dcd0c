//! What adapters to other frameworks pay: for fresh gradients, and for calls from outside of the threads.
//!
//! Every call is timed alone and what is compared takes turns, so that medians stand beside each other also on a machine
//! that is not idle.

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::Training;
use ttcore_cpu::Threads;

/// Bags of a batch, of one lookup each, and how often everything is called.
const SIZES: [(usize, usize); 3] = [(128, 4000), (512, 2000), (2048, 1000)];

/// Steps one behind the other, when it is the turn of a queue.
const BURST: usize = 20;

type Call = fn(&mut Training);
/// Makes a queue on the calling thread.
type Queue = fn() -> Threads;

/// Gradients of one backward, on one thread.
const GRADIENTS: [(&str, Call); 5] = [
    ("added, not zeroed", Training::accumulate),
    ("zeroed, then added", Training::zero_and_accumulate),
    ("added, touched cleared", Training::accumulate_and_clear),
    ("overwritten", Training::overwrite),
    ("SGD instead", Training::step),
];

/// Queues for steps that are called from outside.
const QUEUES: [(&str, Queue); 3] = [
    ("Threads::one()", Threads::one),
    ("Threads::here(2)", || Threads::here(2).expect("threads")),
    ("Threads::new(2)", || Threads::new(2).expect("threads")),
];

fn main() {
    let [(name, table), _] = common::kaggle_largest();
    println!("{name}, microseconds: median, and first and third quartile");
    for (bags, calls) in SIZES {
        println!("backward of {bags} x 1, one thread");
        let mut training = Training::new(table.clone(), bags, 1, Threads::one());
        let mut times = GRADIENTS.map(|_| Vec::new());
        for _ in 0..calls {
            for ((_, call), times) in GRADIENTS.iter().zip(&mut times) {
                training.next_to_backward();
                times.push(timed(|| call(&mut training)));
            }
        }
        GRADIENTS.iter().zip(times).for_each(|((name, _), times)| print(name, times));
    }
    for (bags, calls) in SIZES {
        println!("step of {bags} x 1, called from outside");
        // A thread for each queue: one that has a queue here is in a pool from then on.
        thread::scope(|scope| {
            let mut queues = QUEUES.map(|(name, queue)| {
                let (go, turns) = mpsc::channel::<()>();
                let (done, times) = mpsc::channel();
                let table = table.clone();
                scope.spawn(move || {
                    let mut training = Training::new(table, bags, 1, queue());
                    for () in turns {
                        let burst: Vec<Duration> = (0..BURST).map(|_| timed(|| step(&mut training))).collect();
                        done.send(burst).expect("they are waited for");
                    }
                });
                (name, go, times, Vec::new())
            });
            for _ in 0..calls / BURST {
                for (_, go, times, all) in &mut queues {
                    go.send(()).expect("it waits for its turn");
                    all.extend(times.recv().expect("times"));
                }
            }
            queues.into_iter().for_each(|(name, _, _, times)| print(name, times));
        });
    }
}

/// Grouping, forward, backward with SGD: three calls.
fn step(training: &mut Training) {
    training.next_to_backward();
    training.step();
}

fn timed(call: impl FnOnce()) -> Duration {
    let start = Instant::now();
    call();
    start.elapsed()
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let [first, median, third] = [1, 2, 3].map(|quarter| times[times.len() * quarter / 4].as_secs_f64() * 1e6);
    println!("  {name:24} {median:7.1}   {first:7.1} .. {third:7.1}");
}
