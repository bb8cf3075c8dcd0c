//! The right answers, computed on the host in `f64` from the definition, one element of the table at a time.
//!
//! Deliberately not the algebra of `ttcore`: an element of a TT table is a product of `d` small matrices,
//! `W[i, c] = G_1[i_1, :, c_1, :] G_2[i_2, :, c_2, :] .. G_d[i_d, :, c_d, :]` (paper, Equation 2), and its derivative
//! with respect to an element of one of them is an element of the product of those before times one of those behind.
//!
//! Every answer is computed twice: once from the numbers, once from their absolute values, which gives the scale that
//! rounding is measured by.

use ttcore::{Table, TtShape};

use crate::batch::Batch;
use crate::case::Case;
use crate::tolerance::Expected;

/// What the harness fills outputs with before forward: it must still stand in columns of no table.
pub const UNWRITTEN: f64 = -777.0;

/// Gradients of all tables.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Of each table's parameters.
    pub params: Vec<Expected>,
    /// Of the per-sample weights of all tables, one behind the other.
    pub weights: Expected,
}

/// The output of a case, [`UNWRITTEN`] in columns of no table.
pub fn forward(case: &Case, params: &[Vec<f64>]) -> Expected {
    let mut expected = Expected { value: vec![UNWRITTEN; case.outputs()], scale: vec![0.0; case.outputs()] };
    for (t, (batch, params)) in case.batches.iter().zip(params).enumerate() {
        let table = &case.layout.tables()[t];
        let (value, scale) = (pool(table, batch, params), pool(table, &absolute_batch(batch), &absolute(params)));
        for b in 0..batch.bags() {
            let rows = b * table.dim()..(b + 1) * table.dim();
            expected.value[case.pooled(t, b)].copy_from_slice(&value[rows.clone()]);
            expected.scale[case.pooled(t, b)].copy_from_slice(&scale[rows]);
        }
    }
    expected
}

/// The gradients of `<grad_out, output>`.
pub fn backward(case: &Case, params: &[Vec<f64>], grad_out: &[f64]) -> Gradients {
    let mut gradients = Gradients { params: Vec::new(), weights: Expected::default() };
    for (t, (batch, params)) in case.batches.iter().zip(params).enumerate() {
        let table = &case.layout.tables()[t];
        let pooled = case.of_table(t, grad_out);
        let (value, weights) = unpool(table, batch, params, &pooled);
        let (scale, weights_scale) = unpool(table, &absolute_batch(batch), &absolute(params), &absolute(&pooled));
        gradients.params.push(Expected { value, scale });
        gradients.weights.value.extend(weights);
        gradients.weights.scale.extend(weights_scale);
    }
    gradients
}

/// Rows of a table.
pub fn rows(table: &Table, params: &[f64], addresses: &[u64]) -> Expected {
    let all = |params: &[f64]| addresses.iter().flat_map(|&address| row(table, params, address)).collect();
    Expected { value: all(params), scale: all(&absolute(params)) }
}

/// Absolute values.
pub fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|x| x.abs()).collect()
}

fn absolute_batch(batch: &Batch) -> Batch {
    Batch { weights: batch.weights.as_deref().map(absolute), ..batch.clone() }
}

/// `y_b = s_b sum_j a_j w_{row(j)}`, for the bags of all features, `[bags][N]`.
fn pool(table: &Table, batch: &Batch, params: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; batch.bags() * table.dim()];
    for (b, out) in out.chunks_exact_mut(table.dim()).enumerate() {
        for j in batch.bag(b) {
            for (y, w) in out.iter_mut().zip(row(table, params, batch.indices[j] as u64)) {
                *y += batch.scale(b) * batch.weight(j) * w;
            }
        }
    }
    out
}

/// Gradients of a table's parameters and of its weights.
fn unpool(table: &Table, batch: &Batch, params: &[f64], grad_out: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut grads, mut weights) = (vec![0.0; params.len()], vec![0.0; batch.lookups()]);
    for (b, grad_out) in grad_out.chunks_exact(table.dim()).enumerate() {
        for j in batch.bag(b) {
            let address = batch.indices[j] as u64;
            let dot: f64 = row(table, params, address).iter().zip(grad_out).map(|(w, g)| w * g).sum();
            weights[j] = batch.scale(b) * dot;
            let factor = batch.scale(b) * batch.weight(j);
            for (c, g) in grad_out.iter().enumerate() {
                add_element_gradient(table, params, address, c, factor * g, &mut grads);
            }
        }
    }
    (grads, weights)
}

fn row(table: &Table, params: &[f64], address: u64) -> Vec<f64> {
    match table.cores().filter(|shape| address < shape.rows()) {
        Some(shape) => {
            (0..shape.dim()).map(|c| Chain::new(shape, params, address, c).before[shape.cores()][0]).collect()
        }
        None => params[dense_start(table, address)..][..table.dim()].to_vec(),
    }
}

/// Adds `g` times the derivative of `W[address, c]` to the gradients of the parameters.
fn add_element_gradient(table: &Table, params: &[f64], address: u64, c: usize, g: f64, grads: &mut [f64]) {
    let Some(shape) = table.cores().filter(|shape| address < shape.rows()) else {
        grads[dense_start(table, address) + c] += g;
        return;
    };
    let chain = Chain::new(shape, params, address, c);
    for k in 0..shape.cores() {
        for (r, left) in chain.before[k].iter().enumerate() {
            for (s, right) in chain.behind[k + 1].iter().enumerate() {
                grads[chain.entry(k, r, s)] += g * left * right;
            }
        }
    }
}

/// Dense rows lie behind the cores.
fn dense_start(table: &Table, address: u64) -> usize {
    let (cores, rows) = table.cores().map_or((0, 0), |shape| (shape.parameters(), shape.rows()));
    cores + (address - rows) as usize * table.dim()
}

/// The product of small matrices that one element of the table is.
struct Chain<'a> {
    shape: &'a TtShape,
    /// Where entry `[0, c_k, 0]` of slice `i_k` of each core lies.
    start: Vec<usize>,
    /// Row vector `[R_k]`: the product of the first `k` matrices.
    before: Vec<Vec<f64>>,
    /// Column vector `[R_k]`: the product of all but the first `k` matrices.
    behind: Vec<Vec<f64>>,
}

impl<'a> Chain<'a> {
    fn new(shape: &'a TtShape, params: &[f64], row: u64, column: usize) -> Self {
        let (m, n, ranks, d) = (shape.row_factors(), shape.col_factors(), shape.ranks(), shape.cores());
        let (mut row, mut column) = (row as usize, column);
        let mut end = (0..d).map(|k| m[k] * ranks[k] * n[k] * ranks[k + 1]).sum::<usize>();
        let mut start = vec![0; d];
        for k in (0..d).rev() {
            end -= m[k] * ranks[k] * n[k] * ranks[k + 1];
            // Core k is [m_k][R_{k-1}][n_k][R_k]; the last digits are least significant.
            start[k] = end + (row % m[k] * ranks[k] * n[k] + column % n[k]) * ranks[k + 1];
            row /= m[k];
            column /= n[k];
        }
        let mut chain = Self { shape, start, before: vec![vec![1.0]; d + 1], behind: vec![vec![1.0]; d + 1] };
        for k in 0..d {
            let entry = |s| (0..ranks[k]).map(|r| chain.before[k][r] * params[chain.entry(k, r, s)]).sum();
            chain.before[k + 1] = (0..ranks[k + 1]).map(entry).collect();
        }
        for k in (0..d).rev() {
            let entry = |r| (0..ranks[k + 1]).map(|s| params[chain.entry(k, r, s)] * chain.behind[k + 1][s]).sum();
            chain.behind[k] = (0..ranks[k]).map(entry).collect();
        }
        chain
    }

    /// Where entry `[r, s]` of matrix `k` lies among the parameters.
    fn entry(&self, k: usize, r: usize, s: usize) -> usize {
        self.start[k] + r * self.shape.col_factors()[k] * self.shape.ranks()[k + 1] + s
    }
}
