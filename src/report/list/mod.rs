//! The lists that only the report's allocator has.
//!
//! | file | list | used by | atomic |
//! |---|---|---|---|
//! | `block` | none: a free block's link | the thread that has the block | no |
//! | `local` | of blocks, threaded through the blocks | one thread | no |
//! | `remote` | of blocks of one slab that other threads freed | many push, the owner takes all | one word |
//! | `tagged` | of numbered things (EMPTY slabs, idle heaps) | many push, many pop | one word, with a tag against ABA |
//! | `claim` | none: a word of bits, each an offer that one thread wins | many | one word |
//! | `flag` | none: it tells an owner to look at its remote lists | many raise, the owner takes | one word |

mod block;
mod claim;
mod flag;
mod local;
mod remote;
mod tagged;

pub(crate) use block::Block;
pub(crate) use claim::ClaimMask;
pub(crate) use flag::Flag;
pub(crate) use local::LocalList;
pub(crate) use remote::{NO_OWNER, RemoteList, Taken};
pub(crate) use tagged::TaggedStack;
