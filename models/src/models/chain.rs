//! A list that threads add to: nothing is lost, and what is found is whole, even by a handler that looks at any moment.

use super::check;
use crate::chain::{Chain, Chained};
use crate::sys::atomic::{AtomicPtr, AtomicU32, Ordering};
use loom::thread;
use std::ptr;

struct Thing {
    /// Written before the thing is added; by itself it orders nothing.
    made_by: AtomicU32,
    link: Chain<Self>,
}

impl Chained for Thing {
    fn link(&self) -> &Chain<Self> {
        &self.link
    }
}

struct Shared {
    list: Chain<Thing>,
    things: [Thing; 2],
}

/// Two threads add a thing each, while a third looks.
pub fn what_is_found_is_whole_and_none_is_lost() {
    check(|| {
        let chain = || Chain::over(AtomicPtr::new(ptr::null_mut()));
        let thing = |_| Thing { made_by: AtomicU32::new(0), link: chain() };
        let shared = Box::new(Shared { list: chain(), things: [0, 1].map(thing) });
        let all = Box::into_raw(shared);
        // SAFETY: it lives until this run of the model has ended, and its threads with it.
        let shared: &'static Shared = unsafe { &*all };
        let add = |number: usize| {
            let thing = &shared.things[number];
            thing.made_by.store(1, Ordering::Relaxed);
            shared.list.add(thing);
        };
        let look = || {
            let made = shared.list.iter().map(|thing| thing.made_by.load(Ordering::Relaxed));
            let made: Vec<u32> = made.collect();
            assert!(made.iter().all(|&made| made == 1), "CH1: an unmade thing");
            made.len()
        };
        let looker = thread::spawn(move || _ = look());
        let others = [0, 1].map(|number| thread::spawn(move || add(number)));
        looker.join().expect("it ends");
        for other in others {
            other.join().expect("it ends");
        }
        assert_eq!(look(), 2, "CH1: a thing is lost");
        // SAFETY: made above, and no thread has it any more.
        drop(unsafe { Box::from_raw(all) });
    });
}
