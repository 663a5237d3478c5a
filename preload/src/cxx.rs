//! C++'s operators new and delete, in all their forms.
//!
//! A program may have its own of some forms, and C++ says which forms the others then go through. So each form calls
//! the next one in this table by the address that the loader found for it: the program's, if it has one.
//!
//! ```text
//! new(n, nothrow)                ─▶ new(n)         ◀─ new[](n)       ◀─ new[](n, nothrow)
//! new(n, a, nothrow)             ─▶ new(n, a)      ◀─ new[](n, a)    ◀─ new[](n, a, nothrow)
//! delete(p, n), (p, nothrow)     ─▶ delete(p)      ◀─ delete[](p)    ◀─ delete[](p, n), (p, nothrow)
//! delete(p, n, a), (…, nothrow)  ─▶ delete(p, a)   ◀─ delete[](p, a) ◀─ delete[](p, n, a), (…, nothrow)
//! ```
//!
//! Where memory is exhausted, `operator new` must call handlers and throw. The C++ library's own operator, next behind
//! ours, does this: it gets the call and asks `malloc`. A nothrow form also goes to the C++ library's where there is an
//! exception to catch: where it goes through a form of the program's, or memory is exhausted.
//!
//! P1  An exception finds no frame of ours on its way: ours jumps to code that may throw. A nothrow form calls nothing
//!     that throws, if there is a C++ library.
//! P2  The linker leaves the operators' addresses to the loader (`--dynamic-list-cpp-new`), and nothing else's.
//! P3  `hakmem_own` and an operator's name is the address of ours, even if the program has that operator (`--defsym`).

use crate::malloc::malloc_slow;
use crate::text;
use core::arch::{asm, naked_asm};
use core::ffi::{CStr, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use hakmem::{ByAddress, Preload};

/// The largest size that the C++ library gets from an operator. It is as hopeless as any larger one, which a C++
/// library may round up past the end.
const SIZE_MOST: usize = isize::MAX as usize;

// ---- the C++ library's operators ---------------------------------------------------------------------------------

/// An operator of the C++ library, the next of its name behind ours.
struct Next {
    name: &'static CStr,
    /// Null before it is found. [shared], [const] once set
    address: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Its address; null where there is no C++ library.
    fn find(&self) -> *mut c_void {
        // ORDERING: relaxed, here and below; an address of code, which every thread finds alike.
        let known = self.address.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        // SAFETY: the name is a string that ends in 0; RTLD_NEXT is a handle that it takes.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.address.store(found, Ordering::Relaxed);
        found
    }

    /// Its address, for an operator that must throw. Without a C++ library it ends the program.
    fn find_to_throw(&self) -> *mut c_void {
        let found = self.find();
        if found.is_null() {
            text::line(
                libc::STDERR_FILENO,
                &["hakmem: fatal: memory is exhausted, and no C++ library can throw bad_alloc"],
            );
            // SAFETY: it takes nothing, and does not return.
            unsafe { libc::abort() };
        }
        found
    }
}

/// The next operator of a name.
macro_rules! next {
    ($symbol:ident) => {{
        const NAME: &CStr =
            match CStr::from_bytes_with_nul(concat!(stringify!($symbol), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
        static NEXT: Next = Next::new(NAME);
        &NEXT
    }};
}

// ---- the program's operators, or ours ----------------------------------------------------------------------------

/// Where the loader found an operator: the program's, or else ours.
macro_rules! bound {
    ($symbol:ident) => {{
        let bound: *const c_void;
        // SAFETY: it reads a word of the table that the loader has filled (P2).
        unsafe {
            asm!(
                "mov {}, qword ptr [rip + {}@GOTPCREL]",
                out(reg) bound,
                sym $symbol,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        bound
    }};
}

/// True if an operator is not ours.
macro_rules! is_replaced {
    ($symbol:ident) => {{
        let own: *const c_void;
        // SAFETY: it makes an address out of the place where it stands (P3), and touches nothing.
        unsafe {
            asm!(
                concat!(".hidden hakmem_own", stringify!($symbol)),
                concat!("lea {}, [rip + hakmem_own", stringify!($symbol), "]"),
                out(reg) own,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        bound!($symbol) != own
    }};
}

// ---- new -----------------------------------------------------------------------------------------------------------

/// `operator new`. Its hit path is that of [`malloc`](crate::malloc::malloc). The compiler makes a jump of the call on a
/// miss (P1); `cargo ci test c-face` checks that in the linked object.
#[cfg(tail_calls)]
#[unsafe(no_mangle)]
pub extern "C" fn _Znwm(size: usize) -> *mut c_void {
    let block = Preload::quick(size);
    if block.is_null() { new_slow(size) } else { block.cast() }
}

/// `operator new` in a build that might leave a frame behind: it has no hit path.
#[cfg(not(tail_calls))]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn _Znwm(_size: usize) -> *mut c_void {
    naked_asm!("jmp {}", sym new_slow)
}

/// A block at a multiple of a power of two; null, without any handler or exception, where there is none.
extern "C" fn aligned(size: usize, align: usize) -> *mut c_void {
    Preload::aligned(size, align).cast()
}

/// Stamps a function that calls `$alloc`, and jumps to the next `$symbol` if that returns no block.
macro_rules! or_next {
    ($(#[$about:meta])* $function:ident($($arg:ident),*): $alloc:ident, or else $next:ident, the next $symbol:ident) => {
        /// Called where there is no block.
        extern "C" fn $next() -> *const c_void {
            next!($symbol).find_to_throw()
        }

        $(#[$about])*
        #[unsafe(naked)]
        pub extern "C" fn $function($($arg: usize),*) -> *mut c_void {
            // Both arguments are kept over each call, at which the stack is a multiple of 16.
            naked_asm!(
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                "call {alloc}",
                "test rax, rax",
                "jz 2f",
                "add rsp, 24",
                "ret",
                "2:",
                "call {next}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                "mov r11, {most}",
                "cmp rdi, r11",
                "cmova rdi, r11",
                "jmp rax",
                alloc = sym $alloc,
                next = sym $next,
                most = const SIZE_MOST,
            )
        }
    };
}

or_next! {
    /// `operator new` on a miss.
    new_slow(_size): malloc_slow, or else next_new, the next _Znwm
}

or_next! {
    #[unsafe(no_mangle)]
    _ZnwmSt11align_val_t(_size, _align): aligned, or else next_new_aligned, the next _ZnwmSt11align_val_t
}

/// Stamps an operator that jumps to another one, the program's or ours.
macro_rules! through {
    ($($symbol:ident: $form:ident;)*) => { $(
        /// Takes and returns what the other operator does.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol() {
            naked_asm!("jmp qword ptr [rip + {}@GOTPCREL]", sym $form)
        }
    )* };
}

through! {
    _Znam: _Znwm;
    _ZnamSt11align_val_t: _ZnwmSt11align_val_t;
}

/// Stamps a nothrow form: `$quick`, or else `$alloc`, unless a form that it goes through is replaced.
macro_rules! operator_new_nothrow {
    ($(
        $symbol:ident($size:ident $(, $align:ident: $type:ty)?): $quick:expr, $alloc:expr,
        through $form:ident $(and $further:ident)?;
    )*) => { $(
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol($size: usize, $($align: $type,)? tag: usize) -> *mut c_void {
            /// The slow path.
            #[inline(never)]
            extern "C" fn slow($size: usize, $($align: $type,)? tag: usize) -> *mut c_void {
                let block: *mut u8 = $alloc;
                if block.is_null() { onward($size, $($align,)? tag) } else { block.cast() }
            }

            /// Calls the C++ library's own form, which calls the form that the loader found, and catches its
            /// exceptions. Without a C++ library it calls the program's form, and does not catch its exceptions.
            #[cold]
            #[inline(never)]
            extern "C" fn onward($size: usize, $($align: $type,)? tag: usize) -> *mut c_void {
                let size = $size.min(SIZE_MOST);
                let next = next!($symbol).find();
                if next.is_null() {
                    if !(is_replaced!($form) $(|| is_replaced!($further))?) {
                        return ptr::null_mut();
                    }
                    let form = bound!($form);
                    // SAFETY: the loader found an operator of this name, and so of this type.
                    let form = unsafe {
                        transmute::<*const c_void, extern "C" fn(usize $(, $type)?) -> *mut c_void>(form)
                    };
                    return form(size $(, $align)?);
                }
                // SAFETY: an operator of this name has this type.
                let next = unsafe {
                    transmute::<*mut c_void, extern "C" fn(usize, $($type,)? usize) -> *mut c_void>(next)
                };
                next(size, $($align,)? tag)
            }

            if is_replaced!($form) $(|| is_replaced!($further))? {
                return onward($size, $($align,)? tag);
            }
            let block: *mut u8 = $quick;
            if block.is_null() { slow($size, $($align,)? tag) } else { block.cast() }
        }
    )* };
}

operator_new_nothrow! {
    _ZnwmRKSt9nothrow_t(size): Preload::quick(size), Preload::malloc(size), through _Znwm;
    _ZnamRKSt9nothrow_t(size): Preload::quick(size), Preload::malloc(size), through _Znam and _Znwm;
    _ZnwmSt11align_val_tRKSt9nothrow_t(size, align: usize): ptr::null_mut(), Preload::aligned(size, align),
        through _ZnwmSt11align_val_t;
    _ZnamSt11align_val_tRKSt9nothrow_t(size, align: usize): ptr::null_mut(), Preload::aligned(size, align),
        through _ZnamSt11align_val_t and _ZnwmSt11align_val_t;
}

// ---- delete --------------------------------------------------------------------------------------------------------

/// Stamps an operator delete that others go through: the block's address is enough. It does what `free` does, at an
/// address of its own: tools that wrap both by their addresses tell them apart.
macro_rules! operator_delete {
    ($($symbol:ident($($arg:ident),*), $mark:literal;)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(block: *mut c_void, $($arg: usize)*) {
            // Different comments keep the compiler from merging the functions.
            // SAFETY: there is no instruction.
            unsafe { asm!($mark, options(nomem, nostack, preserves_flags)) };
            // SAFETY: the caller's condition.
            unsafe { Preload::free(block.cast()) }
        }
    )* };
}

operator_delete! {
    _ZdlPv(), "/* delete(p) */";
    _ZdlPvSt11align_val_t(_align), "/* delete(p, a) */";
}

through! {
    _ZdlPvRKSt9nothrow_t: _ZdlPv;
    _ZdaPv: _ZdlPv;
    _ZdaPvRKSt9nothrow_t: _ZdaPv;
    _ZdlPvSt11align_val_tRKSt9nothrow_t: _ZdlPvSt11align_val_t;
    _ZdaPvSt11align_val_t: _ZdlPvSt11align_val_t;
    _ZdaPvSt11align_val_tRKSt9nothrow_t: _ZdaPvSt11align_val_t;
}

/// Stamps a sized operator delete. It ends the process if another class, span or mapping would serve such a request, and
/// goes on to a form without the size.
///
/// A program's own operators may hand out addresses inside of our blocks. So it looks only where all are ours that such a
/// block may have come through, or goes through now.
macro_rules! operator_delete_sized {
    ($(
        $symbol:ident($($align:ident)?), at $least:expr, through $form:ident, with $($other:ident),+;
    )*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(block: *mut c_void, size: usize, $($align: usize)?) {
            #[cold]
            #[inline(never)]
            extern "C" fn check(block: *mut c_void, size: usize, align: usize) {
                if !($(is_replaced!($other))||+) {
                    Preload::check_size(block.cast(), size, align);
                }
            }

            if !Preload::has_size(block.cast(), size, $least) {
                check(block, size, $least);
            }
            let form = bound!($form);
            // SAFETY: the loader found an operator of this name, and so of this type.
            let form = unsafe {
                transmute::<*const c_void, unsafe extern "C" fn(*mut c_void, usize)>(form)
            };
            // SAFETY: the caller's condition. A form that takes no alignment ignores the second argument.
            unsafe { form(block, $least) }
        }
    )* };
}

operator_delete_sized! {
    _ZdlPvm(), at 16, through _ZdlPv, with _Znwm, _ZdlPv;
    _ZdaPvm(), at 16, through _ZdaPv, with _Znam, _Znwm, _ZdaPv, _ZdlPv;
    _ZdlPvmSt11align_val_t(align), at align, through _ZdlPvSt11align_val_t,
        with _ZnwmSt11align_val_t, _ZdlPvSt11align_val_t;
    _ZdaPvmSt11align_val_t(align), at align, through _ZdaPvSt11align_val_t,
        with _ZnamSt11align_val_t, _ZnwmSt11align_val_t, _ZdaPvSt11align_val_t, _ZdlPvSt11align_val_t;
}
