//! Layer 3: links between free blocks and between free things.
//!
//! | file | list | who | atomic |
//! |---|---|---|---|
//! | `block` | none: a free block's link | whoever has the block | no |
//! | `window` | of blocks, counted so that a sign tells when to look | one thread | no |
//! | `chain` | of blocks, on their way between two lists | one thread | no |
//! | `linked` | of slabs or chunks, both ways, through themselves | whoever owns it, or holds its lock | no |

mod block;
mod chain;
mod linked;
mod window;

pub(crate) use block::Block;
pub(crate) use chain::Chain;
pub(crate) use linked::{Linked, LinkedList, Links};
pub(crate) use window::{Step, WINDOW_OFFSET, WindowList};
