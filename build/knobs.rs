//! What a variant may set: one row per knob.
//!
//! This table is the only list of knobs outside `src/variant/`; the error
//! messages, the docs' table and the emitted constants all come from it.

/// What values a knob takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One of these words; each is a variant of the Rust enum of that name.
    Choice { rust_enum: &'static str, words: &'static [&'static str] },
    /// A whole number in this range.
    Number { min: u32, max: u32 },
    /// A whole number in this range, or `"none"` for no limit.
    NumberOrNone { min: u32, max: u32 },
}

/// The backends that read a knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every backend: the knob that chooses it.
    All,
    /// `superslab` and `central`; a variant of these has it set, itself or by a parent.
    Slabs,
    /// `central` only. Where nobody sets it, the default in `src/variant/` holds: the way of its
    /// parents.
    Central,
}

/// One knob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knob {
    /// The key under `[set]`.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// Which backends read it.
    pub(crate) scope: Scope,
    /// Unit and meaning, for messages.
    pub(crate) meaning: &'static str,
}

const fn knob(key: &'static str, kind: Kind, meaning: &'static str) -> Knob {
    Knob { key, kind, scope: Scope::Slabs, meaning }
}

const fn central(key: &'static str, kind: Kind, meaning: &'static str) -> Knob {
    Knob { key, kind, scope: Scope::Central, meaning }
}

const fn choice(rust_enum: &'static str, words: &'static [&'static str]) -> Kind {
    Kind::Choice { rust_enum, words }
}

pub(crate) const KNOBS: &[Knob] = &[
    Knob {
        key: "backend",
        kind: choice("Backend", &["system", "superslab", "central"]),
        scope: Scope::All,
        meaning: "who serves the size classes",
    },
    knob(
        "size_classes",
        choice("Table", &["report", "quarters", "eighths", "finer"]),
        "table of block sizes",
    ),
    knob(
        "superslab_lg",
        Kind::Number { min: 19, max: 21 },
        "binary logarithm of a SuperSlab's bytes",
    ),
    knob(
        "registry",
        choice("Registry", &["linear", "hash", "map"]),
        "how an address is turned into its SuperSlab",
    ),
    knob(
        "recycle",
        choice("Recycle", &["none", "freelist"]),
        "what a drain does with a slab that it emptied",
    ),
    knob(
        "empty_scan_limit",
        // Not 0: what a dead thread leaves would never be found again.
        Kind::Number { min: 1, max: 1024 },
        "slabs that stage 0.5 looks at per acquisition",
    ),
    knob(
        "soft_cap",
        Kind::NumberOrNone { min: 1, max: 1024 },
        "SuperSlabs that may be mapped for one class",
    ),
    knob(
        "list_limit",
        Kind::Number { min: 1, max: 4096 },
        "blocks that a thread keeps per class before it drains",
    ),
    knob("batch", Kind::Number { min: 1, max: 4096 }, "blocks moved by one refill or drain"),
    central(
        "free_by",
        choice("FreeBy", &["lookup", "layout"]),
        "what tells a freed block's class and home",
    ),
    central("large", choice("Large", &["system", "own"]), "who serves sizes above the classes"),
    central("keep_mib", Kind::Number { min: 0, max: 4096 }, "MiB of freed mappings kept for reuse"),
    central(
        "list_bound",
        choice("Bound", &["blocks", "bytes"]),
        "what bounds a thread's list: `list_limit`, or bytes, by demand",
    ),
    central(
        "transfer_kib",
        Kind::Number { min: 0, max: 4096 },
        "KiB of batches kept per class between threads",
    ),
    central(
        "partial",
        choice("Partial", &["latest", "fullest"]),
        "which slab with free blocks is taken from first",
    ),
    central(
        "fresh",
        choice("Fresh", &["forgotten", "known"]),
        "whether memory that is still zero from the kernel is known to be",
    ),
    central(
        "purge_ms",
        Kind::NumberOrNone { min: 10, max: 60_000 },
        "milliseconds after which unused memory goes back to the kernel",
    ),
    central(
        "purge_unit",
        choice("Unit", &["slots", "pages"]),
        "what is purged: whole free slots, or free pages of slabs in part-use too",
    ),
    central(
        "reclaim",
        choice("Reclaim", &["timed", "first"]),
        "when what waits to be used again goes back: by the clock alone, or before more memory is mapped too",
    ),
    central(
        "zeroing",
        choice("Zeroing", &["all", "dirty"]),
        "what is written where a used mapping is to be zero: all of it, or the pages that hold something else",
    ),
    central(
        "thread_slot",
        choice("Slot", &["pointer", "inline"]),
        "what the thread-local slot holds: where the thread's lists are, or the lists",
    ),
    central(
        "thread_list",
        choice("ThreadList", &["linked", "magazine"]),
        "how a thread's list holds its blocks: by a link in each, or in an array of addresses",
    ),
    central(
        "thread_exit",
        choice("ThreadExit", &["drain", "park"]),
        "what becomes of a thread's lists when it ends: their blocks go back, or the next thread starts with them",
    ),
    central(
        "spread",
        choice("Spread", &["adjacent", "apart"]),
        "whether blocks that share a cache line are handed out one after the other",
    ),
    central("prefetch", choice("Prefetch", &["off", "next"]), "what an allocation prefetches"),
    central(
        "growth",
        choice("Growth", &["tight", "roomy"]),
        "where a large block that has grown is put, and how long its mapping is: as tight as can be, or with room to grow again",
    ),
    central(
        "foreign",
        choice("Foreign", &["next", "fatal"]),
        "what is done about a block that another allocator handed out, where blocks are freed by address: it goes there, or the program ends",
    ),
    central(
        "huge_pages",
        choice("HugePages", &["never", "large", "used"]),
        "where huge pages are asked for: nowhere, in blocks that cover some whole, or in SuperSlabs that are all in use too",
    ),
];

/// The value a file gave to a knob, already known to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Word(String),
    Number(u32),
    /// `"none"` for a [`Kind::NumberOrNone`].
    Unlimited,
}

impl Knob {
    pub(crate) fn by_key(key: &str) -> Option<&'static Self> {
        KNOBS.iter().find(|knob| knob.key == key)
    }

    /// What a file may write after `key =`, in words.
    pub(crate) fn allowed(&self) -> String {
        let values = match self.kind {
            Kind::Choice { words, .. } => {
                words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
            }
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::NumberOrNone { min, max } => {
                format!("a whole number from {min} to {max}, or \"none\"")
            }
        };
        format!("{values} ({})", self.meaning)
    }

    /// Checks a value from a file; `None` if it is not allowed.
    pub(crate) fn parse(&self, value: &toml::Value) -> Option<Value> {
        let number = |min: u32, max: u32| {
            let number = u32::try_from(value.as_integer()?).ok()?;
            (min..=max).contains(&number).then_some(Value::Number(number))
        };
        match self.kind {
            Kind::Choice { words, .. } => {
                let word = value.as_str()?;
                words.contains(&word).then(|| Value::Word(word.to_owned()))
            }
            Kind::Number { min, max } => number(min, max),
            Kind::NumberOrNone { .. } if value.as_str() == Some("none") => Some(Value::Unlimited),
            Kind::NumberOrNone { min, max } => number(min, max),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Number(number) => number.fmt(f),
            Self::Unlimited => f.write_str("none"),
        }
    }
}
