//! Embeddings that are products of two rows, number by number: on the host, between the tables and the dense part.

use ttcore::{Backend, Real};

use super::config::ModelConfig;
use super::exchange::Exchange;
use super::lookup::Lookup;

/// The stage between the tables and the dense part for [products](Lookup::Product): forward `e = a b`, backward
/// `da = de b`, `db = de a`. Other embeddings pass.
pub(super) struct Products<B: Backend> {
    /// Blocks that are products: the columns of their first factors.
    blocks: Vec<usize>,
    dim: usize,
    /// Numbers of a sample that the dense part takes, `tables N`.
    width: usize,
    /// Rows of the tables and their gradients, `[B][stride]`: `width`, then the second factors.
    rows: Exchange<B>,
    grads: Exchange<B>,
    /// Embeddings or their gradients, `[B][width]`.
    embedded: Vec<B::Float>,
}

impl<B: Backend> Products<B> {
    /// The stage for a model; none if no embedding is a product.
    pub(super) fn new(
        backend: &B,
        queue: &mut B::Queue,
        config: &ModelConfig,
        largest_batch: usize,
    ) -> Result<Option<Self>, B::Error> {
        let (dim, width) = (config.dim(), config.dim() * config.tables().len());
        let products = config
            .features()
            .iter()
            .enumerate()
            .filter(|(_, feature)| matches!(feature.lookup, Lookup::Product { .. }));
        let blocks: Vec<usize> = products.map(|(table, _)| table * dim).collect();
        if blocks.is_empty() {
            return Ok(None);
        }
        let len = largest_batch * (width + blocks.len() * dim);
        Ok(Some(Self {
            rows: Exchange::new(backend, queue, len)?,
            grads: Exchange::new(backend, queue, len)?,
            embedded: vec![B::Float::of(0.0); largest_batch * width],
            blocks,
            dim,
            width,
        }))
    }

    fn stride(&self) -> usize {
        self.width + self.blocks.len() * self.dim
    }

    /// Where the tables write their rows, `[B][stride]`.
    pub(super) fn rows(&mut self, batch: usize) -> B::ViewMut<'_> {
        let len = batch * self.stride();
        self.rows.view_mut(len)
    }

    /// The embeddings of the rows that the tables wrote, into `embedded` `[B][width]`.
    pub(super) fn forward(
        &mut self,
        backend: &B,
        queue: &mut B::Queue,
        batch: usize,
        embedded: B::ViewMut<'_>,
    ) -> Result<(), B::Error> {
        let (stride, dim, width) = (self.stride(), self.dim, self.width);
        self.rows.fetch(backend, queue, batch * stride)?;
        let rows = self.rows.host(batch * stride).chunks_exact(stride);
        let host = &mut self.embedded[..batch * width];
        for (row, out) in rows.zip(host.chunks_exact_mut(width)) {
            let (first, second) = row.split_at(width);
            out.copy_from_slice(first);
            for (&block, b) in self.blocks.iter().zip(second.chunks_exact(dim)) {
                out[block..][..dim].iter_mut().zip(b).for_each(|(a, &b)| *a *= b);
            }
        }
        backend.upload(queue, host, embedded)
    }

    /// The gradients of the rows from those of the embeddings, `[B][width]`, after a [forward](Self::forward).
    pub(super) fn backward(
        &mut self,
        backend: &B,
        queue: &mut B::Queue,
        batch: usize,
        grad_embedded: B::View<'_>,
    ) -> Result<B::View<'_>, B::Error> {
        let (stride, dim, width) = (self.stride(), self.dim, self.width);
        let grad_embedded = {
            let host = &mut self.embedded[..batch * width];
            backend.download(queue, grad_embedded, host)?;
            &*host
        };
        let rows = self.rows.host(batch * stride).chunks_exact(stride);
        let grads = self.grads.host_mut(batch * stride).chunks_exact_mut(stride);
        for ((row, grad), de) in rows.zip(grads).zip(grad_embedded.chunks_exact(width)) {
            grad[..width].copy_from_slice(de);
            for (number, &block) in self.blocks.iter().enumerate() {
                for k in 0..dim {
                    let (first, second) = (block + k, width + number * dim + k);
                    grad[first] = de[first] * row[second];
                    grad[second] = de[first] * row[first];
                }
            }
        }
        self.grads.send(backend, queue, batch * stride)?;
        Ok(self.grads.view(batch * stride))
    }
}
