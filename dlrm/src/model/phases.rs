//! Where the time of an iteration goes.

use std::iter::Sum;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// Time of the phases of the last [`train_step`](super::Dlrm::train_step), in the order in which they are done.
///
/// The dense phases, from `bottom_forward` to `bottom_backward`, run side by side on different samples: each has the share
/// of their time that it took of the threads' time. On a GPU, work goes on after it was ordered, and times are right only
/// after [`watch_phases`](super::Dlrm::watch_phases); the gradients of weights are computed in the backward phases there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Checking the indices, and [`Backend::group`](ttcore::Backend::group).
    pub group: Duration,
    /// Forward of the tables.
    pub embedding_forward: Duration,
    /// Forward of the bottom MLP.
    pub bottom_forward: Duration,
    /// Dot products of the features.
    pub interaction_forward: Duration,
    /// Forward of the top MLP, probabilities and loss.
    pub top_forward: Duration,
    /// Gradients of the activations of the top MLP.
    pub top_backward: Duration,
    /// Gradients of the features.
    pub interaction_backward: Duration,
    /// Gradients of the activations of the bottom MLP.
    pub bottom_backward: Duration,
    /// Gradients and update of the tables.
    pub embedding_backward: Duration,
    /// Gradients of the weights of both MLPs, and their update.
    pub update: Duration,
}

impl Phases {
    /// Each phase by its name, in order.
    pub fn named(&self) -> [(&'static str, Duration); 10] {
        [
            ("group", self.group),
            ("embedding_forward", self.embedding_forward),
            ("bottom_forward", self.bottom_forward),
            ("interaction_forward", self.interaction_forward),
            ("top_forward", self.top_forward),
            ("top_backward", self.top_backward),
            ("interaction_backward", self.interaction_backward),
            ("bottom_backward", self.bottom_backward),
            ("embedding_backward", self.embedding_backward),
            ("update", self.update),
        ]
    }

    /// Time of all phases.
    pub fn total(&self) -> Duration {
        self.named().iter().map(|&(_, time)| time).sum()
    }

    /// The dense phases by the clocks of their threads, in shares of the time that passed.
    pub(super) fn set_dense(&mut self, clocks: DenseClock, passed: Duration) {
        let DenseClock(times) = clocks;
        let all: Duration = times.iter().sum();
        let share = if all.is_zero() { 0.0 } else { passed.as_secs_f64() / all.as_secs_f64() };
        let [bottom, interaction, top, top_back, interaction_back, bottom_back] = times.map(|time| time.mul_f64(share));
        (self.bottom_forward, self.interaction_forward, self.top_forward) = (bottom, interaction, top);
        (self.top_backward, self.interaction_backward, self.bottom_backward) =
            (top_back, interaction_back, bottom_back);
    }
}

/// Time one thread, or several, took for each of the dense phases, in order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DenseClock([Duration; 6]);

impl DenseClock {
    /// Books the time since `*start`, from where the next phase starts.
    pub(super) fn book(&mut self, phase: usize, start: &mut Instant) {
        let now = Instant::now();
        self.0[phase] += now - *start;
        *start = now;
    }
}

impl AddAssign for DenseClock {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, time)| *sum += time);
    }
}

impl Sum for DenseClock {
    fn sum<I: Iterator<Item = Self>>(clocks: I) -> Self {
        clocks.fold(Self::default(), |mut sum, clock| {
            sum += clock;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_phases_share_the_time_that_passed() {
        let milliseconds = Duration::from_millis;
        let clock = DenseClock([1, 2, 3, 4, 5, 5].map(milliseconds));
        let mut phases = Phases { group: milliseconds(7), ..Phases::default() };
        phases.set_dense([clock, clock].into_iter().sum(), milliseconds(20));
        assert_eq!((phases.bottom_forward, phases.bottom_backward), (milliseconds(1), milliseconds(5)));
        assert_eq!(phases.total(), milliseconds(27));
    }
}
