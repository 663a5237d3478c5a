//! Linker arguments of `libhakmem.so`, and whether calls in tail position are jumps.

/// The forms of C++'s operator new that others go through.
const FORMS: [&str; 4] = ["_Znwm", "_Znam", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // GNU ld drops the tables by which panics would unwind together with what they belong to, once nothing refers to
    // it; others keep, by them, the standard library's panics and their thread-local counters, which are more than
    // the one word that this library may have.
    println!("cargo::rustc-link-arg-cdylib=-fuse-ld=bfd");
    // Threads that have used it call it once more when they end, whoever has closed it by then.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    // Before all others, so that its fork handlers are the last before a fork, and the first after it.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,initfirst");
    // Tools know it by this name, whatever its file is called: valgrind's `--soname-synonyms`.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libhakmem.so");
    // Within the library, its own functions are meant: no call goes by a table.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-Bsymbolic-functions");
    // But for C++'s operators: there the program's are meant, where it has some.
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
