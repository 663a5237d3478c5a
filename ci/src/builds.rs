//! Many builds that differ in a feature, several at a time, since linking a program takes one core.
//!
//! Builds in one folder wait for each other in cargo, so each worker has a folder of its own. A build's name alone
//! decides its folder, so a later run finds what was built before.

use crate::workspace;
use anyhow::{Result, anyhow};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

/// Most folders that are filled: each takes some hundred MB.
const MOST_WORKERS: usize = 8;

/// Builds each name in a folder. Returns the results in the order of the names, or the first error, after all builds
/// have ended.
pub(crate) fn each<N, T>(
    names: &[N],
    build: impl Fn(&str, &Path) -> Result<T> + Sync,
) -> Result<Vec<T>>
where
    N: AsRef<str> + Sync,
    T: Send,
{
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let workers = cores.min(MOST_WORKERS);
    let of_worker = |worker: usize| -> Result<Vec<(usize, T)>> {
        let folder = folder(worker);
        let names = names.iter().map(AsRef::as_ref).enumerate();
        let own = names.filter(|(_, name)| worker_of(name, workers) == worker);
        own.map(|(place, name)| Ok((place, build(name, &folder)?))).collect()
    };
    let of_worker = &of_worker;
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || of_worker(worker))).collect();
        let ended: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let mut built = Vec::new();
        for part in ended {
            built.extend(part.map_err(|_| anyhow!("a build panicked"))??);
        }
        built.sort_by_key(|(place, _)| *place);
        Ok(built.into_iter().map(|(_, built)| built).collect())
    })
}

fn folder(worker: usize) -> PathBuf {
    workspace::target().join(format!("builds/{worker}"))
}

/// FNV-1a, which gives one hash in every run.
fn worker_of(name: &str, workers: usize) -> usize {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811C_9DC5, mix) as usize % workers
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn each_is_built_once_and_stays_in_its_place() {
        let names: Vec<String> = (0..50).map(|n| format!("variant-{n}")).collect();
        let built = each(&names, |name, folder| Ok((name.to_owned(), folder.to_owned())));
        let built = built.expect("no build fails");
        assert!(built.iter().map(|(name, _)| name).eq(&names));
        let again = each(&names[10..], |_, folder| Ok(folder.to_owned())).expect("as above");
        assert!(built[10..].iter().map(|(_, folder)| folder).eq(&again));
    }

    #[test]
    fn an_error_is_told() {
        let built = each(&["one", "two", "three"], |name, _| match name {
            "two" => bail!("no {name}"),
            _ => Ok(()),
        });
        assert_eq!(built.expect_err("two").to_string(), "no two");
    }
}
