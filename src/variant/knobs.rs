// The knobs: the only list of them. The library makes types, constants and defaults of it, and `cargo ci variants`
// what a file may say and the table in docs/variants.md.
//
//     /// What it decides.
//     key: Type, which backends read it, values;
//
// | backends | |
// |---|---|
// | `All` | every variant sets it, itself or by a parent |
// | `Slabs` | `superslab` and `central`: a variant of these has it set, itself or by a parent |
// | `Central` | `central` alone; where nobody sets it, it has the default |
//
// | values | the default |
// |---|---|
// | `{ … }`: one of these words, each a value of the enum `Type` | the first |
// | `(least..=most)`: a whole number | the least |
// | `[least..=most]`: a whole number, or "none" | "none" |
knobs! {
    /// Who serves the size classes.
    backend: Backend, All, {
        /// The system's malloc, for everything: the control group.
        System = "system",
        /// Thread lists over slabs that the thread owns, over the shared pool: the founding report's.
        SuperSlab = "superslab",
        /// Thread lists over slabs that nobody owns, in central lists per class.
        Central = "central",
    };
    /// The table of block sizes.
    size_classes: Table, Slabs, {
        /// The founding report's eight: 8, 16, 32, 64, 128, 256, 512, 2048 bytes.
        Report = "report",
        /// Steps of 16 bytes to 256, then eight per doubling to 2 KiB and four to 32 KiB.
        Eighths = "eighths",
        /// Steps of 16 bytes to 256, then eight per doubling to 8 KiB and four to 32 KiB.
        Finer = "finer",
    };
    /// Binary logarithm of a SuperSlab's bytes.
    superslab_lg: u32, Slabs, (19..=21);
    /// How an address is turned into its SuperSlab.
    registry: Registry, Slabs, {
        /// A walk over the list of all SuperSlabs.
        Linear = "linear",
        /// A hash table, behind a thread-local hint: the last one found.
        Hash = "hash",
        /// A two-level map with a byte per slot of the address space: the page map, which `central` asks what else lies there.
        Map = "map",
    };
    /// What a drain does with a slab that it emptied.
    recycle: Recycle, Slabs, {
        /// Nothing: the slab stays with its thread, out of everybody's reach.
        None = "none",
        /// It is retired to the pool's freelist of EMPTY slabs (the report's option A).
        Freelist = "freelist",
    };
    // Not 0: what a dead thread leaves would never be found again.
    /// Slabs that stage 0.5 looks at per acquisition; `central` has no such stage.
    empty_scan_limit: usize, Slabs, (1..=1024);
    /// SuperSlabs that may be mapped for one class.
    soft_cap: u32, Slabs, [1..=1024];
    /// Blocks that a thread keeps per class before it drains.
    list_limit: u32, Slabs, (1..=4096);
    /// Blocks moved by one refill or drain; `list_limit` at most.
    batch: u32, Slabs, (1..=4096);
    /// What tells a freed block's class and home.
    free_by: FreeBy, Central, {
        /// The page map, where the block's address is looked up.
        Lookup = "lookup",
        /// The layout alone.
        Layout = "layout",
    };
    /// Who serves sizes above the classes.
    large: Large, Central, {
        /// The system's malloc.
        System = "system",
        /// Spans of slots, and whole pages for larger ones.
        Own = "own",
    };
    /// MiB of freed large blocks that are kept for reuse; half as much as is in use, if that is more.
    keep_mib: usize, Central, (0..=4096);
    /// Which kept pages serve one large block.
    join: Join, Central, {
        /// Pages whose addresses touch.
        Touching = "touching",
        /// Others, too: the kernel moves them to where the block lies.
        Moved = "moved",
    };
    /// What bounds a thread's list.
    list_bound: Bound, Central, {
        /// `list_limit` blocks, whatever their size; `batch` of them are moved at a time.
        Blocks = "blocks",
        /// Bytes; a list's bound starts low and rises each time it was too low.
        Bytes = "bytes",
        /// Bytes, and beyond them a share of the heap.
        Share = "share",
    };
    /// Sets of central lists, at most; threads share them evenly, four for each processor.
    arenas: usize, Central, (1..=64);
    /// KiB of batches that wait, per class, to be taken by whichever thread comes next.
    transfer_kib: usize, Central, (0..=4096);
    /// Which slab with free blocks is taken from first.
    partial: Partial, Central, {
        /// The one that came to have some last.
        Latest = "latest",
        /// One of the fullest, so that the emptiest become EMPTY.
        Fullest = "fullest",
    };
    /// Whether memory that is still zero from the kernel is known to be.
    fresh: Fresh, Central, {
        /// All memory is taken for used.
        Forgotten = "forgotten",
        /// Slots that were never touched, or purged since, are zero.
        Known = "known",
    };
    /// Milliseconds after which unused memory goes back to the kernel.
    purge_ms: u32, Central, [10..=60_000];
    /// What is given back to the kernel.
    purge_unit: Unit, Central, {
        /// Whole free slots.
        Slots = "slots",
        /// Free pages of slabs in part-use too.
        Pages = "pages",
    };
    /// When memory that waits to be used again goes back.
    reclaim: Reclaim, Central, {
        /// When it has waited for `purge_ms`.
        Timed = "timed",
        /// Then, or as soon as more memory is mapped.
        First = "first",
    };
    /// What is written where a mapping that was used before is to be zero.
    zeroing: Zeroing, Central, {
        /// All of it.
        All = "all",
        /// The pages that hold something else.
        Dirty = "dirty",
    };
    /// What the thread-local slot holds.
    thread_slot: Slot, Central, {
        /// The address of the thread's lists.
        Pointer = "pointer",
        /// The lists themselves.
        Inline = "inline",
    };
    /// What becomes of a thread's lists when it ends.
    thread_exit: ThreadExit, Central, {
        /// Their blocks go back.
        Drain = "drain",
        /// They wait for the next thread, for a while.
        Park = "park",
    };
    /// In which order the blocks of a refill are handed out.
    spread: Spread, Central, {
        /// By address.
        Adjacent = "adjacent",
        /// So that neighbours in a cache line are not handed out one after the other.
        Apart = "apart",
    };
    /// Where a large block is put.
    growth: Growth, Central, {
        /// In the tightest hole, whether it is new or has grown; a block above a span has the pages it needs.
        Tight = "tight",
        /// One that has grown, where the most memory lies ahead: it may grow again. A block above a span has up to an eighth more.
        Roomy = "roomy",
    };
    /// What is done about a block that another allocator handed out. A variant that frees by layout does not look.
    foreign: Foreign, Central, {
        /// It is the next allocator's.
        Next = "next",
        /// The program ends, with a line that says so.
        Fatal = "fatal",
    };
}
