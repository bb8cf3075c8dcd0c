//! The figures and tables, in the order of the paper.

mod accuracy;
mod cache;
mod exact;
mod gap;
mod init;
mod rivals;
mod speed;

use clap::ValueEnum;
use serde::Serialize;

use super::claims::Claims;
use super::found::Found;
use super::scope::{Known, Scope};
use super::work::Work;

/// A figure or table, in the order of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Item {
    /// Figure 1: accuracy over bytes
    Fig1,
    /// Table 1: initial distributions of uncompressed tables
    Table1,
    /// Figure 3: products of distributions
    Fig3,
    /// Table 2: shapes and parameters
    Table2,
    /// Figure 5: bytes of the models
    Fig5,
    /// Figure 6a: accuracy over tables and ranks, Kaggle
    Fig6a,
    /// Figure 6b: accuracy over tables and ranks, Terabyte
    Fig6b,
    /// Figure 6c: initial distributions of cores
    Fig6c,
    /// Figure 7: training time over tables and ranks
    Fig7,
    /// Figure 8: time and memory beside T3nsor
    Fig8,
    /// Figure 9: how fast the set of popular rows settles
    Fig9,
    /// Figure 10a: warm-up of the cache
    Fig10a,
    /// Figure 10b: size of the cache
    Fig10b,
    /// Figure 11: lookups of a bag
    Fig11,
    /// Figure 12: hit rate of the cache
    Fig12,
    /// At equal bytes: what else could be done with them; not of the paper
    Rivals,
}

impl Item {
    /// What it is called in the paper, and what it shows: as the command says.
    pub fn title(self) -> String {
        let help = self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        help.unwrap_or_default()
    }

    /// Whether there is anything to run: other items are shown where they are asked for.
    pub(super) fn has_runs(self) -> bool {
        !matches!(self, Self::Fig3 | Self::Table2 | Self::Fig5 | Self::Fig9)
    }

    /// The runs it wants, as far as they are known.
    pub(super) fn plan(self, scope: &Scope, known: &Known<'_>) -> Vec<Work> {
        match self {
            Self::Fig1 => accuracy::plan_fig1(scope),
            Self::Table1 => init::plan_table1(scope),
            Self::Fig6a => accuracy::plan_fig6a(scope),
            Self::Fig6b => accuracy::plan_fig6b(scope),
            Self::Fig6c => init::plan_fig6c(scope),
            Self::Fig7 => speed::plan_fig7(scope),
            Self::Fig8 => speed::plan_fig8(scope),
            Self::Fig10a => cache::plan_fig10a(scope),
            Self::Fig10b => cache::plan_fig10b(scope),
            Self::Fig11 => speed::plan_fig11(scope),
            Self::Fig12 => speed::plan_fig12(scope),
            Self::Rivals => rivals::plan(scope, known),
            Self::Fig3 | Self::Table2 | Self::Fig5 | Self::Fig9 => Vec::new(),
        }
    }

    /// What its runs show.
    ///
    /// # Errors
    ///
    /// Why it cannot be shown.
    pub(super) fn show(self, scope: &Scope, known: &Known<'_>, claims: &Claims) -> Result<Found, String> {
        match self {
            Self::Fig1 => accuracy::show_fig1(scope, known),
            Self::Table1 => init::show_table1(scope, known, claims),
            Self::Fig3 => init::show_fig3(claims),
            Self::Table2 => exact::show_table2(claims),
            Self::Fig5 => exact::show_fig5(claims),
            Self::Fig6a => accuracy::show_fig6a(scope, known, claims),
            Self::Fig6b => accuracy::show_fig6b(scope, known, claims),
            Self::Fig6c => init::show_fig6c(scope, known, claims),
            Self::Fig7 => speed::show_fig7(scope, known, claims),
            Self::Fig8 => speed::show_fig8(scope, known, claims),
            Self::Fig9 => cache::show_fig9(scope, known, claims),
            Self::Fig10a => cache::show_fig10a(scope, known, claims),
            Self::Fig10b => cache::show_fig10b(scope, known, claims),
            Self::Fig11 => speed::show_fig11(scope, known, claims),
            Self::Fig12 => speed::show_fig12(scope, known, claims),
            Self::Rivals => rivals::show(scope, known, claims),
        }
    }
}
