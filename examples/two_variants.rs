//! Two variants in one program, each with a heap of its own.

use hakmem::{Apex, Hakmem, Observe};
use std::alloc::Layout;

fn pair<V: Observe>(variant: V) {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: the layout has a size.
    let block = unsafe { variant.alloc(layout) };
    println!("`{}` gives {block:?}, and {} classes", V::ID, V::CLASSES);
    // SAFETY: allocated above, by this variant, with this layout.
    unsafe { variant.dealloc(block, layout) };
}

fn main() {
    pair(Apex);
    // With `--features option-a`, say, another one.
    pair(Hakmem);
}
