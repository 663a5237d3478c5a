//! A list of statics that threads add to without a lock, and that a handler of a signal may read at any moment.
//!
//! CH1  Each thing that was added is in the list once. What its thread wrote to it before is seen with it.
//!
//! Never: locks, or waits.

use crate::sys::atomic::{AtomicPtr, Ordering};
use core::ptr::{self, NonNull};

/// The top of a list, or the link of a thing in it. [shared]
pub(super) struct Chain<T>(AtomicPtr<T>);

/// A thing that may be in one list.
pub(super) trait Chained: Sized + 'static {
    fn link(&self) -> &Chain<Self>;
}

impl<T: Chained> Chain<T> {
    /// An empty list in this pointer, which is null. The model checker creates it.
    pub(super) const fn over(first: AtomicPtr<T>) -> Self {
        Self(first)
    }

    /// Adds a thing that is in no list.
    pub(super) fn add(&self, thing: &'static T) {
        let own = ptr::from_ref(thing).cast_mut();
        // ORDERING: relaxed; the exchange below publishes the first thing, and so its link: it was published so itself.
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            // ORDERING: relaxed; the exchange below publishes the link.
            thing.link().0.store(first, Ordering::Relaxed);
            // ORDERING: release, paired with the acquire in `first` (CH1).
            match self.0.compare_exchange(first, own, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }

    /// The first thing of the list, or the one behind the thing that has this link.
    fn first(&self) -> Option<&'static T> {
        // ORDERING: acquire, paired with the release in `add` (CH1).
        let first = NonNull::new(self.0.load(Ordering::Acquire))?;
        // SAFETY: only `add` stores a pointer that is not null, and it makes that of a static reference.
        Some(unsafe { first.as_ref() })
    }

    /// All things in the list.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static T> {
        core::iter::successors(self.first(), |thing| thing.link().first())
    }

    /// Removes a thing, while no other thread uses the list. True if the list is empty then.
    pub(super) fn remove(&'static self, thing: &'static T) -> bool {
        let mut link = self;
        while let Some(other) = link.first() {
            if ptr::eq(other, thing) {
                let next = thing
                    .link()
                    .first()
                    .map_or(ptr::null_mut(), |next| ptr::from_ref(next).cast_mut());
                // ORDERING: relaxed; no other thread uses the list.
                link.0.store(next, Ordering::Relaxed);
                break;
            }
            link = other.link();
        }
        self.first().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(Chain<Self>);

    impl Chained for Thing {
        fn link(&self) -> &Chain<Self> {
            &self.0
        }
    }

    fn empty() -> Chain<Thing> {
        Chain::over(AtomicPtr::new(ptr::null_mut()))
    }

    #[test]
    fn things_come_and_go_at_any_place() {
        let list: &'static _ = Box::leak(Box::new(empty()));
        let things: &'static [Thing; 3] = Box::leak(Box::new([(); 3].map(|()| Thing(empty()))));
        let has = |numbers: &[usize]| {
            let wanted = numbers.iter().map(|number| ptr::from_ref(&things[*number]));
            list.iter().map(ptr::from_ref).eq(wanted)
        };
        things.iter().for_each(|thing| list.add(thing));
        assert!(has(&[2, 1, 0]));
        assert!(!list.remove(&things[1]) && has(&[2, 0]));
        assert!(!list.remove(&things[1]) && has(&[2, 0]));
        assert!(!list.remove(&things[2]) && has(&[0]));
        list.add(&things[1]);
        assert!(!list.remove(&things[0]) && has(&[1]));
        assert!(list.remove(&things[1]) && has(&[]));
    }
}
