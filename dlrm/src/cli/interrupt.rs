//! Ctrl-C, and the signals that a scheduler sends.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a shell reports for a program that was interrupted.
pub(super) const EXIT: u8 = 130;

/// Whether the user wants to stop.
#[derive(Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, the first signal asks to stop, and the second ends the program at once.
    pub(super) fn catch() -> Result<Self, ctrlc::Error> {
        let wanted = Arc::new(AtomicBool::new(false));
        let interrupt = Self(wanted.clone());
        ctrlc::set_handler(move || {
            if wanted.swap(true, Ordering::Relaxed) {
                process::exit(EXIT.into());
            }
            eprintln!("interrupted: stopping after this iteration; once more stops at once, without a checkpoint");
        })?;
        Ok(interrupt)
    }

    /// Whether a signal came.
    pub(super) fn wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
