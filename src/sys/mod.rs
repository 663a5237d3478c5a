//! Layer 1: the operating system and the processor.
//!
//! Never: knows blocks, slabs or variants.

pub(crate) mod asm;
pub(crate) mod atomic;
pub(crate) mod fatal;
pub(crate) mod lock;
pub(crate) mod rtld_next;
pub(crate) mod system;
pub(crate) mod tls;

cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", target_arch = "x86_64"))] {
        pub(crate) mod clock;
        pub(crate) mod cpus;
        pub(crate) mod errno;
        pub(crate) mod fences;
        pub(crate) mod fork;
        pub(crate) mod futex;
        pub(crate) mod held;
        mod installed;
        pub(crate) mod kernel;
        mod key;
        pub(crate) mod maps;
        pub(crate) mod moves;
        pub(crate) mod pages;
        pub(crate) mod published;
        pub(crate) mod reserved;
        pub(crate) mod secret;
        pub(crate) mod segv;
        pub(crate) mod thread;
        pub(crate) mod unload;
        pub(crate) mod watcher;
        mod weak;
    } else {
        compile_error!("hakmem runs on Linux on x86-64; others need the files of `src/sys`, their page size, and their width of an address");
    }
}
