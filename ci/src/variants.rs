//! `cargo ci variants`: writes the files that are generated from the variants' files, and from the source.

use crate::invariants;
use crate::workspace::root;
use anyhow::{Context, Result, anyhow, ensure};
use hakmem_tree::Generated;

/// Writes the generated files that are stale.
pub(crate) fn write() -> Result<()> {
    for Generated { path, text } in stale()? {
        let file = root().join(&path);
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        println!("written: {}", path.display());
    }
    Ok(())
}

/// Fails if a generated file is stale.
pub(crate) fn check() -> Result<()> {
    let stale = stale()?;
    let paths: Vec<_> = stale.iter().map(|file| file.path.display().to_string()).collect();
    ensure!(stale.is_empty(), "stale: {}; `cargo ci variants` writes it", paths.join(", "));
    Ok(())
}

fn stale() -> Result<Vec<Generated>> {
    let mut files = hakmem_tree::generated(root()).map_err(|message| anyhow!(message))?;
    files.retain(|file| {
        std::fs::read_to_string(root().join(&file.path)).ok().as_ref() != Some(&file.text)
    });
    let page = invariants::stale()?;
    files.extend(page.map(|text| Generated { path: invariants::PAGE.into(), text }));
    Ok(files)
}
