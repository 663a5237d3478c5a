//! Reads and checks the variant files, and resolves them into a tree.

use super::knobs::{KNOBS, Knob, Scope, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// All variants, by id.
#[derive(Debug)]
pub struct Tree {
    /// By id.
    pub variants: BTreeMap<String, Variant>,
}

/// One variant file, with all that it inherits.
#[derive(Clone, Debug)]
pub struct Variant {
    /// File name, Cargo feature and bench id.
    pub id: String,
    /// The Rust type: the id in CamelCase.
    pub type_name: String,
    /// The variant that it differs from by one decision; a root has none.
    pub parent: Option<String>,
    /// Edges between this variant and its root.
    pub depth: usize,
    /// The runs that it takes part in.
    pub group: Group,
    /// Its question.
    pub question: String,
    /// True for the variant that is `hakmem::Hakmem` when no feature names another.
    pub default: bool,
    /// The settings of this file: one knob, or all of them for a root.
    pub own: BTreeMap<&'static str, Value>,
    /// Every knob, own and inherited.
    pub knobs: BTreeMap<&'static str, Value>,
    /// Change against the parent that the file expects, in percent: metric → (low, high).
    pub expect: BTreeMap<String, (f64, f64)>,
    /// The founding report's figures for this variant.
    pub report: Report,
}

/// The runs that a variant takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The matrix.
    Matrix,
    /// A sweep over one knob: run by name, or for the verdicts.
    Sweep,
}

/// Figures from the founding report, as written there.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Millions of operations a second: from, to.
    pub m_ops_per_s: Option<(f64, f64)>,
    /// Time in the kernel.
    pub kernel_percent: Option<f64>,
    /// Acquisitions that stage 1 serves.
    pub stage1_percent: Option<f64>,
}

const TOP_KEYS: &[&str] = &["parent", "question", "group", "default", "set", "expect", "report"];
const EXPECT_KEYS: &[&str] = &["cycles_per_op", "peak_rss"];
const REPORT_KEYS: &[&str] = &["m_ops_per_s", "kernel_percent", "stage1_percent"];
/// Features that are not variants, and names that would collide with an item of the crate.
const RESERVED: &[&str] = &[
    "default",
    "stats",
    "hash-lookup",
    "all-variants",
    "preload",
    "valgrind",
    "asan",
    "hakmem",
    "self",
];

/// The variants' files in a folder, each with the stem of its name, in the order of their names.
pub(crate) fn files(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let io = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.push((stem, super::read(&path)?));
        }
    }
    files.sort();
    Ok(files)
}

impl Tree {
    /// Reads the files of a folder.
    ///
    /// # Errors
    /// In one line, the fault, its place, and the allowed values.
    pub fn read(folder: &Path) -> Result<Self, String> {
        Self::resolve(&files(folder)?)
    }

    /// Turns (file stem, content) pairs into a checked tree.
    ///
    /// # Errors
    /// In one line, the fault, its file, and the allowed values.
    pub fn resolve(files: &[(String, String)]) -> Result<Self, String> {
        Self::of(files).map_err(|fault| one_line(&fault))
    }

    fn of(files: &[(String, String)]) -> Result<Self, String> {
        let mut variants = BTreeMap::new();
        let mut types = BTreeMap::new();
        for (id, text) in files {
            let variant = parse(id, text)?;
            if let Some(other) = types.insert(variant.type_name.clone(), id) {
                return Err(format!(
                    "variants/{id}.toml: its type would be `{}`, which `{other}` has already",
                    variant.type_name
                ));
            }
            variants.insert(id.clone(), variant);
        }
        let mut tree = Self { variants };
        for (id, _) in files {
            tree.inherit(id)?;
        }
        let defaults: Vec<&str> =
            tree.variants.values().filter(|v| v.default).map(|v| v.id.as_str()).collect();
        match defaults[..] {
            [_] => Ok(tree),
            [] => Err("variants/: no file says `default = true`; exactly one must".into()),
            _ => Err(format!(
                "variants/{}.toml: `default = true` stands in {} too; exactly one file may say it",
                defaults[1], defaults[0]
            )),
        }
    }

    /// The one variant that says `default = true`.
    pub fn default_variant(&self) -> &Variant {
        self.variants.values().find(|v| v.default).expect("checked by `resolve`")
    }

    /// The ancestors of `id`: its parent, that one's parent, up to the root.
    pub fn ancestors(&self, id: &str) -> impl Iterator<Item = &Variant> {
        let parent = |variant: &&Variant| self.variants.get(variant.parent.as_deref()?);
        std::iter::successors(self.variants.get(id).and_then(|variant| parent(&variant)), parent)
    }

    /// The child of `id` whose one knob is the hash registry.
    pub fn hash_twin(&self, id: &str) -> Option<&Variant> {
        self.variants.values().find(|v| v.parent.as_deref() == Some(id) && v.is_hash_twin())
    }

    /// Walks up from `id` and fills in its depth and the knobs it inherits.
    fn inherit(&mut self, id: &str) -> Result<(), String> {
        let mut chain = vec![id.to_owned()];
        let mut at = &self.variants[id];
        while let Some(parent) = &at.parent {
            if chain.contains(parent) {
                chain.push(parent.clone());
                return Err(format!(
                    "variants/{id}.toml: `parent` goes in a cycle: {}; a chain of parents must end at a root",
                    chain.join(" -> ")
                ));
            }
            let Some(next) = self.variants.get(parent) else {
                let known = self.variants.keys().map(String::as_str).collect::<Vec<_>>();
                return Err(format!(
                    "variants/{}.toml: `parent` names \"{parent}\", which is no variant; allowed: {}",
                    at.id,
                    known.join(", ")
                ));
            };
            chain.push(parent.clone());
            at = next;
        }
        let mut knobs = BTreeMap::new();
        for ancestor in chain.iter().rev() {
            knobs.extend(self.variants[ancestor].own.clone());
        }
        check_together(id, &knobs)?;
        let variant = self.variants.get_mut(id).expect("it was found above");
        variant.depth = chain.len() - 1;
        variant.knobs = knobs;
        Ok(())
    }
}

/// A message, in which a character that would end the line or move the cursor is written as in a source file. Names and
/// values of a file may have any.
fn one_line(message: &str) -> String {
    let ends_a_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let shown = |c: char| match c {
        c if ends_a_line(c) => c.escape_default().to_string(),
        c => c.to_string(),
    };
    message.chars().map(shown).collect()
}

impl Variant {
    /// True if this differs from its parent by the hash registry alone.
    pub fn is_hash_twin(&self) -> bool {
        self.parent.is_some() && self.own.get("registry") == Some(&Value::Word("hash".into()))
    }

    /// How it finds what a freed block belongs to: `layout`, or the name of its registry.
    pub fn lookup(&self) -> String {
        let knob = |key: &str| self.knobs.get(key).map(Value::to_string);
        let layout = knob("free_by").filter(|by| by == "layout");
        layout.or_else(|| knob("registry")).unwrap_or_default()
    }

    /// True if its registry is the hash table, by its own choice or an ancestor's.
    pub fn looks_up_by_hash(&self) -> bool {
        self.knobs.get("registry") == Some(&Value::Word("hash".into()))
    }
}

/// Checks conditions over several keys: knobs that a backend needs, and knobs that limit each other.
fn check_together(id: &str, knobs: &BTreeMap<&'static str, Value>) -> Result<(), String> {
    let backend = knobs.get("backend").map(Value::to_string).unwrap_or_default();
    for knob in KNOBS {
        let allowed: &[&str] = match knob.scope {
            Scope::All => &["system", "superslab", "central"],
            Scope::Slabs => &["superslab", "central"],
            Scope::Central => &["central"],
        };
        let means_something = allowed.contains(&backend.as_str());
        let is_set = knobs.contains_key(knob.key);
        let must_be_set = knob.scope == Scope::All || knob.scope == Scope::Slabs && means_something;
        if must_be_set && !is_set {
            return Err(format!(
                "variants/{id}.toml: [set] `{}` is missing and no parent sets it; allowed: {}",
                knob.key,
                knob.allowed()
            ));
        }
        if is_set && !means_something && knob.scope != Scope::All {
            return Err(format!(
                "variants/{id}.toml: [set] `{}` means nothing with backend = \"{backend}\"; allowed: backend = {}",
                knob.key,
                allowed.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
            ));
        }
    }
    if backend == "central" {
        check_central(id, knobs)?;
    }
    if let (Some(Value::Number(limit)), Some(Value::Number(batch))) =
        (knobs.get("list_limit"), knobs.get("batch"))
        && batch > limit
    {
        return Err(format!(
            "variants/{id}.toml: [set] `batch` = {batch} is more than `list_limit` = {limit}; allowed: 1 to {limit}"
        ));
    }
    Ok(())
}

/// Conditions of the central backend: a knob and its value, and the other knob with the values that they need.
const NEEDS: &[(&str, &str, &str, &[&str])] = &[
    ("backend", "central", "superslab_lg", &["21"]),
    ("backend", "central", "recycle", &["freelist"]),
    ("backend", "central", "registry", &["map"]),
    ("backend", "central", "soft_cap", &["none"]),
    ("growth", "roomy", "large", &["own", "fenced"]),
    ("wipe", "checked", "tail", &["checked"]),
    ("large", "fenced", "tail", &["checked"]),
    ("empty", "unreadable", "tail", &["checked"]),
    ("headers", "fenced", "large", &["fenced"]),
];

fn check_central(id: &str, knobs: &BTreeMap<&'static str, Value>) -> Result<(), String> {
    let is = |key: &str, value: &str| knobs.get(key).is_some_and(|v| v.to_string() == value);
    for (key, value, other, needed) in NEEDS {
        if is(key, value) && !needed.iter().any(|needed| is(other, needed)) {
            let needed = needed.join(" or ");
            return Err(format!(
                "variants/{id}.toml: [set] `{key}` = {value} needs `{other}` = {needed}; allowed: only together"
            ));
        }
    }
    // A batch that waits between threads is linked through its first block's second word.
    let keeps = matches!(knobs.get("transfer_kib"), Some(Value::Number(1..)));
    if keeps && is("size_classes", "report") {
        return Err(format!(
            "variants/{id}.toml: [set] `transfer_kib` needs blocks of 16 bytes or more; allowed: `size_classes` other than \"report\""
        ));
    }
    Ok(())
}

fn parse(id: &str, text: &str) -> Result<Variant, String> {
    let file = format!("variants/{id}.toml");
    let type_name = type_name(id).ok_or_else(|| {
        format!(
            "{file}: the file's name is no identifier; allowed: lower-case letters and digits in words joined by '-', a letter first, and not {}",
            RESERVED.join(", ")
        )
    })?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("{file}: line {line}: not TOML: {}", e.message().replace('\n', " "))
    })?;
    only(&file, "", &table, TOP_KEYS)?;

    let parent = optional_text(&file, &table, "parent")?;
    let question = optional_text(&file, &table, "question")?
        .filter(|question| !question.is_empty())
        .ok_or_else(|| format!("{file}: `question` is missing; allowed: one sentence"))?;
    let group = match optional_text(&file, &table, "group")?.as_deref() {
        None | Some("matrix") => Group::Matrix,
        Some("sweep") => Group::Sweep,
        Some(other) => {
            return Err(format!("{file}: `group` = \"{other}\"; allowed: \"matrix\", \"sweep\""));
        }
    };
    let default = match table.get("default") {
        None => false,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| format!("{file}: `default` = {value}; allowed: true, false"))?,
    };

    let set = section(&file, &table, "set")?;
    let mut own = BTreeMap::new();
    for (key, value) in &set {
        let Some(knob) = Knob::by_key(key) else {
            let keys = KNOBS.iter().map(|knob| knob.key).collect::<Vec<_>>();
            return Err(format!("{file}: [set] `{key}` is no knob; allowed: {}", keys.join(", ")));
        };
        let parsed = knob.parse(value).ok_or_else(|| {
            format!("{file}: [set] `{key}` = {value}; allowed: {}", knob.allowed())
        })?;
        own.insert(knob.key, parsed);
    }
    if parent.is_some() && own.len() != 1 {
        let keys = own.keys().copied().collect::<Vec<_>>();
        return Err(format!(
            "{file}: [set] has {} knobs ({}); allowed: exactly one, since a variant is one decision away from its parent",
            own.len(),
            keys.join(", ")
        ));
    }

    Ok(Variant {
        id: id.to_owned(),
        type_name,
        parent,
        depth: 0,
        group,
        question,
        default,
        own,
        knobs: BTreeMap::new(),
        expect: parse_expect(&file, &section(&file, &table, "expect")?)?,
        report: parse_report(&file, &section(&file, &table, "report")?)?,
    })
}

/// `option-a` → `OptionA`; `None` if that would be no Rust type.
fn type_name(id: &str) -> Option<String> {
    let word_is_fine = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let starts_with_letter = id.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !starts_with_letter || !id.split('-').all(word_is_fine) || RESERVED.contains(&id) {
        return None;
    }
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    Some(id.split('-').map(capital).collect())
}

fn parse_expect(file: &str, table: &toml::Table) -> Result<BTreeMap<String, (f64, f64)>, String> {
    only(file, "[expect] ", table, EXPECT_KEYS)?;
    let mut expect = BTreeMap::new();
    for (key, value) in table {
        let range = value.as_str().and_then(percent_range).ok_or_else(|| {
            format!("{file}: [expect] `{key}` = {value}; allowed: a range like \"-40% .. -15%\"")
        })?;
        expect.insert(key.clone(), range);
    }
    Ok(expect)
}

/// `"-40% .. -15%"` → (-40, -15).
fn percent_range(text: &str) -> Option<(f64, f64)> {
    let percent = |part: &str| part.trim().strip_suffix('%')?.parse::<f64>().ok();
    let (low, high) = text.split_once("..")?;
    let (low, high) = (percent(low)?, percent(high)?);
    (low <= high).then_some((low, high))
}

fn as_number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

fn parse_report(file: &str, table: &toml::Table) -> Result<Report, String> {
    only(file, "[report] ", table, REPORT_KEYS)?;
    let number = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(value) => as_number(value)
            .map(Some)
            .ok_or_else(|| format!("{file}: [report] `{key}` = {value}; allowed: a number")),
    };
    let m_ops_per_s = match table.get("m_ops_per_s") {
        None => None,
        Some(value) => match value.as_array().map(Vec::as_slice) {
            Some([low, high]) => as_number(low).zip(as_number(high)),
            _ => None,
        }
        .map(Some)
        .ok_or_else(|| {
            format!("{file}: [report] `m_ops_per_s` = {value}; allowed: [lowest, highest]")
        })?,
    };
    Ok(Report {
        m_ops_per_s,
        kernel_percent: number("kernel_percent")?,
        stage1_percent: number("stage1_percent")?,
    })
}

fn only(file: &str, section: &str, table: &toml::Table, allowed: &[&str]) -> Result<(), String> {
    let allowed_set: BTreeSet<&str> = allowed.iter().copied().collect();
    match table.keys().find(|key| !allowed_set.contains(key.as_str())) {
        None => Ok(()),
        Some(key) => {
            Err(format!("{file}: {section}`{key}` is no key here; allowed: {}", allowed.join(", ")))
        }
    }
}

fn section(file: &str, table: &toml::Table, key: &str) -> Result<toml::Table, String> {
    match table.get(key) {
        None => Ok(toml::Table::new()),
        Some(toml::Value::Table(section)) => Ok(section.clone()),
        Some(value) => Err(format!("{file}: `{key}` = {value}; allowed: a section [{key}]")),
    }
}

fn optional_text(file: &str, table: &toml::Table, key: &str) -> Result<Option<String>, String> {
    match table.get(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text.clone())),
        Some(value) => Err(format!("{file}: `{key}` = {value}; allowed: a text in quotes")),
    }
}
