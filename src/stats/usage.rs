//! The memory of a variant.

/// Bytes and counts, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes mapped, idle ones among them.
    pub mapped: usize,
    /// Bytes in blocks that the program has. Blocks in other threads' caches count as theirs.
    pub in_use: usize,
    /// Blocks that are larger than a span. They are in use.
    pub large_blocks: usize,
    /// Bytes of their pages.
    pub large: usize,
    /// Free blocks, and runs of memory that belong to no block. Blocks in other threads' caches do not count.
    pub free_blocks: usize,
    /// SuperSlabs mapped; the central backend calls them segments.
    pub superslabs: usize,
}
