//! Lists that count by a sign, and plainly.

use super::*;

const STEP: Step = Step::Signed(1 << 29);

#[test]
fn linked_or_not_a_list_counts_and_orders_alike() {
    for links in [ThreadList::Linked, ThreadList::Magazine] {
        let mut blocks = [0_u64; 8];
        let mut array = [ptr::null_mut::<Block>(); 8];
        let blocks: Vec<NonNull<Block>> =
            blocks.iter_mut().map(|block| NonNull::from(block).cast()).collect();
        let list = WindowList::closed(false);
        assert!(list.pop(STEP, true, links).is_none() && list.is_sound(STEP, links, |_| false));
        // SAFETY: free, and in no list; a closed one does not take it.
        assert!(!unsafe { list.push(blocks[0], STEP, true, links) });
        list.open(
            match links {
                ThreadList::Linked => ptr::null_mut(),
                ThreadList::Magazine => array.as_mut_ptr().cast(),
            },
            STEP,
        );
        assert!(list.pop(STEP, true, links).is_none());

        let mut chain = Chain::new();
        for &block in &blocks[..3] {
            // SAFETY: eight bytes, aligned so, free, and appended once.
            unsafe { chain.append(block) };
        }
        list.fill(&chain, STEP, links);
        assert_eq!(list.pop(STEP, true, links), Some(blocks[0]));
        for &block in [blocks[0], blocks[3]].iter() {
            list.set_aside(1, STEP);
            // SAFETY: free, and in no list; there is room for eight.
            assert!(unsafe { list.push(block, STEP, true, links) });
        }
        assert_eq!((list.len(STEP), list.window_len(STEP)), (4, 2));
        let newest_first = [blocks[3], blocks[0], blocks[1], blocks[2]];
        assert_eq!(list.iter(STEP, links).collect::<Vec<_>>(), newest_first);
        assert!(list.has(blocks[2].addr().get(), 4, STEP, links));
        assert!(!list.has(blocks[2].addr().get(), 3, STEP, links));
        assert!(list.is_sound(STEP, links, |block| newest_first.contains(&block)));
        assert!(!list.is_sound(STEP, links, |block| block != blocks[2]));

        let newest = list.split(1, STEP, links);
        assert_eq!(newest.iter().collect::<Vec<_>>(), [blocks[3]]);
        let rest = list.take_all(STEP, links);
        assert_eq!(rest.iter().collect::<Vec<_>>(), newest_first[1..]);
        assert_eq!(list.len(STEP), 0);
        list.close(STEP);
    }
}

#[test]
fn a_list_is_taken_over_whole() {
    let mut block = 0_u64;
    let block = NonNull::from(&mut block).cast();
    let (from, to) = (WindowList::empty(), WindowList::empty());
    // SAFETY: eight bytes, aligned so, free, and in no list.
    assert!(unsafe { from.push(block, STEP, true, ThreadList::Linked) });
    from.set_aside(1, STEP);
    to.take_over(&from, STEP);
    assert_eq!((from.len(STEP), to.len(STEP), to.window_len(STEP)), (0, 1, 0));
    assert_eq!(to.draw(1, STEP), 1);
    assert_eq!(to.pop(STEP, true, ThreadList::Linked), Some(block));
    from.close(STEP);
}

#[test]
fn a_plain_count_goes_beyond_the_window_and_back() {
    const PLAIN: Step = Step::Plain(4);
    let mut blocks = [0_u64; 8];
    let blocks: Vec<NonNull<Block>> =
        blocks.iter_mut().map(|block| NonNull::from(block).cast()).collect();
    let list = WindowList::closed(true);
    let pop = || list.pop(PLAIN, true, ThreadList::Linked);
    // SAFETY: eight bytes, aligned so, and each pushed only while it is in no list.
    let push = |at: usize| unsafe { list.push(blocks[at], PLAIN, true, ThreadList::Linked) };
    assert!(pop().is_none() && !push(0));
    list.undo_push(PLAIN);
    assert!(list.is_sound(PLAIN, ThreadList::Linked, |_| false));
    list.open(ptr::null_mut(), PLAIN);
    assert!((0..3).all(push) && !push(3));
    list.undo_push(PLAIN);
    assert_eq!((list.len(PLAIN), list.window_len(PLAIN)), (3, 3));
    list.set_aside(2, PLAIN);
    assert!(push(3) && push(4));
    assert_eq!((list.len(PLAIN), list.window_len(PLAIN)), (5, 3));
    assert!(list.is_sound(PLAIN, ThreadList::Linked, |_| true));
    assert_eq!([pop(), pop(), pop(), pop()], [4, 3, 2, 1].map(|at| Some(blocks[at])));
    assert_eq!((list.len(PLAIN), list.window_len(PLAIN)), (1, 0));
    assert_eq!((pop(), pop(), list.len(PLAIN)), (Some(blocks[0]), None, 0));
    assert!(push(5));
    let (place, newest) = (WindowList::empty(), list.newest());
    place.take_over(&list, PLAIN);
    assert_eq!((list.len(PLAIN), place.len(PLAIN), place.newest()), (0, 1, newest));
    list.take_over(&place, PLAIN);
    assert_eq!(list.take_all(PLAIN, ThreadList::Linked).len(), 1);
    list.take_over(&WindowList::empty(), PLAIN);
    assert!((0..3).all(push) && !push(3));
    list.undo_push(PLAIN);
    assert_eq!(list.split(3, PLAIN, ThreadList::Linked).len(), 3);
    list.close(PLAIN);
}
