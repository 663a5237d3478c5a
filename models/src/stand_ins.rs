//! Stand in for the library's modules of these names: as much of each as the files under test use.

pub(crate) mod stats {
    #[allow(dead_code, reason = "the models count nothing")]
    pub(crate) enum Event {
        Atomic,
        Probe,
    }

    pub(crate) struct Counters;

    impl Counters {
        pub(crate) fn count(&self, _: Event) {}
        pub(crate) fn count_many(&self, _: Event, _: u64) {}
    }
}

pub(crate) mod variant {
    use crate::base::ClassIdx;

    #[allow(dead_code, reason = "the models have one variant")]
    pub(crate) enum ThreadExit {
        Drain,
        Park,
    }

    pub(crate) struct Classes;

    impl Classes {
        pub(crate) const fn count(&self) -> usize {
            1
        }
        pub(crate) const fn block_bytes(&self, _: ClassIdx) -> usize {
            512
        }
    }

    pub(crate) trait Variant {
        const CLASSES: Classes = Classes;
        const THREAD_EXIT: ThreadExit = ThreadExit::Park;
        const TRANSFER_KIB: usize = 1;
        /// So that all SuperSlabs have one home in the hash table.
        const SUPERSLAB_LG: u32 = 63;
    }

    pub(crate) fn list_bytes_limit<V: Variant>(class: ClassIdx) -> u32 {
        V::CLASSES.block_bytes(class) as u32
    }

    /// The only variant.
    pub(crate) struct Only;

    impl Variant for Only {}
    impl crate::central::Shared for Only {}
}

pub(crate) mod report {
    pub(crate) mod slab {
        /// A SuperSlab is known by its address alone.
        pub(crate) struct SuperSlab {
            #[allow(dead_code, reason = "so that each has an address of its own")]
            pub(crate) number: usize,
        }

        impl SuperSlab {
            pub(crate) fn address(&self) -> usize {
                std::ptr::from_ref(self).addr()
            }
        }
    }
}

pub(crate) mod free_block {
    use std::ptr::NonNull;

    pub(crate) struct FreeBlock(NonNull<u8>);

    impl FreeBlock {
        /// # Safety
        /// None is needed: a model never touches the block.
        pub(crate) unsafe fn new(start: NonNull<u8>) -> Self {
            Self(start)
        }
        pub(crate) fn into_start(self) -> NonNull<u8> {
            self.0
        }
    }
}

pub(crate) mod batch {
    use crate::free_block::FreeBlock;

    #[derive(Default)]
    pub(crate) struct Batch(Vec<FreeBlock>);

    impl Batch {
        pub(crate) fn new() -> Self {
            Self::default()
        }
        pub(crate) fn len(&self) -> u32 {
            self.0.len() as u32
        }
        pub(crate) fn push(&mut self, block: FreeBlock) {
            self.0.push(block);
        }
        pub(crate) fn pop(&mut self) -> Option<FreeBlock> {
            self.0.pop()
        }
    }
}

pub(crate) mod free_list {
    use loom::cell::UnsafeCell;
    use std::cell::OnceCell;

    /// A list that is the number of its blocks, which loom watches. It comes to be with its first use, since loom's cells
    /// cannot be constants.
    pub(crate) struct FreeList(OnceCell<UnsafeCell<u32>>);

    impl FreeList {
        pub(crate) const fn unbounded() -> Self {
            Self(OnceCell::new())
        }
        fn blocks(&self) -> &UnsafeCell<u32> {
            self.0.get_or_init(|| UnsafeCell::new(0))
        }
        pub(crate) fn len(&self) -> u32 {
            // SAFETY: under test; loom reports a second thread in here.
            self.blocks().with(|blocks| unsafe { *blocks })
        }
        pub(crate) fn add(&self, count: u32) {
            // SAFETY: as above.
            self.blocks().with_mut(|blocks| unsafe { *blocks += count });
        }
        /// Removes all blocks; returns how many.
        pub(crate) fn empty(&self) -> u32 {
            // SAFETY: as above.
            self.blocks().with_mut(|blocks| unsafe { std::mem::take(&mut *blocks) })
        }
        pub(crate) fn take_over(&self, other: &Self) {
            assert_eq!(self.len(), 0, "Q1: a place that is not taken has blocks");
            self.add(other.empty());
        }
        pub(crate) fn limit(&self) -> u32 {
            1
        }
        pub(crate) fn set_limit(&self, _: u32) {}
    }
}
