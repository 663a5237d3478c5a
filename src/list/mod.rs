//! Layer 3: links between free blocks and between free things.
//!
//! | file | list | who | atomic |
//! |---|---|---|---|
//! | `local` | of blocks, threaded through the blocks | one thread | no |
//! | `free_list` | of blocks, counted so that a sign tells when to look | one thread | no |
//! | `batch` | of blocks, on their way between two lists | one thread | no |
//! | `free_block` | none: one block in hand | one thread | no |
//! | `linked` | of slabs or chunks, both ways, through themselves | whoever owns it, or holds its lock | no |
//! | `remote` | of blocks of one slab, freed by threads that do not own it | many push, the owner takes all | one word |
//! | `tagged` | of numbered things (EMPTY slabs, idle heaps) | many push, many pop | one word, with a tag against ABA |
//! | `claim` | none: a word of bits, each an offer that one thread wins | many | one word |

mod batch;
mod claim;
mod free_block;
mod free_list;
mod linked;
mod local;
mod remote;
mod tagged;

pub(crate) use batch::Batch;
pub(crate) use claim::ClaimMask;
pub(crate) use free_block::FreeBlock;
pub(crate) use free_list::{EXCESS_OFFSET, FreeList};
pub(crate) use linked::{Linked, LinkedList, Links};
pub(crate) use local::{Block, LocalList};
pub(crate) use remote::{NO_OWNER, RemoteList, Taken};
pub(crate) use tagged::TaggedStack;
