//! Rows of files of columns as batches, numbered by a vocabulary, for a model that is trained.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::cell::Wanted;
use super::chunk::Chunk;
use super::form::{Form, Stored};
use super::numbers::Numbers;
use super::schema::Schema;
use super::source::each_chunk;
use crate::data::error::{DataError, DataErrorKind};
use crate::data::ingest::ReadProgress;
use crate::data::input::Input;
use crate::data::stream::{BadLine, StreamedLines};
use crate::data::{Batch, Split, Vocabulary};

/// Reads rows and hands them to `take`, in order, in batches of at most `most`. Labels, and what says what rows are for, need not
/// be there and are not read.
pub(in crate::data) fn stream<E: From<DataError>>(
    input: Input<'_>,
    (schema, vocabulary): (&Schema, &Arc<Vocabulary>),
    most: usize,
    mut take: impl FnMut(&Path, &StreamedLines, ReadProgress) -> Result<(), E>,
) -> Result<(), E> {
    let Input { sources, total, read } = input;
    let (wanted, form) = (Wanted::new(schema, false), Form::new(schema));
    let mut numbers = Numbers::new(schema, Some(vocabulary.clone()));
    let (mut chunk, mut streamed, mut lines) = (Chunk::default(), StreamedLines::default(), 0);
    let (mut rows, mut bags) = (Vec::new(), Vec::new());
    // All of one part.
    let everything = |rows: usize| Split { train: 0..rows, test: rows..rows, validation: rows..rows };
    let known = |numbers: &Numbers| (numbers.unseen().iter().sum::<u64>(), numbers.cut());
    for source in sources {
        each_chunk(source, schema, &wanted, &mut chunk, |name, chunk| {
            let before = known(&numbers);
            numbers.number(chunk);
            let after = known(&numbers);
            (streamed.unseen, streamed.cut) = (after.0 - before.0, chunk.cut + after.1 - before.1);
            streamed.bad.clear();
            streamed.bad.extend(chunk.bad.drain(..).map(|(before, error)| (before, BadLine::Row(error))));
            rows.clear();
            bags.clear();
            // The same bytes as are prepared, and the same way from them.
            for row in 0..chunk.rows() {
                form.pack(chunk, row, bags.len() as u64 / 4, (&mut rows, &mut bags));
            }
            let (split, stored) = (everything(chunk.rows()), Stored { rows: &rows, bags: &bags, bases: [0; 3] });
            streamed.used = chunk.rows().div_ceil(most);
            if streamed.batches.len() < streamed.used {
                streamed.batches.resize_with(streamed.used, Batch::default);
            }
            for (number, batch) in streamed.batches[..streamed.used].iter_mut().enumerate() {
                let range = number * most..chunk.rows().min((number + 1) * most);
                form.reset(range.len(), batch);
                for row in range {
                    let unpacked = form.unpack(stored, row, (vocabulary.table_rows(), &split), batch);
                    // A damaged vocabulary, which gives no index that is none.
                    unpacked.map_err(|_| DataError::new(name, DataErrorKind::Vocabulary))?;
                }
            }
            lines += (chunk.rows() + streamed.bad.len()) as u64;
            take(name, &streamed, ReadProgress { read: read.load(Ordering::Relaxed), total, lines })
        })?;
    }
    Ok(())
}
