//! Layer 3: links between free blocks and between free things.
//!
//! | file | list | who | atomic |
//! |---|---|---|---|
//! | `free_list` | of blocks, counted so that a sign tells when to look | one thread | no |
//! | `batch` | of blocks, on their way between two lists | one thread | no |
//! | `free_block` | none: one block in hand | one thread | no |
//! | `linked` | of slabs or segments, both ways, through themselves | whoever owns it, or holds its lock | no |

mod batch;
mod free_block;
mod free_list;
mod linked;

pub(crate) use batch::Batch;
pub(crate) use free_block::FreeBlock;
pub(crate) use free_list::{EXCESS_OFFSET, FreeList};
pub(crate) use linked::{Linked, LinkedList, Links};
