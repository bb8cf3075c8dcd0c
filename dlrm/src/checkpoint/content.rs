//! Which tensors a model is, and how they come out of it and go back.

use std::ops::Range;

use safetensors::tensor::Dtype;
use ttcore::cache::CacheState;

use super::error::CheckpointErrorKind;
use super::file::{Entry, Reader, Writer, dtype};
use crate::model::{Cross, CrossSize, Dlrm, Engine, Mlp, ModelConfig, TableTensor, matrix_name, table_tensors};

/// Numbers taken from the backend at a time.
const PIECE: usize = 1 << 18;

/// In a list of slots, one without a row.
const EMPTY: u64 = u64::MAX;

/// A tensor of floating point numbers.
struct Tensor {
    entry: Entry,
    place: Place,
}

/// A layer of which there are tensors.
struct Layer {
    name: String,
    inputs: usize,
    outputs: usize,
    has_bias: bool,
}

/// Where its numbers are.
enum Place {
    /// A tensor of a layer, by its number there.
    Layer {
        mlp: usize,
        layer: usize,
        tensor: usize,
    },
    Parameters {
        table: usize,
        start: usize,
    },
    State {
        table: usize,
        start: usize,
    },
}

/// What the caches know, and the lists it is written as.
pub(super) struct Caches(Vec<(usize, CacheState)>);

/// The name of a layer's weights.
pub(super) const WEIGHT: &str = "weight";

/// All floating point tensors of a model, in the order of the file.
fn tensors(config: &ModelConfig, dtype: Dtype) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    let mut push = |name: String, shape: Vec<usize>, place| {
        tensors.push(Tensor { entry: Entry { name, dtype, shape }, place });
    };
    let planes = config.rule().state_per_parameter();
    let layers = |name: &'static str, sizes: &[usize]| -> Vec<Layer> {
        let layer = |(number, sizes): (usize, &[usize])| Layer {
            name: format!("{name}.{number}"),
            inputs: sizes[0],
            outputs: sizes[1],
            has_bias: true,
        };
        sizes.windows(2).enumerate().map(layer).collect()
    };
    let cross = config.cross().map_or_else(Vec::new, |CrossSize { layers, rank }| {
        let width = config.interaction_width();
        let matrix = |number: usize| {
            // V has no biases.
            let (has_bias, name) = (number % 2 == 1, matrix_name(number));
            let (inputs, outputs) = if has_bias { (rank, width) } else { (width, rank) };
            Layer { name, inputs, outputs, has_bias }
        };
        (0..2 * layers).map(matrix).collect()
    });
    let parts = [layers("bottom", config.bottom()), layers("top", config.top()), cross];
    for (mlp, layers) in parts.into_iter().enumerate() {
        for (layer, Layer { name, inputs, outputs, has_bias }) in layers.into_iter().enumerate() {
            let biases = if has_bias { outputs } else { 0 };
            // Sizes may be those of a forged file: what saturates is the shape of no tensor.
            let parameters = outputs.saturating_mul(inputs).saturating_add(biases);
            // State of the update rule: planes as long as all parameters; none for SGD.
            let parts = [(WEIGHT, vec![outputs, inputs]), ("bias", vec![biases]), ("state", vec![planes, parameters])];
            for (tensor, (part, shape)) in parts.into_iter().enumerate().filter(|(_, (_, shape))| shape[0] > 0) {
                push(format!("{name}.{part}"), shape, Place::Layer { mlp, layer, tensor });
            }
        }
    }
    for (table, config) in config.tables().iter().enumerate() {
        for TableTensor { name, shape, state, range } in table_tensors(config) {
            let start = range.start;
            let place = if state { Place::State { table, start } } else { Place::Parameters { table, start } };
            push(format!("tables.{table}.{name}"), shape, place);
        }
    }
    tensors
}

/// The entries of the tensors of a model whose numbers have this type.
pub(super) fn entries(config: &ModelConfig, dtype: Dtype) -> Vec<Entry> {
    tensors(config, dtype).into_iter().map(|tensor| tensor.entry).collect()
}

/// Writes the numbers of all [`entries`].
pub(super) fn write<B: Engine>(
    model: &mut Dlrm<B>,
    queue: &mut B::Queue,
    writer: &mut Writer,
) -> Result<(), CheckpointErrorKind> {
    let mut piece = Vec::new();
    piece.resize(PIECE, B::Float::default());
    for Tensor { entry, place } in tensors(model.config(), dtype::<B::Float>()) {
        let len: usize = entry.shape.iter().product();
        for range in pieces(len) {
            let values = &mut piece[..range.len()];
            match place {
                Place::Layer { mlp, layer, tensor } => {
                    let mlp = part_of(model, queue, mlp)?;
                    writer.floats(&mlp.layers()[layer].tensors()[tensor].1[range])?;
                    continue;
                }
                Place::Parameters { table, start } => {
                    let tables = &*model.tables();
                    let view = B::slice(tables.parameters_view(table).map_err(backend)?, shifted(range, start));
                    tables.backend().download(queue, view, values).map_err(backend)?;
                }
                Place::State { table, start } => {
                    let tables = &*model.tables();
                    let view = B::slice(tables.state_view(table).map_err(backend)?, shifted(range, start));
                    tables.backend().download(queue, view, values).map_err(backend)?;
                }
            }
            writer.floats(values)?;
        }
    }
    Ok(())
}

/// Reads the numbers of all [`entries`] into a model of the same make.
pub(super) fn read<B: Engine>(
    model: &mut Dlrm<B>,
    queue: &mut B::Queue,
    reader: &mut Reader,
) -> Result<(), CheckpointErrorKind> {
    for Tensor { entry, place } in tensors(model.config(), dtype::<B::Float>()) {
        reader.floats::<B::Float>(&entry, |at, values| {
            let range = at..at + values.len();
            match place {
                Place::Layer { mlp, layer, tensor } => {
                    let layer = &mut part_of(model, queue, mlp)?.layers_mut()[layer];
                    layer.tensors_mut()[tensor].1[range].copy_from_slice(values);
                }
                Place::Parameters { table, start } => {
                    model.tables().set_parameters_part(queue, table, start + at, values).map_err(backend)?;
                }
                Place::State { table, start } => {
                    model.tables().set_state_part(queue, table, start + at, values).map_err(backend)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The layers of a part of the model: the bottom MLP, the top MLP, the cross network.
fn part_of<'m, B: Engine>(
    model: &'m mut Dlrm<B>,
    queue: &mut B::Queue,
    part: usize,
) -> Result<&'m mut Mlp<B::Float>, CheckpointErrorKind> {
    if part == CROSS {
        let cross = model.cross().map(Cross::layers_mut);
        return cross.ok_or_else(|| CheckpointErrorKind::foreign("it has a cross network".to_owned()));
    }
    let [bottom, top] = model.mlps(queue).map_err(backend)?;
    Ok(if part == 0 { bottom } else { top })
}

/// The cross network among the parts.
const CROSS: usize = 2;

impl Caches {
    /// Those of a model.
    pub(super) fn of<B: Engine>(model: &mut Dlrm<B>) -> Result<Self, CheckpointErrorKind> {
        let mut caches = Vec::new();
        for table in 0..model.config().tables().len() {
            if let Some(state) = model.tables().cache_state(table).map_err(backend)? {
                caches.push((table, state));
            }
        }
        Ok(Self(caches))
    }

    /// The lists: row of each slot, rows counted, and their counts.
    fn lists(&self) -> impl Iterator<Item = (String, Vec<u64>)> {
        self.0.iter().flat_map(|(table, state)| {
            let (rows, counts) = state.counts.iter().copied().unzip();
            let slots = state.slots.iter().map(|row| row.unwrap_or(EMPTY)).collect();
            NAMES.iter().map(|name| list_name(*table, name)).zip([slots, rows, counts])
        })
    }

    /// The entries of the lists.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.lists().map(|(name, list)| Entry { name, dtype: Dtype::U64, shape: vec![list.len()] }).collect()
    }

    /// The entries of the lists whose length follows from the model.
    pub(super) fn slots(config: &ModelConfig) -> impl Iterator<Item = Entry> {
        config.tables().iter().enumerate().filter_map(|(table, config)| {
            let slots = config.cache_slots();
            let entry = || Entry { name: list_name(table, NAMES[0]), dtype: Dtype::U64, shape: vec![slots] };
            (slots > 0).then(entry)
        })
    }

    /// The entries of the lists where no row was counted.
    pub(super) fn entries_uncounted(config: &ModelConfig) -> impl Iterator<Item = Entry> {
        Self::slots(config).flat_map(|slots| {
            let table = slots.name.trim_end_matches(NAMES[0]).to_owned();
            let none = move |name| Entry { name: format!("{table}{name}"), dtype: Dtype::U64, shape: vec![0] };
            std::iter::once(slots).chain(NAMES[1..].iter().map(none))
        })
    }

    /// Writes the lists.
    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), CheckpointErrorKind> {
        self.lists().try_for_each(|(_, list)| Ok(writer.integers(&list)?))
    }

    /// Reads the lists of a model's tables into their caches.
    pub(super) fn read<B: Engine>(model: &mut Dlrm<B>, reader: &mut Reader) -> Result<(), CheckpointErrorKind> {
        for (table, _) in Self::of(model)?.0 {
            let mut list = |name| reader.integers(&list_name(table, name));
            let [slots, rows, counts] = [list(NAMES[0])?, list(NAMES[1])?, list(NAMES[2])?];
            if rows.len() != counts.len() {
                let what = format!("table {table} has {} rows counted and {} counts", rows.len(), counts.len());
                return Err(CheckpointErrorKind::foreign(what));
            }
            let slots = slots.into_iter().map(|row| (row != EMPTY).then_some(row)).collect();
            let state = CacheState::new(slots, rows.into_iter().zip(counts).collect());
            model.tables().set_cache_state(table, &state).map_err(|e| CheckpointErrorKind::foreign(e.to_string()))?;
        }
        Ok(())
    }
}

const NAMES: [&str; 3] = ["slots", "counted", "counts"];

fn list_name(table: usize, name: &str) -> String {
    format!("tables.{table}.cache.{name}")
}

fn pieces(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PIECE).map(move |start| start..len.min(start + PIECE))
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

fn backend(error: impl ToString) -> CheckpointErrorKind {
    CheckpointErrorKind::Backend(error.to_string())
}
