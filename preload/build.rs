//! Linker arguments of `libhakmem.so`.

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
    // Within the library, its own functions are meant: no call goes by a table.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-Bsymbolic-functions");
}
