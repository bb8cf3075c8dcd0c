//! From the categories of a batch to the bags of its tables, and where their rows go in the output.

use ttcore::{Bags, BagsError, Error, Layout, Offsets, Pooling, Real};

use super::Samples;
use super::config::{Feature, ModelConfig};
use super::lookup::Lookup;
use crate::data::UNSEEN;

/// Memory for the addresses of a batch, for tables that are not looked up directly.
pub(super) struct Addressing<F> {
    /// `[tables]`; empty for those that are.
    addresses: Vec<Vec<u32>>,
    /// Where bags of two rows begin; empty if there are none.
    pairs: Vec<u32>,
    /// `[tables]`; empty before the first batch in which a category of the table is unseen.
    seen: Vec<Seen>,
    /// `[tables]`; empty for those of which every sample has one category, or which are looked up directly.
    lists: Vec<Lists<F>>,
}

/// Bags of several categories, of tables that are not looked up directly.
struct Lists<F> {
    /// Where the bags begin, `[blocks][B]`.
    starts: Vec<u32>,
    /// `[blocks][rows of the bags]`
    weights: Vec<F>,
}

/// A batch of which some categories are [`UNSEEN`]: their bags are empty, and so their embeddings zero.
#[derive(Default)]
struct Seen {
    /// The others.
    categories: Vec<u32>,
    /// Where the bags begin, `[blocks][B]`.
    starts: Vec<u32>,
}

impl Seen {
    /// Takes a batch apart.
    fn take(&mut self, categories: &[u32], lookup: Lookup) {
        let per_bag = (lookup.rows_of_a_sample() / lookup.blocks()) as u32;
        self.categories.clear();
        self.categories.extend(categories.iter().filter(|&&category| category != UNSEEN));
        self.starts.clear();
        let mut start = 0;
        for _ in 0..lookup.blocks() {
            self.starts.extend(categories.iter().map(|&category| {
                start += if category == UNSEEN { 0 } else { per_bag };
                start - if category == UNSEEN { 0 } else { per_bag }
            }));
        }
    }
}

impl<F: Real> Addressing<F> {
    pub(super) fn new(config: &ModelConfig, largest_batch: usize) -> Self {
        let lookups = |feature: &Feature| largest_batch * feature.longest as usize;
        let room = |feature: &Feature| match feature.lookup {
            Lookup::Direct => Vec::new(),
            lookup => Vec::with_capacity(lookups(feature) * lookup.rows_of_a_sample()),
        };
        let summed = config.features().iter().any(|feature| matches!(feature.lookup, Lookup::Sum { .. }));
        let pairs = if summed { (0..largest_batch as u32).map(|bag| 2 * bag).collect() } else { Vec::new() };
        let seen = config.features().iter().map(|_| Seen::default()).collect();
        let lists = config.features().iter().map(|_| Lists { starts: Vec::new(), weights: Vec::new() }).collect();
        Self { addresses: config.features().iter().map(room).collect(), pairs, seen, lists }
    }

    /// The categories of all tables, checked, as bags; none stay in `bags` but these.
    pub(super) fn bags<'a>(
        &'a mut self,
        config: &ModelConfig,
        samples: Samples<'a, F>,
        bags: &mut Vec<Bags<'a, F>>,
    ) -> Result<(), Error> {
        let Self { addresses, pairs, seen, lists } = self;
        let tables = config.features().iter().zip(config.tables()).zip(samples.indices);
        let memory = addresses.iter_mut().zip(seen).zip(lists);
        for (number, (((feature, table), categories), ((addresses, seen), lists))) in tables.zip(memory).enumerate() {
            let offsets = samples.offsets_of(number);
            let found = if !offsets.is_empty() {
                let weights = Some(samples.weights_of(number)).filter(|weights| !weights.is_empty());
                of_lists(*feature, table.rows(), (categories, offsets, weights), addresses, lists)
            } else if categories.contains(&UNSEEN) {
                with_unseen(*feature, table.rows(), categories, addresses, seen)
            } else {
                of_one_each(*feature, table.rows(), categories, addresses, pairs)
            };
            bags.push(found.map_err(|error| error.of_table(number))?);
        }
        Ok(())
    }
}

/// The bags of a table, one category in each.
fn of_one_each<'a, F: Real>(
    Feature { categories: n, lookup, .. }: Feature,
    rows: u64,
    categories: &'a [u32],
    addresses: &'a mut Vec<u32>,
    pairs: &'a [u32],
) -> Result<Bags<'a, F>, BagsError> {
    let direct = Bags::one_per_bag(n, categories, None)?;
    if lookup == Lookup::Direct {
        return Ok(direct);
    }
    lookup.addresses(categories, addresses);
    match lookup {
        Lookup::Sum { .. } => {
            Bags::new(rows, addresses, Offsets::Starts(&pairs[..categories.len()]), Pooling::Sum, None)
        }
        _ => Bags::one_per_bag(rows, addresses, None),
    }
}

/// The bags of a table, several categories in each.
fn of_lists<'a, F: Real>(
    Feature { categories: n, lookup, .. }: Feature,
    rows: u64,
    (categories, offsets, weights): (&'a [u32], &'a [u32], Option<&'a [F]>),
    addresses: &'a mut Vec<u32>,
    lists: &'a mut Lists<F>,
) -> Result<Bags<'a, F>, BagsError> {
    let direct = Bags::new(n, categories, Offsets::Starts(offsets), Pooling::Sum, weights)?;
    if lookup == Lookup::Direct {
        return Ok(direct);
    }
    lookup.addresses(categories, addresses);
    let (blocks, per_block) = (lookup.blocks(), (lookup.rows_of_a_sample() / lookup.blocks()) as u32);
    let Lists { starts, weights: repeated } = lists;
    starts.clear();
    repeated.clear();
    for block in 0..blocks as u32 {
        let before = block * categories.len() as u32;
        starts.extend(offsets.iter().map(|&start| (before + start) * per_block));
        let weights = weights.iter().flat_map(|weights| weights.iter());
        repeated.extend(weights.flat_map(|&weight| std::iter::repeat_n(weight, per_block as usize)));
    }
    Bags::new(rows, addresses, Offsets::Starts(starts), Pooling::Sum, weights.map(|_| repeated.as_slice()))
}

/// The bags of a table of which a category is unseen.
fn with_unseen<'a, F: Real>(
    Feature { categories: n, lookup, .. }: Feature,
    rows: u64,
    categories: &[u32],
    addresses: &'a mut Vec<u32>,
    seen: &'a mut Seen,
) -> Result<Bags<'a, F>, BagsError> {
    let out_of_range = |&category: &u32| category != UNSEEN && u64::from(category) >= n;
    if let Some(position) = categories.iter().position(out_of_range) {
        return Err(BagsError::IndexOutOfRange { position, index: categories[position].into(), rows: n });
    }
    if let Lookup::Shared { .. } = lookup {
        // The row that rare categories share is theirs, too: no number is above theirs.
        lookup.addresses(categories, addresses);
        return Bags::one_per_bag(rows, addresses, None);
    }
    seen.take(categories, lookup);
    lookup.addresses(&seen.categories, addresses);
    Bags::new(rows, addresses, Offsets::Starts(&seen.starts), Pooling::Sum, None)
}

/// Where the rows of each table go: side by side, a block of `N` columns for each table, the second factors of
/// [products](Lookup::Product) behind them all.
pub(super) fn layout(config: &ModelConfig, largest_batch: usize) -> Result<Layout, Error> {
    let (dim, tables) = (config.dim(), config.tables().len());
    let mut stride = tables * dim;
    let columns = config.features().iter().zip(config.tables()).enumerate().map(|(number, (feature, table))| {
        let first = number * dim;
        match feature.lookup {
            Lookup::Product { .. } => {
                stride += dim;
                vec![first, stride - dim]
            }
            lookup => (0..lookup.blocks()).map(|block| first + block * table.table().dim()).collect(),
        }
    });
    let columns: Vec<Vec<usize>> = columns.collect();
    let rows = |feature: &Feature| feature.lookup.rows_of_a_sample().saturating_mul(feature.longest.max(1) as usize);
    let most = config.features().iter().map(rows).max().unwrap_or(1);
    let lookups = largest_batch.checked_mul(most).ok_or(Error::TooLarge { what: "rows of a batch" })?;
    let tables = config.tables().iter().map(|table| table.table().clone()).collect();
    Layout::with_features(tables, columns, stride, largest_batch, lookups)
}
