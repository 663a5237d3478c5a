//! `docs/hot-paths.md`: the machine code of a hit, instruction by kind, from the linked release program.
//!
//! Callgrind says which instructions a hit executes, the program's file what they are.

use super::{counts, limited};
use crate::bench::table::{align_right, markdown};
use crate::preload;
use crate::tree::Tree;
use crate::workspace::{self, must_succeed_quietly};
use anyhow::{Context, Result, bail, ensure};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess,
};
use object::{Object, ObjectSegment};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Hits that are run; an instruction of the hit path is executed in every one of them.
const HITS: u64 = 1000;
/// The functions of `hakmem-cell`'s path `call`.
const FUNCTIONS: [&str; 2] = ["call_alloc", "call_free"];

/// Instructions of a hit, by kind. One that loads and stores, or branches on memory, is in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mix {
    all: u32,
    loads: u32,
    stores: u32,
    branches: u32,
    calls: u32,
    atomic: u32,
}

/// What is written down.
pub(super) struct Golden {
    /// By variant: alloc, and free.
    variants: BTreeMap<String, [Mix; 2]>,
    /// The default variant, and the functions of its `libhakmem.so`.
    library: (String, Vec<(&'static str, Mix)>),
}

const BLESSED_WITH: &str = "The limits in `variants/` and this table are those of";

const HEAD: &[&str] =
    &["variant", "", "instructions", "loads", "stores", "branches", "calls", "atomic"];

pub(super) fn take(tree: &Tree) -> Result<Golden> {
    Ok(Golden { variants: of_variants(tree)?, library: of_library(tree)? })
}

fn of_variants(tree: &Tree) -> Result<BTreeMap<String, [Mix; 2]>> {
    let program = std::fs::read(counts::cell()).context("hakmem-cell")?;
    limited(tree)
        .map(|variant| {
            let text = profile(&variant.id)?;
            let mix = |function| {
                mix(&program, &text, function).with_context(|| format!("{} on a hit", variant.id))
            };
            Ok((variant.id.clone(), [mix(FUNCTIONS[0])?, mix(FUNCTIONS[1])?]))
        })
        .collect()
}

/// The straight path of a shared library's function is its hit: what is rare was moved out of its way.
fn of_library(tree: &Tree) -> Result<(String, Vec<(&'static str, Mix)>)> {
    let variant = &tree.default_variant().id;
    let library = preload::library(variant)?;
    let mixes = preload::HITS.map(|(function, _)| {
        let path = preload::straight_path(&library, function)?;
        Ok((function, Mix::of(path)))
    });
    Ok((variant.clone(), mixes.into_iter().collect::<Result<_>>()?))
}

/// What callgrind writes of a run of hits.
fn profile(variant: &str) -> Result<String> {
    let out = workspace::target().join("instructions").join(format!("{variant}.callgrind"));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--dump-instr=yes", "--compress-pos=no"]);
    command.arg("--compress-strings=no").arg(format!("--callgrind-out-file={}", out.display()));
    command.args(FUNCTIONS.map(|function| format!("--toggle-collect=*{function}*")));
    command.arg(counts::cell()).args([variant, "call", "--cycles", &HITS.to_string()]);
    must_succeed_quietly(&mut command)?;
    std::fs::read_to_string(&out).with_context(|| out.display().to_string())
}

/// Addresses of a function that every hit executes.
fn executed(profile: &str, function: &str) -> Vec<u64> {
    let mut addresses = Vec::new();
    let (mut inside, mut is_call) = (false, false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            inside = name.contains(function);
        } else if line.starts_with("calls=") {
            // The next line is what the callee took.
            is_call = true;
        } else if let Some(position) = line.strip_prefix("0x") {
            let mut words = position.split(' ');
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            let times = words.nth(1).and_then(|word| word.parse::<u64>().ok());
            if inside && !is_call && times >= Some(HITS) {
                addresses.extend(address);
            }
            is_call = false;
        }
    }
    addresses
}

fn mix(program: &[u8], profile: &str, function: &str) -> Result<Mix> {
    let file = object::File::parse(program)?;
    let addresses = executed(profile, function);
    ensure!(!addresses.is_empty(), "`{function}` was not seen");
    let path = addresses.into_iter().map(|address| decode(&file, address));
    Ok(Mix::of(path.collect::<Result<Vec<_>>>()?))
}

fn decode(file: &object::File<'_>, address: u64) -> Result<Instruction> {
    for segment in file.segments() {
        let offset = address.wrapping_sub(segment.address());
        let code = segment.data()?;
        if let Some(code) = usize::try_from(offset).ok().and_then(|offset| code.get(offset..)) {
            return Ok(Decoder::with_ip(64, code, address, DecoderOptions::NONE).decode());
        }
    }
    bail!("no code at {address:#x}")
}

impl Mix {
    fn of(path: impl IntoIterator<Item = Instruction>) -> Self {
        let mut mix = Self::default();
        for instruction in path {
            mix.add(&instruction);
        }
        mix
    }

    fn add(&mut self, instruction: &Instruction) {
        let mut factory = InstructionInfoFactory::new();
        let memory = factory.info(instruction).used_memory();
        let touches = |kinds: &[OpAccess]| {
            u32::from(memory.iter().any(|memory| kinds.contains(&memory.access())))
        };
        self.all += 1;
        self.loads += touches(&[OpAccess::Read, OpAccess::ReadWrite, OpAccess::CondRead]);
        self.stores += touches(&[OpAccess::Write, OpAccess::ReadWrite, OpAccess::CondWrite]);
        let flow = instruction.flow_control();
        self.branches += u32::from(matches!(
            flow,
            FlowControl::ConditionalBranch
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
        ));
        self.calls += u32::from(matches!(flow, FlowControl::Call | FlowControl::IndirectCall));
        self.atomic += u32::from(instruction.has_lock_prefix());
    }

    fn cells(&self) -> [String; 6] {
        let Self { all, loads, stores, branches, calls, atomic } = self;
        [all, loads, stores, branches, calls, atomic].map(ToString::to_string)
    }
}

fn file() -> PathBuf {
    workspace::root().join("docs/hot-paths.md")
}

fn text(golden: &Golden) -> String {
    let mut table = markdown(HEAD);
    align_right(&mut table, 2..HEAD.len());
    for (variant, mixes) in &golden.variants {
        for (verb, mix) in ["alloc", "free"].into_iter().zip(mixes) {
            let names = [variant.clone(), verb.to_owned()];
            table.add_row(names.into_iter().chain(mix.cells()));
        }
    }
    let (variant, functions) = &golden.library;
    for (function, mix) in functions {
        let names = [format!("{variant}, libhakmem.so"), (*function).to_owned()];
        table.add_row(names.into_iter().chain(mix.cells()));
    }
    format!(
        "# The hot paths, instruction by kind\n\n\
         Written by `cargo ci bless`, checked by `cargo ci test`; do not edit. What one hit executes: 64 bytes, the layout\n\
         known at compile time, from and to the thread's list, as a function that is called (its return included). Inlined, a\n\
         program saves the call. Of `libhakmem.so`, the straight path of the linked function. An instruction that loads and\n\
         stores is counted as both.\n\n\
         {BLESSED_WITH} {}.\n\n{table}\n",
        toolchain()
    )
}

/// What the figures depend on besides the source.
fn toolchain() -> String {
    let first = |program: &str| {
        let text = workspace::output_of(program, &["--version"]).unwrap_or_default();
        text.lines().next().unwrap_or("an unknown version").to_owned()
    };
    let (rustc, ldd) = (first("rustc"), first("ldd"));
    format!("{rustc}, C library {}", ldd.rsplit(' ').next().unwrap_or_default())
}

pub(super) fn write(golden: &Golden) -> Result<()> {
    let text = text(golden);
    if read(&file()).ok().as_deref() != Some(&text) {
        std::fs::write(file(), text).with_context(|| file().display().to_string())?;
        println!("written: docs/hot-paths.md");
    }
    Ok(())
}

/// A line for each line of the table that is not as written down.
pub(super) fn differences(golden: &Golden) -> Result<Vec<String>> {
    let (now, then) = (text(golden), read(&file())?);
    // Another compiler or C library is no difference by itself, but may explain one.
    let table = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with(BLESSED_WITH)).map(str::to_owned).collect()
    };
    let (now_table, then_table) = (table(&now), table(&then));
    let changed = now_table.iter().filter(|line| !then_table.contains(line));
    let mut lines: Vec<String> =
        changed.map(|line| format!("docs/hot-paths.md: now: {line}")).collect();
    if lines.is_empty() && now_table != then_table {
        lines.push("docs/hot-paths.md has lines that are no longer so".to_owned());
    }
    Ok(lines)
}

/// A line where another compiler or C library than those blessed with may be why figures differ.
pub(super) fn other_toolchain() -> Option<String> {
    let line = format!("{BLESSED_WITH} {}.", toolchain());
    let then = read(&file()).ok()?;
    let blessed = then.lines().find(|line| line.starts_with(BLESSED_WITH))?;
    (blessed != line).then(|| format!("{blessed} Here it is {}.", toolchain()))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_hit_executes_is_of_the_path() {
        let profile = "fn=cell::call_alloc\n0x10 5 1001\nfi=/other/file\n0x14 6 1000\n0x18 7 1\n\
                       calls=1 0x99 3\n0x18 7 5000\nfn=cell::call_free\n0x20 9 1000\n";
        assert_eq!(executed(profile, "call_alloc"), [0x10, 0x14]);
        assert_eq!(executed(profile, "call_free"), [0x20]);
    }

    #[test]
    fn instructions_are_told_apart() {
        // mov rax, fs:[0] · lock inc qword [rdi] · push rbx · jne · call · ret
        let code: [&[u8]; 6] = [
            &[0x64, 0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0],
            &[0xF0, 0x48, 0xFF, 0x07],
            &[0x53],
            &[0x75, 0x02],
            &[0xE8, 0, 0, 0, 0],
            &[0xC3],
        ];
        let decoded = code.map(|bytes| Decoder::new(64, bytes, DecoderOptions::NONE).decode());
        let mix = Mix::of(decoded);
        // A call stores its return address, and a return loads it.
        let expected = Mix { all: 6, loads: 3, stores: 3, branches: 1, calls: 1, atomic: 1 };
        assert_eq!(mix, expected);
    }
}
