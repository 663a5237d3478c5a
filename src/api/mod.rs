//! Layer 8: what a program sees. `GlobalAlloc` for each variant, and a look inside.

mod dispatch;
mod observe;
mod stamp;

pub use crate::heap::{Audit, Unsound};
pub use crate::stats::{Acquisitions, Events, PerClass};
pub use observe::Observe;
pub use stamp::*;
