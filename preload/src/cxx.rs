//! C++'s operators new and delete, in all their forms.
//!
//! Where memory is exhausted, `operator new` calls handlers and throws, which is the C++ library's to do: its own
//! operator, next behind ours, gets the call, asks `malloc`, and does so. The exception must find no frame of
//! ours on its way, so those that may fail are written as what they are: a call, and a jump.

use crate::malloc::{free, malloc};
use core::arch::naked_asm;
use core::ffi::{CStr, c_void};
use hakmem::{ByAddress, Preload};

/// A block as `malloc` has it; null, and no more, where there is none.
extern "C" fn plain(size: usize) -> *mut c_void {
    malloc(size)
}

/// The same at a multiple of a power of two.
extern "C" fn aligned(size: usize, align: usize) -> *mut c_void {
    Preload::aligned(size, align).cast()
}

/// The C++ library's operator of this name. Where there is none, nobody can throw.
fn next(name: &CStr) -> *const c_void {
    // SAFETY: the name is a string that ends in 0; RTLD_NEXT is a handle that it takes.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        crate::text::line(
            libc::STDERR_FILENO,
            &["hakmem: fatal: memory is exhausted, and there is no C++ library to say so"],
        );
        // SAFETY: it takes nothing, and does not return.
        unsafe { libc::abort() };
    }
    found
}

/// Stamps an operator new: `$alloc`, or else the next one.
macro_rules! operator_new {
    ($($symbol:ident as $next:ident: $alloc:ident($($arg:ident),*);)*) => { $(
        /// Called where the operator has no block; a C++ exception does not pass it.
        extern "C" fn $next() -> *const c_void {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($symbol), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
            next(NAME)
        }

        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol($($arg: usize),*) -> *mut c_void {
            // Both arguments are kept over each call, at which the stack is a multiple of 16.
            naked_asm!(
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                "call {alloc}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                "test rax, rax",
                "jz 2f",
                "ret",
                "2:",
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                "call {next}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                // No more than the largest size, which is as hopeless: a C++ library may round it up past the end.
                "mov r11, 0x7fffffffffffffff",
                "cmp rdi, r11",
                "cmova rdi, r11",
                "jmp rax",
                alloc = sym $alloc,
                next = sym $next,
            )
        }
    )* };
}

operator_new! {
    _Znwm as next_new: plain(_size);
    _Znam as next_new_array: plain(_size);
    _ZnwmRKSt9nothrow_t as next_new_nothrow: plain(_size, _tag);
    _ZnamRKSt9nothrow_t as next_new_array_nothrow: plain(_size, _tag);
    _ZnwmSt11align_val_t as next_new_aligned: aligned(_size, _align);
    _ZnamSt11align_val_t as next_new_array_aligned: aligned(_size, _align);
    _ZnwmSt11align_val_tRKSt9nothrow_t as next_new_aligned_nothrow: aligned(_size, _align, _tag);
    _ZnamSt11align_val_tRKSt9nothrow_t as next_new_array_aligned_nothrow: aligned(_size, _align, _tag);
}

/// Stamps an operator delete: whatever else is said about the block, its address is enough.
macro_rules! operator_delete {
    ($($symbol:ident($($arg:ident),*);)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(block: *mut c_void, $($arg: usize),*) {
            // SAFETY: the caller's condition.
            unsafe { free(block) }
        }
    )* };
}

operator_delete! {
    _ZdlPv();
    _ZdaPv();
    _ZdlPvm(_size);
    _ZdaPvm(_size);
    _ZdlPvRKSt9nothrow_t(_tag);
    _ZdaPvRKSt9nothrow_t(_tag);
    _ZdlPvSt11align_val_t(_align);
    _ZdaPvSt11align_val_t(_align);
    _ZdlPvmSt11align_val_t(_size, _align);
    _ZdaPvmSt11align_val_t(_size, _align);
    _ZdlPvSt11align_val_tRKSt9nothrow_t(_align, _tag);
    _ZdaPvSt11align_val_tRKSt9nothrow_t(_align, _tag);
}
