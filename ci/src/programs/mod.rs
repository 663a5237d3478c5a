//! stub
use anyhow::Result;
use std::path::PathBuf;
#[derive(clap::Args)]
pub(crate) struct Options {}
pub(crate) fn run(_: &Options) -> Result<()> {
    Ok(())
}
pub(crate) fn short(_: &[(String, PathBuf)]) -> Result<()> {
    Ok(())
}
