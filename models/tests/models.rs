//! Runs the models; each explores every interleaving up to its bound.

use hakmem_models::models::{
    behind_locks, chain, claim, forks, freelist, home, installed, key, lock, numbers, published,
    registry, remote,
};

#[test]
fn freelist_every_slab_is_in_one_place() {
    freelist::every_slab_is_in_one_place();
}

#[test]
fn freelist_without_the_tag_two_threads_get_one_slab() {
    freelist::without_the_tag_two_threads_get_one_slab();
}

#[test]
fn freelist_three_threads_acquire_and_retire() {
    freelist::three_threads_acquire_and_retire();
}

#[test]
fn claim_an_offer_is_won_once() {
    claim::an_offer_is_won_once();
}

#[test]
fn claim_looking_first_and_clearing_then_has_two_winners() {
    claim::looking_first_and_clearing_then_has_two_winners();
}

#[test]
fn lock_two_threads_take_turns() {
    lock::two_threads_take_turns();
}

#[test]
fn lock_three_threads_take_turns() {
    lock::three_threads_take_turns();
}

#[test]
fn lock_looking_before_giving_up_forgets_a_waiter() {
    lock::looking_before_giving_up_forgets_a_waiter();
}

#[test]
fn lock_looking_first_and_storing_lets_two_in() {
    lock::looking_first_and_storing_lets_two_in();
}

#[test]
fn remote_every_free_comes_home_once() {
    remote::every_free_comes_home_once();
}

#[test]
fn remote_the_owner_is_told_of_every_free() {
    remote::the_owner_is_told_of_every_free();
}

#[test]
fn remote_no_free_is_lost_when_the_owner_goes() {
    remote::no_free_is_lost_when_the_owner_goes();
}

#[test]
fn remote_leaving_without_a_look_loses_frees() {
    remote::leaving_without_a_look_loses_frees();
}

#[test]
fn remote_clearing_the_flag_last_loses_the_wake() {
    remote::clearing_the_flag_last_loses_the_wake();
}

#[test]
fn remote_an_orphan_is_adopted_once() {
    remote::an_orphan_is_adopted_once();
}

#[test]
fn published_one_stays_and_is_whole() {
    published::one_leaf_stays_and_is_whole();
}

#[test]
fn published_a_plain_store_loses_notes() {
    published::a_plain_store_loses_notes();
}

#[test]
fn published_a_relaxed_look_finds_an_unmade_leaf() {
    published::a_relaxed_look_finds_an_unmade_leaf();
}

#[test]
fn home_one_arena_wins_and_sees_what_the_last_home_did() {
    home::one_arena_wins_and_sees_what_the_last_home_did();
}

#[test]
fn home_who_loses_finds_the_slab_in_the_winner_s_arena() {
    home::who_loses_finds_the_slab_in_the_winner_s_arena();
}

#[test]
fn home_a_relaxed_leave_hides_what_the_last_home_did() {
    home::a_relaxed_leave_hides_what_the_last_home_did();
}

#[test]
fn home_a_relaxed_claim_misses_what_the_last_home_did() {
    home::a_relaxed_claim_misses_what_the_last_home_did();
}

#[test]
fn home_looking_first_and_storing_has_two_homes() {
    home::looking_first_and_storing_has_two_homes();
}

#[test]
fn key_all_threads_get_one_key() {
    key::all_threads_get_one_key();
}

#[test]
fn key_a_key_that_comes_too_late_is_deleted() {
    key::a_key_that_comes_too_late_is_deleted();
}

#[test]
fn forks_no_thread_goes_on_without_handlers() {
    forks::no_thread_goes_on_without_handlers();
}

#[test]
fn forks_a_handler_that_runs_says_that_it_is_registered() {
    forks::a_handler_that_runs_says_that_it_is_registered();
}

#[test]
fn forks_a_fork_comes_between_changes() {
    forks::a_fork_comes_between_changes();
}

#[test]
fn forks_two_forks_take_turns() {
    forks::two_forks_take_turns();
}

#[test]
fn forks_who_took_no_lock_gives_none_up() {
    forks::who_took_no_lock_gives_none_up();
}

#[test]
fn registry_what_the_directory_has_is_found() {
    registry::what_the_directory_has_is_found();
}

#[test]
fn registry_looking_first_and_storing_loses_a_superslab() {
    registry::looking_first_and_storing_loses_a_superslab();
}

#[test]
fn behind_locks_a_transfer_cache_hands_each_block_out_once() {
    behind_locks::a_transfer_cache_hands_each_block_out_once();
}

#[test]
fn behind_locks_a_parked_list_goes_to_one_thread() {
    behind_locks::a_parked_list_goes_to_one_thread();
}

#[test]
fn remote_a_push_finds_the_owner_s_heap() {
    remote::a_push_finds_the_owner_s_heap();
}

#[test]
fn remote_an_adopter_sees_what_the_last_owner_did() {
    remote::an_adopter_sees_what_the_last_owner_did();
}

#[test]
fn published_what_is_set_is_whole() {
    published::what_is_set_is_whole();
}

#[test]
fn chain_what_is_found_is_whole_and_none_is_lost() {
    chain::what_is_found_is_whole_and_none_is_lost();
}

#[test]
fn installed_once_and_whole() {
    installed::once_and_whole();
}

#[test]
fn installed_after_one_failed_another_tries() {
    installed::after_one_failed_another_tries();
}

#[test]
fn numbers_each_has_one_owner() {
    numbers::each_has_one_owner();
}
