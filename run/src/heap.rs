//! The library's summary of its heap.

use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;

/// Keys of the summary, and the names under which they are printed.
const FIGURES: [(&str, &str); 7] = [
    ("peak_mapped_bytes", "mapped at its peak"),
    ("mapped_bytes", "mapped at exit"),
    ("in_use_bytes", "in use at exit"),
    ("free_bytes", "free at exit"),
    ("large_bytes", "in large blocks"),
    ("large_blocks", "large blocks"),
    ("superslabs", "segments"),
];

pub(crate) enum Heap {
    Told(Value),
    /// Why there is no summary.
    Silent(String),
}

impl Heap {
    /// Reads the summary of the last process of the run that ended by itself.
    pub(crate) fn read(file: &Path) -> Self {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Self::Silent(
                    "the program ended by a signal or by _exit, or does not load libraries"
                        .to_owned(),
                );
            }
            Err(error) => return Self::Silent(error.to_string()),
        };
        match serde_json::from_str(&text) {
            Ok(summary) => Self::Told(summary),
            Err(error) => Self::Silent(error.to_string()),
        }
    }

    pub(crate) fn variant(&self) -> Option<&str> {
        let Self::Told(summary) = self else { return None };
        summary.get("variant")?.as_str()
    }

    /// The figures of the summary, as text.
    pub(crate) fn figures(&self) -> Vec<(&'static str, String)> {
        let Self::Told(summary) = self else { return Vec::new() };
        let figures = FIGURES.into_iter().filter_map(|(key, name)| {
            let number = summary.get(key)?.as_u64()?;
            let bytes = key.ends_with("_bytes");
            Some((name, if bytes { crate::print::mib(number) } else { number.to_string() }))
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_said_is_not_shown() {
        let heap = Heap::Told(json!({
            "variant": "apex", "in_use_bytes": 1_048_576, "large_blocks": 3, "superslabs": "many",
        }));
        assert_eq!(heap.variant(), Some("apex"));
        let shown = heap.figures();
        assert_eq!(
            shown,
            [("in use at exit", "1.00 MiB".to_owned()), ("large blocks", "3".to_owned())]
        );
        assert!(Heap::Told(json!([])).figures().is_empty());
    }

    #[test]
    fn no_file_is_no_failure() {
        assert!(matches!(Heap::read(Path::new("/no such file.json")), Heap::Silent(_)));
    }
}
