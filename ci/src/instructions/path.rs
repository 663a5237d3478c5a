//! The instructions that a hit executes, by kind. Callgrind says which instructions these are by address; the program's
//! file has their code.

use anyhow::{Result, bail, ensure};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess,
};
use object::{Object, ObjectSegment};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The measure of a hit, and its functions: alloc, and free.
pub(super) const MEASURE: &str = "call";
const FUNCTIONS: [&str; 2] = ["call_alloc", "call_free"];
/// Hits in the measure; it executes each instruction of the hit path so many times.
const HITS: u64 = 1000;

/// Instructions of a hit, by kind. One that loads and stores, or branches on memory, counts as both.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Mix {
    pub(super) all: u32,
    loads: u32,
    stores: u32,
    branches: u32,
    calls: u32,
    atomic: u32,
}

/// A function in callgrind's output.
#[derive(Debug, Default)]
struct Function<'a> {
    /// The file that contains it.
    object: &'a str,
    /// Addresses of its instructions, and how often each was executed.
    executed: Vec<(u64, u64)>,
    /// Functions that it called or jumped to, once per call.
    called: Vec<(&'a str, u64)>,
}

/// The instructions that every hit executes: of alloc, and of free.
pub(super) fn hit(program: &Path, profile: &str) -> Result<[Mix; 2]> {
    let bytes = std::fs::read(program)?;
    let file = object::File::parse(&*bytes)?;
    let functions = functions(profile);
    let mix = |function: &str| -> Result<Mix> {
        let addresses = executed(&functions, program, function)?;
        ensure!(!addresses.is_empty(), "`{function}` was not seen");
        let path = addresses.into_iter().map(|address| decode(&file, address));
        Ok(Mix::of(path.collect::<Result<Vec<_>>>()?))
    };
    Ok([mix(FUNCTIONS[0])?, mix(FUNCTIONS[1])?])
}

/// The functions of a profile, by their symbols.
fn functions(profile: &str) -> BTreeMap<&str, Function<'_>> {
    let mut functions: BTreeMap<&str, Function<'_>> = BTreeMap::new();
    let (mut object, mut inside, mut callee, mut of_callee) = ("", "", "", false);
    for line in profile.lines() {
        if let Some(file) = line.strip_prefix("ob=") {
            object = file;
        } else if let Some(name) = line.strip_prefix("fn=") {
            inside = name;
            functions.entry(inside).or_default().object = object;
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = name;
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let times = calls.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            functions.entry(inside).or_default().called.push((callee, times));
            // The next line has the callee's cost.
            of_callee = true;
        } else if let Some(position) = line.strip_prefix("0x") {
            let mut words = position.split(' ');
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            let times = words.nth(1).and_then(|word| word.parse().ok());
            if let (Some(place), false) = (address.zip(times), of_callee) {
                functions.entry(inside).or_default().executed.push(place);
            }
            of_callee = false;
        }
    }
    functions
}

/// Addresses that every hit executes: in the function of this name, and in those that it calls or ends in. All of it
/// must be in the program's own file, since the instructions are looked up there.
fn executed(
    functions: &BTreeMap<&str, Function<'_>>,
    program: &Path,
    name: &str,
) -> Result<BTreeSet<u64>> {
    let named = functions.keys().filter(|symbol| symbol.contains(name));
    let mut waiting: Vec<&str> = named.copied().collect();
    let mut seen = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    while let Some(symbol) = waiting.pop() {
        let Some(function) = functions.get(symbol).filter(|_| seen.insert(symbol)) else {
            continue;
        };
        let executed = function.executed.iter().filter(|(_, times)| *times >= HITS);
        let executed: Vec<u64> = executed.map(|(address, _)| *address).collect();
        let is_ours = Path::new(function.object).file_name() == program.file_name();
        ensure!(
            is_ours || executed.is_empty(),
            "a hit calls `{symbol}` of {}, whose code cannot be read",
            function.object
        );
        addresses.extend(executed);
        let called = function.called.iter().filter(|(_, times)| *times >= HITS);
        waiting.extend(called.map(|(callee, _)| callee));
    }
    Ok(addresses)
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
    pub(super) fn of(path: impl IntoIterator<Item = Instruction>) -> Self {
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

    pub(super) fn cells(&self) -> [String; 6] {
        let Self { all, loads, stores, branches, calls, atomic } = self;
        [all, loads, stores, branches, calls, atomic].map(ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_hit_executes_is_of_the_path_calls_and_tail_jumps_included() {
        let profile = "ob=/bin/cell\nfn=cell::call_alloc\n0x10 5 1001\nfi=/other/file\n0x14 6 1000\n0x18 7 1\n\
                       cfn=cold\ncalls=1 0x99 3\n0x18 7 5000\nfn=cold\n0x99 1 5000\n\
                       fn=cell::call_free\n0x20 9 1000\ncfn=heap::free\ncalls=1000 0x30 1\n0x20 9 2000\n\
                       fn=heap::free\n0x30 1 1000\n0x34 1 1000\n0x38 1 3\n";
        let functions = functions(profile);
        let addresses = |name| executed(&functions, Path::new("/a/cell"), name).expect("ours");
        assert_eq!(Vec::from_iter(addresses("call_alloc")), [0x10, 0x14]);
        assert_eq!(Vec::from_iter(addresses("call_free")), [0x20, 0x30, 0x34]);
        assert!(addresses("call_realloc").is_empty());
        let other = executed(&functions, Path::new("/a/other"), "call_free");
        assert!(other.expect_err("another file").to_string().contains("of /bin/cell"));
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
