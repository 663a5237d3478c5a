//! The functions of a `libhakmem.so`, found by `dlopen` and `dlsym`, beside the process's own.

use libc::{c_char, c_int, c_void};
use std::ffi::{CStr, CString};
use std::mem::transmute_copy;
use std::sync::LazyLock;

/// The library that the environment names.
pub(crate) static FACE: LazyLock<Face> = LazyLock::new(|| match Face::open() {
    Ok(face) => face,
    Err(message) => {
        eprintln!("{message}");
        std::process::exit(2);
    }
});

/// An opened library.
struct Library(*mut c_void);

impl Library {
    fn open() -> Result<Self, String> {
        let path = std::env::var("HAKMEM_LIBRARY")
            .map_err(|_| "HAKMEM_LIBRARY is unset; it must be the path of a libhakmem.so")?;
        let name = CString::new(path.clone()).map_err(|_| "HAKMEM_LIBRARY has a zero byte")?;
        // SAFETY: the name ends in 0. The library's initialisers register handlers, and depend on nothing here.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(format!("HAKMEM_LIBRARY={path} cannot be opened: {}", dl_error()));
        }
        Ok(Self(handle))
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` is a pointer to a function of the type that the name has in C.
    unsafe fn function<F>(&self, name: &CStr) -> Result<F, String> {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: the handle is open, and the name ends in 0.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr().cast::<c_char>()) };
        if found.is_null() {
            return Err(format!("HAKMEM_LIBRARY has no {}", name.to_string_lossy()));
        }
        // SAFETY: the function has that type, by the caller's condition.
        Ok(unsafe { transmute_copy(&found) })
    }
}

fn dl_error() -> String {
    // SAFETY: it returns null, or a text that lasts until the next call.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason".to_owned();
    }
    // SAFETY: the text ends in 0.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().replace('\n', " ")
}

macro_rules! face {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library's functions, by their names in C.
        pub(crate) struct Face {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Face {
            fn open() -> Result<Self, String> {
                let library = Library::open()?;
                $(
                    let name = CString::new(stringify!($name)).expect("an identifier");
                    // SAFETY: the table below has the types of C.
                    let $name = unsafe { library.function(&name) }?;
                )*
                Ok(Self { $($name),* })
            }
        }
    };
}

face! {
    malloc: fn(usize) -> *mut c_void;
    calloc: fn(usize, usize) -> *mut c_void;
    realloc: fn(*mut c_void, usize) -> *mut c_void;
    reallocarray: fn(*mut c_void, usize, usize) -> *mut c_void;
    posix_memalign: fn(*mut *mut c_void, usize, usize) -> c_int;
    aligned_alloc: fn(usize, usize) -> *mut c_void;
    memalign: fn(usize, usize) -> *mut c_void;
    valloc: fn(usize) -> *mut c_void;
    pvalloc: fn(usize) -> *mut c_void;
    free: fn(*mut c_void);
    cfree: fn(*mut c_void);
    free_sized: fn(*mut c_void, usize);
    free_aligned_sized: fn(*mut c_void, usize, usize);
    malloc_usable_size: fn(*mut c_void) -> usize;
    malloc_trim: fn(usize) -> c_int;
    mallinfo: fn() -> libc::mallinfo;
    mallinfo2: fn() -> libc::mallinfo2;
    mallopt: fn(c_int, c_int) -> c_int;
}
