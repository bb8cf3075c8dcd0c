//! Parameters between the host, where they are drawn, read and written, and the device, where they are trained.

use std::ops::Range;

use ttcore::Backend;
use ttcore_cuda::{Cuda, Device, Element, Error};

use super::{Gpu, part, part_mut};
use crate::model::gemm::Number;
use crate::model::mlp::Mlp;

impl<F: Number + Element, D: Device> Gpu<F, D> {
    /// The layers of the host that may have been changed there, to the device.
    pub(super) fn send_parameters(&mut self, on: &Cuda<F, D>, queue: &mut D::Queue) -> Result<(), Error> {
        let all = self.parameters.values.view().len();
        let mut places = self.layers.iter().map(|layer| layer.place.clone());
        if !self.mlps.iter().any(Mlp::changed) {
            return Ok(());
        }
        for (layer, place) in self.mlps.iter().flat_map(Mlp::layers).zip(&mut places) {
            let (weights, biases) =
                part_mut::<F, D>(&mut self.parameters.values, place.clone()).split_at(layer.weight.len());
            on.upload(queue, &layer.weight, weights)?;
            on.upload(queue, &layer.bias, biases)?;
            for (plane, state) in layer.state.chunks(place.len()).enumerate() {
                on.upload(queue, state, part_mut::<F, D>(&mut self.parameters.state, shifted(&place, plane * all)))?;
            }
        }
        // After an error they are sent again.
        self.mlps.iter_mut().for_each(|mlp| _ = mlp.take_changed());
        Ok(())
    }

    /// The layers of the device to the host, if they are newer.
    pub(super) fn fetch_parameters(&mut self, on: &Cuda<F, D>, queue: &mut D::Queue) -> Result<(), Error> {
        if !self.newer {
            return Ok(());
        }
        let all = self.parameters.values.view().len();
        let places = self.layers.iter().map(|layer| layer.place.clone());
        for (layer, place) in self.mlps.iter_mut().flat_map(Mlp::received).zip(places) {
            let biases = place.start + layer.weight.len();
            on.download(queue, part::<F, D>(&self.parameters.values, place.start..biases), &mut layer.weight)?;
            on.download(queue, part::<F, D>(&self.parameters.values, biases..place.end), &mut layer.bias)?;
            for (plane, state) in layer.state.chunks_mut(place.len()).enumerate() {
                on.download(queue, part::<F, D>(&self.parameters.state, shifted(&place, plane * all)), state)?;
            }
        }
        self.newer = false;
        Ok(())
    }
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}
