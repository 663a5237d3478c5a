//! The functions by which the standard library's panics would unwind, if one could happen here. They are only in a
//! library as it ships: those that are built for checks alone unwind.
//!
//! No panic is linked in, which a check of the linked object shows; and without unwinding nothing would call these. But
//! the linker chooses the needed libraries before it drops unreferenced code. Without these functions every program
//! would load one more library, libgcc_s, for nothing.

use core::arch::global_asm;

macro_rules! never {
    ($($name:literal),* $(,)?) => {
        global_asm!(
            ".pushsection .text.hakmem.unwind,\"ax\",@progbits",
            $(concat!(".hidden ", $name), concat!(".globl ", $name), concat!($name, ":"),)*
            "ud2",
            ".popsection",
        );
    };
}

never!(
    "_Unwind_Backtrace",
    "_Unwind_DeleteException",
    "_Unwind_FindEnclosingFunction",
    "_Unwind_GetCFA",
    "_Unwind_GetDataRelBase",
    "_Unwind_GetIP",
    "_Unwind_GetIPInfo",
    "_Unwind_GetLanguageSpecificData",
    "_Unwind_GetRegionStart",
    "_Unwind_GetTextRelBase",
    "_Unwind_RaiseException",
    "_Unwind_Resume",
    "_Unwind_SetGR",
    "_Unwind_SetIP",
);
