//! Layer 9: the public interface. Each variant is a `GlobalAlloc`, and can be observed.

mod background;
mod by_address;
mod limit;
mod observe;
mod sample;
mod stamp;
mod system;
mod unload;
mod watched;

pub use crate::backend::LimitHandler;
pub use crate::stats::{Acquisitions, Audit, Events, PerClass, Unsound, Usage};
pub use background::background;
pub use by_address::ByAddress;
pub use limit::{set_limit, set_limit_handler};
pub use observe::Observe;
pub use sample::sample;
pub use stamp::*;
