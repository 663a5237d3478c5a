//! Layer 1: the operating system and the processor.
//!
//! Never: knows blocks, slabs or variants.

pub(crate) mod atomic;
pub(crate) mod fatal;
pub(crate) mod system;
pub(crate) mod tls;

cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
        pub(crate) mod pages;
        pub(crate) mod thread;
    } else {
        compile_error!("hakmem runs on 64-bit Linux; other systems need `sys/pages.rs` and `sys/thread.rs`");
    }
}
