//! Files of lines to a text of probabilities, as a stream.

use std::io::Write;

use serde::Serialize;
use ttcore::Real;

use super::{PredictError, Predictor};
use crate::data::{DataError, ReadProgress, Source, stream};
use crate::model::Engine;

/// How lines are gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineSettings {
    /// Whether a line that is not a record gets an empty line instead of ending it all.
    pub skip_bad: bool,
}

/// What was predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Predicted {
    /// Lines, those that were skipped included.
    pub lines: u64,
    /// Lines that were not records.
    pub skipped: u64,
    /// Values that the vocabulary does not know.
    pub unseen: u64,
    /// Values of lists that were left out: they are longer than any the model was trained on, or than its schema allows.
    pub cut: u64,
}

/// Writes a probability for each line, in as few digits as tell it from all others of its type, one a line and in order.
/// `progress` is told how far it is and says whether to go on.
///
/// # Errors
///
/// [`PredictError`] for lines that cannot be read, or the first that is not a record unless such lines are skipped.
pub fn predict_lines<B: Engine>(
    predictor: &mut Predictor<B>,
    queue: &mut B::Queue,
    source: Source<'_>,
    settings: LineSettings,
    mut out: impl Write,
    mut progress: impl FnMut(ReadProgress) -> bool,
) -> Result<Predicted, PredictError> {
    let vocabulary = predictor.vocabulary().clone();
    let (mut predicted, mut text, most) = (Predicted::default(), Vec::new(), predictor.largest_batch());
    stream(source, &vocabulary, most, |name, lines, far| {
        if !progress(far) {
            return Err(PredictError::Interrupted);
        }
        if let Some((_, error)) = lines.bad().first().filter(|_| !settings.skip_bad) {
            return Err(DataError { path: name.to_owned(), kind: error.clone().into() }.into());
        }
        text.clear();
        let mut bad = lines.bad().iter().map(|(before, _)| *before).peekable();
        let mut records = 0;
        for batch in lines.batches() {
            for probability in predictor.predict_batch(queue, batch)? {
                while bad.next_if_eq(&records).is_some() {
                    text.push(b'\n');
                }
                write_number(&mut text, *probability);
                records += 1;
            }
        }
        text.extend(bad.map(|_| b'\n'));
        predicted.lines += (records + lines.bad().len()) as u64;
        predicted.skipped += lines.bad().len() as u64;
        predicted.unseen += lines.unseen();
        predicted.cut += lines.cut();
        out.write_all(&text).map_err(PredictError::Write)
    })?;
    out.flush().map_err(PredictError::Write)?;
    Ok(predicted)
}

/// Appends a number and a line end.
fn write_number<F: Real>(text: &mut Vec<u8>, number: F) {
    // Writing to a vector does not fail. As few digits as the type needs: an f32 is not written as the f64 it equals.
    let _ = match F::BYTES {
        4 => writeln!(text, "{}", number.as_f64() as f32),
        _ => writeln!(text, "{}", number.as_f64()),
    };
}
