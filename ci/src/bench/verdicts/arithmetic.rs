//! Where the report contradicts itself: the arithmetic, from its own numbers.

use super::super::result::Matrix;
use anyhow::{Context, Result};
use hakmem_workloads::Workload;

/// The clock that the report states, in Hz.
const CLOCK: f64 = 2.8e9;
/// Slots of the report's workload; about half are occupied.
const WS: f64 = 8192.0;
/// Sizes of the workload: 16 + 0..1024.
const SIZES: f64 = 1024.0;

/// How many of the sizes 16 to 1039 lie in a range.
fn sizes_in(low: u32, high: u32) -> f64 {
    f64::from(high.min(1039) - low.max(16) + 1)
}

pub(super) fn text(matrix: &Matrix) -> Result<String> {
    let cell = |id: &str| {
        let cell = matrix.cell(id, Workload::RandomMixed, 8192);
        cell.with_context(|| format!("{id} gave no result"))
    };
    let cycles = |m_ops: f64| CLOCK / (m_ops * 1e6);
    let share = |low, high| 100.0 * sizes_in(low, high) / SIZES;
    let class7 = sizes_in(513, 1039) / SIZES * WS / 2.0;
    // Header and slab metadata are 64 bytes, and 64 for each slot; they take up whole blocks.
    let blocks = |superslab_kib: u32| {
        superslab_kib * 1024 / 2048 - (64 + superslab_kib / 64 * 64).div_ceil(2048)
    };
    let (a, baseline) = (cell("option-a")?, cell("superslab")?);
    let same = a.events.all_fallbacks() == baseline.events.all_fallbacks() && a.events.retired == 0;
    Ok(format!(
        "- **Cycles per op.** At 2.8 GHz, 16.5 M ops/s is {:.0} cycles per op, not 212; 18.4 M is {:.0}, and 29.5 M is\n  \
           {:.0}: only the last two columns of its budget fit its clock. Here `superslab` takes {:.0} cycles.\n\
         - **Who asks for what.** `16 + (r & 0x3FF)` is uniform over 16 to 1039 bytes: {:.1} % of the requests are class 7,\n  \
           {:.1} % class 6, {:.1} % classes 4 and 5, {:.1} % classes 0 to 3. The report assumes 10, 20, 30 and 40 %.\n\
         - **How much lives.** Half of {WS} slots are occupied, so class 7 has {class7:.0} live blocks, {:.1} MiB at 2048 bytes\n  \
           each; the report says 820.\n\
         - **What a SuperSlab holds.** 511 blocks in 512 KiB are blocks of 1 KiB. With 2048 bytes and a header it is {}.\n  \
           A soft cap of 2 holds {} of the {class7:.0} blocks with 512 KiB, and {} with 2 MiB: a quarter, or nearly\n  \
           all. What is missing comes from slots of SuperSlabs that other classes mapped, or from the system's malloc: {} fallbacks of class 7 here with 512 KiB, {} with 2 MiB.\n\
         - **What recycling can do.** With frees spread at random, a slab of 32 blocks at half occupancy is empty once in\n  \
           2^32. Measured: option A retired {} slabs on `random_mixed` and {} on `phase_shift`.{}",
        cycles(16.5),
        cycles(18.4),
        cycles(29.5),
        baseline.median.cycles_per_op,
        share(513, 1039),
        share(257, 512),
        share(65, 256),
        share(16, 64),
        class7 * 2048.0 / f64::from(1 << 20),
        blocks(512),
        2 * blocks(512),
        2 * blocks(2048),
        baseline.events.fallbacks.last().copied().unwrap_or(0),
        cell("option-ab")?.events.fallbacks.last().copied().unwrap_or(0),
        a.events.retired,
        matrix
            .cell("option-a", Workload::PhaseShift, Workload::PhaseShift.default_ws())
            .map_or(0, |cell| cell.events.retired),
        if same {
            " On the\n  first its events are those of `superslab`, one for one."
        } else {
            ""
        },
    ))
}
