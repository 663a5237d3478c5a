//! The start and the release of a variant, when the program or library that contains it is loaded and unloaded.

use super::stamp::HAS_FACE;
use crate::backend::Managed;
use crate::sys::unload::{self, AtUnload};
use crate::variant::Variant;
use core::marker::PhantomData;

/// Prepares a variant. It runs before `main`, in a program's or a library's initialisation.
pub(super) extern "C" fn prepare_at_start<V: Variant<Backend: Managed>>() {
    // A library with the C face serves its program by that variant alone. Any other prepares itself at its first use.
    if HAS_FACE && !V::BY_ADDRESS {
        return;
    }
    // A library with the C face is linked so that it is never unloaded.
    if V::Backend::KEEPS_MEMORY && !HAS_FACE {
        unload::expect::<Release<V>>();
    }
    V::Backend::prepare_at_start();
}

/// The unload action that releases a variant.
struct Release<V>(PhantomData<V>);

impl<V: Variant<Backend: Managed>> AtUnload for Release<V> {
    fn leave_threads() {
        V::Backend::leave_threads();
    }

    unsafe fn release() {
        // SAFETY: the caller's conditions.
        unsafe { V::Backend::release() }
    }
}
