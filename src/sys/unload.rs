//! The unload notice: a call when `dlclose` unloads the *object*, the shared library or program that contains this
//! code.
//!
//! The process keeps what an object registered. After an unload, a pthread key would lead into code that is gone, and
//! mapped memory would stay. So an object that can be unloaded registers a notice when it is loaded.
//!
//! | the object | is known by | what is done |
//! |---|---|---|
//! | the program itself | its headers are the program's | nothing |
//! | loaded at the start, or with static thread-local storage | its storage is in the thread's block | it is pinned |
//! | in a namespace of its own (`dlmopen`) | no program is there | it is pinned |
//! | opened by `dlopen` | none of these | it registers a notice |
//!
//! A pinned object is never unloaded, as by `RTLD_NODELETE`. An object loaded at the start would stay anyway.
//!
//! The notice also comes at the process's end. Then other threads may still run, and other destructors may free, so
//! nothing may be released. Two *marks* tell the two ends apart. They lie in memory that outlives the object, and
//! functions of the C library set them.
//!
//! ```text
//! load:   register  notice ─▶ mark "exit" ─▶ …the object's own handlers      and mark "main" at the main thread's end
//! exit:   runs      main, exit, then notice: the last one registered runs first
//! dlclose: runs     …the object's own handlers, then notice: no mark is set
//! ```
//!
//! | mark "exit" | mark "main" | the notice means | what is done |
//! |---|---|---|---|
//! | no | no | the object is unloaded | exit hooks are disarmed, memory goes back |
//! | yes | any | the process ends | the object is pinned, so that a later `dlclose` does not unload it |
//! | no | yes | either: an object loaded before `main` gets this at the process's end | exit hooks are disarmed |
//!
//! UN1  When a variant is released, no thread runs code of the object, and no code has a block of it or will ask for
//!      one. A program unloads an object only when it is done with it. Elsewhere *for good* means until then.
//! UN2  The marks, and the code that sets them, outlive the object.
//!
//! One limit: a process may end by another thread than the main one. An object that was opened before `main` then takes
//! the end for an unload.
//!
//! Never: runs when a block is allocated or freed.

use super::atomic::{AtomicPtr, Ordering};
use super::thread;
use super::weak::weak;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_char, c_int, c_void};
use core::mem;
use core::ptr;
use std::alloc::System;

/// An action when the object is unloaded.
pub(crate) trait AtUnload: 'static {
    /// Makes sure that no thread calls into the object when it ends.
    fn leave_threads();

    /// Unmaps all memory of the object's variant.
    ///
    /// # Safety
    /// UN1 holds: no thread runs code of the object, and no code has a block of it or will ask for one. `leave_threads`
    /// has run.
    unsafe fn release();
}

/// The two marks. They are semaphores, since the C library has a function that raises one.
type Marks = [libc::sem_t; 2];

/// The mark set when the process ends.
const EXIT: usize = 0;
/// The mark set when the main thread ends.
const MAIN: usize = 1;

/// The address of a mark.
fn mark(marks: *mut Marks, which: usize) -> *mut libc::sem_t {
    marks.cast::<libc::sem_t>().wrapping_add(which)
}

/// The object's marks; null until they exist, and if they could not be registered. [shared]
static MARKS: AtomicPtr<Marks> = AtomicPtr::new(ptr::null_mut());

type Handler = unsafe extern "C" fn(*mut c_void);

unsafe extern "C" {
    // Not in the `libc` crate; the Itanium C++ ABI, 3.3.6.3. 0 if it worked.
    fn __cxa_atexit(handler: Handler, value: *mut c_void, object: *const c_void) -> c_int;
    /// Identifies this object. The compiler's start files define one in each object.
    static __dso_handle: c_void;
}

/// Registers `U` to run when this object is unloaded, or pins the object if that is impossible. The object's
/// initialiser calls it.
pub(crate) fn expect<U: AtUnload>() {
    match place() {
        Place::Program => {}
        Place::Stays => stay(),
        Place::Opened => {
            if !register::<U>() {
                // Without its marks, the notice could not tell the two ends apart.
                // ORDERING: relaxed; objects are initialised and ended by one thread at a time, in the loader's lock.
                MARKS.store(ptr::null_mut(), Ordering::Relaxed);
                stay();
            }
        }
    }
}

/// Registers the notice, then the calls that set the marks. False if there is no room.
fn register<U: AtUnload>() -> bool {
    let Some(marks) = marks() else { return false };
    // SAFETY: the function takes any value. When this object is unloaded, the C library calls it for the last time.
    let told = unsafe { __cxa_atexit(call::<U>, ptr::null_mut(), &raw const __dso_handle) };
    if told != 0 {
        return false;
    }
    let sem_post = libc::sem_post as *const c_void;
    // SAFETY: both are pointers to C functions of one pointer argument, and the caller ignores the result.
    let set = unsafe { mem::transmute::<*const c_void, Handler>(sem_post) };
    // SAFETY: the function is of an object that stays, and takes a semaphore, which stays too (UN2). Of no object, so
    // that it is called at the process's end alone.
    let marked = unsafe { __cxa_atexit(set, mark(marks, EXIT).cast(), ptr::null()) };
    if marked != 0 {
        return false;
    }
    mark_main_thread(set, marks);
    true
}

/// Registers a call that sets the mark of the main thread, if this is the main thread. It runs first of all when that
/// thread ends the process.
fn mark_main_thread(set: Handler, marks: *mut Marks) {
    type Register = unsafe extern "C" fn(Handler, *mut c_void, *const c_void) -> c_int;
    let register = weak!("__cxa_thread_atexit_impl");
    if register.is_null() || thread::id() != thread::process() {
        return;
    }
    // SAFETY: glibc exports a function of this type for the C++ ABI under this name.
    let register = unsafe { mem::transmute::<*const c_void, Register>(register) };
    // The last argument is an address in the C library, so that the C library is the object that this keeps loaded.
    // SAFETY: the function belongs to the C library, and takes a semaphore; both outlive this object (UN2).
    unsafe { register(set, mark(marks, MAIN).cast(), set as *const c_void) };
}

/// The object's marks, created at the first call; `None` when memory is exhausted.
fn marks() -> Option<*mut Marks> {
    // ORDERING: relaxed, here and below; as in `expect`.
    let known = MARKS.load(Ordering::Relaxed);
    if !known.is_null() {
        return Some(known);
    }
    // SAFETY: the layout has a size above 0.
    let fresh = unsafe { System.alloc(Layout::new::<Marks>()) }.cast::<Marks>();
    if fresh.is_null() {
        return None;
    }
    for which in [EXIT, MAIN] {
        // SAFETY: room for a semaphore, of which no other code knows. It is private to this process, and starts at 0.
        unsafe { libc::sem_init(mark(fresh, which), 0, 0) };
    }
    MARKS.store(fresh, Ordering::Relaxed);
    Some(fresh)
}

/// The two ends that a notice may mean.
enum End {
    Object,
    Process,
    Either,
}

/// The notice: the function that the C library calls.
unsafe extern "C" fn call<U: AtUnload>(_: *mut c_void) {
    match end() {
        End::Object => {
            U::leave_threads();
            // SAFETY: a program unloads an object only when it is done with it (UN1).
            unsafe { U::release() };
        }
        End::Process => stay(),
        End::Either => U::leave_threads(),
    }
}

fn end() -> End {
    // ORDERING: relaxed, as in `expect`.
    let marks = MARKS.load(Ordering::Relaxed);
    if marks.is_null() {
        return End::Either;
    }
    let is_set = |which| {
        let mut value = 0;
        // SAFETY: a semaphore, initialised by `marks` and never freed; `value` is writable.
        unsafe { libc::sem_getvalue(mark(marks, which), &raw mut value) };
        value > 0
    };
    match (is_set(EXIT), is_set(MAIN)) {
        (true, _) => End::Process,
        (false, true) => End::Either,
        (false, false) => End::Object,
    }
}

/// Pins this object: the loader keeps it even after `dlclose`.
fn stay() {
    type Find = unsafe extern "C" fn(*const c_void, *mut libc::Dl_info) -> c_int;
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    // A statically linked program has no loader, and the linker warns of direct references to its functions.
    let (find, open) = (weak!("dladdr"), weak!("dlopen"));
    if find.is_null() || open.is_null() {
        return;
    }
    // SAFETY: the C library's function of this name, and its type.
    let find = unsafe { mem::transmute::<*const c_void, Find>(find) };
    // SAFETY: the C library's function of this name, and its type.
    let open = unsafe { mem::transmute::<*const c_void, Open>(open) };
    let mut info = mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: it takes any address, and `info` is writable.
    if unsafe { find((&raw const MARKS).cast(), info.as_mut_ptr()) } == 0 {
        return;
    }
    // SAFETY: pointers, which were zeroed, and then written.
    let name = unsafe { info.assume_init() }.dli_fname;
    // SAFETY: the object's name, as the loader knows it. This opens nothing that is not there.
    unsafe { open(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
}

/// How the object was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Program,
    Stays,
    Opened,
}

/// The result of a walk over all loaded objects.
#[derive(Default)]
struct Found {
    /// The address of the program's headers.
    program: usize,
    /// True once the walk has seen the program; `is_program` is true if the program is this object.
    has_program: bool,
    is_program: bool,
    /// The address of this object's thread-local storage in this thread; 0 for none, or none yet.
    storage: usize,
    /// Bytes that all objects' thread-local storage takes, at most.
    all_storage: usize,
}

fn place() -> Place {
    // SAFETY: it takes any number.
    let program = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
    let mut found = Found { program, ..Found::default() };
    // SAFETY: the callback has the type that this passes on, and `found` is what it expects.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    match found {
        Found { is_program: true, .. } => Place::Program,
        Found { has_program: false, .. } => Place::Stays,
        // By the ABI the storage of objects loaded at the start lies directly below the address in the thread's
        // register, which is the thread's handle.
        found => match thread::handle().wrapping_sub(found.storage) <= found.all_storage {
            true => Place::Stays,
            false => Place::Opened,
        },
    }
}

/// Looks at one object.
///
/// # Safety
/// `object` comes from `dl_iterate_phdr`. `found` is a [`Found`] to which no other code refers.
unsafe extern "C" fn look(object: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: `object` is a loaded object's information, by the caller's condition.
    let object = unsafe { &*object };
    // SAFETY: `found` is a `Found` to which no other code refers, by the caller's condition.
    let found = unsafe { &mut *found.cast::<Found>() };
    // SAFETY: an object's headers, as many as it has.
    let headers =
        unsafe { core::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    let is_program = object.dlpi_phdr.addr() == found.program;
    found.has_program |= is_program;
    let own = (&raw const MARKS).addr();
    for header in headers {
        match header.p_type {
            libc::PT_TLS => found.all_storage += (header.p_memsz + header.p_align) as usize,
            libc::PT_LOAD => {
                let begin = object.dlpi_addr.wrapping_add(header.p_vaddr) as usize;
                if own.wrapping_sub(begin) < header.p_memsz as usize {
                    found.is_program = is_program;
                    found.storage = object.dlpi_tls_data.addr();
                }
            }
            _ => {}
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_as_one_and_marks_are_not_set() {
        assert_eq!(place(), Place::Program);
        let marks = marks().expect("memory");
        assert!(matches!(end(), End::Object));
        for (which, set) in [(MAIN, "either"), (EXIT, "process")] {
            // SAFETY: a semaphore, which `marks` initialised.
            assert_eq!(unsafe { libc::sem_post(mark(marks, which)) }, 0);
            assert!(match end() {
                End::Object => false,
                End::Either => set == "either",
                End::Process => set == "process",
            });
        }
    }
}
