//! A doubly linked list of things that never move. The links lie in the things themselves.
//!
//! O1  A thing is in at most one list through the same links. From `first` the links lead to every thing in the list,
//!     and end at `last`. The links of a thing in no list are `None`.
//!
//! Only the owner of the list, or the holder of its lock, touches the list and the links.
//! Never: allocates.

use core::cell::Cell;
use core::ptr;

/// A thing's neighbours in a list. All bytes are zero if it is in no list, or alone in one.
pub(crate) struct Links<T: 'static> {
    next: Cell<Option<&'static T>>,
    previous: Cell<Option<&'static T>>,
}

/// A thing that can be in lists: in one list for each `LIST` that it implements.
pub(crate) trait Linked<const LIST: u8>: Sized + 'static {
    /// Its links for list `LIST`.
    fn links(&self) -> &Links<Self>;
}

/// A doubly linked list of things. All bytes of an empty list are zero.
pub(crate) struct LinkedList<T: Linked<LIST>, const LIST: u8 = 0> {
    first: Cell<Option<&'static T>>,
    last: Cell<Option<&'static T>>,
}

impl<T: Linked<LIST>, const LIST: u8> LinkedList<T, LIST> {
    pub(crate) const fn new() -> Self {
        Self { first: Cell::new(None), last: Cell::new(None) }
    }

    pub(crate) fn first(&self) -> Option<&'static T> {
        self.first.get()
    }

    /// Adds a thing at the front. It is in no list through these links.
    pub(crate) fn push(&self, thing: &'static T) {
        let next = self.first.replace(Some(thing));
        let links = thing.links();
        debug_assert!(links.previous.get().is_none(), "O1");
        links.next.set(next);
        match next {
            Some(next) => next.links().previous.set(Some(thing)),
            None => self.last.set(Some(thing)),
        }
    }

    /// Adds a thing at the end. It is in no list through these links.
    pub(crate) fn push_last(&self, thing: &'static T) {
        let Some(last) = self.last.get() else { return self.push(thing) };
        debug_assert!(thing.links().next.get().is_none(), "O1");
        last.links().next.set(Some(thing));
        thing.links().previous.set(Some(last));
        self.last.set(Some(thing));
    }

    /// Removes a thing that is in this list.
    pub(crate) fn remove(&self, thing: &'static T) {
        let links = thing.links();
        let (previous, next) = (links.previous.take(), links.next.take());
        match previous {
            Some(previous) => previous.links().next.set(next),
            None => self.first.set(next),
        }
        match next {
            Some(next) => next.links().previous.set(previous),
            None => self.last.set(previous),
        }
    }

    /// True if the links lead from the first to the last, and back (O1). It asks `is_thing` of each address before it reads
    /// there, so a link that was written over leads nowhere. For audits.
    pub(crate) fn is_linked(&self, is_thing: impl Fn(usize) -> bool) -> bool {
        let address = |thing: Option<&'static T>| thing.map(|thing| ptr::from_ref(thing).addr());
        let (mut at, mut before) = (self.first.get(), None);
        while let Some(thing) = at {
            if !is_thing(ptr::from_ref(thing).addr())
                || address(thing.links().previous.get()) != address(before)
            {
                return false;
            }
            before = at;
            at = thing.links().next.get();
        }
        address(before) == address(self.last.get())
    }

    /// The things, from first to last. The caller may remove the thing that the iterator returned last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> {
        let mut at = self.first.get();
        core::iter::from_fn(move || {
            let thing = at?;
            at = thing.links().next.get();
            Some(thing)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing {
        links: Links<Thing>,
    }

    impl Linked<0> for Thing {
        fn links(&self) -> &Links<Self> {
            &self.links
        }
    }

    fn thing() -> &'static Thing {
        let links = Links { next: Cell::new(None), previous: Cell::new(None) };
        Box::leak(Box::new(Thing { links }))
    }

    #[test]
    fn things_come_and_go_at_any_place() {
        let list: LinkedList<Thing> = LinkedList::new();
        let things = [(); 4].map(|()| thing());
        things.iter().for_each(|thing| list.push(thing));
        let is = |expected: &[usize]| {
            let found: Vec<_> = list.iter().map(core::ptr::from_ref).collect();
            found == expected.iter().map(|&n| core::ptr::from_ref(things[n])).collect::<Vec<_>>()
        };
        assert!(is(&[3, 2, 1, 0]) && list.is_linked(|_| true));
        let not_1 = |address| address != core::ptr::from_ref(things[1]).addr();
        assert!(!list.is_linked(not_1), "it asks before it reads");
        things[1].links.previous.set(Some(things[0]));
        assert!(!list.is_linked(|_| true), "a link leads astray");
        things[1].links.previous.set(Some(things[2]));
        list.remove(things[2]);
        list.remove(things[0]);
        assert!(is(&[3, 1]));
        list.remove(things[3]);
        list.push(things[0]);
        assert!(is(&[0, 1]) && list.first().is_some());
        list.push_last(things[2]);
        assert!(is(&[0, 1, 2]));
        list.remove(things[2]);
        list.push_last(things[3]);
        assert!(is(&[0, 1, 3]));
        for thing in list.iter() {
            list.remove(thing);
        }
        assert!(is(&[]));
        list.push_last(things[1]);
        assert!(is(&[1]));
    }
}
