//! The knobs that a variant may set: the library's list, as a table.

/// The kinds of values that a knob takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One of these words; each has the value of its Rust enum, and its meaning.
    Choice(&'static [(&'static str, &'static str, &'static str)]),
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
    /// `superslab` and `central`; a variant of these sets it, or inherits it.
    Slabs,
    /// `central` only. Without a setting it has the default, which its ancestors have.
    Central,
}

/// One knob.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// The key under `[set]`.
    pub key: &'static str,
    /// The Rust type of its values.
    pub(crate) rust_type: &'static str,
    pub(crate) kind: Kind,
    /// The backends that read it.
    pub(crate) scope: Scope,
    /// Unit and meaning, for messages.
    pub(crate) meaning: &'static str,
}

macro_rules! knobs {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ident, $scope:ident, $values:tt;)*) => {
        /// All knobs, in the order of the list.
        pub(crate) const KNOBS: &[Knob] = &[$(Knob {
            key: stringify!($key),
            rust_type: stringify!($type),
            kind: kind!($values),
            scope: Scope::$scope,
            meaning: concat!($($doc),+),
        }),*];
    };
}

macro_rules! kind {
    ({ $($(#[doc = $doc:literal])+ $value:ident = $word:literal,)+ }) => {
        Kind::Choice(&[$(($word, stringify!($value), concat!($($doc),+))),+])
    };
    (($min:literal..=$max:literal)) => { Kind::Number { min: $min, max: $max } };
    ([$min:literal..=$max:literal]) => { Kind::NumberOrNone { min: $min, max: $max } };
}

include!("../../src/variant/knobs.rs");

/// The value a file gave to a knob, already known to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One of the words of a knob.
    Word(String),
    /// A number.
    Number(u32),
    /// `"none"` for a [`Kind::NumberOrNone`].
    Unlimited,
}

impl Knob {
    /// The knob with this key.
    #[must_use]
    pub fn by_key(key: &str) -> Option<&'static Self> {
        KNOBS.iter().find(|knob| knob.key == key)
    }

    /// The decision that it makes, without a full stop.
    pub(crate) fn meaning(&self) -> &'static str {
        self.meaning.trim().trim_end_matches('.')
    }

    /// The values that a file may write after `key =`, in words.
    pub(crate) fn allowed(&self) -> String {
        let values = match self.kind {
            Kind::Choice(words) => {
                words.iter().map(|(word, ..)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
            }
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::NumberOrNone { min, max } => {
                format!("a whole number from {min} to {max}, or \"none\"")
            }
        };
        format!("{values} ({})", self.meaning())
    }

    /// Checks a value from a file; `None` if it is not allowed.
    pub(crate) fn parse(&self, value: &toml::Value) -> Option<Value> {
        let number = |min: u32, max: u32| {
            let number = u32::try_from(value.as_integer()?).ok()?;
            (min..=max).contains(&number).then_some(Value::Number(number))
        };
        match self.kind {
            Kind::Choice(words) => {
                let word = value.as_str()?;
                words.iter().any(|(known, ..)| *known == word).then(|| Value::Word(word.to_owned()))
            }
            Kind::Number { min, max } => number(min, max),
            Kind::NumberOrNone { .. } if value.as_str() == Some("none") => Some(Value::Unlimited),
            Kind::NumberOrNone { min, max } => number(min, max),
        }
    }
}

impl Knob {
    /// A value in the library's notation.
    pub(crate) fn in_rust(&self, value: &Value) -> String {
        match (self.kind, value) {
            (Kind::Choice(words), Value::Word(word)) => {
                let of_word = words.iter().find(|(known, ..)| known == word);
                let (_, name, _) = of_word.expect("checked by `parse`");
                format!("{}::{name}", self.rust_type)
            }
            (Kind::NumberOrNone { .. }, Value::Number(number)) => format!("Some({number})"),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Unlimited | Value::Word(_)) => "None".to_owned(),
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
