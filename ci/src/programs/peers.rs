//! `--peers`: Debian's builds of other allocators.

use super::rounds::{Allocator, Kind};
use crate::tools;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Name, library and package.
const PEERS: [(&str, &str, &str); 3] = [
    ("mimalloc2", "libmimalloc.so.2.0", "libmimalloc2.0"),
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
];

/// The peers that are there, or can be installed; the others are named in a line.
pub(super) fn found(skipped: &mut Vec<String>) -> Vec<Allocator> {
    let mut found = Vec::new();
    for (name, library, package) in PEERS {
        let allocator = library_of(library, package)
            .and_then(|path| Allocator::preloaded(name, Kind::Peer, &path));
        match allocator {
            Ok(allocator) => found.push(allocator),
            Err(error) => skipped.push(format!("peer {name} is left out: {error:#}")),
        }
    }
    found
}

fn library_of(library: &str, package: &str) -> Result<PathBuf> {
    if let Some(path) = path_of(library) {
        return Ok(path);
    }
    tools::install(package).with_context(|| format!("{library} is missing"))?;
    match path_of(library) {
        Some(path) => Ok(path),
        None => bail!("{library} is missing; `apt-get install {package}` installs it"),
    }
}

/// Where Debian has a library.
fn path_of(library: &str) -> Option<PathBuf> {
    let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    [folder.as_str(), "/usr/lib"]
        .iter()
        .map(|folder| Path::new(folder).join(library))
        .find(|path| path.exists())
}
