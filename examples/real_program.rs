//! A program of ordinary Rust code on hakmem: maps, strings, threads, channels, thread-locals.
//!
//! `cargo run --example real_program --features option-a` runs it on that variant. Given an id, it
//! fails unless that is the variant it runs on.

use hakmem::Observe;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

#[global_allocator]
static ALLOCATOR: hakmem::Hakmem = hakmem::Hakmem;

/// How often each word of a made-up text occurs.
fn count_words(seed: u64) -> BTreeMap<String, usize> {
    let mut text = String::new();
    let mut number = seed;
    for _ in 0..20_000 {
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        write!(text, "word{} ", (number >> 33) % 500).expect("a String takes everything");
    }
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Values that are born here and die in the threads that they are sent to, and back.
fn exchange() -> usize {
    let (to_worker, from_main) = mpsc::channel::<Vec<Box<[u8]>>>();
    let (to_main, from_worker) = mpsc::channel::<String>();
    let worker = thread::spawn(move || {
        for batch in from_main {
            let bytes: usize = batch.iter().map(|block| block.len()).sum();
            to_main
                .send(format!("{bytes:>width$}", width = 1 + bytes % 100))
                .expect("main listens");
        }
    });
    for n in 0..2000_usize {
        let batch = (0..n % 20).map(|k| vec![k as u8; 1 + n * k % 1500].into_boxed_slice());
        to_worker.send(batch.collect()).expect("the worker listens");
    }
    drop(to_worker);
    let total =
        from_worker.iter().map(|text| text.trim().parse::<usize>().expect("a number")).sum();
    worker.join().expect("the worker ends");
    total
}

/// What is left in a thread-local is freed by its destructor, at the thread's end.
fn leave_to_destructors() {
    thread_local! {
        static LEFT: RefCell<HashMap<String, Vec<u32>>> = RefCell::default();
    }
    let threads: Vec<_> = (0..8)
        .map(|n| {
            thread::spawn(move || {
                LEFT.with_borrow_mut(|left| {
                    for k in 0..500_u32 {
                        left.entry(format!("{}", k % (n + 7))).or_default().push(k);
                    }
                    left.values().map(Vec::len).sum::<usize>()
                })
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("it ends"), 500);
    }
}

/// A queue that grows and shrinks, under a lock, by several threads.
fn shared_queue() {
    let queue = Arc::new(Mutex::new(VecDeque::new()));
    thread::scope(|scope| {
        for n in 0..4_usize {
            let queue = &queue;
            scope.spawn(move || {
                for k in 0..5000_usize {
                    let mut queue = queue.lock().expect("nobody panics");
                    queue.push_back("x".repeat(1 + (n * k) % 3000));
                    if k % 3 != 0 {
                        queue.pop_front();
                    }
                }
            });
        }
    });
    let queue = queue.lock().expect("nobody panics");
    assert!(queue.iter().all(|text| text.bytes().all(|byte| byte == b'x')));
}

fn main() {
    let id = hakmem::Hakmem::ID;
    if let Some(expected) = std::env::args().nth(1) {
        assert_eq!(id, expected, "the features selected another variant");
    }
    let counts: Vec<_> = (0..4).map(|seed| thread::spawn(move || count_words(seed))).collect();
    for (seed, thread) in counts.into_iter().enumerate() {
        let counts = thread.join().expect("it counts");
        assert_eq!(counts.values().sum::<usize>(), 20_000);
        assert_eq!(counts, count_words(seed as u64), "the same text has the same words");
    }
    let expected: usize =
        (0..2000_usize).flat_map(|n| (0..n % 20).map(move |k| 1 + n * k % 1500)).sum();
    assert_eq!(exchange(), expected);
    leave_to_destructors();
    shared_queue();
    println!("real_program ran on variant {id}");
}
