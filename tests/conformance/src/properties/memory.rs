//! The memory of a backend: ten small functions.

use proptest::prelude::*;
use ttcore::{Backend, Error, Real};

use crate::case;
use crate::device::Device;
use crate::properties::contract::assert_refused;
use crate::runner::check;
use crate::tolerance::assert_same;

/// The numbers of a buffer.
fn host<B: Backend>(device: &Device<B>, buffer: &B::Buffer) -> Vec<f64> {
    let mut all = vec![B::Float::of(f64::NAN); B::len(B::view(buffer))];
    device.with(|backend, queue| backend.download(queue, B::view(buffer), &mut all)).expect("download");
    all.into_iter().map(Real::as_f64).collect()
}

/// A new buffer is zeros; what is uploaded to a part of it comes back, and zeroing a part leaves the rest.
pub fn what_is_written_is_read<B: Backend>(device: &Device<B>) {
    check((0..300usize, any::<u64>(), any::<u64>(), any::<u64>()), |(len, a, b, seed)| {
        let range = |a: u64, b: u64| {
            let [a, b] = [a, b].map(|x| (x % (len as u64 + 1)) as usize);
            a.min(b)..a.max(b)
        };
        let (written, zeroed) = (range(a, b), range(a.rotate_left(32), b.rotate_left(32)));
        let values = case::values(seed, 0, written.len());
        let mut want = vec![0.0; len];
        let mut buffer = device.with(|backend, queue| backend.alloc(queue, len)).expect("alloc");
        assert_same("new buffer", &host(device, &buffer), &want);

        want[written.clone()].copy_from_slice(&values);
        let numbers: Vec<B::Float> = values.iter().map(|&x| Real::of(x)).collect();
        let part = B::slice_mut(B::view_mut(&mut buffer), written.clone());
        device.with(|backend, queue| backend.upload(queue, &numbers, part)).expect("upload");
        assert_same("after an upload", &host(device, &buffer), &want);

        let part = B::slice(B::view(&buffer), written.clone());
        assert_eq!(B::len(part), written.len());
        let mut back = vec![B::Float::default(); written.len()];
        device.with(|backend, queue| backend.download(queue, part, &mut back)).expect("download");
        assert_eq!(back, numbers, "a part");

        want[zeroed.clone()].fill(0.0);
        let part = B::slice_mut(B::view_mut(&mut buffer), zeroed);
        device
            .with(|backend, queue| backend.zero(queue, part).and_then(|()| backend.synchronize(queue)))
            .expect("zero");
        assert_same("after zeroing", &host(device, &buffer), &want);
    });
}

/// Copies between different lengths are refused, and nothing is copied.
pub fn copies_of_other_lengths_are_refused<B: Backend>(device: &Device<B>) {
    let mut buffer = device.with(|backend, queue| backend.alloc(queue, 3)).expect("alloc");
    for got in [0, 2, 4] {
        let mut numbers = vec![B::Float::of(1.0); got];
        let uploaded = device.with(|backend, queue| backend.upload(queue, &numbers, B::view_mut(&mut buffer)));
        assert_refused::<B>(uploaded, Error::Length { what: "upload", table: None, got, want: 3 });
        assert_same("buffer", &host(device, &buffer), &[0.0; 3]);
        let downloaded = device.with(|backend, queue| backend.download(queue, B::view(&buffer), &mut numbers));
        assert_refused::<B>(downloaded, Error::Length { what: "download", table: None, got: 3, want: got });
        assert_eq!(numbers, vec![B::Float::of(1.0); got]);
    }
}
