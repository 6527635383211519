//! The bounded part of the simulation that runs with every test: some worlds, the same seed twice, and every broken
//! controller caught by its checker.

use std::sync::atomic::AtomicBool;

use tests::simulation::adversary::attack;
use tests::simulation::draw::Seed;
use tests::simulation::report::{Batch, batch};
use tests::simulation::{Options, Sabotage, Store, Story, run, shipped_policy};

fn options(years: f64) -> Options {
    Options {
        policy: shipped_policy(),
        years,
        incidents: 100.0,
        troubled: 0.3,
        store: Store::Trusting,
        sample: 16,
        sabotage: None,
        story: Story::Untold,
    }
}

#[test]
fn no_checker_finds_anything_in_some_worlds() {
    let of = Batch { first: 1, seeds: 12, threads: 2, seconds: None };
    let sum = batch(of, &options(0.05), &AtomicBool::new(false), |_| {});
    assert!(sum.incidents_all() > 100 && sum.counters.crashes > 5 && sum.counters.pauses > 20, "{sum:?}");
    assert!(sum.violations.is_empty(), "replay with simulate --years 0.05 --seed N: {:?}", sum.violations);
}

/// Seeds of a year in which a checker once complained, kept with what they showed.
#[test]
fn seeds_that_were_bad_are_good() {
    // A standing false alert was the only voice while our own observers were silent: a wrong cordon.
    let alone_with_a_lie = 5_000_065;
    // A slow edge location obeyed an older configuration after the newer one. The world was wrong, not the controller.
    let older_after_newer = [5_000_084, 5_000_095];
    // Busy locations in the first slice: healthy, the region stepped back from its return for ever.
    let busy_slice = 6_000_094;
    // Clients who had left before the first symptom; a region that Front Door had dropped; a mistaken acknowledgement.
    let later = [7_000_009, 7_000_019, 7_000_022];
    // A floor whose outcome nobody heard stood until it expired.
    let unheard = [8_000_187, 8_000_289];
    // The same of a floor that was to be raised.
    let raised_unheard = [71_000_257, 71_000_417];
    // The commit that disabled an origin was lost with the write region, and nobody enabled it again.
    let lost_latch = 71_000_003;
    // A false alert of the edge beside a sick database outvoted the probes that saw the region serve.
    let outvoted = 30_000_235;
    // Readings from before a write, folded after it, were "somebody else's change" three times over.
    let backlog = 40_000_682;
    // "No clients" was believed before anybody said that Front Door had dropped the region; slow instances were counted as able.
    let thought_to_have_room = [90_000_427, 90_000_567];
    // A region that Front Door had dropped was counted by the checker as one that takes clients. The controller was right.
    let miscounted = 90_001_084;
    let alone = [alone_with_a_lie, busy_slice, outvoted, backlog, miscounted, lost_latch];
    for seed in older_after_newer
        .into_iter()
        .chain(alone)
        .chain(later)
        .chain(unheard)
        .chain(raised_unheard)
        .chain(thought_to_have_room)
    {
        let violations = run(seed, &Options { sample: 64, ..options(1.0) }).violations;
        assert!(violations.is_empty(), "replay with simulate --years 1 --seed {seed}: {violations:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let told = Options { story: Story::Told, ..options(0.04) };
    let (one, two) = (run(7, &told), run(7, &told));
    assert_eq!((one.digest, one.counters, one.story), (two.digest, two.counters, two.story));
    assert_ne!(one.digest, run(8, &told).digest);
}

#[test]
fn a_ledger_that_proves_its_documents_changes_nothing() {
    let proving = Options { store: Store::Proving, ..options(0.02) };
    let (trusting, proving) = (run(3, &options(0.02)), run(3, &proving));
    assert_eq!((trusting.digest, trusting.counters), (proving.digest, proving.counters));
}

#[test]
fn every_broken_controller_is_caught_by_its_checker() {
    let mut missed = Vec::new();
    for (sabotage, checker, seeds) in Sabotage::ALL {
        let broken = Options { sabotage: Some(sabotage), sample: 4, ..options(1.0) };
        let caught = (1..=seeds)
            .find(|seed| run(*seed, &broken).violations.iter().any(|violation| violation.checker == checker));
        if caught.is_none() {
            missed.push(format!("{checker} within {seeds} seeds"));
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn a_short_search_finds_no_third_cordon_and_no_closed_floor() {
    let found = attack(Seed(1), 300, 2, &shipped_policy(), &AtomicBool::new(false), |_| {});
    assert!(
        found.best[0].as_ref().is_some_and(|best| best.score.cordons > 0),
        "it must reach at least one cordon"
    );
    assert!(!found.is_broken(), "{}", found.report());
}
