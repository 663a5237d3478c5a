//! Notice of the object's end: of the shared library that this code is part of, when `dlclose` unloads it.
//!
//! What is registered for the process outlives the object: the key that tells of a thread's end leads into code that is
//! gone, and what was mapped stays. So an object that can be unloaded registers, when it is loaded, to be told.
//!
//! | the object | is known by | what is done |
//! |---|---|---|
//! | the program itself | its headers are the program's | nothing |
//! | there from the start, or as a library of the thread's static storage | its thread-local storage is in the thread's block | it stays |
//! | in a namespace of its own (`dlmopen`) | no program is there | it stays |
//! | opened by `dlopen` | else | it expects its end |
//!
//! What stays is pinned, as by `RTLD_NODELETE`: for one that is there from the start, no more than what it is.
//!
//! The notice comes at the process's end too, where other threads may be at work and other destructors may free: then
//! nothing may go. Two *marks*, in memory that is left behind, tell the ends apart. They are set by functions of the C
//! library, which stay where they are.
//!
//! ```text
//! load:   register  notice ─▶ mark "exit" ─▶ …the object's own handlers      and mark "main" at the main thread's end
//! exit:   runs      main, exit, then notice: the last to be registered comes first
//! dlclose: runs     …the object's own handlers, then notice: no mark is set
//! ```
//!
//! | mark "exit" | mark "main" | the notice means | what is done |
//! |---|---|---|---|
//! | no | no | the object is unloaded | threads are left, memory goes back |
//! | yes | any | the process ends | the object is pinned: a `dlclose` that comes still does not unload it |
//! | no | yes | either: an object that was loaded before `main` is told of the process's end so | threads are left |
//!
//! UN1  Where all is released, no thread is in the object, nobody has a block of it, and nobody will ask for one:
//!      whoever unloads an object is done with it. What is said elsewhere to be there for good is there until then.
//! UN2  The marks, and the code that sets them, outlive the object.
//!
//! One limit: an object that is opened before `main`, in a process that ends by a thread other than the main one, takes
//! this for being unloaded.
//!
//! Never: is asked about where a block is allocated or freed.

use super::atomic::{AtomicPtr, Ordering};
use super::thread;
use super::weak::weak;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_char, c_int, c_void};
use core::mem;
use core::ptr;
use std::alloc::System;

/// What is done when the object is unloaded.
pub(crate) trait AtUnload: 'static {
    /// Has no thread call into the object when it ends.
    fn leave_threads();

    /// Gives back what was mapped.
    ///
    /// # Safety
    /// UN1: nobody is in the object, has a block of it, or will ask for one; threads were left.
    unsafe fn release();
}

/// What tells the ends apart: semaphores, since the C library has a function that raises one.
type Marks = [libc::sem_t; 2];

/// The mark that the process ends.
const EXIT: usize = 0;
/// The mark that the main thread does.
const MAIN: usize = 1;

/// Where one of the marks is.
fn mark(marks: *mut Marks, which: usize) -> *mut libc::sem_t {
    marks.cast::<libc::sem_t>().wrapping_add(which)
}

/// The object's marks; null before they are there, and where they could not be registered. [shared]
static MARKS: AtomicPtr<Marks> = AtomicPtr::new(ptr::null_mut());

type Handler = unsafe extern "C" fn(*mut c_void);

unsafe extern "C" {
    // Not in the `libc` crate; the Itanium C++ ABI, 3.3.6.3. 0 if it worked.
    fn __cxa_atexit(handler: Handler, value: *mut c_void, object: *const c_void) -> c_int;
    /// Names this object: each has its own, from its compiler.
    static __dso_handle: c_void;
}

/// Has `U` done when this object is unloaded, if it can be; else it stays. Called when the object is initialised.
pub(crate) fn expect<U: AtUnload>() {
    match place() {
        Place::Program => {}
        Place::Stays => stay(),
        Place::Opened => {
            if !register::<U>() {
                // Without its marks, an end could be either.
                // ORDERING: relaxed; objects are initialised and ended by one thread at a time, in the loader's lock.
                MARKS.store(ptr::null_mut(), Ordering::Relaxed);
                stay();
            }
        }
    }
}

/// Registers the notice, and the marks behind it; false if there is no room.
fn register<U: AtUnload>() -> bool {
    let Some(marks) = marks() else { return false };
    // SAFETY: the function takes any value; the C library forgets it when this object is unloaded, having called it.
    let told = unsafe { __cxa_atexit(call::<U>, ptr::null_mut(), &raw const __dso_handle) };
    if told != 0 {
        return false;
    }
    let sem_post = libc::sem_post as *const c_void;
    // SAFETY: of two pointers to functions of C; what it returns is not looked at.
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

/// Has a mark set at the end of the main thread, if it is this one: before all else where it ends the process.
fn mark_main_thread(set: Handler, marks: *mut Marks) {
    type Register = unsafe extern "C" fn(Handler, *mut c_void, *const c_void) -> c_int;
    let register = weak!("__cxa_thread_atexit_impl");
    if register.is_null() || thread::id() != thread::process() {
        return;
    }
    // SAFETY: glibc exports a function of this type for the C++ ABI under this name.
    let register = unsafe { mem::transmute::<*const c_void, Register>(register) };
    // By the address of its own function, which names the C library: that is the object that it has stay.
    // SAFETY: as for the other mark (UN2).
    unsafe { register(set, mark(marks, MAIN).cast(), set as *const c_void) };
}

/// The object's marks, made when they are asked for first; `None` where memory is exhausted.
fn marks() -> Option<*mut Marks> {
    // ORDERING: relaxed, here and below; as in `expect`.
    let known = MARKS.load(Ordering::Relaxed);
    if !known.is_null() {
        return Some(known);
    }
    // SAFETY: it has a size.
    let fresh = unsafe { System.alloc(Layout::new::<Marks>()) }.cast::<Marks>();
    if fresh.is_null() {
        return None;
    }
    for which in [EXIT, MAIN] {
        // SAFETY: room for a semaphore, which nobody knows of; it is this process's, and 0.
        unsafe { libc::sem_init(mark(fresh, which), 0, 0) };
    }
    MARKS.store(fresh, Ordering::Relaxed);
    Some(fresh)
}

/// What ends.
enum End {
    Object,
    Process,
    Either,
}

/// The notice.
unsafe extern "C" fn call<U: AtUnload>(_: *mut c_void) {
    match end() {
        End::Object => {
            U::leave_threads();
            // SAFETY: nobody unloads an object that is in use (UN1).
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

/// Has the loader keep this object, whoever closes it.
fn stay() {
    type Find = unsafe extern "C" fn(*const c_void, *mut libc::Dl_info) -> c_int;
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    // A program that is linked statically has no loader, and is warned of who asks for one.
    let (find, open) = (weak!("dladdr"), weak!("dlopen"));
    if find.is_null() || open.is_null() {
        return;
    }
    // SAFETY: the C library's function of this name, and its type.
    let find = unsafe { mem::transmute::<*const c_void, Find>(find) };
    // SAFETY: as above.
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

/// How the object came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Program,
    Stays,
    Opened,
}

/// What a look at all objects finds.
#[derive(Default)]
struct Found {
    /// Where the program's headers are.
    program: usize,
    /// Whether the program was there, and whether it is this object.
    has_program: bool,
    is_program: bool,
    /// Where this object's thread-local storage is in this thread; 0 for none, or none yet.
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
        // The ABI has the storage of objects that are there from the start one after the other below what the thread's
        // register points to, which is its handle.
        found => match thread::handle().wrapping_sub(found.storage) <= found.all_storage {
            true => Place::Stays,
            false => Place::Opened,
        },
    }
}

/// Looks at one object.
///
/// # Safety
/// `object` is what `dl_iterate_phdr` has of an object, and `found` is a [`Found`] that nobody else refers to.
unsafe extern "C" fn look(object: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: the caller's condition.
    let object = unsafe { &*object };
    // SAFETY: as above.
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
