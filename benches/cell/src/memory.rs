//! Pages that stay resident: the figures of variants whose value is memory.
//!
//! Each measure starts in a fresh process, has one thread, and draws its random numbers from a fixed seed. Time stands
//! still, so a figure repeats to within some pages.

use hakmem::Observe;
use std::alloc::Layout;
use std::fs;

const PAGE_BYTES: u64 = 4096;

/// Runs the measure of this name; returns how many more pages are resident at its end than at its start.
pub(crate) fn run<V: Observe>(name: &str) -> Result<u64, String> {
    let run = match name {
        "pages_in_use" => in_use::<V>,
        "pages_after_drop" => after_drop::<V>,
        "pages_after_large" => after_large::<V>,
        "pages_zeroed" => zeroed::<V>,
        _ => return Err(format!("no memory figure `{name}`")),
    };
    // The machine decides whether the kernel hands out huge pages unasked, so no figure may include them.
    // SAFETY: it takes numbers, and changes nothing but that.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    // The measure's own pages are resident before it looks.
    let mut held =
        Held { blocks: vec![(std::ptr::null_mut(), 0); MOST], allocator: V::default(), random: 42 };
    held.blocks.clear();
    let before = resident()?;
    run(&mut held);
    Ok(resident()?.saturating_sub(before))
}

/// Blocks that a run may hold at once.
const MOST: usize = 250_000;

/// Blocks with their sizes, all written to; those still held at the end go with the process.
struct Held<V> {
    blocks: Vec<(*mut u8, usize)>,
    allocator: V,
    random: u64,
}

/// Sizes of 16 bytes to 8 KiB, the small ones as often as the large; a quarter freed and replaced, four times.
fn in_use<V: Observe>(held: &mut Held<V>) {
    let size = |held: &mut Held<V>| {
        let most = 32 << held.below(9);
        16 + held.below(most)
    };
    for _ in 0..20_000 {
        let bytes = size(held);
        held.allocate(bytes);
    }
    for _ in 0..20_000 {
        let at = held.below(held.blocks.len());
        held.free(at);
        let bytes = size(held);
        held.allocate(bytes);
    }
}

/// A peak's newest third freed, and most of the rest, at random; then the program goes on in a small way for some
/// seconds.
fn after_drop<V: Observe>(held: &mut Held<V>) {
    for _ in 0..60_000 {
        let bytes = 16 + held.below(1024);
        held.allocate(bytes);
    }
    for newest in (40_000..60_000).rev() {
        held.free(newest);
    }
    for _ in 0..36_000 {
        let at = held.below(held.blocks.len());
        held.free(at);
    }
    for second in 1..=5 {
        V::set_clock(1000 * second);
        for _ in 0..2000 {
            let at = held.below(held.blocks.len());
            held.free(at);
            let bytes = 16 + held.below(1024);
            held.allocate(bytes);
        }
    }
}

/// Large blocks used and freed, then as much memory in small ones.
fn after_large<V: Observe>(held: &mut Held<V>) {
    for _ in 0..10 {
        held.allocate(2 << 20);
    }
    (0..10).for_each(|_| held.free(0));
    for _ in 0..200_000 {
        held.allocate(100);
    }
}

/// A large block of zeros of which little is written, freed, and asked for again.
fn zeroed<V: Observe>(held: &mut Held<V>) {
    const BYTES: usize = 24 << 20;
    for _ in 0..2 {
        let layout = Layout::from_size_align(BYTES, 16).expect("a layout");
        // SAFETY: the layout has a size.
        let block = unsafe { held.allocator.alloc_zeroed(layout) };
        assert!(!block.is_null(), "out of memory");
        for at in (0..BYTES).step_by(64 * PAGE_BYTES as usize) {
            // SAFETY: inside the block.
            unsafe { block.wrapping_add(at).write(1) };
        }
        held.blocks.push((block, BYTES));
        held.free(0);
    }
}

impl<V: Observe> Held<V> {
    fn allocate(&mut self, bytes: usize) {
        let layout = Layout::from_size_align(bytes, 16).expect("a layout");
        // SAFETY: the layout has a size.
        let block = unsafe { self.allocator.alloc(layout) };
        assert!(!block.is_null() && self.blocks.len() < MOST, "out of memory");
        // SAFETY: the block has that many bytes.
        unsafe { block.write_bytes(1, bytes) };
        self.blocks.push((block, bytes));
    }

    fn free(&mut self, at: usize) {
        let (block, bytes) = self.blocks.swap_remove(at);
        let layout = Layout::from_size_align(bytes, 16).expect("as before");
        // SAFETY: it was allocated with this layout, and is forgotten here.
        unsafe { self.allocator.dealloc(block, layout) };
    }

    /// A number below `end`, by xorshift64.
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (((self.random >> 32) * end as u64) >> 32) as usize
    }
}

/// Pages that this process has for itself. Not by `statm`, whose count the kernel keeps in batches.
fn resident() -> Result<u64, String> {
    const FILE: &str = "/proc/self/smaps_rollup";
    let text = fs::read_to_string(FILE).map_err(|e| format!("{FILE}: {e}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024 / PAGE_BYTES).ok_or_else(|| format!("{FILE}: no `Anonymous:`"))
}
