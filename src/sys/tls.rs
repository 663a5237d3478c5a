//! The thread-local slot of a variant: a pointer, or a thread's lists themselves.
//!
//! In a shared library the standard library's `thread_local!` asks `__tls_get_addr` for the place at each access.
//! There a slot is defined in assembler, for the *initial-exec* model: its distance from the thread's register is a
//! word that the loader fills in. Such take room in what the loader keeps ready for libraries loaded later, so one
//! word is all of it.
//!
//! Constant initialiser and no destructor, so the standard library's `thread_local!` compiles to one
//! segment-relative access in an executable: no state byte, no registration, usable before `main`
//! and after every destructor. (A type with `Drop` would cost all three.)

/// Stamps `static $name`, a slot that holds the address of a `$type`, at first that of the static `$initial`.
macro_rules! thread_slot {
    ($name:ident: $type:ty = $initial:ident) => {
        std::thread_local! {
            static $name: core::cell::Cell<&'static $type> = const { core::cell::Cell::new(&$initial) };
        }
    };
}
pub(crate) use thread_slot;

/// Stamps `static $name`, a place that holds `$initial` in every thread, and `fn $get`, which says where.
macro_rules! thread_place {
    ($name:ident, $get:ident: $type:ty = $initial:expr) => {
        std::thread_local! {
            static $name: $type = const { $initial };
        }
        #[inline(always)]
        fn $get() -> &'static $type {
            // SAFETY: the place lives as long as its thread, having no destructor; nobody who gets the
            // reference here keeps it beyond an operation of this thread.
            $name.with(|place| unsafe { &*core::ptr::from_ref(place) })
        }
    };
}
pub(crate) use thread_place;

/// Stamps `$name`, a slot as of [`thread_slot!`], for a shared library: two loads, and no call.
#[allow(unused_macros, reason = "a build without a face has no such slot")]
macro_rules! exec_slot {
    ($name:ident: $type:ty = $initial:ident) => {
        core::arch::global_asm!(
            concat!(".pushsection .tdata.hakmem.", stringify!($name), ", \"awT\", @progbits"),
            ".p2align 3",
            concat!(".hidden hakmem_slot_", stringify!($name)),
            concat!(".globl hakmem_slot_", stringify!($name)),
            concat!(".type hakmem_slot_", stringify!($name), ", @object"),
            concat!(".size hakmem_slot_", stringify!($name), ", 8"),
            concat!("hakmem_slot_", stringify!($name), ":"),
            ".quad {initial}",
            ".popsection",
            initial = sym $initial,
        );

        #[allow(non_camel_case_types, reason = "named and used as a static is")]
        struct $name;

        impl $name {
            #[inline(always)]
            fn get(&self) -> &'static $type {
                let address: *const $type;
                // SAFETY: the slot is defined above, in static thread-local storage, and is only read.
                unsafe {
                    core::arch::asm!(
                        concat!("mov {0}, qword ptr [rip + hakmem_slot_", stringify!($name), "@GOTTPOFF]"),
                        "mov {0}, qword ptr fs:[{0}]",
                        out(reg) address,
                        options(pure, readonly, nostack, preserves_flags),
                    );
                }
                // SAFETY: the slot holds what it starts out with, the address of a static, or what `set` was given.
                unsafe { &*address }
            }

            fn set(&self, to: &'static $type) {
                // SAFETY: the slot is defined above, this thread's, and 8 bytes.
                unsafe {
                    core::arch::asm!(
                        concat!("mov {0}, qword ptr [rip + hakmem_slot_", stringify!($name), "@GOTTPOFF]"),
                        "mov qword ptr fs:[{0}], {1}",
                        out(reg) _,
                        in(reg) core::ptr::from_ref(to),
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    };
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use exec_slot;
