//! One file per structure. Each shows that the structure holds in every interleaving, and that the
//! bug its guard is there for is found when the guard is taken out.

pub mod behind_locks;
pub mod chain;
pub mod claim;
pub mod forks;
pub mod freelist;
pub mod home;
pub mod installed;
pub mod key;
pub mod lock;
pub mod numbers;
pub mod published;
pub mod registry;
pub mod remote;

/// Runs a model with at most three forced switches of thread, which keeps each under a few seconds.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Whether the model checker finds a fault. It says which, on standard error.
fn finds_a_fault(model: impl Fn() + Sync + Send + 'static) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(model))).is_err()
}
