//! The target `c_face`: calls of the C library's functions, of the library that `HAKMEM_LIBRARY` names.

use crate::face::{FACE, Face};
use crate::shadow::{Block, Shadow, many};
use crate::sizes::{Align, HOPELESS, Number};
use arbitrary::{Arbitrary, Result, Unstructured};
use libc::{c_int, c_void};
use std::ptr;

/// Calls of an input at most.
const MOST: usize = 300;
const PAGE: usize = 4096;
/// A number that no function stores in `errno`.
const UNTOUCHED: c_int = 0x7A7A;

/// A number as an alignment: a power of two mostly.
#[derive(Clone, Copy, Debug)]
struct AnyAlign(usize);

impl Arbitrary<'_> for AnyAlign {
    fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self(match u8::arbitrary(input)? {
            byte @ 0..32 => usize::from(byte),
            byte @ 32..40 => usize::MAX - usize::from(byte - 32),
            byte @ 40..56 => HOPELESS << (byte - 40),
            _ => Align::arbitrary(input)?.0,
        }))
    }
}

/// How a block is given back.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Way {
    Free,
    Cfree,
    Sized,
    ReallocToZero,
}

#[derive(Arbitrary, Debug)]
enum Call {
    Malloc(Number),
    Calloc(Number, Number),
    /// Of null, or of a block.
    Realloc(Option<u16>, Number),
    Reallocarray(Option<u16>, Number, Number),
    PosixMemalign(AnyAlign, Number),
    AlignedAlloc(AnyAlign, Number),
    Memalign(AnyAlign, Number),
    Valloc(Number),
    Pvalloc(Number),
    /// Of null, or of a block.
    Free(Option<u16>, Way),
    /// Blocks of one size, so that lists run empty and slabs full.
    MallocMany(Number, u8),
    FreeMany(u16, u8),
    UsableSize(u16),
    Trim(Number),
    Mallinfo,
    Perturb(u8),
    TrimThreshold(i32),
    UnknownOption(i32, i32),
}

/// What a call of an allocating function must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Block,
    Error(c_int),
}

/// ENOMEM for a request that no machine can serve, else a block.
fn wanted(bytes: Option<usize>) -> Wanted {
    match bytes {
        Some(bytes) if bytes < HOPELESS => Wanted::Block,
        _ => Wanted::Error(libc::ENOMEM),
    }
}

struct Run {
    shadow: Shadow,
    face: &'static Face,
    /// The byte of `M_PERTURB`.
    perturb: u8,
}

/// Runs an input.
///
/// # Panics
/// At a fault of the library. It ends the process if there is no library.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut run = Run { shadow: Shadow::default(), face: &FACE, perturb: 0 };
    for _ in 0..MOST {
        match Call::arbitrary(&mut input) {
            Ok(call) => run.play(call),
            Err(_) => break,
        }
        if input.is_empty() {
            break;
        }
    }
    run.end();
}

/// Calls a function, and returns what it left in `errno`, too.
fn with_errno<T>(call: impl FnOnce() -> T) -> (T, c_int) {
    // SAFETY: it takes nothing, and returns the address of this thread's number.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own.
    unsafe { errno.write(UNTOUCHED) };
    let result = call();
    // SAFETY: this thread's own.
    (result, unsafe { errno.read() })
}

impl Run {
    fn play(&mut self, call: Call) {
        let face = self.face;
        match call {
            Call::Malloc(Number(size)) => self.malloc(size),
            Call::MallocMany(Number(size), count) => {
                (0..many(count, size)).for_each(|_| self.malloc(size));
            }
            Call::Calloc(Number(count), Number(size)) => {
                let bytes = count.checked_mul(size);
                // SAFETY: it takes any numbers.
                let made =
                    self.fresh(bytes, 16, wanted(bytes), || unsafe { (face.calloc)(count, size) });
                self.keep(made, Some(0));
            }
            Call::Realloc(block, Number(size)) => {
                // SAFETY: the block is live, or null; it takes any size.
                self.realloc(block, Some(size), |block| unsafe { (face.realloc)(block, size) });
            }
            Call::Reallocarray(block, Number(count), Number(size)) => {
                // SAFETY: the block is live, or null; it takes any numbers.
                let change = |block| unsafe { (face.reallocarray)(block, count, size) };
                self.realloc(block, count.checked_mul(size), change);
            }
            Call::PosixMemalign(AnyAlign(align), Number(size)) => self.posix_memalign(align, size),
            Call::AlignedAlloc(AnyAlign(align), Number(size)) => {
                let wanted = if align.is_power_of_two() {
                    wanted(size.checked_add(align))
                } else {
                    Wanted::Error(libc::EINVAL)
                };
                // SAFETY: it takes any numbers.
                let made = self.fresh(Some(size), align, wanted, || unsafe {
                    (face.aligned_alloc)(align, size)
                });
                self.keep(made, self.filler());
            }
            Call::Memalign(AnyAlign(align), Number(size)) => {
                let power = align.checked_next_power_of_two();
                let wanted = power
                    .map_or(Wanted::Error(libc::EINVAL), |power| wanted(size.checked_add(power)));
                // SAFETY: it takes any numbers.
                let made = self.fresh(Some(size), power.unwrap_or(1), wanted, || unsafe {
                    (face.memalign)(align, size)
                });
                self.keep(made, self.filler());
            }
            Call::Valloc(Number(size)) => {
                // SAFETY: it takes any size.
                let made = self
                    .fresh(Some(size), PAGE, wanted(Some(size)), || unsafe { (face.valloc)(size) });
                self.keep(made, self.filler());
            }
            Call::Pvalloc(Number(size)) => {
                let bytes = size.max(1).checked_next_multiple_of(PAGE);
                // SAFETY: it takes any size.
                let made =
                    self.fresh(bytes, PAGE, wanted(bytes), || unsafe { (face.pvalloc)(size) });
                self.keep(made, self.filler());
            }
            Call::Free(Some(block), way) => self.free(block.into(), way),
            Call::Free(None, way) => self.give_back(Block::new(ptr::null_mut(), 0, 1), way),
            Call::FreeMany(block, count) => {
                let count = usize::from(count).min(self.shadow.len());
                (0..count).for_each(|_| self.free(block.into(), Way::Free));
            }
            Call::UsableSize(block) => self.usable_size(block.into()),
            Call::Trim(Number(keep)) => {
                // SAFETY: it takes any number.
                let (trimmed, errno) = with_errno(|| unsafe { (face.malloc_trim)(keep) });
                assert!(matches!(trimmed, 0 | 1) && errno == UNTOUCHED, "{trimmed}, errno {errno}");
            }
            Call::Mallinfo => self.mallinfo(),
            Call::Perturb(byte) => self.perturb(byte),
            Call::TrimThreshold(bytes) => {
                assert!(matches!(self.mallopt(libc::M_TRIM_THRESHOLD, bytes), 0 | 1));
            }
            Call::UnknownOption(parameter, value) => {
                let known = [libc::M_TRIM_THRESHOLD, libc::M_MMAP_MAX, libc::M_PERTURB];
                if !known.contains(&parameter) {
                    assert_eq!(self.mallopt(parameter, value), 0, "mallopt({parameter}, {value})");
                }
            }
        }
    }

    /// Calls an allocating function, if the run may have so many bytes more. The block of a call that must fail is none.
    fn fresh(
        &mut self,
        bytes: Option<usize>,
        align: usize,
        wanted: Wanted,
        call: impl FnOnce() -> *mut c_void,
    ) -> Option<Block> {
        let room = bytes.and_then(|bytes| bytes.checked_add(align));
        if wanted == Wanted::Block && !room.is_some_and(|room| self.shadow.has_room_for(room)) {
            return None;
        }
        let (block, errno) = with_errno(call);
        match wanted {
            Wanted::Error(error) => {
                assert!(block.is_null(), "a block for {bytes:?} bytes at a multiple of {align}");
                assert_eq!(errno, error, "errno for {bytes:?} bytes at a multiple of {align}");
                None
            }
            Wanted::Block => {
                let size = bytes.unwrap_or_default();
                assert!(!block.is_null(), "no block for {size} bytes at a multiple of {align}");
                assert_eq!(errno, UNTOUCHED, "errno after a success");
                Some(Block::new(block.cast(), size, align.max(16)))
            }
        }
    }

    /// Notes a fresh block, all of whose bytes are this one, if that is given.
    fn keep(&mut self, block: Option<Block>, filled: Option<u8>) {
        let Some(block) = block else { return };
        if let Some(byte) = filled {
            block.check_all(byte);
        }
        // SAFETY: the block is live.
        let usable = unsafe { (self.face.malloc_usable_size)(block.start.cast()) };
        assert!(usable >= block.size, "{block:?} has room for {usable} bytes");
        self.shadow.born(block);
    }

    /// The byte of fresh blocks.
    fn filler(&self) -> Option<u8> {
        (self.perturb != 0).then_some(!self.perturb)
    }

    fn malloc(&mut self, size: usize) {
        let face = self.face;
        // SAFETY: it takes any size.
        let made =
            self.fresh(Some(size), 16, wanted(Some(size)), || unsafe { (face.malloc)(size) });
        self.keep(made, self.filler());
    }

    fn posix_memalign(&mut self, align: usize, size: usize) {
        let is_fine = align.is_power_of_two() && align.is_multiple_of(size_of::<usize>());
        let wanted =
            if is_fine { wanted(size.checked_add(align)) } else { Wanted::Error(libc::EINVAL) };
        if wanted == Wanted::Block && !self.shadow.has_room_for(size + align) {
            return;
        }
        let mut place = ptr::dangling_mut::<c_void>();
        // SAFETY: the place is writable; it takes any numbers.
        let (error, _) =
            with_errno(|| unsafe { (self.face.posix_memalign)(&raw mut place, align, size) });
        match wanted {
            Wanted::Block => {
                assert_eq!(error, 0, "no block for {size} bytes at a multiple of {align}");
                self.keep(Some(Block::new(place.cast(), size, align.max(16))), self.filler());
            }
            Wanted::Error(expected) => {
                assert_eq!(error, expected, "for {size} bytes at a multiple of {align}");
                assert_eq!(place, ptr::dangling_mut(), "it stores nothing where it fails");
            }
        }
    }

    fn realloc(
        &mut self,
        block: Option<u16>,
        bytes: Option<usize>,
        change: impl FnOnce(*mut c_void) -> *mut c_void,
    ) {
        let old = block.and_then(|number| self.shadow.gone(number.into()));
        let Some(old) = old else {
            let made = self.fresh(bytes, 16, wanted(bytes), || change(ptr::null_mut()));
            return self.keep(made, self.filler());
        };
        if bytes == Some(0) {
            let (moved, errno) = with_errno(|| change(old.start.cast()));
            assert!(
                moved.is_null() && errno == UNTOUCHED,
                "realloc to 0: {moved:?}, errno {errno}"
            );
            return;
        }
        match self.fresh(bytes, 16, wanted(bytes), || change(old.start.cast())) {
            Some(new) => {
                Block { start: new.start, ..old }.check(new.size);
                self.keep(Some(new), None);
            }
            // It failed, or was not called: the old block is as it was.
            None => {
                old.check(old.size);
                self.shadow.born(old);
            }
        }
    }

    fn free(&mut self, number: usize, way: Way) {
        if let Some(block) = self.shadow.gone(number) {
            self.give_back(block, way);
        }
    }

    /// Gives a block back, or null.
    fn give_back(&self, block: Block, way: Way) {
        let (face, start) = (self.face, block.start.cast());
        let ((), errno) = with_errno(|| match way {
            // SAFETY: the block is live, or null, and the shadow forgot it.
            Way::Free => unsafe { (face.free)(start) },
            // SAFETY: the block is live, or null, and the shadow forgot it.
            Way::Cfree => unsafe { (face.cfree)(start) },
            // SAFETY: a live block of this size, or null, which the shadow forgot.
            Way::Sized if block.align <= 16 => unsafe { (face.free_sized)(start, block.size) },
            // SAFETY: a live block of this size and alignment, or null, which the shadow forgot.
            Way::Sized => unsafe { (face.free_aligned_sized)(start, block.align, block.size) },
            Way::ReallocToZero if start.is_null() => {}
            // SAFETY: the block is live, and the shadow forgot it.
            Way::ReallocToZero => assert!(unsafe { (face.realloc)(start, 0) }.is_null()),
        });
        assert_eq!(errno, UNTOUCHED, "errno after {way:?} of {block:?}");
    }

    fn usable_size(&mut self, number: usize) {
        let Some(block) = self.shadow.gone(number) else {
            // SAFETY: null has no room.
            assert_eq!(unsafe { (self.face.malloc_usable_size)(ptr::null_mut()) }, 0);
            return;
        };
        // SAFETY: the block is live.
        let usable = unsafe { (self.face.malloc_usable_size)(block.start.cast()) };
        assert!(usable >= block.size, "{block:?} has room for {usable} bytes");
        // The program may use them all.
        if self.shadow.has_room_for(usable) {
            let whole = Block { size: usable, ..block };
            whole.fill_and_check();
        }
        self.shadow.born(block);
    }

    fn mallinfo(&self) {
        // SAFETY: it takes nothing.
        let all = unsafe { (self.face.mallinfo2)() };
        // SAFETY: it takes nothing.
        let cut = unsafe { (self.face.mallinfo)() };
        let in_use = all.uordblks + all.hblkhd;
        assert!(in_use >= self.shadow.bytes(), "{in_use} bytes in use, of {}", self.shadow.bytes());
        assert!(all.arena >= all.uordblks, "{} of {} bytes in use", all.uordblks, all.arena);
        assert_eq!(cut.arena, c_int::try_from(all.arena).unwrap_or(c_int::MAX));
        assert_eq!(cut.hblks, c_int::try_from(all.hblks).unwrap_or(c_int::MAX));
    }

    fn mallopt(&self, parameter: c_int, value: c_int) -> c_int {
        // SAFETY: it takes any numbers.
        let (honoured, errno) = with_errno(|| unsafe { (self.face.mallopt)(parameter, value) });
        assert_eq!(errno, UNTOUCHED, "errno after mallopt({parameter}, {value})");
        honoured
    }

    fn perturb(&mut self, byte: u8) {
        if self.mallopt(libc::M_PERTURB, byte.into()) == 1 {
            self.perturb = byte;
        }
    }

    /// Frees what is left, and takes settings back.
    fn end(mut self) {
        while self.shadow.len() > 0 {
            self.free(0, Way::Free);
        }
        self.perturb(0);
        self.mallopt(libc::M_TRIM_THRESHOLD, 0);
    }
}
