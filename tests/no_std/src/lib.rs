//! Uses `ttcore` without std: a table is made, looked up, trained and refreshed in an arena of 4 MiB.
//!
//! `ttcore_no_std_proof` is called from C by `main.c`, so that the library is linked and run, not only compiled.

#![no_std]
#![deny(missing_docs)]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use ttcore::{Bags, Mode, Offsets, Pooling, Reference, Rule, TableConfig, TtEmbeddingBag, TtShape};

const ARENA: usize = 4 << 20;

/// Hands out memory once and never takes it back: enough to show that nothing else is needed.
struct Bump {
    arena: UnsafeCell<[u8; ARENA]>,
    used: AtomicUsize,
}

// SAFETY: the arena is only reached through `alloc`, which gives every caller bytes no other caller gets: `used` is
// advanced atomically and never goes back.
unsafe impl Sync for Bump {}

// SAFETY: a block lies inside the arena (the end is compared with ARENA, computed without overflow), starts at a
// multiple of its alignment in memory, and is disjoint from all others, because `used` is advanced past it in one
// atomic step; failure is a null pointer. Blocks are never reused, so `dealloc` has nothing to do.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.arena.get() as usize;
        let mut offset = 0;
        let claim = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let start = base.checked_add(used)?.checked_next_multiple_of(layout.align())?;
            offset = start - base;
            offset.checked_add(layout.size()).filter(|&end| end <= ARENA)
        });
        match claim {
            // SAFETY: `offset` is below ARENA, so the pointer stays inside the arena.
            Ok(_) => unsafe { self.arena.get().cast::<u8>().add(offset) },
            Err(_) => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { arena: UnsafeCell::new([0; ARENA]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Trains a small table for a few steps; gives 0 if the loss fell and the cache was used, else 1.
#[unsafe(no_mangle)]
pub extern "C" fn ttcore_no_std_proof() -> i32 {
    match train() {
        Ok(true) => 0,
        _ => 1,
    }
}

fn train() -> Result<bool, ttcore::Error> {
    let shape = TtShape::paper(1000, 8, 3, 4)?;
    let config = TableConfig::tt(shape).with_cache(4)?.with_rule(Rule::Adagrad { eps: 1e-8 });
    let mut table = TtEmbeddingBag::new(Reference::<f32>::new(), &mut (), config, 2, 4, 7)?;
    let mut batch = table.batch(&mut ())?;
    let bags = Bags::new(1000, &[1u32, 999, 1, 500], Offsets::Starts(&[0, 2]), Pooling::Mean, None)?;
    let mut out = [0.0f32; 16];
    let (mut first, mut last) = (None, 0.0);
    for step in 0..20 {
        if step == 10 {
            table.refresh(&mut ())?;
        }
        table.group(&mut (), &mut batch, bags, Mode::Train)?;
        table.forward(&mut (), &mut batch, &mut out)?;
        // The loss is half the squared distance to rows of ones.
        let grad = out.map(|y| y - 1.0);
        last = grad.iter().map(|g| g * g / 2.0).sum::<f32>();
        first.get_or_insert(last);
        table.step(&mut (), &batch, &grad, 0.1, None)?;
    }
    let cached = table.statistics().is_some_and(|statistics| statistics.cached_rows == 3);
    Ok(cached && first.is_some_and(|first| last < first / 2.0))
}
