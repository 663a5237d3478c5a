//! What the heap holds, and what it did: with `--features stats`.

use hakmem::{Hakmem, Observe};

#[global_allocator]
static ALLOCATOR: Hakmem = Hakmem;

fn main() {
    let blocks: Vec<Box<u64>> = (0..100_000).map(Box::new).collect();
    println!("{} SuperSlabs while {} boxes live", Hakmem::superslabs(), blocks.len());
    drop(blocks);
    hakmem::purge();
    println!("{} when they are gone; events: {:?}", Hakmem::superslabs(), Hakmem::events());
}
