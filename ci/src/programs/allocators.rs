//! The allocators that a program runs under.

use crate::tools;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// An allocator, by where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    System,
    Variant,
    /// A peer, as Debian builds it.
    Peer,
}

pub(super) struct Allocator {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The library that the loader loads before all others.
    pub(super) library: Option<PathBuf>,
}

/// Name, library and package.
pub(super) const PEERS: [(&str, &str, &str); 3] = [
    ("mimalloc2", "libmimalloc.so.2.0", "libmimalloc2.0"),
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
];

impl Allocator {
    /// The system's malloc, and these libraries of variants.
    pub(super) fn ours(libraries: &[(String, PathBuf)]) -> Result<Vec<Self>> {
        let system = Self { name: "system".to_owned(), kind: Kind::System, library: None };
        let variants =
            libraries.iter().map(|(id, library)| Self::preloaded(id, Kind::Variant, library));
        std::iter::once(Ok(system)).chain(variants).collect()
    }

    fn preloaded(name: &str, kind: Kind, library: &Path) -> Result<Self> {
        let path = fs_err::canonicalize(library)?;
        let shown = path.display().to_string();
        ensure!(
            !shown.contains([' ', ':']),
            "{shown} cannot be in LD_PRELOAD, where blanks and colons separate paths"
        );
        Ok(Self { name: name.to_owned(), kind, library: Some(path) })
    }

    /// Finds a peer, or installs it.
    pub(super) fn peer((name, library, package): (&str, &str, &str)) -> Result<Self> {
        let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let find = || {
            let mut paths = [&folder, "/usr/lib"].map(|it| Path::new(it).join(library)).into_iter();
            paths.find(|path| path.exists())
        };
        if find().is_none() {
            tools::install(&[package]).with_context(|| format!("{library} is missing"))?;
        }
        let missing = || format!("{library} is missing; `apt-get install {package}` installs it");
        Self::preloaded(name, Kind::Peer, &find().with_context(missing)?)
    }
}
