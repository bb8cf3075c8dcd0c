//! Memory that is filled on one queue and used on others: who has to wait for whom.

use std::sync::{Arc, Mutex, PoisonError};

use super::context::Primary;
use super::event::Event;
use super::queue::Queue;
use crate::device;
use crate::error::Error;

/// Orders the uses of memory behind its filling, and its next filling behind its uses, across queues. On one queue all is
/// in order anyway, and nothing is done.
pub struct Fence {
    filled: Mark,
    /// Of each queue that has used it since, the last use.
    used: Mutex<Vec<Mark>>,
    context: Arc<Primary>,
}

/// A place in the work of a queue.
struct Mark {
    /// [`Queue::id`]; none before the first.
    queue: u64,
    event: Event,
}

impl Fence {
    pub(super) fn new(context: &Arc<Primary>) -> Result<Self, Error> {
        let filled = Mark { queue: 0, event: Event::new(context)? };
        Ok(Self { filled, used: Mutex::default(), context: context.clone() })
    }
}

impl device::Fence<Queue> for Fence {
    fn begin_fill(&mut self, queue: &mut Queue) -> Result<(), Error> {
        // Two fillings in a row may be of two queues, the first of them the zeros of new memory.
        self.begin_use(queue)?;
        let used = self.used.get_mut().unwrap_or_else(PoisonError::into_inner);
        for mark in used.drain(..) {
            if mark.queue != queue.id() {
                queue.wait(&mark.event)?;
            }
        }
        Ok(())
    }

    fn end_fill(&mut self, queue: &mut Queue) -> Result<(), Error> {
        queue.record(&self.filled.event)?;
        self.filled.queue = queue.id();
        Ok(())
    }

    fn begin_use(&self, queue: &mut Queue) -> Result<(), Error> {
        let elsewhere = self.filled.queue != 0 && self.filled.queue != queue.id();
        if elsewhere { queue.wait(&self.filled.event) } else { Ok(()) }
    }

    fn end_use(&self, queue: &mut Queue) -> Result<(), Error> {
        // What is captured happens when the caller says so: on the queue that fills, or after waiting for it.
        if queue.is_capturing() {
            return Ok(());
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match used.iter().position(|mark| mark.queue == queue.id()) {
            Some(place) => place,
            None => {
                used.push(Mark { queue: queue.id(), event: Event::new(&self.context)? });
                used.len() - 1
            }
        };
        queue.record(&used[place].event)
    }
}

impl std::fmt::Debug for Fence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fence").field("filled", &self.filled.queue).finish_non_exhaustive()
    }
}
