//! Passes linker arguments to `libhakmem.so`, and tells its code whether tail calls become jumps.

/// The forms of C++'s operators that others go through.
const FORMS: [&str; 8] = [
    "_Znwm",
    "_Znam",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // GNU ld drops the tables for unwinding panics together with the code that they belong to, once nothing refers to
    // it. Other linkers keep that code because of the tables: the standard library's panics, and their thread-local
    // counters. These are more than the one word that this library may have.
    println!("cargo::rustc-link-arg-cdylib=-fuse-ld=bfd");
    // Without the compiler's start files. All that they do is to write to a page of their own when the library ends.
    println!("cargo::rustc-link-arg-cdylib=-nostartfiles");
    // Threads that have used the library call it once more when they end, even after it was closed.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    // Initialised before all others, so that its fork handlers run last before a fork, and first after it.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,initfirst");
    // Tools know it by this name, whatever its file is called: valgrind's `--soname-synonyms`.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libhakmem.so");
    // Calls within the library go to its own functions, without a table.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-Bsymbolic-functions");
    // C++'s operators are the exception: calls go to the program's, if it has some.
    println!("cargo::rustc-link-arg-cdylib=-Wl,--dynamic-list-cpp-new");
    for form in FORMS {
        println!("cargo::rustc-link-arg-cdylib=-Wl,--defsym=hakmem_own{form}={form}");
    }
    println!("cargo::rustc-check-cfg=cfg(tail_calls)");
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    if !matches!(level.as_str(), "0" | "1") {
        println!("cargo::rustc-cfg=tail_calls");
    }
}
