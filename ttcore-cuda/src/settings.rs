//! What is chosen of a backend: how tables are computed, and where batches are grouped.

/// How tables are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Method {
    /// Algorithms 1 and 2 of the paper: batched products of cuBLAS over chunks of lookups. Any tables.
    Batched,
    /// Duplicates and pairs merged, all tables in a few launches: tables of three cores and those without cores. Others are
    /// computed as [`Method::Batched`].
    #[default]
    Fused,
}

/// Where batches are grouped: which finds their unique rows, and who shares what. Results are the same, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Grouping {
    /// By `ttcore-cpu`, on the host. All lists are copied to the device.
    Host,
    /// By kernels, on the queue: the host copies row numbers and where bags begin, and nothing waits. For layouts all of whose
    /// tables are computed by [`Method::Fused`]; those of other layouts are grouped on the host.
    #[default]
    Device,
}

/// Lookups of a chunk of the batched algorithm where nothing else is said, `B` of the paper's Algorithm 1.
const CHUNK: usize = 1000;

/// Lookups of a table that one block groups where nothing else is said. So many take one block as long as the launches take
/// that several would need; fewer tables than a GPU has multiprocessors leave room for other work meanwhile.
const GROUP_CHUNK: usize = 1 << 14;

/// All that is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) method: Method,
    pub(crate) chunk: usize,
    pub(crate) grouping: Grouping,
    pub(crate) group_chunk: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { method: Method::default(), chunk: CHUNK, grouping: Grouping::default(), group_chunk: GROUP_CHUNK }
    }
}
