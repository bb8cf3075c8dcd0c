//! The rows of a table as the vectors of its last unfolding, batch by batch.
//!
//! A slab is the `m_d` rows that share their first `d - 1` digits: `[m_d][Q][n_d]` with `Q = N / n_d`, as it is read. Its
//! `Q` vectors `[m_d][n_d]` are rows of the last unfolding. A batch is so many slabs as the shape says, however the source
//! hands rows over, so sums over batches have the same bits. While one batch is computed with, the next is read.

use rayon::prelude::*;
use ttcore::{Real, TtCores, algebra};

use crate::error::Error;
use crate::rows::Rows;

/// Numbers of a batch, about.
const NUMBERS: usize = 1 << 19;
/// The fewest vectors of a batch, for products to be fast.
const VECTORS: usize = 256;

/// The numbers of the rows that do not count.
pub(crate) enum Fill<'a> {
    /// Zeros.
    Zeros,
    /// Those of a train, weighted, of all the rows that cores can address.
    Train(&'a TtCores<f64>),
}

/// How a table is cut.
pub(crate) struct Cut<'a> {
    /// `m_1 m_2 .. m_{d-1}`.
    pub(crate) slabs: usize,
    /// `m_d`.
    pub(crate) height: usize,
    /// `N / n_d`.
    pub(crate) vectors: usize,
    /// `n_d`.
    pub(crate) width: usize,
    /// Roots of the weights of each digit, `d` lists.
    pub(crate) roots: Option<&'a [Vec<f64>]>,
    /// Rows that are kept elsewhere, ascending.
    pub(crate) left_out: &'a [u64],
}

impl Cut<'_> {
    /// Length of a vector, `s_d`.
    pub(crate) fn length(&self) -> usize {
        self.height * self.width
    }

    /// Slabs of a batch.
    fn batch(&self) -> usize {
        let vectors = (NUMBERS / self.length()).max(VECTORS);
        (vectors / self.vectors).clamp(1, self.slabs)
    }

    /// Numbers in memory during a pass: two batches as read and one unfolded.
    pub(crate) fn numbers(&self) -> u128 {
        3 * self.batch() as u128 * self.vectors as u128 * self.length() as u128
    }

    /// Reads the table and hands over its vectors, `[vectors][s_d]`, in order, with the number of the first.
    pub(crate) fn pass<F: Real>(
        &self,
        source: &mut impl Rows<F>,
        fill: &Fill<'_>,
        mut each: impl FnMut(usize, &[f64]) + Send,
    ) -> Result<(), Error> {
        let rows = source.rows();
        let slabs = match fill {
            // Those behind the last row are zeros, which add nothing.
            Fill::Zeros => rows.div_ceil(self.height as u64) as usize,
            Fill::Train(_) => self.slabs,
        };
        source.rewind()?;
        let batch = self.batch();
        let slab = self.vectors * self.length();
        let mut raw = [vec![F::zero(); batch * slab], vec![F::zero(); batch * slab]];
        let mut vectors = vec![0.0; batch * slab];
        let mut read = self.read(source, 0, &mut raw[0])?;
        for first in (0..slabs).step_by(batch) {
            let count = batch.min(slabs - first);
            let (now, next) = raw.split_at_mut(1);
            let (now, next) = (&now[0][..read], &mut next[0]);
            let vectors = &mut vectors[..count * slab];
            let (computed, ahead) = rayon::join(
                || {
                    self.unfold(first, now, rows, fill, vectors)?;
                    each(first * self.vectors, vectors);
                    Ok::<_, Error>(())
                },
                || self.read(source, first + count, next),
            );
            computed?;
            read = ahead?;
            raw.swap(0, 1);
        }
        Ok(())
    }

    /// Reads the rows of the batch that begins with slab `first`, and says how many numbers they are.
    fn read<F: Real>(&self, source: &mut impl Rows<F>, first: usize, out: &mut [F]) -> Result<usize, Error> {
        let dim = source.dim();
        let start = first as u64 * self.height as u64;
        let left = source.rows().saturating_sub(start);
        let wanted = left.min((out.len() / dim) as u64) as usize;
        let mut have = 0;
        while have < wanted {
            let read = source.read(&mut out[have * dim..wanted * dim])?;
            if read == 0 || read > wanted - have {
                // What says it has rows has them.
                return Err(Error::Source(crate::error::SourceError {
                    file: "source of rows".to_owned(),
                    position: start + have as u64,
                    fault: crate::error::Fault::Truncated,
                }));
            }
            have += read;
        }
        Ok(wanted * dim)
    }

    /// Rows into weighted vectors: `[m_d][Q][n_d]` into `[Q][m_d][n_d]`, slab by slab.
    fn unfold<F: Real>(
        &self,
        first: usize,
        raw: &[F],
        rows: u64,
        fill: &Fill<'_>,
        vectors: &mut [f64],
    ) -> Result<(), Error> {
        let (width, dim) = (self.width, self.vectors * self.width);
        let slab = self.height * dim;
        // The first of all, whatever thread comes first.
        let bad = vectors.par_chunks_mut(slab).enumerate().find_map_first(|(at, out)| {
            let number = (first + at) as u64 * self.height as u64;
            let raw = raw.get(at * slab..).map_or(&raw[..0], |raw| &raw[..raw.len().min(slab)]);
            let root = self.roots.map_or(1.0, |roots| self.root(first + at, roots));
            let mut filler = Filler::new(fill);
            for i in 0..self.height {
                let row = number + i as u64;
                let numbers = raw.get(i * dim..(i + 1) * dim);
                if let Some(column) = numbers.and_then(|numbers| numbers.iter().position(|x| !x.is_finite())) {
                    return Some(Error::NotFinite { row, column, value: raw[i * dim + column].as_f64() });
                }
                let counts = row < rows && (self.left_out.is_empty() || self.left_out.binary_search(&row).is_err());
                match numbers.filter(|_| counts) {
                    Some(numbers) => {
                        let weight = root * self.roots.map_or(1.0, |roots| roots[roots.len() - 1][i]);
                        for (q, numbers) in numbers.chunks_exact(width).enumerate() {
                            let out = &mut out[q * self.length() + i * width..][..width];
                            out.iter_mut().zip(numbers).for_each(|(out, x)| *out = x.as_f64() * weight);
                        }
                    }
                    None => {
                        let numbers = filler.row(row, dim);
                        for (q, numbers) in numbers.chunks_exact(width).enumerate() {
                            out[q * self.length() + i * width..][..width].copy_from_slice(numbers);
                        }
                    }
                }
            }
            None
        });
        bad.map_or(Ok(()), Err)
    }

    /// The root of the weight of a slab: of its first `d - 1` digits.
    fn root(&self, mut slab: usize, roots: &[Vec<f64>]) -> f64 {
        let mut root = 1.0;
        for digits in roots[..roots.len() - 1].iter().rev() {
            root *= digits[slab % digits.len()];
            slab /= digits.len();
        }
        root
    }
}

/// Rows that do not count, one at a time.
pub(crate) struct Filler<'a> {
    train: Option<&'a TtCores<f64>>,
    row: Vec<f64>,
    scratch: Vec<f64>,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(fill: &Fill<'a>) -> Self {
        let train = match fill {
            Fill::Zeros => None,
            Fill::Train(train) => Some(*train),
        };
        Self { train, row: Vec::new(), scratch: Vec::new() }
    }

    /// A row, `[dim]`.
    pub(crate) fn row(&mut self, row: u64, dim: usize) -> &[f64] {
        self.row.resize(dim, 0.0);
        if let Some(train) = self.train {
            self.scratch.resize(algebra::scratch_len(train.shape()), 0.0);
            algebra::row(train.shape(), train.as_slice(), row, &mut self.row, &mut self.scratch);
        }
        &self.row
    }
}
