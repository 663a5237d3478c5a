//! Layer 1: the operating system and the processor.
//!
//! Never: knows blocks, slabs or variants.

pub(crate) mod atomic;
pub(crate) mod fatal;
pub(crate) mod lock;
pub(crate) mod system;
pub(crate) mod tls;

cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
        pub(crate) mod clock;
        pub(crate) mod fork;
        mod futex;
        pub(crate) mod pages;
        pub(crate) mod thread;
    } else {
        compile_error!("hakmem runs on 64-bit Linux; other systems need `sys/pages.rs` and `sys/thread.rs`");
    }
}

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        /// Asks for the cache line at an address, which need not be mapped.
        #[inline(always)]
        pub(crate) fn prefetch<T>(address: *const T) {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a prefetch does not fault, and every processor of this kind has it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
        }
    } else {
        /// Nothing: this processor's prefetch has no stable name.
        #[inline(always)]
        pub(crate) fn prefetch<T>(_address: *const T) {}
    }
}
