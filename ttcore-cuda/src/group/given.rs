//! Batches whose numbers are in the memory of the device.

use std::marker::PhantomData;

use ttcore::{BagsError, Pooling};

use crate::device::Element;
use crate::view::View;

/// The integers that row numbers and offsets are given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Integer {
    /// `i32`.
    I32 = 0,
    /// `i64`, as PyTorch has them.
    I64 = 1,
    /// `u32`.
    U32 = 2,
    /// `u64`.
    U64 = 3,
}

impl Integer {
    /// A number that was copied as 64 bits.
    pub(super) fn value(self, bits: u64) -> i128 {
        match self {
            Self::I32 | Self::I64 => i128::from(bits as i64),
            Self::U32 | Self::U64 => i128::from(bits),
        }
    }
}

/// Integers in the memory of the device.
#[derive(Clone, Copy, Debug)]
pub struct Integers<'a> {
    pub(super) address: u64,
    pub(super) len: usize,
    pub(super) kind: Integer,
    memory: PhantomData<&'a [u64]>,
}

impl Integers<'_> {
    /// `len` integers of a kind at an address of the device.
    ///
    /// # Safety
    ///
    /// For the lifetime, and until work that was given them is done, there are so many, aligned to their size, and nobody writes
    /// them.
    pub unsafe fn from_raw(kind: Integer, address: u64, len: usize) -> Self {
        Self { address, len, kind, memory: PhantomData }
    }
}

/// Where bags begin: see [`ttcore::Offsets`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DeviceOffsets<'a> {
    /// `B + 1` entries: the first is 0, the last the number of lookups.
    WithLast(Integers<'a>),
    /// `B` entries: the last bag ends with the lookups.
    Starts(Integers<'a>),
    /// Bag `b` has lookup `b` alone.
    OnePerBag,
}

/// A batch of one table whose numbers are in the memory of the device: as [`ttcore::Bags`], but checked there, when it is
/// grouped.
#[derive(Clone, Copy, Debug)]
pub struct DeviceBags<'a, F> {
    pub(super) indices: Integers<'a>,
    pub(super) offsets: DeviceOffsets<'a>,
    pub(super) pooling: Pooling,
    pub(super) weights: Option<View<'a, F>>,
}

impl<'a, F: Element> DeviceBags<'a, F> {
    /// Row numbers `[L]`, where bags begin, and weights `[L]`, if there are any. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// [`BagsError`] of what is known without reading: [`BagsError::NoOffsets`], [`BagsError::LookupsWithoutBag`],
    /// [`BagsError::WeightsLength`].
    pub fn new(
        indices: Integers<'a>,
        offsets: DeviceOffsets<'a>,
        pooling: Pooling,
        weights: Option<View<'a, F>>,
    ) -> Result<Self, BagsError> {
        let lookups = indices.len;
        match offsets {
            DeviceOffsets::WithLast(entries) if entries.len == 0 => return Err(BagsError::NoOffsets),
            DeviceOffsets::Starts(entries) if entries.len == 0 && lookups > 0 => {
                return Err(BagsError::LookupsWithoutBag { lookups });
            }
            _ => {}
        }
        match weights.map(|weights| weights.len()).filter(|&weights| weights != lookups) {
            Some(weights) => Err(BagsError::WeightsLength { weights, lookups }),
            None => Ok(Self { indices, offsets, pooling, weights }),
        }
    }

    /// Number of bags, `B`.
    pub fn bags(&self) -> usize {
        match self.offsets {
            DeviceOffsets::WithLast(entries) => entries.len - 1,
            DeviceOffsets::Starts(entries) => entries.len,
            DeviceOffsets::OnePerBag => self.indices.len,
        }
    }

    /// Number of lookups, `L`.
    pub fn lookups(&self) -> usize {
        self.indices.len
    }
}
