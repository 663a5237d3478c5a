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
// | `Central` | `central` alone; where no variant sets it, it has the default |
//
// | values | the default |
// |---|---|
// | `{ … }`: one of these words, each a value of the enum `Type` | the first |
// | `(least..=most)`: a whole number | the least |
// | `[least..=most]`: a whole number, or "none" | "none" |
knobs! {
    /// What serves the size classes.
    backend: Backend, All, {
        /// The system's malloc, for everything: the control group.
        System = "system",
        /// Thread lists, then slabs that the thread owns, then a shared pool: the founding report's allocator.
        SuperSlab = "superslab",
        /// Thread caches, then central lists of slabs per class, then the page heap.
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
    /// What finds the SuperSlab of an address.
    registry: Registry, Slabs, {
        /// A walk over the list of all SuperSlabs.
        Linear = "linear",
        /// A hash table, behind a thread-local hint: the last one found.
        Hash = "hash",
        /// The page map, with a byte for each slice of the address space. The central backend always has one.
        Map = "map",
    };
    /// What a drain does with a slab that has become empty.
    recycle: Recycle, Slabs, {
        /// Nothing. The slab stays with its thread, and no other thread can reach it.
        None = "none",
        /// It puts the slab into the pool's freelist of EMPTY slabs (the report's option A).
        Freelist = "freelist",
    };
    // Not 0: no thread would ever find the slabs that a dead thread leaves.
    /// Slabs that stage 0.5 examines per acquisition; `central` has no such stage.
    empty_scan_limit: usize, Slabs, (1..=1024);
    /// SuperSlabs that one class may have.
    soft_cap: u32, Slabs, [1..=1024];
    /// Blocks of a class that a thread keeps before it drains.
    list_limit: u32, Slabs, (1..=4096);
    /// Blocks that one refill or drain moves; `list_limit` at most.
    batch: u32, Slabs, (1..=4096);
    /// What tells the class of a freed block.
    free_by: FreeBy, Central, {
        /// The page map, by the block's address.
        Lookup = "lookup",
        /// The layout alone.
        Layout = "layout",
    };
    /// What serves sizes above the classes.
    large: Large, Central, {
        /// The system's malloc.
        System = "system",
        /// Spans of slices, and whole pages for larger ones.
        Own = "own",
        /// Spans of slices to 128 KiB. Larger blocks get pages of their own between pages without access, and the
        /// addresses of freed ones stay without access for a while.
        Fenced = "fenced",
    };
    /// MiB of freed large blocks that are kept for reuse; half as much as is in use, if that is more.
    keep_mib: usize, Central, (0..=4096);
    /// The kept pages that serve one large block.
    join: Join, Central, {
        /// Pages whose addresses touch.
        Touching = "touching",
        /// Others, too. The kernel moves them to where the block lies.
        Moved = "moved",
    };
    /// What limits a thread's list.
    list_bound: Bound, Central, {
        /// `list_limit` blocks of any size; `batch` of them move at a time.
        Blocks = "blocks",
        /// Bytes. A limit starts low, and rises whenever the list runs empty.
        Bytes = "bytes",
        /// Bytes, and above them a share of the heap.
        Share = "share",
    };
    /// Arenas at most; there are four for each processor, and threads share them evenly.
    arenas: usize, Central, (1..=64);
    /// KiB of blocks that may wait in each class's transfer cache.
    transfer_kib: usize, Central, (0..=4096);
    /// The slab that a refill takes blocks from.
    partial: Partial, Central, {
        /// The one to which a block came home last.
        Latest = "latest",
        /// One of the fullest, so that the emptiest become free.
        Fullest = "fullest",
    };
    /// What the allocator knows about memory that is still zero from the kernel.
    fresh: Fresh, Central, {
        /// Nothing: it takes all memory for used.
        Forgotten = "forgotten",
        /// That slices are zero if they were never in use, or purged since.
        Known = "known",
    };
    /// Milliseconds after which unused memory goes back to the kernel.
    purge_ms: u32, Central, [10..=60_000];
    /// What goes back to the kernel.
    purge_unit: Unit, Central, {
        /// Whole free slices.
        Slots = "slots",
        /// Also the free pages of slabs in use.
        Pages = "pages",
    };
    /// When memory that waits for reuse goes back.
    reclaim: Reclaim, Central, {
        /// After `purge_ms`.
        Timed = "timed",
        /// After `purge_ms`, or before the allocator maps more memory.
        First = "first",
    };
    /// What `calloc` writes to a mapping that was in use before.
    zeroing: Zeroing, Central, {
        /// Zeros to all of it.
        All = "all",
        /// Zeros to the pages that hold something else.
        Dirty = "dirty",
    };
    /// KiB of free spans that a thread keeps at most.
    span_kib: usize, Central, (0..=4096);
    /// The memory of a fresh segment in a large heap.
    huge: Huge, Central, {
        /// Small pages, as the program touches them.
        Never = "never",
        /// One huge page; or small ones, all at once, if the kernel takes long to find a huge one.
        Auto = "auto",
    };
    /// What a class has that a thread hardly uses. Only the C face lends.
    lending: Lending, Central, {
        /// Slabs of its own.
        None = "none",
        /// Blocks of the next power of two, up to a page of them.
        Page = "page",
    };
    /// What the thread-local slot holds.
    thread_slot: Slot, Central, {
        /// The address of the thread's lists.
        Pointer = "pointer",
        /// The lists themselves.
        Inline = "inline",
    };
    /// What happens to a thread's lists when the thread ends.
    thread_exit: ThreadExit, Central, {
        /// Their blocks go home.
        Drain = "drain",
        /// They wait a while for the next thread.
        Park = "park",
    };
    /// The order in which blocks of a refill are handed out.
    spread: Spread, Central, {
        /// By address.
        Adjacent = "adjacent",
        /// Neighbours in a cache line not one after the other.
        Apart = "apart",
        /// In a random order.
        Random = "random",
    };
    /// The place of a large block.
    growth: Growth, Central, {
        /// The tightest hole. A block above a span has just the pages that it needs.
        Tight = "tight",
        /// For a block that has grown, the hole with the most room behind it. A block above a span has up to an eighth
        /// more pages.
        Roomy = "roomy",
    };
    /// What guards the link in a free block.
    links: Links, Central, {
        /// Nothing.
        Bare = "bare",
        /// A seal in the block's second word. A pop compares it before it follows the link.
        Sealed = "sealed",
        /// A seal that depends on a secret, too.
        Keyed = "keyed",
    };
    /// What lies behind a block in its last 8 bytes.
    tail: Tail, Central, {
        /// What the program puts there.
        None = "none",
        /// The block's size and state, sealed with a secret. A free and a change of size check it.
        Checked = "checked",
    };
    /// What becomes of the content of a freed block of a class.
    wipe: Wipe, Central, {
        /// It stays.
        None = "none",
        /// It is made zero, and is compared with zero when the block is handed out again. Needs `tail = "checked"`.
        Checked = "checked",
    };
    /// Freed blocks of a thread that wait, until later frees push them out at random. Needs `tail = "checked"`.
    quarantine: usize, Central, (0..=1024);
    /// What the unused pages around a segment's metadata are. Fences need `large = "fenced"`.
    headers: Headers, Central, {
        /// Accessible.
        Open = "open",
        /// Without access.
        Fenced = "fenced",
    };
    /// Which slices of a fresh segment have access.
    access: Access, Central, {
        /// All of them.
        Whole = "whole",
        /// The first eight, header included, and eight more when a claim first needs one of them.
        Stepwise = "stepwise",
    };
    /// What a request for 0 bytes gets, in the C face.
    empty: Empty, Central, {
        /// A block of the smallest class.
        Least = "least",
        /// An address without access.
        Unreadable = "unreadable",
    };
    /// What a free compares a small block with.
    freed: Freed, Central, {
        /// Nothing: a block that was freed before is noticed when it comes home, or by its seal.
        Home = "home",
        /// The seal of a free block. Needs seals.
        Sealed = "sealed",
    };
    /// What becomes of an address inside a small block that a program frees by address.
    inside: Inside, Central, {
        /// It is noticed when it comes home.
        Home = "home",
        /// It ends the process at once.
        Checked = "checked",
    };
    /// What happens to a freed block that another allocator handed out. A variant that frees by layout does not look.
    foreign: Foreign, Central, {
        /// It goes to the next allocator.
        Next = "next",
        /// The program ends with a message.
        Fatal = "fatal",
    };
}
