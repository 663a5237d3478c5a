//! Random operations against a shadow map, for each variant: blocks never overlap, are aligned, keep their content
//! through `realloc`, and are zero where a call asks for zeros.

use crate::testbed::{Bed, Filled, apex, for_each_bed};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::alloc::Layout;
use std::collections::BTreeMap;

/// Steps from one audit to the next.
const AUDIT_EVERY: usize = 16;

#[derive(Clone, Debug)]
enum Op {
    Alloc {
        size: usize,
        align_lg: u32,
        zeroed: bool,
    },
    /// The `index`th live block, modulo their number.
    Free {
        index: usize,
    },
    Realloc {
        index: usize,
        size: usize,
    },
}

/// Sizes of every order of magnitude up to 2^22, with the classes' edges well represented.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 1_usize..2100,
        4 => (0_u32..12, 0_usize..3).prop_map(|(lg, off)| ((1 << lg) + off).saturating_sub(1).max(1)),
        2 => 2049_usize..40_000,
        1 => 40_000_usize..=1 << 22,
    ]
}

/// Mostly the alignments of malloc and of the classes, sometimes up to 2^22.
fn align_lg() -> impl Strategy<Value = u32> {
    prop_oneof![12 => 0_u32..=4, 4 => 5_u32..=11, 1 => 12_u32..=22]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (size(), align_lg(), any::<bool>())
            .prop_map(|(size, align_lg, zeroed)| Op::Alloc { size, align_lg, zeroed }),
        3 => any::<usize>().prop_map(|index| Op::Free { index }),
        2 => (any::<usize>(), size()).prop_map(|(index, size)| Op::Realloc { index, size }),
    ]
}

/// Live blocks by address.
#[derive(Default)]
struct Shadow {
    live: BTreeMap<usize, Live>,
    births: u8,
}

#[derive(Clone, Copy)]
struct Live {
    block: *mut u8,
    layout: Layout,
    pattern: u8,
}

impl Shadow {
    /// Notes a block, having checked that it is aligned and overlaps no other, and fills it.
    fn born(&mut self, block: *mut u8, layout: Layout) {
        assert!(!block.is_null(), "{layout:?}");
        assert!(block.addr().is_multiple_of(layout.align()), "{layout:?}");
        let (start, end) = (block.addr(), block.addr() + layout.size());
        if let Some((before, live)) = self.live.range(..end).next_back() {
            assert!(before + live.layout.size() <= start, "{layout:?} overlaps {:?}", live.layout);
        }
        self.births = self.births.wrapping_add(1);
        // SAFETY: the block was just allocated with that size, and is ours.
        unsafe { block.write_bytes(self.births, layout.size()) };
        self.live.insert(start, Live { block, layout, pattern: self.births });
    }

    /// Forgets a live block, having checked its content.
    fn gone(&mut self, index: usize) -> Option<Live> {
        let address = *self.live.keys().nth(index % self.live.len().max(1))?;
        let live = self.live.remove(&address)?;
        assert_content(live.block, live.layout.size(), live.pattern);
        Some(live)
    }
}

fn assert_content(block: *const u8, size: usize, pattern: u8) {
    // SAFETY: the callers pass live blocks with at least that many bytes, all of them written.
    let bytes = unsafe { std::slice::from_raw_parts(block, size) };
    assert!(bytes.iter().all(|&byte| byte == pattern), "content of {size} bytes");
}

/// The random operations, with one block in so many sampled.
pub(crate) fn operate_with_samples(bed: &'static Bed, mean: u32) {
    assert!((bed.sample)(mean), "{}", bed.id);
    random_operations(bed);
}

fn play(bed: &Bed, ops: &[Op]) {
    let (allocator, mut shadow) = (bed.allocator, Shadow::default());
    for (step, op) in ops.iter().enumerate() {
        if step % AUDIT_EVERY == AUDIT_EVERY - 1 {
            bed.audit();
        }
        match *op {
            Op::Alloc { size, align_lg, zeroed } => {
                let layout = Layout::from_size_align(size, 1 << align_lg).expect("a layout");
                let block = if zeroed {
                    // SAFETY: the size is at least 1.
                    unsafe { allocator.alloc_zeroed(layout) }
                } else {
                    // SAFETY: the size is at least 1.
                    unsafe { allocator.alloc(layout) }
                };
                if zeroed {
                    assert!(!block.is_null(), "{layout:?}");
                    assert_content(block, size, 0);
                }
                shadow.born(block, layout);
            }
            Op::Free { index } => {
                if let Some(live) = shadow.gone(index) {
                    // SAFETY: the block is live, with this layout, and the shadow forgot it.
                    unsafe { allocator.dealloc(live.block, live.layout) };
                }
            }
            Op::Realloc { index, size } => {
                if let Some(live) = shadow.gone(index) {
                    // SAFETY: the block is live, with this layout; the size is at least 1 and far
                    // below the limit.
                    let block = unsafe { allocator.realloc(live.block, live.layout, size) };
                    assert!(!block.is_null());
                    assert_content(block, size.min(live.layout.size()), live.pattern);
                    let layout = Layout::from_size_align(size, live.layout.align());
                    shadow.born(block, layout.expect("a layout"));
                }
            }
        }
    }
    while let Some(live) = shadow.gone(0) {
        // SAFETY: the block is live, with this layout, and the shadow forgot it.
        unsafe { allocator.dealloc(live.block, live.layout) };
    }
}

fn random_operations(bed: &'static Bed) {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(op(), 1..400), |ops| {
        play(bed, &ops);
        let audit = bed.audit();
        prop_assert_eq!(audit.live(), 0);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{}: {error}", bed.id);
    }
}

/// Slabs of each class in turn, filled to the last block and emptied: what one class leaves in a slice does not disturb
/// the next one (Y2, Y3, FB1).
fn every_class_fills_slabs(bed: &'static Bed) {
    // It keeps the segment, whose slices become slabs again and again.
    let _span = Filled::new(bed, 100_000, 8, 1);
    for size in (16..=4096).step_by(48) {
        let count = 3 * 65_536 / size;
        let blocks: Vec<Filled> = (0..count).map(|n| Filled::new(bed, size, 8, n as u8)).collect();
        drop(blocks);
        (bed.purge)();
        assert_eq!(bed.audit().live(), 0, "{size}");
    }
}

/// Every size up to past the largest class, at every alignment up to a page, once: a block is aligned to what divides its
/// size (C3).
fn every_small_layout(bed: &'static Bed) {
    let allocator = bed.allocator;
    for align_lg in 0..=12 {
        for size in 1..=2100 {
            let layout = Layout::from_size_align(size, 1 << align_lg).expect("a layout");
            // SAFETY: the size is at least 1.
            let block = unsafe { allocator.alloc(layout) };
            assert!(!block.is_null() && block.addr().is_multiple_of(1 << align_lg), "{layout:?}");
            // SAFETY: the block has that many bytes, and is ours.
            unsafe { block.write_bytes(0xA5, size) };
            // SAFETY: the block is live, with this layout.
            unsafe { allocator.dealloc(block, layout) };
        }
    }
    assert_eq!(bed.audit().live(), 0);
}

/// A recycled block must be zeroed.
fn zeroed_is_zero_in_a_dirty_heap(bed: &'static Bed) {
    let allocator = bed.allocator;
    for size in [8, 24, 100, 500, 1000, 2048, 5000, 300_000, 1_500_000] {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        let count = (30_000_000 / size).min(100);
        let mut dirty: Vec<*mut u8> = Vec::new();
        for _ in 0..count {
            // SAFETY: the size is not 0.
            let block = unsafe { allocator.alloc(layout) };
            // SAFETY: the block has that many bytes, and is ours.
            unsafe { block.write_bytes(0xFF, size) };
            dirty.push(block);
        }
        for block in dirty {
            // SAFETY: live, with this layout.
            unsafe { allocator.dealloc(block, layout) };
        }
        // All at once, so that they come from all places where the dirty ones went.
        let zeroed: Vec<*mut u8> = (0..count)
            // SAFETY: the size is not 0.
            .map(|_| unsafe { allocator.alloc_zeroed(layout) })
            .inspect(|&block| assert_content(block, size, 0))
            .collect();
        for block in zeroed {
            // SAFETY: live, with this layout.
            unsafe { allocator.dealloc(block, layout) };
        }
    }
}

/// Blocks that stand in each other's way grow from the classes to spans, past the largest size that is claimed as a
/// span, past the size of a SuperSlab, and back.
fn large_blocks_grow_and_shrink(bed: &'static Bed) {
    let mut blocks: Vec<Filled> = (1..9).map(|n| Filled::new(bed, 20_000, 16, n)).collect();
    let mut sizes: Vec<usize> = (1..9).map(|n| n * n * 40_000).collect();
    sizes.extend(sizes.clone().into_iter().rev());
    for size in sizes {
        for (n, block) in blocks.iter_mut().enumerate() {
            block.realloc(size + n * 4096);
        }
        bed.audit();
    }
    drop(blocks);
    let audit = bed.audit();
    assert_eq!((audit.live(), audit.spans), (0, 0));
}

/// Huge blocks come and go, grow and shrink, so that places are put together of what others left. Each keeps its
/// content, and one that is asked for zeroed is zero.
fn huge_blocks_keep_their_content(bed: &'static Bed) {
    const LEAST: usize = 600 << 10;
    let mut blocks: Vec<Filled> = (0..12).map(|n| Filled::new(bed, LEAST, 16, n)).collect();
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % below
    };
    for turn in 0..500 {
        if turn % AUDIT_EVERY == 0 {
            bed.audit();
        }
        let (n, size) = (random(12), LEAST + random(3 << 20));
        let align = if random(8) == 0 { 4096 << random(8) } else { 16 };
        match random(5) {
            0 | 1 => blocks[n].realloc(size),
            2 => {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the size is not 0.
                let zeros = unsafe { bed.allocator.alloc_zeroed(layout) };
                assert!(!zeros.is_null(), "{layout:?}");
                assert_content(zeros, size, 0);
                // SAFETY: live, with this layout.
                unsafe { bed.allocator.dealloc(zeros, layout) };
            }
            _ => {
                blocks.swap_remove(n);
                blocks.push(Filled::new(bed, size, align, turn as u8));
            }
        }
    }
    drop(blocks);
    assert_eq!(bed.audit().live(), 0);
}

/// With nothing in its way a block grows where it is, to a megabyte and a half and back.
#[test]
fn apex_grows_a_large_block_in_place() {
    apex().alone(|| {
        (apex().purge)();
        let mut block = Filled::new(apex(), 40_000, 16, 1);
        block.realloc(100_000);
        let start = block.block;
        for size in [300_000, 600_000, 1_500_000, 700_000, 100_000] {
            block.realloc(size);
            assert_eq!(block.block, start, "{size}");
        }
    });
}

/// A block that grows keeps its alignment, from any kind of block to any other, and wherever it moves.
fn what_grows_stays_aligned(bed: &'static Bed) {
    for align in [64, 4096, 64 << 10, 2 << 20] {
        let mut blocks: Vec<Filled> = (1..5).map(|n| Filled::new(bed, 900, align, n)).collect();
        for size in [3000, 20_000, 90_000, 400_000, 900_000, 2 << 20, 70_000, 100] {
            blocks.iter_mut().enumerate().for_each(|(n, block)| block.realloc(size + 4096 * n));
        }
        drop(blocks);
        bed.audit();
    }
}

/// Freed spans serve only requests whose alignment they have.
fn freed_spans_serve_their_alignment(bed: &'static Bed) {
    for (size, align) in [(70_000, 256 << 10), (120_000, 1 << 20)] {
        drop((0..16).map(|n| Filled::new(bed, size, 16, n)).collect::<Vec<_>>());
        // Each looks at its address.
        drop((0..16).map(|n| Filled::new(bed, size, align, n)).collect::<Vec<_>>());
    }
    assert_eq!(bed.audit().live(), 0);
}

for_each_bed!(
    freed_spans_serve_their_alignment,
    what_grows_stays_aligned,
    random_operations,
    every_small_layout,
    every_class_fills_slabs,
    zeroed_is_zero_in_a_dirty_heap,
    huge_blocks_keep_their_content,
    large_blocks_grow_and_shrink
);
