//! What every store must do, whatever it is made of: one suite, run over memory, files and Cosmos DB. Each rule is a
//! function that takes a fresh store.

mod audit;
mod concurrency;
pub mod fixtures;
mod gates;
mod ledger;
mod lines;
mod refusals;

use adapters::{AuditStore, GateStore, Ledger};

/// The rules of the ledger. `make` gives an empty one each time.
pub async fn ledger_conformance<L: Ledger>(make: impl Fn() -> L) {
    ledger::is_empty_at_first(&make()).await;
    ledger::takes_an_item_in_once(&make()).await;
    ledger::drains_urgent_items_first_then_by_time_and_id(&make()).await;
    ledger::remembers_consumed_items_until_they_are_trimmed(&make()).await;
    ledger::commits_all_parts_together(&make()).await;
    ledger::commits_only_on_the_current_parent(&make()).await;
    ledger::writes_a_step_only_at_its_expected_version(&make()).await;
    ledger::consumes_only_what_waits(&make()).await;
    ledger::forgets_only_steps_that_are_there(&make()).await;
    ledger::leaves_nothing_of_a_conflict(&make()).await;
    ledger::knows_its_own_commit_again(&make()).await;
    ledger::lets_one_claim_win(&make()).await;
    ledger::keeps_the_audit_in_pages(&make()).await;
    lines::finds_what_reading_everything_would(&make()).await;
    ledger::keeps_workloads_apart(&make()).await;
    ledger::gives_numbers_back_to_the_last_bit(&make()).await;
    refusals::refuses_records_that_do_not_chain(&make()).await;
    refusals::refuses_a_state_that_misnames_the_chain(&make()).await;
    refusals::refuses_what_breaks_the_bounds(&make()).await;
    refusals::refuses_what_could_not_be_read_back(&make()).await;
    refusals::refuses_a_generation_that_does_not_rise(&make()).await;
    refusals::prefers_a_conflict_to_a_refusal_when_the_parent_is_old(&make()).await;
    concurrency::one_of_eight_committers_wins(make()).await;
    concurrency::one_of_eight_claims_wins(make()).await;
    concurrency::eight_deliveries_are_one_item(make()).await;
    concurrency::survives_a_lost_answer(make()).await;
}

/// The rules of the ledger that need single operations alone, for an account whose batch is not atomic.
pub async fn single_operation_conformance<L: Ledger>(make: impl Fn() -> L) {
    ledger::is_empty_at_first(&make()).await;
    ledger::takes_an_item_in_once(&make()).await;
    ledger::drains_urgent_items_first_then_by_time_and_id(&make()).await;
    concurrency::eight_deliveries_are_one_item(make()).await;
}

/// The rules of the gates. `make` gives a store without any.
pub async fn gate_conformance<G: GateStore>(make: impl Fn() -> G) {
    gates::has_none_at_first(&make()).await;
    gates::reads_back_what_it_wrote(&make()).await;
    gates::lets_a_newer_generation_stand(&make()).await;
    gates::renews_within_a_generation(&make()).await;
    gates::ranks_epochs_over_numbers(&make()).await;
    gates::refuses_names_that_are_no_stamp(&make()).await;
    gates::refuses_another_schema(&make()).await;
    gates::the_newest_of_eight_writers_stays(make()).await;
    gates::a_reader_never_sees_half_a_document(make()).await;
    gates::survives_a_lost_answer(make()).await;
}

/// The rules of the append-only audit. `make` gives an empty one each time.
pub async fn audit_conformance<A: AuditStore>(make: impl Fn() -> A) {
    audit::stores_a_record_once(&make()).await;
    audit::never_overwrites(&make()).await;
    audit::keeps_both_sides_of_a_fork(&make()).await;
    audit::lists_in_pages_and_by_workload(&make()).await;
}

/// The rules of the audit that look at one workload, for an account that reads a query of one partition over all of them.
pub async fn one_workload_audit_conformance<A: AuditStore>(make: impl Fn() -> A) {
    audit::stores_a_record_once(&make()).await;
    audit::never_overwrites(&make()).await;
    audit::keeps_both_sides_of_a_fork(&make()).await;
}
