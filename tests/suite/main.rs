//! The tests of the library, one program for all variants of the build.

mod access;
mod aging;
mod arenas;
mod by_address;
mod exhaustion;
mod guarded;
mod kernel;
mod limit;
mod lookup;
mod misuse;
mod recycling;
mod refused_mappings;
mod returning;
mod sampled;
mod shadow_map;
mod source;
mod testbed;
mod threads;

/// No test of its own: a child of another test runs what `CASE` names.
#[test]
fn as_child() {
    let Ok(case) = std::env::var("CASE") else { return };
    let words: Vec<&str> = case.split(' ').collect();
    match words[..] {
        ["aging", case] => aging::run(case),
        ["access", id, "fresh"] => access::of_a_fresh_heap(testbed::bed(id)),
        ["access", "apex", "refused"] => access::of_a_heap_that_gets_no_more(),
        ["exhaustion", id, spare] => exhaustion::run_dry(testbed::bed(id), spare),
        #[cfg(feature = "all-variants")]
        ["guarded", id, program, size] => guarded::run(testbed::bed(id), program, size),
        ["misuse", id, program] => misuse::run(testbed::bed(id), program),
        #[cfg(all(feature = "stats", feature = "all-variants"))]
        ["recycling", case] => recycling::run(case),
        #[cfg(feature = "preload")]
        ["refused_mappings", "c-face"] => by_address::refuse_each_mapping(),
        ["limit", "handler"] => limit::the_handler_makes_room_by_itself(),
        ["refused_mappings", id] => refused_mappings::run(testbed::bed(id)),
        ["where_all_is_locked"] => refused_mappings::run_where_all_is_locked(),
        ["where_nothing_is_unmapped"] => refused_mappings::run_where_nothing_is_unmapped(),
        ["in_background", case] => refused_mappings::run_in_background(case),
        ["sampled", id, program] => sampled::run(testbed::bed(id), program),
        ["returning", id, name] => returning::run(testbed::bed(id), name),
        ["threads", id, "race"] => threads::race_for_the_first_superslabs(testbed::bed(id)),
        ["threads", id, "forks"] => threads::fork_while_others_allocate(testbed::bed(id)),
        ["threads", "apex", "parked"] => threads::lists_of_an_ended_thread_serve_the_next(),
        ["threads", "apex", "not_for_good"] => threads::lists_that_nobody_takes_go_home(),
        ["threads", "apex", "idle_spans"] => threads::spans_that_are_idle_go_home(),
        ["threads", "apex", "no_keys"] => threads::no_key_is_left(),
        ["threads", "apex", "spans"] => threads::spans_that_wait_are_sound(),
        _ => panic!("no case {case}"),
    }
}
