//! Files of anyone's columns: trained on, evaluated and predicted, in any form and order; and what is wrong with them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{output, stderr, stdout};
use dlrm::data::columns::{CellFault, Kind};
use dlrm::data::{Batch, DataErrorKind, Dataset, Numbering, ReadSettings, Schema, UNSEEN, inspect};
use serde_json::Value;

/// A command that ends well.
fn done(args: &[&str]) -> String {
    let output = output(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

/// The object at the end of what it says.
fn json(args: &[&str]) -> Value {
    serde_json::from_str(&done(args)).expect("a JSON object")
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/columns").join(name)
}

fn schema() -> Schema {
    Schema::open(here("clicks.toml")).expect("the schema")
}

fn settings(schema: Schema) -> ReadSettings {
    ReadSettings { schema: Some(schema.into()), ..ReadSettings::default() }
}

/// What a text of CSV is read as.
fn read(text: &str, settings: &ReadSettings) -> Result<Dataset, DataErrorKind> {
    Dataset::from_reader_with(text.as_bytes(), "text", settings).map_err(|error| error.kind)
}

fn all(data: &Dataset) -> Batch {
    let mut batch = Batch::default();
    data.fill_batch(0..data.len(), &mut batch).expect("whole rows");
    batch
}

const SMALL: &str = r#"
    label = "y"
    [[dense]]
    name = "x"
    transform = "none"
    missing = -1.5
    [[categorical]]
    name = "a"
    [[categorical]]
    name = "list"
    pooling = "mean"
    weights = "w"
    separator = ";"
    max-values = 3
"#;

fn small() -> ReadSettings {
    settings(SMALL.parse().expect("a schema"))
}

#[test]
fn columns_become_features() {
    let text = "w,extra,list,y,a,x\n\
                1;3,,p;q,1,u,2.5\n\
                ,?,,0,,\n\
                2;2;2;9,,q;q;r;s,TRUE,\"u\",-7\n\
                0,,r,0.0,v,NaN\n";
    let data = read(text, &small()).expect("sound rows");
    assert_eq!((data.len(), data.dense(), data.table_rows()), (4, 1, &[3, 3][..]));
    assert_eq!((data.longest(), data.feature_names()), (vec![1, 3], vec!["a".to_owned(), "list".to_owned()]));
    let batch = all(&data);
    assert_eq!(batch.labels, [1.0, 0.0, 1.0, 0.0]);
    assert_eq!(batch.dense, [2.5, -1.5, -7.0, -1.5]);
    // A missing value is a category of its own, of a list it is none.
    assert_eq!(batch.indices[0], [0, 1, 0, 2]);
    assert!(batch.offsets[0].is_empty() && batch.weights[0].is_empty());
    assert_eq!(batch.indices[1], [0, 1, 1, 1, 2, 2]);
    assert_eq!(batch.offsets[1], [0, 2, 2, 5]);
    // Weighted means; of one value with the weight 0 nothing is left.
    let third = 1.0f32 / 3.0;
    assert_eq!(batch.weights[1], [0.25, 0.75, third, third, third, 0.0]);
    assert_eq!(data.header().columns.as_ref().map(|columns| columns.cut), Some(1));
    assert_eq!((batch.indices_of(0, 2), batch.indices_of(1, 1), batch.indices_of(1, 3)), (&[0][..], &[][..], &[2][..]));
}

#[test]
fn what_is_wrong_is_named() {
    let header = "y,x,a,list,w\n";
    for (row, column, fault) in [
        ("2,1,a,p,1", "y", CellFault::Label("2".into())),
        (",1,a,p,1", "y", CellFault::Label("".into())),
        ("1,one,a,p,1", "x", CellFault::Number("one".into())),
        ("1,inf,a,p,1", "x", CellFault::Number("inf".into())),
        ("1,1e39,a,p,1", "x", CellFault::Number("1e39".into())),
        ("1,1,a,p;q,1", "w", CellFault::Weights { got: 1, want: 2 }),
        ("1,1,a,,1", "w", CellFault::Weights { got: 1, want: 0 }),
        ("1,1,a,p", "", CellFault::FieldCount { got: 4, want: 5 }),
    ] {
        let text = format!("{header}0,1,b,q,1\n{row}\n1,2,c,r,1\n");
        match read(&text, &small()) {
            Err(DataErrorKind::Cell(error)) => {
                assert_eq!((error.row, &*error.column, &error.fault), (2, column, &fault), "{error}");
            }
            other => panic!("{row}: {other:?}"),
        }
        // Passed over, nothing of it is left.
        let skipped = read(&text, &ReadSettings { skip_bad: true, ..small() }).expect("two rows");
        assert_eq!((skipped.len(), skipped.header().skipped, skipped.table_rows()), (2, 1, &[2, 2][..]));
        assert_eq!(all(&skipped).indices[1], [0, 1]);
    }
    let kind = |text: &str| read(text, &small()).expect_err("no data").to_string();
    assert_eq!(kind("y,x,a,w\n1,1,1,1\n"), "no column \"list\"; there are \"y\", \"x\", \"a\", \"w\"");
    assert_eq!(kind("y,x,a,list,w,a\n"), "two columns have the name \"a\"");
    assert_eq!(kind(header), "no lines");
    assert_eq!(kind(""), "no lines");
    assert_eq!(kind("y,x,a,list,w\n1,1,a,,\n"), "column \"list\" has no value in any row: leave it out of the schema");
    let quote = format!("{header}1,1,\"{}", "a\n".repeat(20 << 20));
    assert!(kind(&quote).contains("a quote that is not closed?"));
    // Settings for other lines.
    let range = ReadSettings { max_ind_range: std::num::NonZeroU32::new(5), ..small() };
    assert!(matches!(read("y\n", &range), Err(DataErrorKind::LinesOnly(_))));
}

#[test]
fn schemas_that_are_none_are_named() {
    let wrong = |text: &str| text.parse::<Schema>().expect_err("no schema").to_string();
    let with = |rest: &str| format!("label = \"y\"\n[[categorical]]\nname = \"a\"\n{rest}");
    assert!(wrong("label = 3").contains("invalid type"), "{}", wrong("label = 3"));
    assert!(wrong(&with("kind = \"x\"")).contains("unknown field `kind`"));
    assert!(wrong("label = \"y\"").contains("no [[categorical]] column"));
    assert!(wrong(&with("[[dense]]\nname = \"a\"")).contains("\"a\" is named more than once"));
    assert!(wrong(&with("[[dense]]\nname = \"\"")).contains("no name"));
    assert!(wrong(&with("weights = \"w\"")).contains("no pooling"));
    assert!(wrong(&with("pooling = \"sum\"\nseparator = \",\"")).contains("',' cannot separate"));
    assert!(wrong(&with("pooling = \"sum\"\nseparator = \"ü\"")).contains("cannot separate"));
    assert!(wrong(&with("[[dense]]\nname = \"b\"\nmissing = nan")).contains("finite"));
    let good = schema();
    assert_eq!(good.to_toml().parse::<Schema>().as_ref(), Ok(&good));
}

#[test]
fn rows_are_for_what_a_column_says() {
    let schema = "label = \"y\"\nsplit = \"part\"\n[[categorical]]\nname = \"a\"\n[[categorical]]\nname = \"l\"\npooling = \"sum\"";
    let settings = settings(schema.parse().expect("a schema"));
    let mut text = "part,a,l,y\n".to_owned();
    for row in 0..60 {
        let part = ["train", "test", "Validation", "train", "val"][row % 5];
        text += &format!("{part},{row},{}{row},{}\n", "z|".repeat(row % 3), row % 2);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.csv");
    fs::write(&file, &text).expect("written");
    let data = read(&text, &settings).expect("sound rows");
    let split = data.split();
    assert_eq!((split.train.len(), split.test.len(), split.validation.len()), (24, 12, 24));
    let batch = all(&data);
    // In the order of the file within each part; values by first appearance in the file.
    let want: Vec<u32> = [0, 3, 1, 2, 4].map(|part| (part..60).step_by(5)).into_iter().flatten().collect();
    let (mut got, mut want_sorted) = (batch.indices[0].clone(), want);
    assert!(got[..24].is_sorted() && got[24..36].is_sorted() && got[36..].is_sorted());
    assert!(got[24..36].iter().all(|row| row % 5 == 1));
    got.sort_unstable();
    want_sorted.sort_unstable();
    assert_eq!(got, want_sorted);
    for (at, &row) in batch.indices[0].iter().enumerate() {
        assert_eq!(batch.indices_of(1, at).len(), 1 + row as usize % 3);
    }
    // A directory is the same, however it is made and on however many threads.
    for (threads, numbering) in [(1, Numbering::Appearance), (3, Numbering::Popularity)] {
        let settings = ReadSettings { numbering, ..settings.clone() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let directory = folder.path().join(threads.to_string());
        pool.install(|| dlrm::data::prepare(&[&file], &directory, &settings, false, |_| ()).expect("prepared"));
        let (prepared, made) = (Dataset::open(&directory).expect("a directory"), Dataset::read(&[&file], &settings));
        let made = made.expect("sound rows");
        prepared.verify(&directory, |_| ()).expect("undamaged");
        assert_eq!((prepared.header(), prepared.fingerprint()), (made.header(), made.fingerprint()));
        assert_eq!((all(&prepared), prepared.vocabulary()), (all(&made), made.vocabulary()));
        assert_eq!(prepared.is_by_popularity().expect("whole"), numbering == Numbering::Popularity);
        let files = ["bags.bin", "header.bin", "rows.bin", "vocabulary.bin"];
        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, files);
        // Every single damaged byte is found, at the latest by the checksums, and until then does no harm.
        for name in files {
            let path = directory.join(name);
            let whole = fs::read(&path).expect("a file");
            for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x81;
                fs::write(&path, &damaged).expect("written");
                let found = Dataset::open(&directory).and_then(|data| {
                    let _ = data.fill_batch(0..data.len(), &mut Batch::default());
                    data.verify(&directory, |_| ())
                });
                assert!(found.is_err(), "{name}, byte {at}");
            }
            fs::write(&path, &whole[..whole.len() - 1]).expect("written");
            assert!(Dataset::open(&directory).is_err());
            fs::write(&path, whole).expect("written");
        }
    }
}

#[test]
fn rare_values_share_a_row_and_unseen_ones_have_it_or_none() {
    let schema: Schema =
        "label = \"y\"\n[[categorical]]\nname = \"a\"\n[[categorical]]\nname = \"l\"\npooling = \"mean\""
            .parse()
            .unwrap();
    let text = "y,a,l\n0,x,p|q\n1,x,p\n0,y,p|r\n1,x,\n";
    let new = "y,a,l\n1,new,new|p|q|p\n0,x,r|new\n";
    let by = |min_count: u32| {
        let settings = ReadSettings { min_count: std::num::NonZeroU32::new(min_count), ..settings(schema.clone()) };
        let data = read(text, &settings).expect("sound rows");
        let given = ReadSettings { vocabulary: data.vocabulary().cloned(), ..ReadSettings::default() };
        (all(&data), read(new, &given).expect("by the vocabulary"))
    };
    let (_, numbered) = by(1);
    let batch = all(&numbered);
    assert_eq!(batch.indices[0], [UNSEEN, 0]);
    // A list is cut to the longest that is known, and what is unseen counts for nothing.
    assert_eq!((batch.indices_of(1, 0), batch.indices_of(1, 1)), (&[0][..], &[2][..]));
    assert_eq!(batch.weights[1], [1.0, 1.0]);
    let header = numbered.header();
    assert_eq!(header.vocabulary.as_ref().map(|known| known.unseen.clone()), Some(vec![1, 2]));
    assert_eq!(header.columns.as_ref().map(|columns| columns.cut), Some(2));
    let (own, numbered) = by(2);
    assert_eq!((own.indices[0].clone(), own.indices[1].clone()), (vec![0, 0, 1, 0], vec![0, 1, 0, 0, 1]));
    let batch = all(&numbered);
    assert_eq!(
        (batch.indices[0].clone(), batch.indices_of(1, 0), batch.indices_of(1, 1)),
        (vec![1, 0], &[1, 0][..], &[1, 1][..])
    );
}

#[test]
fn columns_are_guessed() {
    let inspected = inspect(here("clicks.csv"), 1000).expect("a file");
    assert_eq!((inspected.rows, inspected.more, inspected.columns.len()), (700, false, 10));
    let kinds: Vec<Kind> = inspected.columns.iter().map(|column| column.kind).collect();
    use Kind::{Binary, Integer, List, Number, Text};
    assert_eq!(kinds, [Binary, Number, Integer, Number, Integer, Text, Text, List, List, List]);
    let guessed = inspected.schema.expect("a schema");
    let names = |list: bool| {
        let of = guessed.categorical.iter().filter(|column| column.pooling.is_some() == list);
        of.map(|column| &*column.name).collect::<Vec<_>>()
    };
    assert_eq!((&*guessed.label, names(false)), ("click", vec!["user_id", "city", "device"]));
    assert_eq!(names(true), ["tags", "items", "item_weights"]);
    assert_eq!(guessed.dense.iter().map(|column| &*column.name).collect::<Vec<_>>(), ["price", "age", "score"]);
    assert!(inspect(here("clicks.csv"), 10).expect("a file").more);
}

/// The main job on a file: prepared, trained, evaluated and predicted from a folder that was moved, with other rows in another
/// order and without labels.
fn trains_and_predicts(file: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, toml) = (here(file).display().to_string(), here("clicks.toml").display().to_string());
    done(&["prepare", &file, "--schema", &toml, "-o", &path("data"), "--json"]);
    let train = [
        "train",
        "--data",
        &path("data"),
        "--bottom",
        "3-32-16",
        "--top",
        "32-1",
        "--tt-tables",
        "2",
        "--tt-rank",
        "4",
        "--tt-min-ratio",
        "0",
        "--epochs",
        "20",
        "--lr",
        "0.3",
        "--batch-size",
        "32",
        "--checkpoint-dir",
        &path("run"),
        "--json",
    ];
    let outcome = json(&train);
    let model = path("run/final.safetensors");
    let evaluated =
        |data: &str, split: &str| json(&["eval", "--checkpoint", &model, "--data", data, "--split", split, "--json"]);
    let whole = evaluated(&path("data"), "all");
    let auc = whole["auc"].as_f64().expect("an AUC");
    assert!(auc > 0.75, "what can be learned of these rows is learned: {auc}");
    // The file itself, by the schema that the model keeps.
    assert_eq!(evaluated(&file, "all")["log_loss"], whole["log_loss"]);
    done(&["export", "--checkpoint", &model, "-o", &path("model")]);
    fs::rename(path("model"), path("moved")).expect("moved");
    done(&["predict", "--model", &path("moved"), &file, "-o", &path("all.txt")]);
    let probabilities = |name: &str| -> Vec<String> {
        fs::read_to_string(path(name)).expect("predictions").lines().map(str::to_owned).collect()
    };
    let all = probabilities("all.txt");
    assert_eq!(all.len(), 700);
    // They are those of eval, to the last digit of the loss.
    let text = fs::read_to_string(here("clicks.csv")).expect("the rows as CSV");
    let labels: Vec<f32> = text.lines().skip(1).map(|line| f32::from(u8::from(line.starts_with('1')))).collect();
    let predictions: Vec<f64> = all.iter().map(|p| p.parse::<f32>().expect("a number").into()).collect();
    assert_eq!(Value::from(dlrm::metrics::log_loss(&predictions, &labels)), whole["log_loss"]);
    // Backwards, without labels, with a column that nobody knows, batch by batch: the same bits.
    let mut rows: Vec<&str> = text.lines().skip(1).collect();
    rows.reverse();
    let names = text.lines().next().expect("names").strip_prefix("click,").expect("the label first");
    let mut other = format!("{names},unknown\n");
    for row in &rows {
        other += &format!("{},?\n", &row[2..]);
    }
    fs::write(path("other.csv"), other).expect("written");
    done(&[
        "predict",
        "--model",
        &path("moved"),
        &path("other.csv"),
        "-o",
        &path("other.txt"),
        "--batch-size",
        "7",
        "--threads",
        "1",
    ]);
    let mut backwards = probabilities("other.txt");
    backwards.reverse();
    assert_eq!(backwards, all);
    // What was never seen is no error, and a bad row has an empty line.
    let names = "price,age,score,user_id,city,device,tags,items,item_weights";
    fs::write(
        path("new.csv"),
        format!("{names}\n1,2,3,9999,Atlantis,watch,t99|t1,77,1\n1,2,x,1,Oslo,phone,,1,1\n1,2,3,1,Oslo,phone,,1,1\n"),
    )
    .expect("written");
    let (new, out) = (path("new.csv"), path("new.txt"));
    let output = output(&["predict", "--model", &path("moved"), &new, "-o", &out]);
    let error = stderr(&output);
    assert!(
        !output.status.success() && error.contains("new.csv: row 2, column \"score\": \"x\" is not a finite number"),
        "{error}"
    );
    done(&["predict", "--model", &path("moved"), &new, "-o", &out, "--skip-bad", "--json"]);
    let new = probabilities("new.txt");
    assert!(new.len() == 3 && new[1].is_empty() && !new[0].is_empty());
    // Resumed, it is the same run.
    let mut resumed = train.to_vec();
    let run_folder = path("resumed");
    let at = resumed.iter().position(|arg| *arg == path("run")).expect("the folder");
    resumed[at] = &run_folder;
    done(&[&resumed[..], &["--max-iterations", "150"]].concat());
    let resumed = json(&[&resumed[..], &["--resume"]].concat());
    assert_eq!(resumed["test"], outcome["test"]);
    let lines = |folder: &str| fs::read(path(&format!("{folder}/final.safetensors"))).expect("a model");
    assert_eq!(lines("resumed"), lines("run"));
}

#[test]
fn lines_of_many_values_train_a_cross_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let file = path("lists.csv");
    done(&["synth", "-o", &file, "--lines", "1400", "--cardinalities", "dcnv2", "--scale", "0.00001", "--multi-hot"]);
    let toml = file.clone() + ".toml";
    let schema = Schema::open(&toml).expect("a schema");
    assert_eq!((schema.dense.len(), schema.categorical.len()), (13, 26));
    done(&["prepare", &file, "--schema", &toml, "-o", &path("data")]);
    let data = Dataset::open(path("data")).expect("a directory");
    assert_eq!(data.longest(), dlrm::presets::DCNV2_VALUES);
    assert_eq!(data.longest().iter().sum::<u32>(), 214);
    let batch = all(&data);
    // A value comes with the same others wherever it is the first: a list is one of its first value.
    let (mut lists, mut again) = (std::collections::HashMap::new(), 0);
    for sample in 0..data.len() {
        let list = batch.indices_of(20, sample);
        if let Some(first) = list.first() {
            assert_eq!(list.len(), 100);
            if let Some(before) = lists.insert(*first, list) {
                assert_eq!(before, list);
                again += 1;
            }
        }
    }
    assert!(again > 0);
    let train = |threads: &str, run: &str| {
        json(&[
            "train",
            "--data",
            &path("data"),
            "--preset",
            "dcnv2",
            "--bottom",
            "13-16-8",
            "--top",
            "16-1",
            "--cross-rank",
            "4",
            "--tt-rank",
            "2",
            "--tt-tables",
            "3",
            "--tt-min-ratio",
            "0",
            "--batch-size",
            "64",
            "--threads",
            threads,
            "--checkpoint-dir",
            &path(run),
            "--json",
        ])
    };
    let outcome = train("1", "one");
    train("3", "three");
    let bytes = |run: &str| fs::read(path(&format!("{run}/final.safetensors"))).expect("a model");
    assert!(bytes("one") == bytes("three"), "the same bytes on any number of threads");
    assert!(outcome["loss_last"].as_f64() < outcome["loss_first"].as_f64(), "{outcome}");
    // The same in memory.
    let synthetic = dlrm::data::Synthetic { lines: 50, multi_hot: Some([2; 26]), ..Default::default() };
    let settings = settings(synthetic.schema().expect("a schema"));
    let made = Dataset::synthetic_with(&synthetic, &settings).expect("lines");
    assert_eq!((made.len(), made.longest()), (50, vec![2; 26]));
    let error = output(&["synth", "-o", &path("x"), "--multi-hot=1,2"]);
    assert!(stderr(&error).contains("got 2 numbers, want 26"));
}

#[test]
fn csv_trains_evaluates_and_predicts() {
    trains_and_predicts("clicks.csv");
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;

    #[test]
    fn it_trains_evaluates_and_predicts() {
        trains_and_predicts("clicks.parquet");
    }

    #[test]
    fn the_same_rows_in_both_forms_are_the_same_data() {
        let read = |name: &str| Dataset::read(&[here(name)], &settings(schema())).expect("sound rows");
        let (csv, parquet) = (read("clicks.csv"), read("clicks.parquet"));
        assert_eq!(parquet.len(), 700);
        assert_eq!((all(&parquet), parquet.vocabulary()), (all(&csv), csv.vocabulary()));
        let guessed = |name: &str| inspect(here(name), 1000).expect("a file").schema;
        assert_eq!(guessed("clicks.parquet"), guessed("clicks.csv"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let read =
            |path: &Path, schema: Schema| Dataset::read(&[path], &settings(schema)).expect_err("no data").to_string();
        let mut other = schema();
        other.categorical[0].name = "no such".to_owned();
        assert!(read(&here("clicks.parquet"), other).contains("no column \"no such\"; there are \"click\""));
        let mut list = schema();
        list.categorical[3].pooling = None;
        assert!(
            read(&here("clicks.parquet"), list)
                .contains("row 1, column \"tags\": a list, where the schema says no pooling")
        );
        assert!(read(&here("empty.parquet"), schema()).ends_with("no lines"));
        let odd = |label: &str, column: &str| -> Schema {
            format!("label = \"{label}\"\n[[categorical]]\nname = \"{column}\"").parse().expect("a schema")
        };
        for (column, what) in [
            ("struct", "\"struct\" is of several columns"),
            ("lists", "\"lists\" is one of lists of lists"),
            ("decimal", "\"decimal\" is one of decimal"),
            ("Text", "no column \"Text\"; there are \"click\", \"user\""),
        ] {
            let error = read(&here("odd.parquet"), odd("click", column));
            assert!(error.contains(what), "{error}");
        }
        let error = read(&here("odd.parquet"), odd("text", "user"));
        assert!(error.contains("row 1, column \"text\": \"one\" is not a label"), "{error}");
        assert!(read(&here("odd.parquet"), odd("unsigned", "user")).contains("\"9223372036854775808\" is not a label"));
        let error = read(&here("odd.parquet"), odd("user", "text"));
        assert!(error.contains("row 2, column \"user\": there is no label"), "{error}");
        // What can be read of it is guessed.
        let inspected = inspect(here("odd.parquet"), 10).expect("a file");
        let names: Vec<&str> = inspected.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["click", "user", "unsigned", "text"]);
        assert_eq!((inspected.columns[1].missing, inspected.schema.is_some()), (1, true));
        // Cut anywhere, or with any byte changed, it gives rows or a clear error.
        let whole = fs::read(here("clicks.parquet")).expect("the file");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("damaged.parquet");
        for len in [5, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..len]).expect("written");
            assert!(read(&path, schema()).contains("not a whole Parquet file"));
        }
        for at in (4..whole.len()).step_by(whole.len() / 300) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            fs::write(&path, &damaged).expect("written");
            if let Ok(data) = Dataset::read(&[&path], &settings(schema())) {
                assert_eq!(all(&data).len(), data.len());
            }
        }
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_is_named() {
    let error = Dataset::read(&[here("clicks.parquet")], &settings(schema())).expect_err("no data").to_string();
    assert!(error.ends_with("a Parquet file: build dlrm with --features parquet to read it"), "{error}");
}
