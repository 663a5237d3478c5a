//! `libhakmem.so` of a variant: built, and checked as a linked object.

use crate::builds;
use crate::workspace::{self, Profile, cargo, must_succeed};
use anyhow::{Context, Result, bail, ensure};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};
use object::read::elf::{Dyn, ElfFile64, ProgramHeader};
use object::{Object, ObjectSegment, ObjectSymbol, ObjectSymbolTable, RelocationTarget, elf};
use std::path::{Path, PathBuf};

/// All that it exports: the C library's names, and C++'s operators.
const EXPORTS: [&str; 47] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "cfree",
    "reallocarray",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
    "free_sized",
    "free_aligned_sized",
    "malloc_trim",
    "malloc_stats",
    "mallinfo",
    "mallinfo2",
    "malloc_info",
    "mallopt",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_free",
    "__libc_memalign",
    "__libc_valloc",
    "__libc_pvalloc",
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
    "_ZdaPvm",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t",
    "_ZdlPvmSt11align_val_t",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
];

/// The hit paths of the default variant, and the instructions that each may take, its return included.
pub(crate) const HITS: [(&str, usize); 2] = [("malloc", 16), ("free", 25)];

/// The hit paths of C++'s `operator new` and `operator delete`. They may take as many instructions as C's.
pub(crate) const OPERATOR_HITS: [(&str, usize); 2] = [("_Znwm", 16), ("_ZdlPv", 25)];

/// Functions that tools wrap, and must be able to tell apart.
const APART: [&str; 4] = ["free", "_ZdlPv", "_ZdaPv", "_ZdlPvSt11align_val_t"];

/// Builds the library of each variant, unless it is there; returns the paths.
pub(crate) fn libraries(
    variants: &[impl AsRef<str> + Sync],
    profile: Profile,
) -> Result<Vec<PathBuf>> {
    builds::each(variants, |id, folder| {
        build(id, profile, folder).with_context(|| format!("libhakmem.so of `{id}`"))
    })
}

/// Builds the library of a variant as it ships.
pub(crate) fn library(variant: &str) -> Result<PathBuf> {
    libraries(&[variant], Profile::Release)?.pop().context("no library")
}

fn build(variant: &str, profile: Profile, folder: &Path) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", profile.name(), "--package", "hakmem-preload"]);
    command
        .args(["--features", &format!("hakmem-alloc/{variant}")])
        .arg("--target-dir")
        .arg(folder);
    must_succeed(&mut command)?;
    // Named by variant, since the next variant's library takes the place of this one.
    let kept = workspace::target().join("preload").join(profile.name()).join(variant);
    std::fs::create_dir_all(&kept).with_context(|| kept.display().to_string())?;
    let built = folder.join(profile.name()).join("libhakmem.so");
    let kept = kept.join("libhakmem.so");
    std::fs::copy(&built, &kept).with_context(|| built.display().to_string())?;
    Ok(kept)
}

/// Checks a linked library's exports, and its requests to the loader.
pub(crate) fn check_linked(library: &Path) -> Result<()> {
    let bytes = std::fs::read(library).with_context(|| library.display().to_string())?;
    let file = ElfFile64::<object::Endianness>::parse(&*bytes)?;
    let names = |defined: bool| -> Vec<&str> {
        let symbols = file.dynamic_symbols().filter(|symbol| symbol.is_definition() == defined);
        symbols.filter_map(|symbol| symbol.name().ok()).collect()
    };
    let exported = names(true);
    let missing = EXPORTS.iter().filter(|name| !exported.contains(name));
    let missing: Vec<_> = missing.collect();
    ensure!(missing.is_empty(), "it does not export {missing:?}");
    let more: Vec<_> = exported.iter().filter(|name| !EXPORTS.contains(name)).collect();
    ensure!(more.is_empty(), "it exports {more:?} too");
    let asks = names(false);
    ensure!(!asks.contains(&"__tls_get_addr"), "it asks for thread-local storage by a call");
    let panics = |name: &str| name.contains("_Unwind_") || name.contains("rust_panic");
    let names = file.symbols().filter_map(|symbol| symbol.name().ok());
    let linked: Vec<_> = names.filter(|name| panics(name)).collect();
    ensure!(linked.is_empty(), "panics are linked into it: {linked:?}");
    let endian = file.endian();
    let soname = entries(&file, elf::DT_SONAME)?;
    ensure!(soname == ["libhakmem.so"], "its name is {soname:?}");
    check_operators(&file)?;
    let needed = entries(&file, elf::DT_NEEDED)?;
    let known = ["libc.so.6", "ld-linux-x86-64.so.2"];
    let more: Vec<_> = needed.iter().filter(|name| !known.contains(&name.as_str())).collect();
    ensure!(more.is_empty(), "it needs {more:?} too");
    let slots = file.elf_program_headers().iter().filter(|head| head.p_type(endian) == elf::PT_TLS);
    let bytes: u64 = slots.map(|head| head.p_memsz(endian)).sum();
    ensure!(bytes <= 8, "it has {bytes} bytes of thread-local storage, more than a pointer");
    Ok(())
}

/// Checks that the library asks the loader for C++'s operators alone, of all that it has itself; that the functions
/// which tools must tell apart have different addresses; and that `operator new` leaves no frame behind on a miss,
/// since the code that it jumps to may throw.
fn check_operators(file: &ElfFile64<'_, object::Endianness>) -> Result<()> {
    let table = file.dynamic_symbol_table().context("no dynamic symbols")?;
    for (_, relocation) in file.dynamic_relocations().into_iter().flatten() {
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        let symbol = table.symbol_by_index(index)?;
        let name = symbol.name()?;
        let is_operator = name.starts_with("_Zn") || name.starts_with("_Zd");
        ensure!(is_operator || symbol.is_undefined(), "it asks for its own `{name}`");
    }
    let mut addresses =
        APART.iter().map(|name| Ok(function(file, name)?.0)).collect::<Result<Vec<_>>>()?;
    addresses.sort_unstable();
    addresses.dedup();
    ensure!(addresses.len() == APART.len(), "some of {APART:?} are one function");
    let (address, code) = function(file, "_Znwm")?;
    let code = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let leaves_frame = |it: &Instruction| {
        it.op0_register() == Register::RSP
            || (it.is_stack_instruction() && it.mnemonic() != Mnemonic::Ret)
    };
    let frame = code.into_iter().find(leaves_frame);
    ensure!(frame.is_none(), "`operator new` has a frame: {frame:?}");
    Ok(())
}

/// The texts of the dynamic section's entries of a kind.
fn entries(file: &ElfFile64<'_, object::Endianness>, tag: elf::DynamicTag) -> Result<Vec<String>> {
    let (endian, data) = (file.endian(), file.data());
    let sections = file.elf_section_table();
    let (entries, strings) = sections.dynamic(endian, data)?.context("no dynamic section")?;
    let strings = sections.strings(endian, data, strings)?;
    let entries = entries.iter().filter(|entry| entry.tag(endian) == tag);
    let name = |entry: &elf::Dyn64<_>| {
        Ok(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned())
    };
    entries.map(name).collect()
}

/// An exported function's address and code.
fn function<'data>(
    file: &ElfFile64<'data, object::Endianness>,
    name: &str,
) -> Result<(u64, &'data [u8])> {
    let symbol = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name));
    let symbol = symbol.with_context(|| format!("no `{name}`"))?;
    for segment in file.segments() {
        if let Some(code) = segment.data_range(symbol.address(), symbol.size())? {
            return Ok((symbol.address(), code));
        }
    }
    bail!("no code of `{name}`")
}

/// The instructions of an exported function's straight path, its return included.
pub(crate) fn straight_path(library: &Path, function: &str) -> Result<Vec<Instruction>> {
    let bytes = std::fs::read(library).with_context(|| library.display().to_string())?;
    let file = ElfFile64::<object::Endianness>::parse(&*bytes)?;
    let (address, code) = self::function(&file, function)?;
    straight(Decoder::with_ip(64, code, address, DecoderOptions::NONE).iter())
        .with_context(|| format!("`{function}`"))
}

/// A hit falls through every branch: the compiler moved the rare code out of its way.
fn straight(code: impl Iterator<Item = Instruction>) -> Result<Vec<Instruction>> {
    let mut path = Vec::new();
    for instruction in code {
        path.push(instruction);
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::ConditionalBranch => {}
            FlowControl::Return => return Ok(path),
            other => bail!("{other:?} on its straight path"),
        }
    }
    bail!("it does not return")
}

/// The library's own tests of amounts: `libhakmem.so` cannot be linked as a test program.
#[cfg(test)]
#[path = "../../preload/src/amount.rs"]
mod amount;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_path_ends_at_its_return() {
        // cmp edi, 1; ja +0; mov eax, edi; ret
        let code = [0x83, 0xff, 0x01, 0x77, 0x00, 0x89, 0xf8, 0xc3];
        let decoder = || Decoder::new(64, &code, DecoderOptions::NONE).into_iter();
        assert_eq!(straight(decoder()).expect("a return").len(), 4);
        // call +0; ret
        let code = [0xe8, 0, 0, 0, 0, 0xc3];
        assert!(straight(Decoder::new(64, &code, DecoderOptions::NONE).into_iter()).is_err());
    }
}
