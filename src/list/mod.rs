//! Layer 3: lists of free blocks, slabs and segments. None of them is atomic.
//!
//! | file | type | touched by |
//! |---|---|---|
//! | `free_block` | one free block, owned by value | one thread |
//! | `free_list` | a linked list of free blocks with a limit | one thread |
//! | `batch` | an array of free blocks that move between two lists | one thread |
//! | `linked` | a doubly linked list of slabs or segments | its owner, or the holder of its lock |

mod batch;
mod free_block;
mod free_list;
mod linked;

pub(crate) use batch::Batch;
pub(crate) use free_block::FreeBlock;
pub(crate) use free_list::{EXCESS_OFFSET, FreeList};
pub(crate) use linked::{Linked, LinkedList, Links};
