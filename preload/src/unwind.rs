//! What the standard library's panics would unwind by, if one could happen here. Only in a library as it ships: those
//! that are built for checks alone unwind.
//!
//! None is linked in, which is checked on the linked object; and without unwinding, these would not be called. But the linker decides which libraries are needed before
//! it drops what nothing refers to, and would have every program load one more, libgcc_s, for nothing.

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
