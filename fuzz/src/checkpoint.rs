//! Checkpoints: opened, verified, resumed and evaluated from, whatever is in them.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use dlrm::checkpoint::{Checkpoint, CheckpointErrorKind, DESCRIPTION, Folder, Target};
use dlrm::data::{Dataset, Synthetic};
use dlrm::presets::Preset;
use dlrm::train::{DataIdentity, Event, Observer, Optimizer, Part, Progress, TrainSettings, Trainer};
use serde_json::Value;
use ttcore::Reference;

use crate::edit::{Edit, JsonEdit, apply, apply_json, repair_checksum};
use crate::numbers::decode;

/// Iterations of the valid checkpoints.
const ITERATIONS: u64 = 4;

/// How a valid checkpoint is changed. Its checksum is made right again.
#[derive(Arbitrary, Debug)]
struct Edits {
    /// The one with Adagrad and caches, or the plain one.
    rich: bool,
    /// Of what the checkpoint says of itself.
    description: Vec<JsonEdit>,
    /// Of the list of tensors.
    tensors: Vec<JsonEdit>,
    /// Of the numbers.
    content: Vec<Edit>,
}

/// Does with a file what `train --resume` and `eval` do. The first byte says what the others are: 0, the file; 1, the
/// file with another checksum; else changes of a valid checkpoint.
pub fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let file = match how {
        0 | 1 => {
            let mut file = rest.to_vec();
            if how == 1 {
                repair_checksum(&mut file);
            }
            file
        }
        _ => {
            let Some(edits) = decode::<Edits>(rest) else { return };
            edited(&edits)
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint-000000000099.safetensors");
    fs::write(&path, &file).expect("written");
    go_on(&path, folder.path());

    // A file that cannot be opened does not hide an older one that is whole.
    fs::write(folder.path().join("checkpoint-000000000004.safetensors"), &valid()[0]).expect("written");
    let newest = Folder::open(folder.path(), 1).expect("a folder").newest();
    match newest {
        Ok((newest, skipped)) => {
            let mut newest = newest.expect("one is whole");
            newest.verify().expect("it is whole");
            let whole = Checkpoint::open(&path).ok();
            let whole = whole.and_then(|mut file| file.verify().ok().map(|()| file.iteration()));
            assert_eq!(newest.path() == path, whole.is_some_and(|iteration| iteration >= ITERATIONS), "{skipped:?}");
        }
        // Of another version, as its name says a later one.
        Err(error) => assert!(error.path == path && !error.is_damage(), "{error}"),
    }
}

/// Inputs to begin with: a valid file, whole and to be repaired.
pub fn seeds() -> Vec<Vec<u8>> {
    let [plain, rich] = valid();
    vec![[&[0], &plain[..]].concat(), [&[1], &rich[..]].concat()]
}

/// The data that the valid checkpoints are of.
fn data() -> &'static Dataset {
    static DATA: OnceLock<Dataset> = OnceLock::new();
    DATA.get_or_init(|| Dataset::synthetic(&Synthetic { lines: 30, seed: 3, ..Synthetic::default() }).expect("lines"))
}

type Run = Trainer<'static, Reference<f32>>;

/// Two checkpoints of small models after some iterations, a plain one and one with all there is.
fn valid() -> &'static [Vec<u8>; 2] {
    static VALID: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    VALID.get_or_init(|| {
        [false, true].map(|rich| {
            let mut settings = TrainSettings::new(Preset::Kaggle);
            (settings.bottom, settings.top) = (Some(vec![13, 2]), Some(vec![1]));
            (settings.tt.tables, settings.tt.rank, settings.batch_size) = (2, 2, 8);
            if rich {
                settings.optimizer = Optimizer::Adagrad { eps: 1e-8 };
                (settings.cache.fraction, settings.cache.refresh) = (0.1, 1);
            }
            let data = data();
            let settings = settings.resolve(data.table_rows(), data.split().train.len()).expect("a model");
            let identity = DataIdentity::of(data);
            let mut run = Run::new(Reference::new(), &mut (), data, identity, settings).expect("a model");
            (0..ITERATIONS).for_each(|_| drop(run.step(&mut ()).expect("a step")));
            let evaluation = run.evaluate(&mut (), Part::Test, &mut Silent).expect("an evaluation");
            run.note_evaluation(evaluation.expect("not interrupted"));
            let folder = tempfile::tempdir().expect("a folder");
            let target = target(folder.path());
            run.save(&mut (), &target).expect("saved");
            fs::read(target.path).expect("a checkpoint")
        })
    })
}

fn target(folder: &Path) -> Target {
    Target { path: folder.join("saved.safetensors"), temporary: folder.join("saved.tmp") }
}

/// The header, as JSON, and what follows it.
fn parts(file: &[u8]) -> (Value, &[u8]) {
    let (length, rest) = file.split_first_chunk().expect("the length of a header");
    let (header, content) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (serde_json::from_slice(header).expect("JSON"), content)
}

fn edited(edits: &Edits) -> Vec<u8> {
    let (mut header, content) = parts(&valid()[usize::from(edits.rich)]);
    if !edits.description.is_empty() {
        let text = header["__metadata__"][DESCRIPTION].as_str().expect("a description");
        let mut description: Value = serde_json::from_str(text).expect("JSON");
        apply_json(&edits.description, &mut description);
        header["__metadata__"][DESCRIPTION] = Value::from(description.to_string());
    }
    apply_json(&edits.tensors, &mut header);
    let mut content = content.to_vec();
    apply(&edits.content, &mut content);
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut file = [&(text.len() as u64).to_le_bytes()[..], &text, &content].concat();
    repair_checksum(&mut file);
    file
}

/// Evaluates and trains from a file, and saves again, as far as it can be used.
fn go_on(path: &Path, folder: &Path) {
    let mut checkpoint = match Checkpoint::open(path) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            assert!(error.path == path && !error.kind.to_string().is_empty());
            return;
        }
    };
    if let Err(error) = checkpoint.verify() {
        assert!(error.is_damage(), "{error}");
        return;
    }
    let (settings, identity) = (checkpoint.description().settings.clone(), DataIdentity::of(data()));
    let mut run = match Run::new(Reference::new(), &mut (), data(), identity, settings) {
        Ok(run) => run,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    if let Err(error) = run.restore(&mut (), &mut checkpoint) {
        assert!(error.path == path && !error.kind.to_string().is_empty());
        return;
    }
    let (losses, first, last) = (run.losses().iterations(), run.losses().first(), run.losses().last());
    assert!(losses == checkpoint.iteration() && (losses > 0 || first.is_nan() && last.is_nan()));
    let samples = run.samples();
    if let Err(error) = run.evaluate(&mut (), Part::Test, &mut Silent).and_then(|_| run.step(&mut ())) {
        assert!(!error.to_string().is_empty());
        return;
    }
    let same_data = checkpoint.description().data == *run.identity();
    assert!(!same_data || run.samples() > samples);
    let target = target(folder);
    match run.save(&mut (), &target) {
        Ok(()) => {}
        // Numbers of a checkpoint may be any.
        Err(error) => return assert!(matches!(error.kind, CheckpointErrorKind::NonFinite { .. }), "{error}"),
    }
    Checkpoint::open(&target.path).expect("saved").verify().expect("saved");
    fs::remove_file(target.path).expect("it was there");
}

/// Takes no note.
struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _: Progress) {}

    fn event(&mut self, _: &Event<'_>) -> io::Result<()> {
        Ok(())
    }

    fn stop(&self) -> bool {
        false
    }
}
