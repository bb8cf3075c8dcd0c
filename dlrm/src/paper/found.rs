//! What an item shows: pictures, tables of numbers, and what became of the paper's claims.

use super::claims::Claim;
use crate::plot::Chart;

/// A picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Name of its file, without the ending.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// The chart.
    pub chart: Chart,
}

/// Numbers in rows and columns.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Name of its file, without the ending.
    pub name: String,
    /// What they are.
    pub caption: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, as they are printed.
    pub rows: Vec<Vec<String>>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds here, within the tolerance that was set beforehand.
    Reproduced,
    /// It does not.
    NotReproduced,
    /// What it speaks of is not here.
    NotTestable,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::NotTestable => "not testable here",
        }
    }
}

/// A claim, and what became of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The claim.
    pub claim: Claim,
    /// What became of it.
    pub verdict: Verdict,
    /// What was measured, or why nothing was.
    pub because: String,
}

/// Everything that an item shows.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// The numbers.
    pub numbers: Vec<Numbers>,
    /// The claims.
    pub judged: Vec<Judged>,
    /// What else is to be said: how the runs differ from the paper's, where it contradicts itself.
    pub notes: Vec<String>,
}

impl Found {
    /// Adds numbers.
    pub(super) fn table(&mut self, name: &str, caption: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        self.numbers.push(Numbers { name: name.to_owned(), caption: caption.to_owned(), columns, rows });
    }

    /// Adds a picture.
    pub(super) fn picture(&mut self, name: &str, caption: &str, chart: Chart) {
        self.pictures.push(Picture { name: name.to_owned(), caption: caption.to_owned(), chart });
    }

    /// Judges a claim: whether it holds, and what was measured.
    pub(super) fn judge(&mut self, claim: Claim, holds: bool, because: String) {
        let verdict = if holds { Verdict::Reproduced } else { Verdict::NotReproduced };
        self.judged.push(Judged { claim, verdict, because });
    }

    /// Says why a claim cannot be tested.
    pub(super) fn cannot(&mut self, claim: Claim, because: &str) {
        self.judged.push(Judged { claim, verdict: Verdict::NotTestable, because: because.to_owned() });
    }
}
