//! `libhakmem.so`, carried inside and written to a folder of this run.
//!
//! It is a file, since all programs that the program starts load it too: some outlive this process, and a descriptor of
//! it. A program that has loaded the library keeps it when the folder is removed.

use crate::{os_error, say};
use anyhow::{Context, Result, anyhow, bail};
use std::ffi::{CString, OsString};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

static LIBRARY: &[u8] = include_bytes!(env!("HAKMEM_LIBRARY_FILE"));

/// Characters that the loader, or the library, does not read as part of a file's name.
const NOT_IN_NAMES: &[u8] = b": $%";

pub(crate) struct Library {
    folder: PathBuf,
}

impl Library {
    /// Writes the library where programs can load it from.
    pub(crate) fn write() -> Result<Self> {
        let named = ["XDG_RUNTIME_DIR", "TMPDIR"].into_iter().filter_map(env::var_os);
        let usual = ["/tmp", "/var/tmp", "/dev/shm"].map(OsString::from);
        let mut why = anyhow!("there is no folder");
        for place in named.chain(usual) {
            match Self::write_in(Path::new(&place)) {
                Ok(library) => return Ok(library),
                Err(error) => why = error,
            }
        }
        Err(why.context("the library cannot be written"))
    }

    fn write_in(place: &Path) -> Result<Self> {
        check(place).with_context(|| place.display().to_string())?;
        let library = Self { folder: fresh_folder(place)? };
        let file = library.file();
        let mut open = fs::OpenOptions::new();
        open.write(true).create_new(true).mode(0o600);
        let mut written = open.open(&file).with_context(|| file.display().to_string())?;
        written.write_all(LIBRARY).with_context(|| file.display().to_string())?;
        Ok(library)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("libhakmem.so")
    }

    /// Adds the library before all others to be loaded, so that the program gets its allocator.
    pub(crate) fn preload(&self, command: &mut Command) {
        let mut list = self.file().into_os_string();
        if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            list.push(":");
            list.push(others);
        }
        command.env("LD_PRELOAD", list);
    }

    /// Returns the file of the summary; `None` if the user has sent it elsewhere.
    pub(crate) fn ask_for_summary(&self, command: &mut Command) -> Option<PathBuf> {
        if env::var_os("HAKMEM_STATS").is_some() {
            return None;
        }
        let file = self.folder.join("summary.json");
        command.env("HAKMEM_STATS", &file);
        Some(file)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            say(&format!("hakmem: {} stays behind: {error}\n", self.folder.display()));
        }
    }
}

/// True if programs can load a library from this folder.
fn check(place: &Path) -> Result<()> {
    if !place.is_absolute() {
        bail!("not an absolute path");
    }
    if place.as_os_str().as_bytes().iter().any(|byte| NOT_IN_NAMES.contains(byte)) {
        bail!("the loader splits such a name");
    }
    let name = CString::new(place.as_os_str().as_bytes())?;
    let mut about = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the name ends in 0, and there is room for the answer.
    if unsafe { libc::statvfs(name.as_ptr(), about.as_mut_ptr()) } != 0 {
        return Err(os_error("it cannot be looked at"));
    }
    // SAFETY: filled, as the call succeeded.
    let about = unsafe { about.assume_init() };
    if about.f_flag & libc::ST_NOEXEC != 0 {
        bail!("mounted noexec");
    }
    Ok(())
}

/// Makes a new folder that only this user can read.
fn fresh_folder(place: &Path) -> Result<PathBuf> {
    let template = place.join("hakmem-XXXXXX").into_os_string().into_vec();
    let mut name = CString::new(template)?.into_bytes_with_nul();
    // SAFETY: it ends in 0 and is ours to change.
    let made = unsafe { libc::mkdtemp(name.as_mut_ptr().cast()) };
    if made.is_null() {
        return Err(os_error("no folder can be made").context(place.display().to_string()));
    }
    name.pop();
    Ok(PathBuf::from(OsString::from_vec(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_the_loader_misreads_are_refused() {
        for place in ["tmp", "/tmp/a b", "/tmp/a:b", "/tmp/$LIB", "/tmp/%p", "/no such"] {
            assert!(check(Path::new(place)).is_err(), "{place}");
        }
    }

    #[test]
    fn a_folder_is_new_each_time() {
        let place = Path::new("/tmp");
        let (one, two) = (fresh_folder(place).expect("one"), fresh_folder(place).expect("two"));
        assert_ne!(one, two);
        fs::remove_dir(one).expect("empty");
        fs::remove_dir(two).expect("empty");
    }
}
