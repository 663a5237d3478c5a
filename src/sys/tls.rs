//! The thread-local slot of a variant: a pointer to the thread's cache, or the cache itself.
//!
//! Slots have a constant initialiser and no destructor. In an executable the standard library's `thread_local!` then
//! compiles to one segment-relative access. It needs no state byte and no registration, and works before `main` and
//! after every destructor. (A type with `Drop` would cost all three.)
//!
//! In a shared library, `thread_local!` calls `__tls_get_addr` at each access. There a slot is defined in assembler for
//! the *initial-exec* model: the loader fills in its distance from the thread's register. Such slots use the little
//! room that the loader reserves for libraries loaded later, so each is only one word.

/// Stamps `static $name`, a slot that holds the address of a `$type`. At first it is the address of the static
/// `$initial`.
macro_rules! thread_slot {
    ($name:ident: $type:ty = $initial:ident) => {
        std::thread_local! {
            static $name: core::cell::Cell<&'static $type> = const { core::cell::Cell::new(&$initial) };
        }
    };
}
pub(crate) use thread_slot;

/// Stamps `static $name`, a place that holds `$initial` in every thread, and `fn $get`, which returns a reference to
/// it.
macro_rules! thread_place {
    ($name:ident, $get:ident: $type:ty = $initial:expr) => {
        std::thread_local! {
            static $name: $type = const { $initial };
        }
        #[inline(always)]
        fn $get() -> &'static $type {
            // SAFETY: the place has no destructor, so it lives as long as its thread. Callers keep the reference no
            // longer than an operation of this thread.
            $name.with(|place| unsafe { &*core::ptr::from_ref(place) })
        }
    };
}
pub(crate) use thread_place;

/// Stamps `$name`, a slot as [`thread_slot!`] does, for a shared library: an access takes two loads, and no call.
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
                // SAFETY: the slot holds its initial value, the address of a static, or the reference that `set`
                // stored.
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
#[allow(unused_imports, reason = "a build without a face has no such slot")]
pub(crate) use exec_slot;
