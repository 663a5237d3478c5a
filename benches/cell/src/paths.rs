//! The paths through an allocator, one at a time. `cargo ci ledger` prices them, and the limits in `variants/` hold
//! them down.
//!
//! An operation's instructions are those of the measured region divided by the operations. They include the loop's own
//! (three to six a block), which do not depend on the variant.

use crate::cell::measured;
use hakmem::Observe;
use serde_json::Value;
use std::alloc::Layout;
use std::hint::black_box;
use std::panic::resume_unwind;
use std::str::FromStr;
use std::thread;

/// A path, and its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// One block of 64 bytes allocated and freed, from and to the thread's list.
    Hit,
    /// One block of 64 bytes allocated and freed by calls: the cost where the allocator is not inlined. The golden
    /// table reads these functions.
    Call,
    /// 32 blocks of 16 bytes allocated, the first of which finds the thread's list empty.
    Refill,
    /// 32 blocks of 16 bytes freed, one of which finds the thread's list full.
    Drain,
    /// 2048 blocks of 16 bytes allocated and freed.
    Turnover,
    /// 256 blocks of 16 bytes allocated and freed: what a thread's list holds, so nothing is drained.
    ListTurnover,
    /// A block of 16 bytes freed that belongs to another thread's slab.
    RemoteFree,
    /// A block of 16 bytes allocated that another thread has freed: brought home, and handed out.
    RemoteReuse,
    /// 320 blocks of 2048 bytes allocated and freed, then 320 of 512 bytes: slabs become EMPTY, and are
    /// used again by the other class, if the variant recycles.
    RetireReuse,
    /// An address of a SuperSlab looked up, each of so many in turn.
    LookupHit(u32),
    /// An address of no SuperSlab looked up, among so many.
    LookupMiss(u32),
}

/// Names of the paths without a number.
const NAMES: [(&str, Path); 9] = [
    ("hit", Path::Hit),
    ("call", Path::Call),
    ("refill", Path::Refill),
    ("drain", Path::Drain),
    ("turnover", Path::Turnover),
    ("list_turnover", Path::ListTurnover),
    ("remote_free", Path::RemoteFree),
    ("remote_reuse", Path::RemoteReuse),
    ("retire_reuse", Path::RetireReuse),
];

/// The start of a name, which a number of SuperSlabs follows, and the path.
type Among = (&'static str, fn(u32) -> Path);

/// Paths among a number of SuperSlabs.
const AMONG: [Among; 2] = [("lookup_hit_", Path::LookupHit), ("lookup_miss_", Path::LookupMiss)];

/// Blocks of a batch, as the report's variants move them.
const BATCH: usize = 32;
/// The report's limit of a thread's list.
const LIST: usize = 256;

const SMALL: Layout = layout(16);
const MEDIUM: Layout = layout(64);

const fn layout(bytes: usize) -> Layout {
    match Layout::from_size_align(bytes, 16) {
        Ok(layout) => layout,
        Err(_) => panic!("no layout"),
    }
}

impl Path {
    /// The names, for messages.
    pub(crate) fn names() -> impl Iterator<Item = String> {
        let single = NAMES.into_iter().map(|(name, _)| name.to_owned());
        single.chain(AMONG.into_iter().map(|(start, _)| format!("{start}N")))
    }

    /// Operations unless the command line says otherwise: as many as fit into one slab, if that matters.
    fn default_ops(self) -> u64 {
        match self {
            Self::Refill | Self::Drain => 64,
            Self::Turnover | Self::RetireReuse => 20,
            _ => 1000,
        }
    }

    /// Runs the path and returns its figures.
    pub(crate) fn run<V: Observe>(self, name: &str, ops: Option<u64>) -> Result<Value, String> {
        if V::CLASSES == 0 && matches!(self, Self::LookupHit(_) | Self::LookupMiss(_)) {
            return Err(format!("{} has no SuperSlabs to look up", V::ID));
        }
        Ok(self.measured::<V>(name, ops))
    }

    fn measured<V: Observe>(self, name: &str, ops: Option<u64>) -> Value {
        let ops = ops.unwrap_or(self.default_ops());
        let count = ops as usize;
        let measured = |run: &mut dyn FnMut()| measured(name, ops, run);
        match self {
            Self::Hit => {
                free::<V>(alloc::<V>(MEDIUM), MEDIUM);
                measured(&mut || {
                    (0..count).for_each(|_| free::<V>(black_box(alloc::<V>(MEDIUM)), MEDIUM));
                })
            }
            Self::Call => {
                // From here on the list has this block, and an allocation cannot fail.
                free::<V>(alloc::<V>(MEDIUM), MEDIUM);
                measured(&mut || (0..count).for_each(|_| call_free::<V>(call_alloc::<V>())))
            }
            Self::Refill => {
                let mut blocks = Blocks::<V>::with_room(BATCH * (count + 1), SMALL);
                blocks.allocate(BATCH);
                measured(&mut || blocks.allocate(BATCH * count))
            }
            Self::Drain => {
                let mut blocks = Blocks::<V>::with_room(LIST + BATCH * count, SMALL);
                blocks.allocate(LIST + BATCH * count);
                blocks.free(LIST);
                measured(&mut || blocks.free(BATCH * count))
            }
            Self::Turnover | Self::ListTurnover => {
                let room = if self == Self::Turnover { 2048 } else { LIST };
                let mut blocks = Blocks::<V>::with_room(room, SMALL);
                blocks.turn();
                measured(&mut || (0..count).for_each(|_| blocks.turn()))
            }
            Self::RemoteFree => {
                let mut blocks = Blocks::<V>::with_room(count, SMALL);
                blocks.allocate(count);
                thread::scope(|scope| {
                    let freed = scope.spawn(|| {
                        // A heap of this thread's own, as a working thread has.
                        free::<V>(alloc::<V>(MEDIUM), MEDIUM);
                        measured(&mut || blocks.free(count))
                    });
                    freed.join().unwrap_or_else(|panic| resume_unwind(panic))
                })
            }
            Self::RemoteReuse => {
                // All blocks of the first slab, and of the next, which has no header in it: so the next allocation must
                // look for more.
                let mut blocks = Blocks::<V>::with_room(3 << 12, SMALL);
                blocks.allocate(1);
                while blocks.in_first_slab() && blocks.blocks.len() < 1 << 12 {
                    blocks.allocate(1);
                }
                blocks.allocate((1 << 12) - 1);
                thread::scope(|scope| drop(scope.spawn(|| blocks.free(count)).join()));
                measured(&mut || blocks.allocate(count))
            }
            Self::RetireReuse => {
                let mut large = Blocks::<V>::with_room(320, layout(2048));
                let mut small = Blocks::<V>::with_room(320, layout(512));
                large.turn();
                small.turn();
                measured(&mut || {
                    for _ in 0..count {
                        large.turn();
                        small.turn();
                    }
                })
            }
            Self::LookupHit(superslabs) => {
                // A heap for this thread, whose hint is its own.
                free::<V>(alloc::<V>(MEDIUM), MEDIUM);
                V::map_superslabs(superslabs);
                let mut addresses = Vec::new();
                V::visit_superslabs(|address| addresses.push(address));
                measured(&mut || look_up::<V>(&addresses, count))
            }
            Self::LookupMiss(superslabs) => {
                free::<V>(alloc::<V>(MEDIUM), MEDIUM);
                V::map_superslabs(superslabs);
                let foreign = 0_u64;
                measured(&mut || look_up::<V>(&[(&raw const foreign).cast()], count))
            }
        }
    }
}

impl FromStr for Path {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let single = NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, path)| path);
        let among = || {
            AMONG.into_iter().find_map(|(start, path)| {
                let superslabs = name.strip_prefix(start)?.parse().ok()?;
                (1..=4096).contains(&superslabs).then(|| path(superslabs))
            })
        };
        single.or_else(among).ok_or(())
    }
}

/// Blocks of one layout.
struct Blocks<V: Observe> {
    blocks: Vec<*mut u8>,
    layout: Layout,
    allocator: V,
}

// SAFETY: blocks may be freed by any thread.
unsafe impl<V: Observe> Send for Blocks<V> {}

impl<V: Observe> Blocks<V> {
    fn with_room(count: usize, layout: Layout) -> Self {
        Self { blocks: Vec::with_capacity(count), layout, allocator: V::default() }
    }

    fn allocate(&mut self, count: usize) {
        for _ in 0..count {
            // SAFETY: no layout here has size 0.
            let block = unsafe { self.allocator.alloc(self.layout) };
            assert!(!block.is_null(), "out of memory");
            self.blocks.push(block);
        }
    }

    fn free(&mut self, count: usize) {
        for _ in 0..count {
            let Some(block) = self.blocks.pop() else { return };
            // SAFETY: it was allocated with this layout, and is forgotten here.
            unsafe { self.allocator.dealloc(block, self.layout) };
        }
    }

    /// True if the newest block lies in the slab of the first.
    fn in_first_slab(&self) -> bool {
        let slab = |block: Option<&*mut u8>| block.map(|block| block.addr() >> 16);
        slab(self.blocks.first()) == slab(self.blocks.last())
    }

    /// Allocates and frees as many as there is room for.
    fn turn(&mut self) {
        let room = self.blocks.capacity();
        self.allocate(room);
        self.free(room);
    }
}

#[inline(always)]
fn alloc<V: Observe>(layout: Layout) -> *mut u8 {
    // SAFETY: no layout here has size 0.
    unsafe { V::default().alloc(layout) }
}

#[inline(always)]
fn free<V: Observe>(block: *mut u8, layout: Layout) {
    if !block.is_null() {
        // SAFETY: every caller passes what `alloc` returned for this layout, once.
        unsafe { V::default().dealloc(block, layout) };
    }
}

/// Allocation by a call, with a layout known at compile time.
#[inline(never)]
fn call_alloc<V: Observe>() -> *mut u8 {
    alloc::<V>(MEDIUM)
}

/// Freeing by a call.
#[inline(never)]
fn call_free<V: Observe>(block: *mut u8) {
    // SAFETY: the caller passes what `call_alloc` returned, once; not null, since it has allocated and freed
    // a block of this layout before, which is in its list.
    unsafe { V::default().dealloc(block, MEDIUM) };
}

/// Looks addresses up, one after the other and from the start again.
fn look_up<V: Observe>(addresses: &[*const u8], count: usize) {
    let mut next = 0;
    for _ in 0..count {
        black_box(V::lookup(black_box(addresses[next])));
        next = if next + 1 < addresses.len() { next + 1 } else { 0 };
    }
}
