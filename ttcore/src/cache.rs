//! The frequency cache: which rows of a TT table are held uncompressed (paper, section 4.2).
//!
//! Pure logic: it counts accesses, chooses rows and gives them slots; the values lie with the table's parameters, as
//! dense rows behind the cores (see [`Table`](crate::Table)). Rows cached are read and trained as plain rows, and the
//! cores do not see their lookups.
//!
//! * Accesses are counted in training. When a refresh is due, the most frequent rows are chosen, on ties the lower row
//!   number; then all counts halve, so that the past fades.
//! * A row that stays chosen keeps its slot, and with it its learned value and optimiser state. A row newly chosen
//!   starts from the cores with fresh state. A row no longer chosen is served from the cores at once, its value is lost.
//! * The counter has room for a fixed number of rows. When it is full, all counts halve until one falls to zero.

use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;

use crate::error::Error;

/// Which rows are cached, and how often rows were looked up.
#[derive(Clone)]
pub struct FrequencyCache {
    /// The row in each slot.
    slots: Vec<Option<u64>>,
    slot_of: HashMap<u64, usize>,
    counts: HashMap<u64, u64>,
    max_counted: usize,
    traffic: Traffic,
}

/// Lookups since the traffic was last taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Lookups of cached rows.
    pub hits: u64,
    /// All lookups.
    pub lookups: u64,
}

/// What a refresh changed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Refresh {
    /// Rows to load from the cores, with the slots they go to, in order of slots.
    pub load: Vec<(u64, usize)>,
    /// Rows that are no longer cached.
    pub evicted: Vec<u64>,
    /// How many rows stayed where they are.
    pub kept: usize,
}

/// Everything a cache knows, in a fixed order: for checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheState {
    /// The row in each slot.
    pub slots: Vec<Option<u64>>,
    /// Counts of rows, by ascending row.
    pub counts: Vec<(u64, u64)>,
}

/// When to refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schedule {
    /// Steps before the first refresh. The paper counts for 10% of the training.
    pub warmup: u64,
    /// Steps from one refresh to the next; 0 for no more than the first.
    pub every: u64,
}

impl fmt::Debug for FrequencyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrequencyCache")
            .field("slots", &self.slots.len())
            .field("cached", &self.slot_of.len())
            .field("counted", &self.counts.len())
            .field("max_counted", &self.max_counted)
            .field("traffic", &self.traffic)
            .finish()
    }
}

impl Traffic {
    /// So many lookups, of which so many were of cached rows.
    pub fn new(hits: u64, lookups: u64) -> Self {
        Self { hits, lookups }
    }

    /// Share of lookups that were of cached rows; 0 without lookups.
    pub fn hit_rate(&self) -> f64 {
        if self.lookups == 0 { 0.0 } else { self.hits as f64 / self.lookups as f64 }
    }
}

impl CacheState {
    /// The row in each slot, and counts of rows, by ascending row.
    pub fn new(slots: Vec<Option<u64>>, counts: Vec<(u64, u64)>) -> Self {
        Self { slots, counts }
    }
}

impl Schedule {
    /// A first refresh after `warmup` steps, then one every `every` steps, if that is not 0.
    pub fn new(warmup: u64, every: u64) -> Self {
        Self { warmup, every }
    }

    /// Whether to refresh after `steps` steps.
    pub fn due(&self, steps: u64) -> bool {
        match steps.checked_sub(self.warmup) {
            _ if steps == 0 => false,
            None => false,
            Some(0) => true,
            Some(since) => self.every > 0 && since.is_multiple_of(self.every),
        }
    }
}

impl FrequencyCache {
    /// An empty cache of `slots` rows that counts at most `max_counted` rows (at least one for each slot).
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if there is no memory for it. All of it is taken now: counting happens in the step.
    pub fn new(slots: usize, max_counted: usize) -> Result<Self, Error> {
        let max_counted = max_counted.max(slots).max(1);
        let mut cache = Self {
            slots: Vec::new(),
            slot_of: HashMap::new(),
            counts: HashMap::new(),
            max_counted,
            traffic: Traffic::default(),
        };
        let too_large = Error::TooLarge { what: "cache" };
        cache.slots.try_reserve_exact(slots).map_err(|_| too_large.clone())?;
        cache.slot_of.try_reserve(slots).map_err(|_| too_large.clone())?;
        cache.counts.try_reserve(max_counted).map_err(|_| too_large)?;
        cache.slots.resize(slots, None);
        Ok(cache)
    }

    /// How many rows are counted unless another number is given: 16 for each slot, at least 1,024.
    pub fn default_max_counted(slots: usize) -> usize {
        slots.saturating_mul(16).max(1024)
    }

    /// About how many bytes a cache of so many slots takes that counts so many rows: see [`FrequencyCache::bytes`].
    pub fn bytes_of(slots: usize, max_counted: usize) -> u128 {
        // A hash table is a power of two of places, of which up to 7 in 8 are taken; each has a byte beside its entry.
        let places = |entries: usize| (entries as u128 * 8 / 7 + 1).next_power_of_two();
        let entry = size_of::<(u64, u64)>() as u128 + 1;
        slots as u128 * size_of::<Option<u64>>() as u128 + (places(slots) + places(max_counted)) * entry
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The row in each slot.
    pub fn rows(&self) -> &[Option<u64>] {
        &self.slots
    }

    /// The slot of a row, if it is cached.
    pub fn slot(&self, row: u64) -> Option<usize> {
        self.slot_of.get(&row).copied()
    }

    /// Where a row is read and trained: its own number, or `core_rows` plus its slot if it is cached.
    pub fn address(&self, row: u64, core_rows: u64) -> u64 {
        self.slot(row).map_or(row, |slot| core_rows + slot as u64)
    }

    /// Counts one access in training.
    pub fn count(&mut self, row: u64) {
        if let Some(count) = self.counts.get_mut(&row) {
            *count = count.saturating_add(1);
            return;
        }
        while self.counts.len() >= self.max_counted {
            self.halve_counts();
        }
        self.counts.insert(row, 1);
    }

    /// Counts one access in training to what is read at an [address](Self::address).
    pub(crate) fn count_address(&mut self, address: u64, core_rows: u64) {
        let slot = address.checked_sub(core_rows).and_then(|slot| usize::try_from(slot).ok());
        let row = slot.and_then(|slot| self.slots.get(slot).copied().flatten()).unwrap_or(address);
        self.count(row);
    }

    /// Notes lookups for the hit rate.
    pub fn note(&mut self, hits: u64, lookups: u64) {
        self.traffic.hits += hits;
        self.traffic.lookups += lookups;
    }

    /// The traffic since this was last called.
    pub fn take_traffic(&mut self) -> Traffic {
        core::mem::take(&mut self.traffic)
    }

    /// Chooses the most frequent rows anew and gives them slots; then all counts halve.
    ///
    /// The caller loads the values of [`Refresh::load`]. A cached row nobody looks up any more stays until its slot is
    /// wanted.
    pub fn refresh(&mut self) -> Refresh {
        let uncounted = self.slot_of.keys().filter(|row| !self.counts.contains_key(*row)).map(|&row| (row, 0));
        let mut ranking: Vec<(u64, u64)> =
            self.counts.iter().map(|(&row, &count)| (row, count)).chain(uncounted).collect();
        ranking.sort_unstable_by_key(|&(row, count)| (core::cmp::Reverse(count), row));
        ranking.truncate(self.slots.len());
        let mut chosen: Vec<u64> = ranking.into_iter().map(|(row, _)| row).collect();
        chosen.sort_unstable();

        let mut refresh = Refresh::default();
        for slot in &mut self.slots {
            if let Some(row) = *slot
                && chosen.binary_search(&row).is_err()
            {
                refresh.evicted.push(row);
                self.slot_of.remove(&row);
                *slot = None;
            }
        }
        refresh.kept = self.slot_of.len();
        let mut free = self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.is_none());
        for row in chosen {
            if self.slot_of.contains_key(&row) {
                continue;
            }
            // There are as many free slots as rows chosen that have none.
            if let Some((number, slot)) = free.next() {
                *slot = Some(row);
                self.slot_of.insert(row, number);
                refresh.load.push((row, number));
            }
        }
        self.halve_counts();
        refresh
    }

    fn halve_counts(&mut self) {
        self.counts.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
    }

    /// Bytes of the slots and of the counter's and the slots' hash tables; the cached values are the table's.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<u64>>()
            + self.slot_of.allocation_size()
            + self.counts.allocation_size()
    }

    /// Everything the cache knows, for a checkpoint.
    pub fn state(&self) -> CacheState {
        let mut counts: Vec<_> = self.counts.iter().map(|(&row, &count)| (row, count)).collect();
        counts.sort_unstable();
        CacheState { slots: self.slots.clone(), counts }
    }

    /// Continues from a checkpoint of a table with `core_rows` rows.
    ///
    /// # Errors
    ///
    /// [`Error::CacheState`]; the cache is unchanged then.
    pub fn restore(&mut self, state: &CacheState, core_rows: u64) -> Result<(), Error> {
        let error = |what| Err(Error::CacheState { what });
        if state.slots.len() != self.slots.len() {
            return error("another number of slots");
        }
        if state.counts.len() > self.max_counted {
            return error("more counts than the counter has room for");
        }
        let cached = state.slots.iter().flatten();
        if cached.clone().chain(state.counts.iter().map(|(row, _)| row)).any(|&row| row >= core_rows) {
            return error("a row that the table does not have");
        }
        let slot_of: HashMap<u64, usize> =
            state.slots.iter().enumerate().filter_map(|(slot, row)| row.map(|row| (row, slot))).collect();
        if slot_of.len() != cached.count() {
            return error("a row in two slots");
        }
        self.slots.clone_from(&state.slots);
        self.slot_of = slot_of;
        self.counts.clear();
        self.counts.extend(state.counts.iter().copied());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(cache: &mut FrequencyCache, accesses: &[(u64, u64)]) {
        for &(row, times) in accesses {
            (0..times).for_each(|_| cache.count(row));
        }
    }

    #[test]
    fn the_most_frequent_rows_are_chosen_and_ties_take_the_lower_row() {
        let mut cache = FrequencyCache::new(2, 100).unwrap();
        counted(&mut cache, &[(9, 3), (7, 2), (3, 2), (1, 1)]);
        assert_eq!(cache.refresh().load, [(3, 0), (9, 1)]);
        assert_eq!((cache.address(9, 50), cache.address(3, 50), cache.address(7, 50)), (51, 50, 7));
    }

    #[test]
    fn a_row_that_stays_keeps_its_slot() {
        let mut cache = FrequencyCache::new(2, 100).unwrap();
        counted(&mut cache, &[(9, 30), (3, 20)]);
        cache.refresh();
        counted(&mut cache, &[(1, 12), (9, 1)]);
        // Halved: 9 has 15 + 1, 3 has 10, and 1 has 12.
        let refresh = cache.refresh();
        assert_eq!(refresh, Refresh { load: alloc::vec![(1, 0)], evicted: alloc::vec![3], kept: 1 });
        assert_eq!((cache.slot(9), cache.slot(1), cache.slot(3)), (Some(1), Some(0), None));
    }

    #[test]
    fn counts_halve_and_an_idle_row_stays_until_its_slot_is_wanted() {
        let mut cache = FrequencyCache::new(1, 100).unwrap();
        counted(&mut cache, &[(4, 3)]);
        cache.refresh();
        assert_eq!(cache.state().counts, [(4, 1)]);
        cache.refresh();
        assert_eq!(cache.state().counts, []);
        assert_eq!(cache.refresh(), Refresh { kept: 1, ..Refresh::default() });
        counted(&mut cache, &[(8, 1)]);
        assert_eq!(cache.refresh().evicted, [4]);
    }

    #[test]
    fn the_counter_is_bounded_and_keeps_the_frequent() {
        let mut cache = FrequencyCache::new(1, 8).unwrap();
        let before = cache.bytes();
        for i in 0..10_000u64 {
            cache.count(1_000_000);
            cache.count(i);
            assert!(cache.counts.len() <= 8);
        }
        assert_eq!(cache.bytes(), before);
        assert_eq!(cache.refresh().load, [(1_000_000, 0)]);
    }

    #[test]
    fn states_restore_and_bad_ones_are_refused() {
        let mut cache = FrequencyCache::new(2, 8).unwrap();
        counted(&mut cache, &[(4, 3), (5, 4), (6, 1)]);
        cache.refresh();
        let mut other = FrequencyCache::new(2, 8).unwrap();
        other.restore(&cache.state(), 7).unwrap();
        assert_eq!(other.state(), cache.state());
        counted(&mut cache, &[(6, 9)]);
        counted(&mut other, &[(6, 9)]);
        assert_eq!(other.refresh(), cache.refresh());

        let good = cache.state();
        assert!(other.restore(&good, 6).is_err(), "row 6 is not a row");
        assert!(FrequencyCache::new(3, 8).unwrap().restore(&good, 7).is_err());
        let twice = CacheState { slots: alloc::vec![Some(1), Some(1)], counts: Vec::new() };
        assert!(other.restore(&twice, 7).is_err());
        let many = CacheState { counts: (0..9).map(|row| (row, 1)).collect(), ..good.clone() };
        assert!(other.restore(&many, 10).is_err());
    }

    #[test]
    fn schedule() {
        let schedule = Schedule { warmup: 10, every: 5 };
        let due: Vec<u64> = (0..22).filter(|&steps| schedule.due(steps)).collect();
        assert_eq!(due, [10, 15, 20]);
        assert!(!Schedule { warmup: 0, every: 0 }.due(0));
        let once: Vec<u64> = (0..22).filter(|&steps| Schedule { warmup: 4, every: 0 }.due(steps)).collect();
        assert_eq!(once, [4]);
    }
}
