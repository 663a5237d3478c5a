// Written by `cargo ci variants` from variants/*.toml; do not edit.
//
// A hash of those files, by which the build script knows whether this is made of them; then each variant's type, the
// name of its knobs, what the build script wants to know of it, and the knobs: its parent's, but for its own.
//
// `rank`: among variants that features name, the one with the highest is selected.
table! {
    0x1b336179d901ea3b;

    SuperslabCapNone SUPERSLAB_CAP_NONE {
        id: "superslab-cap-none", parent: Some("superslab"), rank: 0, twin: None, default: false,
        doc: "Variant `superslab-cap-none`: `superslab` with `soft_cap = none`.\n\nHow many fallbacks does the soft cap cause by itself?",
    } = Knobs {
        soft_cap: None,
        ..SUPERSLAB
    };

    OptionBdHash OPTION_BD_HASH {
        id: "option-bd-hash", parent: Some("option-abd-hash"), rank: 1, twin: None, default: false,
        doc: "Variant `option-bd-hash`: `option-abd-hash` with `recycle = none`.\n\nWhat is recycling worth where the other fixes are made?",
    } = Knobs {
        recycle: Recycle::None,
        ..OPTION_ABD_HASH
    };

    BlockStarts BLOCK_STARTS {
        id: "block-starts", parent: Some("apex"), rank: 2, twin: None, default: false,
        doc: "Variant `block-starts`: `apex` with `inside = checked`.\n\nWhat does it cost to end a program at once that frees an address inside a block? Only a free by address looks, so it shows in the C face alone.",
    } = Knobs {
        inside: Inside::Checked,
        ..APEX
    };

    BlockTails BLOCK_TAILS {
        id: "block-tails", parent: Some("apex"), rank: 3, twin: None, default: false,
        doc: "Variant `block-tails`: `apex` with `tail = checked`.\n\nWhat does it cost to keep each block's size and state behind it, and to check them? A free in error then ends the program, and so does a byte written past a block's end.",
    } = Knobs {
        tail: Tail::Checked,
        ..APEX
    };

    ForeignFatal FOREIGN_FATAL {
        id: "foreign-fatal", parent: Some("apex"), rank: 4, twin: None, default: false,
        doc: "Variant `foreign-fatal`: `apex` with `foreign = fatal`.\n\nWhat does it cost to end a program that frees what no allocator of ours handed out? The check runs only after every lookup has failed.",
    } = Knobs {
        foreign: Foreign::Fatal,
        ..APEX
    };

    SealedLinks SEALED_LINKS {
        id: "sealed-links", parent: Some("apex"), rank: 5, twin: None, default: false,
        doc: "Variant `sealed-links`: `apex` with `links = sealed`.\n\nWhat does it cost to seal the links of free blocks, and to compare the seal before a link is followed?",
    } = Knobs {
        links: Links::Sealed,
        ..APEX
    };

    SealedFrees SEALED_FREES {
        id: "sealed-frees", parent: Some("sealed-links"), rank: 6, twin: None, default: false,
        doc: "Variant `sealed-frees`: `sealed-links` with `freed = sealed`.\n\nWhat does it cost to look for a seal in each freed block, so that every second free is noticed at once?",
    } = Knobs {
        freed: Freed::Sealed,
        ..SEALED_LINKS
    };

    WipedBlocks WIPED_BLOCKS {
        id: "wiped-blocks", parent: Some("block-tails"), rank: 7, twin: None, default: false,
        doc: "Variant `wiped-blocks`: `block-tails` with `wipe = checked`.\n\nWhat does it cost to wipe each freed block, and to compare it with zero before it is handed out again?",
    } = Knobs {
        wipe: Wipe::Checked,
        ..BLOCK_TAILS
    };

    Quarantine QUARANTINE {
        id: "quarantine", parent: Some("wiped-blocks"), rank: 8, twin: None, default: false,
        doc: "Variant `quarantine`: `wiped-blocks` with `quarantine = 256`.\n\nWhat does it cost to keep freed blocks back, until later frees push them out at random?",
    } = Knobs {
        quarantine: 256,
        ..WIPED_BLOCKS
    };

    RandomOrder RANDOM_ORDER {
        id: "random-order", parent: Some("quarantine"), rank: 9, twin: None, default: false,
        doc: "Variant `random-order`: `quarantine` with `spread = random`.\n\nWhat does it cost to hand out the blocks of a refill in a random order?",
    } = Knobs {
        spread: Spread::Random,
        ..QUARANTINE
    };

    KeyedLinks KEYED_LINKS {
        id: "keyed-links", parent: Some("random-order"), rank: 10, twin: None, default: false,
        doc: "Variant `keyed-links`: `random-order` with `links = keyed`.\n\nWhat does it cost to seal the links in free blocks with a secret?",
    } = Knobs {
        links: Links::Keyed,
        ..RANDOM_ORDER
    };

    FencedLarge FENCED_LARGE {
        id: "fenced-large", parent: Some("keyed-links"), rank: 11, twin: None, default: false,
        doc: "Variant `fenced-large`: `keyed-links` with `large = fenced`.\n\nWhat does it cost to place each large block between pages without access?",
    } = Knobs {
        large: Large::Fenced,
        ..KEYED_LINKS
    };

    FencedHeaders FENCED_HEADERS {
        id: "fenced-headers", parent: Some("fenced-large"), rank: 12, twin: None, default: false,
        doc: "Variant `fenced-headers`: `fenced-large` with `headers = fenced`.\n\nWhat does it cost to place each segment's metadata between pages without access?",
    } = Knobs {
        headers: Headers::Fenced,
        ..FENCED_LARGE
    };

    UnreadableEmpty UNREADABLE_EMPTY {
        id: "unreadable-empty", parent: Some("fenced-headers"), rank: 13, twin: None, default: false,
        doc: "Variant `unreadable-empty`: `fenced-headers` with `empty = unreadable`.\n\nWhat does it cost to answer requests for 0 bytes with addresses without access? Only the C face gets such requests.",
    } = Knobs {
        empty: Empty::Unreadable,
        ..FENCED_HEADERS
    };

    Guard GUARD {
        id: "guard", parent: Some("unreadable-empty"), rank: 14, twin: None, default: false,
        doc: "Variant `guard`: `unreadable-empty` with `foreign = fatal`.\n\nWhat does it cost to end a program that frees what no allocator of ours handed out? With all of its parents' checks this is the hardened variant.",
    } = Knobs {
        foreign: Foreign::Fatal,
        ..UNREADABLE_EMPTY
    };

    Legacy LEGACY {
        id: "legacy", parent: None, rank: 15, twin: None, default: false,
        doc: "Variant `legacy`: a root of the tree.\n\nWhat does the system's malloc cost on its own?",
    } = Knobs {
        backend: Backend::System,
        ..Knobs::DEFAULT
    };

    Superslab SUPERSLAB {
        id: "superslab", parent: None, rank: 16, twin: Some("superslab-hash"), default: false,
        doc: "Variant `superslab`: a root of the tree.\n\nWhat does the report's SuperSlab backend cost as it stands?",
    } = Knobs {
        backend: Backend::SuperSlab,
        batch: 32,
        empty_scan_limit: 16,
        list_limit: 256,
        recycle: Recycle::None,
        registry: Registry::Linear,
        size_classes: Table::Report,
        soft_cap: Some(2),
        superslab_lg: 19,
        ..Knobs::DEFAULT
    };

    OptionA OPTION_A {
        id: "option-a", parent: Some("superslab"), rank: 17, twin: Some("option-a-hash"), default: false,
        doc: "Variant `option-a`: `superslab` with `recycle = freelist`.\n\nDoes recycling EMPTY slabs keep the pool from falling back to the system?",
    } = Knobs {
        recycle: Recycle::Freelist,
        ..SUPERSLAB
    };

    SuperslabHash SUPERSLAB_HASH {
        id: "superslab-hash", parent: Some("superslab"), rank: 18, twin: None, default: false,
        doc: "Variant `superslab-hash`: `superslab` with `registry = hash`.\n\nWhat does a hash table with a thread-local hint save over the linear registry?",
    } = Knobs {
        registry: Registry::Hash,
        ..SUPERSLAB
    };

    OptionAHash OPTION_A_HASH {
        id: "option-a-hash", parent: Some("option-a"), rank: 19, twin: None, default: false,
        doc: "Variant `option-a-hash`: `option-a` with `registry = hash`.\n\nWhat does a hash table with a thread-local hint save over the linear registry?",
    } = Knobs {
        registry: Registry::Hash,
        ..OPTION_A
    };

    OptionAb OPTION_AB {
        id: "option-ab", parent: Some("option-a"), rank: 20, twin: Some("option-ab-hash"), default: false,
        doc: "Variant `option-ab`: `option-a` with `superslab_lg = 21`.\n\nDo SuperSlabs of 2 MiB lift the limit that two of 512 KiB put on a class?",
    } = Knobs {
        superslab_lg: 21,
        ..OPTION_A
    };

    OptionAd OPTION_AD {
        id: "option-ad", parent: Some("option-a"), rank: 21, twin: Some("option-ad-hash"), default: false,
        doc: "Variant `option-ad`: `option-a` with `empty_scan_limit = 64`.\n\nDoes a longer look for EMPTY slabs in stage 0.5 pay?",
    } = Knobs {
        empty_scan_limit: 64,
        ..OPTION_A
    };

    OptionAbHash OPTION_AB_HASH {
        id: "option-ab-hash", parent: Some("option-ab"), rank: 22, twin: None, default: false,
        doc: "Variant `option-ab-hash`: `option-ab` with `registry = hash`.\n\nWhat does a hash table with a thread-local hint save over the linear registry?",
    } = Knobs {
        registry: Registry::Hash,
        ..OPTION_AB
    };

    OptionAbd OPTION_ABD {
        id: "option-abd", parent: Some("option-ab"), rank: 23, twin: Some("option-abd-hash"), default: false,
        doc: "Variant `option-abd`: `option-ab` with `empty_scan_limit = 64`.\n\nDoes a longer look for EMPTY slabs pay with SuperSlabs of 2 MiB?",
    } = Knobs {
        empty_scan_limit: 64,
        ..OPTION_AB
    };

    OptionAdHash OPTION_AD_HASH {
        id: "option-ad-hash", parent: Some("option-ad"), rank: 24, twin: None, default: false,
        doc: "Variant `option-ad-hash`: `option-ad` with `registry = hash`.\n\nWhat does a hash table with a thread-local hint save over the linear registry?",
    } = Knobs {
        registry: Registry::Hash,
        ..OPTION_AD
    };

    OptionAbdHash OPTION_ABD_HASH {
        id: "option-abd-hash", parent: Some("option-abd"), rank: 25, twin: None, default: false,
        doc: "Variant `option-abd-hash`: `option-abd` with `registry = hash`.\n\nWhat does a hash table with a thread-local hint save over the linear registry?",
    } = Knobs {
        registry: Registry::Hash,
        ..OPTION_ABD
    };

    AddressMap ADDRESS_MAP {
        id: "address-map", parent: Some("option-abd-hash"), rank: 26, twin: None, default: false,
        doc: "Variant `address-map`: `option-abd-hash` with `registry = map`.\n\nWhat does a map from address to SuperSlab save over the hash table?",
    } = Knobs {
        registry: Registry::Map,
        ..OPTION_ABD_HASH
    };

    Uncapped UNCAPPED {
        id: "uncapped", parent: Some("address-map"), rank: 27, twin: None, default: false,
        doc: "Variant `uncapped`: `address-map` with `soft_cap = none`.\n\nWhat is left of the fallbacks when the cap on SuperSlabs goes?",
    } = Knobs {
        soft_cap: None,
        ..ADDRESS_MAP
    };

    CentralLists CENTRAL_LISTS {
        id: "central-lists", parent: Some("uncapped"), rank: 28, twin: None, default: false,
        doc: "Variant `central-lists`: `uncapped` with `backend = central`.\n\nDoes it pay to find slabs with free blocks again, in central lists that no thread owns?",
    } = Knobs {
        backend: Backend::Central,
        ..UNCAPPED
    };

    FineClasses FINE_CLASSES {
        id: "fine-classes", parent: Some("central-lists"), rank: 29, twin: None, default: false,
        doc: "Variant `fine-classes`: `central-lists` with `size_classes = eighths`.\n\nDo fine size classes save memory, and what do they cost?",
    } = Knobs {
        size_classes: Table::Eighths,
        ..CENTRAL_LISTS
    };

    OwnLarge OWN_LARGE {
        id: "own-large", parent: Some("fine-classes"), rank: 30, twin: None, default: false,
        doc: "Variant `own-large`: `fine-classes` with `large = own`.\n\nWhat do spans and mappings of our own save over the system's malloc for large blocks?",
    } = Knobs {
        large: Large::Own,
        ..FINE_CLASSES
    };

    KeptMappings KEPT_MAPPINGS {
        id: "kept-mappings", parent: Some("own-large"), rank: 31, twin: None, default: false,
        doc: "Variant `kept-mappings`: `own-large` with `keep_mib = 64`.\n\nDoes keeping freed mappings for a while save their page faults?",
    } = Knobs {
        keep_mib: 64,
        ..OWN_LARGE
    };

    FreeByLayout FREE_BY_LAYOUT {
        id: "free-by-layout", parent: Some("kept-mappings"), rank: 32, twin: None, default: false,
        doc: "Variant `free-by-layout`: `kept-mappings` with `free_by = layout`.\n\nWhat does it save to free by the layout alone, without a lookup?",
    } = Knobs {
        free_by: FreeBy::Layout,
        ..KEPT_MAPPINGS
    };

    ByteBound BYTE_BOUND {
        id: "byte-bound", parent: Some("free-by-layout"), rank: 33, twin: None, default: false,
        doc: "Variant `byte-bound`: `free-by-layout` with `list_bound = bytes`.\n\nDoes a bound in bytes that follows demand save memory, and what does it cost?",
    } = Knobs {
        list_bound: Bound::Bytes,
        ..FREE_BY_LAYOUT
    };

    TransferCache TRANSFER_CACHE {
        id: "transfer-cache", parent: Some("byte-bound"), rank: 34, twin: None, default: false,
        doc: "Variant `transfer-cache`: `byte-bound` with `transfer_kib = 64`.\n\nDo threads that exchange batches get by with fewer atomics?",
    } = Knobs {
        transfer_kib: 64,
        ..BYTE_BOUND
    };

    FullestFirst FULLEST_FIRST {
        id: "fullest-first", parent: Some("transfer-cache"), rank: 35, twin: None, default: false,
        doc: "Variant `fullest-first`: `transfer-cache` with `partial = fullest`.\n\nDoes taking from the fullest slabs first save memory?",
    } = Knobs {
        partial: Partial::Fullest,
        ..TRANSFER_CACHE
    };

    FreshZero FRESH_ZERO {
        id: "fresh-zero", parent: Some("fullest-first"), rank: 36, twin: None, default: false,
        doc: "Variant `fresh-zero`: `fullest-first` with `fresh = known`.\n\nWhat does it save to know which memory is still zero?",
    } = Knobs {
        fresh: Fresh::Known,
        ..FULLEST_FIRST
    };

    PurgeSlots PURGE_SLOTS {
        id: "purge-slots", parent: Some("fresh-zero"), rank: 37, twin: None, default: false,
        doc: "Variant `purge-slots`: `fresh-zero` with `purge_ms = 500`.\n\nWhat does it cost to give unused memory back after a while, and what does it save?",
    } = Knobs {
        purge_ms: Some(500),
        ..FRESH_ZERO
    };

    PurgePages PURGE_PAGES {
        id: "purge-pages", parent: Some("purge-slots"), rank: 38, twin: None, default: false,
        doc: "Variant `purge-pages`: `purge-slots` with `purge_unit = pages`.\n\nWhat do free pages inside slabs in part-use give back?",
    } = Knobs {
        purge_unit: Unit::Pages,
        ..PURGE_SLOTS
    };

    SpreadLines SPREAD_LINES {
        id: "spread-lines", parent: Some("purge-pages"), rank: 39, twin: None, default: false,
        doc: "Variant `spread-lines`: `purge-pages` with `spread = apart`.\n\nDoes handing out the blocks of a cache line apart save threads from sharing one?",
    } = Knobs {
        spread: Spread::Apart,
        ..PURGE_PAGES
    };

    RoomToGrow ROOM_TO_GROW {
        id: "room-to-grow", parent: Some("spread-lines"), rank: 40, twin: None, default: false,
        doc: "Variant `room-to-grow`: `spread-lines` with `growth = roomy`.\n\nDo large blocks that grow, put where there is room ahead, grow where they are?",
    } = Knobs {
        growth: Growth::Roomy,
        ..SPREAD_LINES
    };

    ParkedLists PARKED_LISTS {
        id: "parked-lists", parent: Some("room-to-grow"), rank: 41, twin: None, default: false,
        doc: "Variant `parked-lists`: `room-to-grow` with `thread_exit = park`.\n\nWhat does a short-lived thread save that starts with the lists of one that ended?",
    } = Knobs {
        thread_exit: ThreadExit::Park,
        ..ROOM_TO_GROW
    };

    ReclaimFirst RECLAIM_FIRST {
        id: "reclaim-first", parent: Some("parked-lists"), rank: 42, twin: None, default: false,
        doc: "Variant `reclaim-first`: `parked-lists` with `reclaim = first`.\n\nWhat does it save to have what waits go back before more memory is mapped, and not by the clock alone?",
    } = Knobs {
        reclaim: Reclaim::First,
        ..PARKED_LISTS
    };

    FinerClasses FINER_CLASSES {
        id: "finer-classes", parent: Some("reclaim-first"), rank: 43, twin: None, default: false,
        doc: "Variant `finer-classes`: `reclaim-first` with `size_classes = finer`.\n\nWhat do eight size classes per doubling save from 2 KiB to 8 KiB too?",
    } = Knobs {
        size_classes: Table::Finer,
        ..RECLAIM_FIRST
    };

    ZeroDirty ZERO_DIRTY {
        id: "zero-dirty", parent: Some("finer-classes"), rank: 44, twin: None, default: false,
        doc: "Variant `zero-dirty`: `finer-classes` with `zeroing = dirty`.\n\nWhat does it save to write zeros only to those pages of a used mapping that hold something else?",
    } = Knobs {
        zeroing: Zeroing::Dirty,
        ..FINER_CLASSES
    };

    Arenas ARENAS {
        id: "arenas", parent: Some("zero-dirty"), rank: 45, twin: None, default: false,
        doc: "Variant `arenas`: `zero-dirty` with `arenas = 64`.\n\nIs a thread better off with slabs that others seldom touch than with the densest ones?",
    } = Knobs {
        arenas: 64,
        ..ZERO_DIRTY
    };

    MovedPages MOVED_PAGES {
        id: "moved-pages", parent: Some("arenas"), rank: 46, twin: None, default: false,
        doc: "Variant `moved-pages`: `arenas` with `join = moved`.\n\nDoes moving kept pages to where a large block lies save the page faults of a kept rest that is in pieces?",
    } = Knobs {
        join: Join::Moved,
        ..ARENAS
    };

    HeapShare HEAP_SHARE {
        id: "heap-share", parent: Some("moved-pages"), rank: 47, twin: None, default: false,
        doc: "Variant `heap-share`: `moved-pages` with `list_bound = share`.\n\nWhat does it save to let a thread keep more, where the heap is large?",
    } = Knobs {
        list_bound: Bound::Share,
        ..MOVED_PAGES
    };

    SpanCache SPAN_CACHE {
        id: "span-cache", parent: Some("heap-share"), rank: 48, twin: None, default: false,
        doc: "Variant `span-cache`: `heap-share` with `span_kib = 4096`.\n\nWhat does it save to let a thread keep a few free spans?",
    } = Knobs {
        span_kib: 4096,
        ..HEAP_SHARE
    };

    HugePages HUGE_PAGES {
        id: "huge-pages", parent: Some("span-cache"), rank: 49, twin: None, default: false,
        doc: "Variant `huge-pages`: `span-cache` with `huge = auto`.\n\nWhat does it save to have the kernel back each fresh segment of a large heap at once, by a huge page if it has one?",
    } = Knobs {
        huge: Huge::Auto,
        ..SPAN_CACHE
    };

    LentBlocks LENT_BLOCKS {
        id: "lent-blocks", parent: Some("huge-pages"), rank: 50, twin: None, default: false,
        doc: "Variant `lent-blocks`: `huge-pages` with `lending = page`.\n\nWhat does it save, in the C face, to give a class that a thread hardly uses blocks of the next power of two, and no slab of its own?",
    } = Knobs {
        lending: Lending::Page,
        ..HUGE_PAGES
    };

    StepwiseAccess STEPWISE_ACCESS {
        id: "stepwise-access", parent: Some("lent-blocks"), rank: 51, twin: None, default: false,
        doc: "Variant `stepwise-access`: `lent-blocks` with `access = stepwise`.\n\nWhat does it cost to give the slices of a segment access in steps, when they are first needed?",
    } = Knobs {
        access: Access::Stepwise,
        ..LENT_BLOCKS
    };

    Apex APEX {
        id: "apex", parent: Some("stepwise-access"), rank: 52, twin: None, default: true,
        doc: "Variant `apex`: `stepwise-access` with `thread_slot = inline`.\n\nWhat does it save to have the lists in the thread-local slot, and not a pointer to them?",
    } = Knobs {
        thread_slot: Slot::Inline,
        ..STEPWISE_ACCESS
    };
}
