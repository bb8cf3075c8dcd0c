//! Files of columns, CSV by a schema: read into memory, into a directory, and as a stream.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dlrm::data::{
    Batch, DataError, DataErrorKind, Dataset, ReadSettings, Schema, Source, UNSEEN, Vocabulary, inspect, prepare,
    stream,
};

/// A schema with all that there is, for texts that come without one.
pub(crate) const SCHEMA: &str = r#"
    label = "y"
    [[dense]]
    name = "x"
    missing = 0.5
    [[dense]]
    name = "z"
    transform = "none"
    [[categorical]]
    name = "a"
    [[categorical]]
    name = "l"
    pooling = "mean"
    weights = "w"
    max-values = 3
    [[categorical]]
    name = "m"
    pooling = "sum"
    separator = ";"
"#;

/// Reads the text behind the first byte, which says how: whether a schema comes first, up to a zero byte, whether bad rows are
/// skipped, and how categories are numbered.
pub fn run(data: &[u8]) {
    let Some((&how, mut text)) = data.split_first() else { return };
    let mut schema: Schema = SCHEMA.parse().expect("a schema");
    if how & 1 != 0 {
        let mut parts = text.splitn(2, |&byte| byte == 0);
        let toml = std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
        text = parts.next().unwrap_or_default();
        match toml.parse::<Schema>() {
            Err(_) => return,
            Ok(other) => schema = other,
        }
        // What is written is read as the same.
        assert_eq!(schema.to_toml().parse::<Schema>().as_ref(), Ok(&schema));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.csv");
    fs::write(&file, text).expect("written");
    if let Ok(inspected) = inspect(&file, 100) {
        assert!(inspected.schema.is_none_or(|schema| schema.check().is_ok()));
    }
    let settings = ReadSettings {
        schema: Some(schema.into()),
        skip_bad: how & 2 != 0,
        min_count: std::num::NonZeroU32::new(if how & 4 == 0 { 1 } else { 2 }),
        ..ReadSettings::default()
    };
    check(&file, folder.path(), &settings);
}

/// Inputs: a text by the schema here, good and bad, and one with its own.
pub fn seeds() -> Vec<Vec<u8>> {
    let good =
        "y,x,z,a,l,w,m\n1,3,0.5,u,p|q,1|2,7;8\n0,,-2,\"v, w\",,,9\n1,1e3,NaN,,p,0.5,\n0,4,4,u,p|q|r|s,1|1|1|1,7\n";
    let bad = good.replace("1e3", "one").replace("0,4", "2,4");
    let toml = "label = \"y\"\nsplit = \"part\"\n[[categorical]]\nname = \"a\"\n";
    let own = format!("{toml}\0part,y,a\ntrain,0,p\ntest,1,q\nval,0,p\n");
    [(0, good), (4, good), (0, &bad), (2, &bad), (1, &own)].map(|(how, text)| [&[how], text.as_bytes()].concat()).into()
}

/// Reads a file in all ways there are.
pub(crate) fn check(file: &Path, folder: &Path, settings: &ReadSettings) {
    let directory = folder.join("prepared");
    let prepared = prepare(&[file], &directory, settings, false, |_| ());
    match Dataset::read(&[file], settings) {
        Err(error) => {
            assert_eq!(prepared.expect_err("not prepared either").to_string(), error.to_string());
            assert!(!matches!(error.kind, DataErrorKind::Header | DataErrorKind::Checksum { .. }), "{error}");
        }
        Ok(data) => {
            prepared.expect("prepared, too");
            let same = Dataset::open(&directory).expect("a directory");
            same.verify(&directory, |_| ()).expect("undamaged");
            assert_eq!((same.header(), same.vocabulary()), (data.header(), data.vocabulary()));
            let batch = all(&data);
            assert_eq!(all(&same), batch);
            sound(&data, &batch);
            let vocabulary = data.vocabulary().expect("columns have one");
            if vocabulary.schema().is_some_and(|schema| schema.split.is_none()) {
                streamed(file, vocabulary, settings.skip_bad, &batch);
            }
        }
    }
}

fn all(data: &Dataset) -> Batch {
    let mut batch = Batch::default();
    data.fill_batch(0..data.len(), &mut batch).expect("sound rows");
    batch
}

fn sound(data: &Dataset, batch: &Batch) {
    assert!(batch.dense.len() == data.len() * data.dense() && batch.dense.iter().all(|number| number.is_finite()));
    assert!(batch.labels.iter().all(|&label| label == 0.0 || label == 1.0));
    for (feature, (&rows, &longest)) in data.table_rows().iter().zip(&data.longest()).enumerate() {
        for sample in 0..data.len() {
            let indices = batch.indices_of(feature, sample);
            assert!(indices.len() <= longest as usize);
            assert!(indices.iter().all(|&index| u64::from(index) < rows || index == UNSEEN));
        }
        if let Some(weights) = batch.weights.get(feature).filter(|weights| !weights.is_empty()) {
            assert!(weights.len() == batch.indices[feature].len());
        }
    }
}

/// The rows of a stream are those of the data, but for labels.
fn streamed(file: &Path, vocabulary: &Arc<Vocabulary>, skip_bad: bool, want: &Batch) {
    let (mut dense, mut indices) = (Vec::new(), vec![Vec::new(); want.indices.len()]);
    let files = [file.to_owned()];
    let outcome = stream::<DataError>(Source::Files(&files), vocabulary, 7, |_, lines, _| {
        for batch in lines.batches() {
            dense.extend_from_slice(&batch.dense);
            indices.iter_mut().zip(&batch.indices).for_each(|(all, new): (&mut Vec<u32>, _)| all.extend(new));
        }
        Ok(())
    });
    // A row without a label is one of a stream.
    if outcome.is_ok() && !skip_bad {
        assert_eq!((&dense, &indices), (&want.dense, &want.indices));
    }
}
