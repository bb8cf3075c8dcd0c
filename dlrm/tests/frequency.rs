//! `dlrm eval --by-frequency`, and the same from Rust.

mod common;

use common::{Stop, kept, lines, output, run, settings, stderr, stdout};
use dlrm::checkpoint::Checkpoint;
use dlrm::data::{Batch, Dataset};
use dlrm::frequency::{self, Bucket, ByFrequency};
use dlrm::memory::largest_tables;
use dlrm::train::{DataIdentity, Evaluation, Observer, Part, Progress, Trainer};
use serde_json::Value;
use ttcore_cpu::{Cpu, Threads};

/// A model trained and evaluated on some threads; one of its tables may be given a number that is not finite before.
fn evaluated(
    data: &Dataset,
    threads: usize,
    part: Part,
    broken: Option<usize>,
    observer: &mut dyn Observer,
) -> Option<(Evaluation, ByFrequency)> {
    let folder = tempfile::tempdir().expect("a folder");
    run(data, &settings(), &kept(folder.path(), 50, false), &mut Stop::default(), threads).expect("a run");
    let mut checkpoint = Checkpoint::open(&folder.path().join("final.safetensors")).expect("a checkpoint");
    let mut queue = Threads::new(threads).expect("threads");
    let settings = checkpoint.description().settings.clone();
    let backend = Cpu::<f32>::new().expect("a backend");
    let mut trainer = Trainer::new(backend, &mut queue, data, DataIdentity::of(data), settings).expect("a trainer");
    trainer.restore(&mut queue, &mut checkpoint).expect("the run's model");
    if let Some(table) = broken {
        // Of one row: lines that have another are left.
        let mut rows = trainer.model().tables().parameters(&mut queue, table).expect("numbers");
        rows[0] = f32::INFINITY;
        trainer.model().tables().set_parameters(&mut queue, table, &rows).expect("numbers");
    }
    let evaluated = frequency::evaluate(&mut trainer, &mut queue, part, 7, observer).expect("no error");
    let plain = trainer.evaluate(&mut queue, part, &mut ()).expect("no error");
    assert!(evaluated.is_none() || evaluated.as_ref().map(|evaluated| evaluated.0) == plain);
    evaluated
}

/// That the buckets are of these lines and come to the same as all of them.
fn agrees(evaluation: &Evaluation, by: &ByFrequency) {
    let counted = (evaluation.lines - evaluation.non_finite) as u64;
    for (buckets, count) in [(&by.by_frequency, 7 * counted), (&by.by_rarest_row, counted)] {
        assert_eq!(buckets.iter().map(|bucket| bucket.count.get()).sum::<u64>(), count);
        assert!((buckets.iter().map(|bucket| bucket.share).sum::<f64>() - 1.0).abs() < 1e-12);
        let mean = |of: fn(&Bucket) -> Option<f64>| {
            buckets.iter().filter_map(|bucket| Some(of(bucket)? * bucket.share)).sum::<f64>()
        };
        assert!((mean(|bucket| bucket.log_loss) - evaluation.log_loss).abs() < 1e-12);
        if evaluation.non_finite == 0 {
            let positives = evaluation.positives as f64 / evaluation.lines as f64;
            assert!((mean(|bucket| bucket.mean_label) - positives).abs() < 1e-12);
        }
    }
}

#[test]
fn buckets_come_to_the_whole() {
    let data = lines();
    for part in [Part::Test, Part::Train, Part::All] {
        let (evaluation, by) = evaluated(&data, 1, part, None, &mut ()).expect("an end");
        agrees(&evaluation, &by);
        assert_eq!((by.training_lines, by.tables), (600, largest_tables(&settings_rows(&data), 7)));
        // Every row of a training line occurs in training.
        assert_eq!(by.by_frequency[0].count.get() == 0, part == Part::Train);
        assert_eq!(by.by_frequency[4].count.get(), 0);
    }
    let one = evaluated(&data, 1, Part::All, None, &mut ());
    assert_eq!(one, evaluated(&data, 3, Part::All, None, &mut ()));
}

/// Rows of the model's tables.
fn settings_rows(data: &Dataset) -> Vec<u64> {
    let settings = settings().resolve(data.table_rows(), data.split().train.len()).expect("settings");
    settings.tables.iter().map(|table| table.rows()).collect()
}

#[test]
fn lookups_are_counted_by_the_rows_they_are_of() {
    let data = lines();
    let (_, by) = evaluated(&data, 1, Part::Test, None, &mut ()).expect("an end");
    let mut batch = Batch::default();
    data.fill_batch(0..data.len(), &mut batch).expect("rows");
    let (mut lookups, mut rarest) = ([0; 5], [0; 5]);
    for line in data.split().test.clone() {
        let bucket = |table: usize| {
            let rows = &batch.indices[table];
            match rows[data.split().train.clone()].iter().filter(|&&row| row == rows[line]).count() {
                0 => 0,
                count => 1 + count.ilog10() as usize,
            }
        };
        by.tables.iter().for_each(|&table| lookups[bucket(table)] += 1);
        rarest[by.tables.iter().map(|&table| bucket(table)).min().expect("a table")] += 1;
    }
    let counts = |buckets: &[Bucket]| buckets.iter().map(|bucket| bucket.count.get()).collect::<Vec<_>>();
    assert_eq!((counts(&by.by_frequency), counts(&by.by_rarest_row)), (lookups.to_vec(), rarest.to_vec()));
}

#[test]
fn lines_without_a_finite_prediction_are_left_out() {
    let data = lines();
    // A small table, of which most lines have another row.
    let small = (0..26).find(|&table| (10..200).contains(&data.table_rows()[table])).expect("a small table");
    let (evaluation, by) = evaluated(&data, 1, Part::All, Some(small), &mut ()).expect("an end");
    assert!((1..600).contains(&evaluation.non_finite), "{evaluation:?}");
    agrees(&evaluation, &by);
}

#[test]
fn it_is_told_how_far_it_is_and_can_be_stopped() {
    #[derive(Default)]
    struct Told {
        counted: Vec<(usize, usize)>,
        evaluated: usize,
        stop: bool,
    }
    impl Observer for Told {
        fn progress(&mut self, progress: Progress) {
            match progress {
                Progress::Count { done, lines } => self.counted.push((done, lines)),
                Progress::Evaluate { done, .. } => self.evaluated = done,
                _ => {}
            }
        }

        fn stop(&self) -> bool {
            self.stop
        }
    }
    let mut told = Told::default();
    assert!(evaluated(&lines(), 1, Part::Test, None, &mut told).is_some());
    assert_eq!((told.counted, told.evaluated), (vec![(600, 600)], 50));
    let mut told = Told { stop: true, ..Told::default() };
    assert!(evaluated(&lines(), 1, Part::Test, None, &mut told).is_none());
    assert_eq!(told.evaluated, 0);
}

#[test]
fn the_command_shows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().to_str().expect("UTF-8");
    let small = "train --lines 900 --preset-rows=false --bottom 13-16-4 --top 8-1 --tt-tables 3 --tt-rank 2 --json";
    let trained = output(&small.split(' ').chain(["--checkpoint-dir", kept]).collect::<Vec<_>>());
    assert!(trained.status.success(), "{}", stderr(&trained));
    let model = folder.path().join("final.safetensors");
    let eval = |options: &str| {
        let options: Vec<&str> = options.split_whitespace().collect();
        output(&[&["eval", "--checkpoint", model.to_str().expect("UTF-8")], &options[..]].concat())
    };
    let json = |options: &str| {
        let output = eval(options);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<Value>(stdout(&output)).expect("JSON")
    };
    let (plain, by) = (json("--json"), json("--json --by-frequency"));
    for (key, value) in plain.as_object().expect("an object") {
        assert_eq!(&by[key], value);
    }
    assert!(plain["by_frequency"].is_null());
    assert_eq!(by["frequency_tables"].as_array().map(Vec::len), Some(7));
    for (key, counted, all) in [("by_frequency", "lookups", 7), ("by_rarest_row", "lines", 1)] {
        let buckets = by[key].as_array().expect("a list");
        let bounds: Vec<_> = buckets.iter().map(|bucket| (bucket["from"].as_u64(), bucket["to"].as_u64())).collect();
        let [a, b, c, d] = [0, 9, 99, 999].map(Some);
        assert_eq!(bounds, [(a, a), (Some(1), b), (Some(10), c), (Some(100), d), (Some(1000), None)]);
        let count: u64 = buckets.iter().filter_map(|bucket| bucket[counted].as_u64()).sum();
        assert_eq!(count, all * by["lines"].as_u64().expect("a number"));
    }
    assert_eq!(
        json("--json --by-frequency --largest 2 --backend reference")["frequency_tables"].as_array().map(Vec::len),
        Some(2)
    );
    let said = eval("--by-frequency --largest 1");
    for words in
        ["log loss", "of the largest table occurs in the 772 training lines", "never", "1 to 9", "1000 or more"]
    {
        assert!(stdout(&said).contains(words), "no {words:?} in {}", stdout(&said));
    }
    for (options, words) in [("--largest 3", "--by-frequency"), ("--by-frequency --largest 0", "--largest")] {
        let refused = eval(options);
        assert_eq!(refused.status.code(), Some(2), "{options}");
        assert!(stderr(&refused).contains(words), "no {words:?} in {}", stderr(&refused));
    }
}
