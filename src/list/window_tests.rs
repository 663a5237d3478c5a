//! Lists that count by a sign, and plainly.

use super::*;

const STEP: Step = Step::Signed(1 << 29);

#[test]
fn a_list_counts_and_orders() {
    let mut blocks = [0_u64; 8];
    let blocks: Vec<NonNull<Block>> =
        blocks.iter_mut().map(|block| NonNull::from(block).cast()).collect();
    let list = WindowList::closed(false);
    assert!(list.pop(STEP, true).is_none() && list.is_sound(STEP, |_| false));
    // SAFETY: free, and in no list; a closed one does not take it.
    assert!(!unsafe { list.push(blocks[0], STEP, true) });
    list.open(STEP);
    assert!(list.pop(STEP, true).is_none());

    let mut chain = Chain::new();
    for &block in &blocks[..3] {
        // SAFETY: eight bytes, aligned so, free, and appended once.
        unsafe { chain.append(block) };
    }
    list.fill(&chain, STEP);
    assert_eq!(list.pop(STEP, true), Some(blocks[0]));
    for &block in [blocks[0], blocks[3]].iter() {
        list.set_aside(1, STEP);
        // SAFETY: free, and in no list; there is room for eight.
        assert!(unsafe { list.push(block, STEP, true) });
    }
    assert_eq!((list.len(STEP), list.window_len(STEP)), (4, 2));
    let newest_first = [blocks[3], blocks[0], blocks[1], blocks[2]];
    assert_eq!(list.iter(STEP).collect::<Vec<_>>(), newest_first);
    assert!(list.has(blocks[2].addr().get(), 4, STEP));
    assert!(!list.has(blocks[2].addr().get(), 3, STEP));
    assert!(list.is_sound(STEP, |block| newest_first.contains(&block)));
    assert!(!list.is_sound(STEP, |block| block != blocks[2]));

    let blocks_of = |mut chain: Chain| std::iter::from_fn(|| chain.pop()).collect::<Vec<_>>();
    assert_eq!(blocks_of(list.split(1, STEP)), [blocks[3]]);
    assert_eq!(blocks_of(list.take_all(STEP)), newest_first[1..]);
    assert_eq!(list.len(STEP), 0);
    list.close(STEP);
}

#[test]
fn a_list_is_taken_over_whole() {
    let mut block = 0_u64;
    let block = NonNull::from(&mut block).cast();
    let (from, to) = (WindowList::empty(), WindowList::empty());
    // SAFETY: eight bytes, aligned so, free, and in no list.
    assert!(unsafe { from.push(block, STEP, true) });
    from.set_aside(1, STEP);
    to.take_over(&from, STEP);
    assert_eq!((from.len(STEP), to.len(STEP), to.window_len(STEP)), (0, 1, 0));
    assert_eq!(to.draw(1, STEP), 1);
    assert_eq!(to.pop(STEP, true), Some(block));
    from.close(STEP);
}

#[test]
fn a_plain_count_goes_beyond_the_window_and_back() {
    const PLAIN: Step = Step::Plain(4);
    let mut blocks = [0_u64; 8];
    let blocks: Vec<NonNull<Block>> =
        blocks.iter_mut().map(|block| NonNull::from(block).cast()).collect();
    let list = WindowList::closed(true);
    let pop = || list.pop(PLAIN, true);
    // SAFETY: eight bytes, aligned so, and each pushed only while it is in no list.
    let push = |at: usize| unsafe { list.push(blocks[at], PLAIN, true) };
    assert!(pop().is_none() && !push(0));
    list.undo_push(PLAIN);
    assert!(list.is_sound(PLAIN, |_| false));
    list.open(PLAIN);
    assert!((0..3).all(push) && !push(3));
    list.undo_push(PLAIN);
    assert_eq!((list.len(PLAIN), list.window_len(PLAIN)), (3, 3));
    list.set_aside(2, PLAIN);
    assert!(push(3) && push(4));
    assert_eq!((list.len(PLAIN), list.window_len(PLAIN)), (5, 3));
    assert!(list.is_sound(PLAIN, |_| true));
    assert_eq!([pop(), pop(), pop(), pop()], [4, 3, 2, 1].map(|at| Some(blocks[at])));
    assert_eq!((list.len(PLAIN), list.window_len(PLAIN)), (1, 0));
    assert_eq!((pop(), pop(), list.len(PLAIN)), (Some(blocks[0]), None, 0));
    assert!(push(5));
    let (place, newest) = (WindowList::empty(), list.newest());
    place.take_over(&list, PLAIN);
    assert_eq!((list.len(PLAIN), place.len(PLAIN), place.newest()), (0, 1, newest));
    list.take_over(&place, PLAIN);
    assert_eq!(list.take_all(PLAIN).len(), 1);
    list.take_over(&WindowList::empty(), PLAIN);
    assert!((0..3).all(push) && !push(3));
    list.undo_push(PLAIN);
    assert_eq!(list.split(3, PLAIN).len(), 3);
    list.close(PLAIN);
}
