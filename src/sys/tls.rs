//! The thread-local slot: one pointer per variant and thread.
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
