//! Equal keys that follow each other.

/// Runs of equal keys in a sorted list.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The key of each run, ascending.
    pub(crate) keys: Vec<u64>,
    /// Where each run begins, and the length of the list.
    pub(crate) starts: Vec<u32>,
    /// Most runs a list may have.
    most: usize,
}

impl Runs {
    pub(super) fn with_capacity(most: usize) -> Self {
        Self { keys: Vec::with_capacity(most + 1), starts: Vec::with_capacity(most + 1), most }
    }

    pub(super) fn bytes(most: usize) -> usize {
        (most + 1) * (size_of::<u64>() + size_of::<u32>())
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.starts.clear();
    }

    /// How many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Where a run is in the list.
    #[inline(always)]
    pub(crate) fn range(&self, run: usize) -> std::ops::Range<usize> {
        self.starts[run] as usize..self.starts[run + 1] as usize
    }

    /// Finds the runs of a list; calls `visit` with the place and value of every item, and the run that it belongs to. Keys
    /// are below `u64::MAX`.
    #[inline(always)]
    pub(super) fn find<T>(
        &mut self,
        sorted: impl ExactSizeIterator<Item = (u64, T)>,
        mut visit: impl FnMut(usize, T, u32),
    ) {
        let len = sorted.len();
        let room = len.min(self.most) + 1;
        self.keys.resize(room, 0);
        self.starts.resize(room, 0);
        let (keys, starts) = (&mut self.keys[..room], &mut self.starts[..room]);
        let (mut runs, mut previous) = (0, u64::MAX);
        for (place, (key, item)) in sorted.enumerate() {
            // Whether a key is new cannot be predicted: what is written for one that is not, the next overwrites.
            (keys[runs], starts[runs]) = (key, place as u32);
            runs += usize::from(key != previous);
            previous = key;
            visit(place, item, runs as u32 - 1);
        }
        starts[runs] = len as u32;
        self.keys.truncate(runs);
        self.starts.truncate(runs + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_its_run() {
        for list in [&[][..], &[0], &[7, 7, 7], &[1, 2, 2, 5, 5, 5, u64::MAX - 1], &[0, 1, 2, 3]] {
            let mut runs = Runs::with_capacity(list.len());
            for _ in 0..2 {
                let mut of = Vec::new();
                runs.find(list.iter().map(|&key| (key, key)), |place, key, run| of.push((place, key, run)));
                assert_eq!(runs.starts.len(), runs.len() + 1);
                for (place, key, run) in of {
                    assert!(list[place] == key && runs.keys[run as usize] == key);
                    assert!(runs.range(run as usize).contains(&place));
                }
                assert!(runs.keys.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }
}
