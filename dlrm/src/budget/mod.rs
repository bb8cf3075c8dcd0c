//! So many bytes for some tables: how each is held in them.
//!
//! A table that does not fit is held by one of several methods, of which a tensor train is one and the others are what it has
//! to be better than:
//!
//! | [`Method`] | what is kept | what categories share |
//! |---|---|---|
//! | `tt` | a tensor train | slices of cores |
//! | `hybrid` | the most popular rows, and a tensor train of the others | slices, of those |
//! | `head` | the most popular rows, and one more | that one, all others |
//! | `modulo` | `m` rows | a row, if alike modulo `m` |
//! | `hash` | `m` rows | a row, by chance |
//! | `qr` | rows of quotients and of remainders, added | each of both, but never both |
//! | `qr-product` | the same, multiplied | the same |
//! | `ce` | four tables of a quarter of the columns | chunks of a row, by chance |
//!
//! *Popular* rows are those of the lowest numbers: data is numbered by popularity for these methods to be what they are
//! ([`Numbering`](crate::data::Numbering)). Nothing of them has to be kept beside the numbers of the table: bytes are bytes of
//! parameters, in `f32`.
//!
//! ```text
//! Counts      how often each row occurs in the training lines                  data::Counts
//! share       bytes for each table, in proportion to its size                  share
//! popular     which rows of which tables are the most popular of all           popular
//! Method      the largest of its kind in so many bytes                         fit
//! plan        all together
//! ```

mod fit;
mod popular;
mod share;

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::model::Lookup;

/// Bytes of a number of the models: `f32`.
const BYTES: u128 = size_of::<f32>() as u128;

/// How tables are made smaller: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Tensor trains
    #[default]
    Tt,
    /// The most popular rows as they are, tensor trains for the others
    Hybrid,
    /// The most popular rows as they are, one row for all others
    Head,
    /// Rows shared by categories that are alike modulo their number
    Modulo,
    /// Rows shared by chance
    Hash,
    /// A row of the quotient and one of the remainder, added
    Qr,
    /// A row of the quotient and one of the remainder, multiplied number by number
    QrProduct,
    /// The same, drawn as in the published code: between sqrt(1/n) and 1
    QrPublished,
    /// Four chunks of a row, each shared by chance
    Ce,
}

/// How one table is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// As it is: there are bytes enough.
    Dense,
    /// As a tensor train.
    Tt {
        /// Its rank.
        rank: usize,
        /// So many rows, of the lowest numbers, are held as they are beside it.
        own_rows: u64,
    },
    /// In fewer rows.
    Shared(Lookup),
}

/// One table that is to be made smaller.
#[derive(Clone, Copy, Debug)]
pub struct Size<'a> {
    /// Rows, `n`.
    pub rows: u64,
    /// How often each row occurs in the training lines, by its number; rows behind them never do.
    pub counts: &'a [u32],
}

/// A budget that no table can be held in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetError {
    /// The bytes given.
    pub bytes: u128,
    /// The least that are needed.
    pub least: u128,
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are too few for these tables: the method needs {}", self.bytes, self.least)
    }
}

impl std::error::Error for BudgetError {}

impl Method {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tt => "tensor train",
            Self::Hybrid => "hybrid",
            Self::Head => "head",
            Self::Modulo => "modulo",
            Self::Hash => "hash",
            Self::Qr => "QR, added",
            Self::QrProduct => "QR, multiplied",
            Self::QrPublished => "QR, as published",
            Self::Ce => "CE",
        }
    }

    /// Whether it matters which rows are popular.
    pub fn needs_popularity(self) -> bool {
        matches!(self, Self::Hybrid | Self::Head)
    }
}

/// How each of some tables of `dim` columns is held by a method in `bytes` bytes, all together; `own_rows` is the share of them
/// that a hybrid has for rows of their own, found out where it is not given.
///
/// # Errors
///
/// [`BudgetError`] if these are too few.
pub fn plan(
    method: Method,
    bytes: u128,
    own_rows: Option<f64>,
    tables: &[Size<'_>],
    dim: usize,
) -> Result<Vec<Held>, BudgetError> {
    let row = dim as u128 * BYTES;
    let dense = |table: &Size<'_>| u128::from(table.rows) * row;
    if tables.iter().map(dense).sum::<u128>() <= bytes {
        return Ok(vec![Held::Dense; tables.len()]);
    }
    if method == Method::Head {
        // Each has one more row, for all others.
        let least = tables.len() as u128 * row;
        let rows = bytes.checked_sub(least).ok_or(BudgetError { bytes, least })? / row;
        let head = |(kept, table): (u64, &Size<'_>)| fit::head(kept, table.rows);
        return Ok(popular::most_popular(tables, rows).into_iter().zip(tables).map(head).collect());
    }
    let own = match method {
        Method::Hybrid => popular::own_rows(bytes, own_rows, tables, dim),
        _ => vec![0; tables.len()],
    };
    let left = bytes - own.iter().map(|&rows| u128::from(rows) * row).sum::<u128>();
    let others = || tables.iter().zip(&own).map(|(table, own)| table.rows - own);
    let needs: Vec<_> = others().map(|rows| fit::need(method, rows, dim)).collect();
    let shares = share::share(left, &needs).map_err(|least| BudgetError { bytes, least: bytes - left + least })?;
    let fitted =
        tables.iter().zip(&own).zip(shares).map(|((table, &own), bytes)| fit::fit(method, table.rows, own, dim, bytes));
    Ok(fitted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zipf(rows: usize) -> Vec<u32> {
        (1..=rows).map(|rank| (1e6 / rank as f64) as u32).collect()
    }

    #[test]
    fn a_plan_keeps_its_budget_and_uses_it() {
        let counts = [zipf(100_000), zipf(40_000), zipf(3_000)];
        let tables: Vec<Size<'_>> = counts.iter().map(|counts| Size { rows: counts.len() as u64, counts }).collect();
        let dense: u128 = 143_000 * 64;
        for &method in Method::value_variants() {
            for times in [4, 10, 30] {
                let plan = plan(method, dense / times, None, &tables, 16).unwrap();
                let bytes: u128 =
                    plan.iter().zip(&tables).map(|(held, table)| held.parameters(table.rows, 16) * BYTES).sum();
                assert!(bytes <= dense / times, "{method:?} {times}: {bytes} of {}", dense / times);
                assert!(bytes * 10 > dense / times * 8, "{method:?} {times}: {bytes} of {}", dense / times);
            }
            assert_eq!(super::plan(method, dense, None, &tables, 16).unwrap(), [Held::Dense; 3]);
            let error = super::plan(method, 100, None, &tables, 16).unwrap_err();
            assert!(error.least > 100, "{method:?}");
        }
    }
}
