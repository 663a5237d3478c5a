//! Holds the variant that a build selects, at compile time. `cargo ci test features` checks this file with each
//! feature, and names the expected variant in `HAKMEM_SELECTED`.

use hakmem::Observe;

const SELECTED: &str = match option_env!("HAKMEM_SELECTED") {
    Some(id) => id,
    // In a build by hand any variant will do.
    None => hakmem::Hakmem::ID,
};

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const _: () = assert!(
    is_same(SELECTED.as_bytes(), hakmem::Hakmem::ID.as_bytes()),
    "hakmem::Hakmem is not the variant that docs/variants.md says"
);
