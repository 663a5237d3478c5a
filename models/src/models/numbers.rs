//! Numbers that threads take: each has one owner, and comes back.

use super::check;
use crate::numbers::Numbers;
use crate::sys::atomic::{AtomicU64, AtomicUsize};
use loom::sync::Arc;
use loom::thread;

/// All numbers but two are taken at first.
fn two_left() -> Numbers<1> {
    let words = [AtomicU64::new(u64::MAX >> 2)];
    Numbers::over(AtomicUsize::new(0), AtomicUsize::new(62), words)
}

/// Two threads take a number, give it back, and take another one, while a third takes one and keeps it.
pub fn each_has_one_owner() {
    check(|| {
        let numbers = Arc::new(two_left());
        let spawn = |turn: fn(&Numbers<1>) -> Option<usize>| {
            let numbers = Arc::clone(&numbers);
            thread::spawn(move || turn(&numbers))
        };
        let anew = |numbers: &Numbers<1>| {
            let number = numbers.take()?;
            assert!(numbers.has(number) && numbers.give(number), "EM1: it is another thread's");
            numbers.take()
        };
        let others = [spawn(anew), spawn(Numbers::take)];
        let mine = numbers.take();
        let mut all: Vec<usize> = mine.into_iter().collect();
        all.extend(others.into_iter().filter_map(|other| other.join().expect("it ends")));
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "EM1: two owners");
        assert!(all.iter().all(|&number| number >= 62 && numbers.has(number)), "EM1: {all:?}");
        // Who was refused has left no trace.
        while let Some(number) = numbers.take() {
            all.push(number);
        }
        assert_eq!(all.len(), 2, "EM2: more or fewer numbers than there are");
        assert!(all.iter().all(|&number| numbers.give(number) && !numbers.give(number)));
    });
}
