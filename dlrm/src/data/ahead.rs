//! Text read ahead, on a thread of its own.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use super::error::DataError;
use super::input::{Blocks, Text};

/// Bytes of a block: enough lines for all cores, few enough for the cache.
pub(super) const BLOCK: usize = 4 << 20;

/// Blocks read ahead.
const AHEAD: usize = 2;

/// Hands the texts, one after the other, to `take` in blocks of whole lines, with the number of the text, and `None` at the end
/// of each. They are read, and decompressed, beside it.
pub(super) fn each_block<E: From<DataError>>(
    texts: Vec<Text<'_>>,
    names: &[PathBuf],
    size: usize,
    mut take: impl FnMut(usize, Option<&[u8]>) -> Result<(), E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        let (full, blocks) = mpsc::sync_channel(AHEAD);
        let (empty, used) = mpsc::channel::<Vec<u8>>();
        scope.spawn(move || {
            for (file, text) in texts.into_iter().enumerate() {
                let mut text = match text.open() {
                    Ok(reader) => Blocks::new(reader, size),
                    Err(error) => {
                        // Nobody receives after an error of the other side.
                        let _ = full.send((file, Err(error)));
                        return;
                    }
                };
                loop {
                    let mut block = used.try_recv().unwrap_or_default();
                    let outcome = text.next(&mut block).map(|more| more.then_some(block));
                    let more = matches!(outcome, Ok(Some(_)));
                    // Nobody receives after an error of the other side.
                    if full.send((file, outcome)).is_err() {
                        return;
                    }
                    if !more {
                        break;
                    }
                }
            }
        });
        for (file, outcome) in blocks {
            let block = outcome.map_err(|error| DataError::new(&names[file], error))?;
            take(file, block.as_deref())?;
            if let Some(block) = block {
                // The reader may have ended already.
                let _ = empty.send(block);
            }
        }
        Ok(())
    })
}
