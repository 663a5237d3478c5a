//! The report's registry: a SuperSlab that a thread has found in the directory is whole, and every lookup finds it.

use super::{check, finds_a_fault};
use crate::registry::{CAPACITY, Directory, ENTRIES, HashTable};
use crate::report::slab::SuperSlab;
use crate::stats::Counters;
use crate::sys::atomic::{AtomicPtr, AtomicU32, Ordering};
use crate::variant::Only;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::ptr;

static SUPERSLABS: [SuperSlab; CAPACITY] = [SuperSlab { number: 0 }, SuperSlab { number: 1 }];

struct Shared {
    directory: Directory<SuperSlab, CAPACITY>,
    table: HashTable,
    /// What each SuperSlab's creator writes to it.
    headers: [UnsafeCell<u32>; CAPACITY],
    /// For the table without its guard.
    plain: [AtomicPtr<SuperSlab>; CAPACITY],
}

/// How a SuperSlab comes into the table, and is looked up there.
type Insert = fn(&Shared, &'static SuperSlab);
type Find = fn(&Shared, usize) -> bool;

impl Shared {
    fn new() -> Arc<Self> {
        let null = || AtomicPtr::new(ptr::null_mut());
        Arc::new(Self {
            directory: Directory::over(AtomicU32::new(0), std::array::from_fn(|_| null())),
            table: HashTable::over(std::array::from_fn::<_, { ENTRIES }, _>(|_| null())),
            headers: std::array::from_fn(|_| UnsafeCell::new(0)),
            plain: std::array::from_fn(|_| null()),
        })
    }

    /// Creates a SuperSlab and registers it, as `registry::insert` does.
    fn register(&self, number: usize, insert: Insert) {
        let place = self.directory.reserve().expect("there is room");
        let superslab = &SUPERSLABS[number];
        // SAFETY: under test; loom reports a second thread in here.
        self.headers[number].with_mut(|header| unsafe { *header = 7 });
        insert(self, superslab);
        self.directory.publish(place, superslab);
    }

    /// Looks up each SuperSlab that the directory has; returns how many.
    fn look(&self, find: Find) -> usize {
        let found = (0..self.directory.len()).filter_map(|place| self.directory.get(place));
        let look = |superslab: &SuperSlab| {
            // SAFETY: as above.
            let header = self.headers[superslab.number].with(|header| unsafe { *header });
            assert_eq!(header, 7, "D2: an unmade SuperSlab");
            let base = superslab.address();
            assert!(find(self, base), "H1: a SuperSlab is lost in the table");
            assert!(self.directory.find(base, &Counters).is_some(), "G1: not in the directory");
        };
        found.map(look).count()
    }
}

/// Two threads register a SuperSlab each, and a third one looks up what it finds.
fn contend(insert: Insert, find: Find) {
    let shared = Shared::new();
    let registers = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || shared.register(1, insert))
    };
    let looks = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || _ = shared.look(find))
    };
    shared.register(0, insert);
    registers.join().expect("it ends");
    looks.join().expect("it ends");
    assert_eq!(shared.look(find), CAPACITY, "D1: a place is lost");
    assert!(shared.directory.reserve().is_none(), "D1: more places than there are");
}

/// See the name.
pub fn what_the_directory_has_is_found() {
    check(|| {
        contend(
            |shared, superslab| shared.table.insert::<Only>(superslab),
            |shared, base| shared.table.find::<Only>(base, &Counters).is_some(),
        );
    });
}

/// The guard is that looking for an empty entry and filling it is one operation.
pub fn looking_first_and_storing_loses_a_superslab() {
    assert!(finds_a_fault(|| {
        contend(
            |shared, superslab| {
                // ORDERING: relaxed, as in the table.
                let free =
                    shared.plain.iter().find(|entry| entry.load(Ordering::Relaxed).is_null());
                let entry = free.expect("there is room");
                // ORDERING: relaxed, as in the table.
                entry.store(ptr::from_ref(superslab).cast_mut(), Ordering::Relaxed);
            },
            |shared, base| {
                // ORDERING: relaxed, as in the table.
                shared.plain.iter().any(|entry| entry.load(Ordering::Relaxed).addr() == base)
            },
        );
    }));
}
