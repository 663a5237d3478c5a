//! What a variant does when the object that it is part of is loaded, and when it is unloaded.

use super::dispatch::Served;
use super::stamp::HAS_FACE;
use crate::cache;
use crate::report::heap;
use crate::sys::unload::{self, AtUnload};
use crate::variant::Backend;
use core::marker::PhantomData;

/// Runs before `main`, in a program's or a library's initialisation.
pub(super) extern "C" fn prepare_at_start<V: Served>() {
    // A library with a face is linked to stay where it is.
    if V::BACKEND != Backend::System && !V::BY_ADDRESS && !HAS_FACE {
        unload::expect::<Release<V>>();
    }
    cache::prepare_at_start::<V>();
}

/// Releases a variant.
struct Release<V>(PhantomData<V>);

impl<V: Served> AtUnload for Release<V> {
    fn leave_threads() {
        match V::BACKEND {
            Backend::System => {}
            Backend::SuperSlab => heap::leave_threads::<V>(),
            Backend::Central => cache::leave_threads::<V>(),
        }
    }

    unsafe fn release() {
        match V::BACKEND {
            Backend::System => {}
            // SAFETY: the caller's conditions.
            Backend::SuperSlab => unsafe { heap::release::<V>() },
            // SAFETY: the caller's conditions. A variant with desks frees by address, and `prepare_at_start` registers
            // none such.
            Backend::Central => unsafe { cache::release::<V>() },
        }
    }
}
