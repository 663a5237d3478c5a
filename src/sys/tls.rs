//! The thread-local slot of a variant: a pointer, or a thread's lists themselves.
//!
//! Constant initialiser and no destructor, so the standard library's `thread_local!` compiles to one
//! segment-relative access in an executable: no state byte, no registration, usable before `main`
//! and after every destructor. (A type with `Drop` would cost all three.)

/// Stamps `static $name`, a slot that starts out as `$initial` in every thread.
macro_rules! thread_slot {
    ($name:ident: $type:ty = $initial:expr) => {
        std::thread_local! {
            static $name: core::cell::Cell<$type> = const { core::cell::Cell::new($initial) };
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
