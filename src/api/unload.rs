//! What a variant does when the object that it is part of is loaded, and when it is unloaded.

use super::backend::{Backend, Served};
use super::stamp::HAS_FACE;
use crate::sys::unload::{self, AtUnload};
use core::marker::PhantomData;

/// Runs before `main`, in a program's or a library's initialisation.
pub(super) extern "C" fn prepare_at_start<V: Served>() {
    // A library with a face is linked to stay where it is.
    if V::Backend::KEEPS_MEMORY && !V::BY_ADDRESS && !HAS_FACE {
        unload::expect::<Release<V>>();
    }
    V::Backend::prepare_at_start();
}

/// Releases a variant.
struct Release<V>(PhantomData<V>);

impl<V: Served> AtUnload for Release<V> {
    fn leave_threads() {
        V::Backend::leave_threads();
    }

    unsafe fn release() {
        // SAFETY: the caller's conditions.
        unsafe { V::Backend::release() }
    }
}
