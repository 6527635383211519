//! Which loss a quota falls short for, and when what was once found short is over.

use std::time::Duration;

use crate::facts::QuotaFacts;
use crate::fold::FoldNote;
use crate::quota::{QuotaShort, learn};
use crate::state::Stage;
use crate::testing::{STAMPS, Story};
use crate::{StampId, Timestamp};

const ONE: &str = "eastus2";
const SHORT: &str = "centralus";
const THIRD: &str = "westus";

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// `ONE`, `SHORT` and `THIRD`, as many as are given, by their requests per second, and the quota of `SHORT`.
fn demanding(demands: &[f64], instances_max: u32) -> Story {
    let mut story = Story::calm(demands.len());
    for (stamp, rps) in STAMPS.iter().zip(demands) {
        story.state.cases.get_mut(&StampId::from(*stamp)).unwrap().demand_rps = *rps;
    }
    story.state.quota.insert(SHORT.into(), QuotaFacts { read_at: story.now, instances_max });
    story
}

fn short(story: &Story) -> Option<&QuotaShort> {
    story.state.cases[&StampId::from(SHORT)].quota_short.as_ref()
}

/// 300 requests per second of its own and three instances; 15 % head-room, 150 requests per second an instance.
#[test]
fn of_two_losses_the_worse_is_told_and_of_two_equal_ones_the_first_by_name() {
    for (one, third, expected) in [
        // Without the one, half of 600 come: 600 x 1.15 on 4.6. Without the third, a third of 300.
        (600.0, 300.0, (ONE, 5)),
        (300.0, 600.0, (THIRD, 5)),
        // A third of 600 comes, whichever is lost: 500 x 1.15 on 3.8.
        (600.0, 600.0, (ONE, 4)),
    ] {
        let mut story = demanding(&[one, 300.0, third], 3);
        let notes = learn(&mut story.state, &story.policy);
        assert!(matches!(&notes[..], [FoldNote::QuotaShort { .. }]), "{notes:?}");
        let found = short(&story).expect("three do not carry it");
        assert_eq!((found.without.as_str(), found.needed, found.most), (expected.0, expected.1, 3));
        assert_eq!((found.since, found.seen_at), (story.now, story.now), "{one} and {third}");
    }
}

/// What was found `ago`, when the quota was four and `needed` instances were needed.
fn found(story: &mut Story, needed: u32, ago: Duration) -> QuotaShort {
    let at = story.now.before(ago);
    let found = QuotaShort { since: at, seen_at: at, without: ONE.into(), needed, most: 4 };
    story.state.cases.get_mut(&StampId::from(SHORT)).unwrap().quota_short = Some(found.clone());
    found
}

/// 100 requests per second each: two instances carry both, whatever the quota.
#[test]
fn what_was_short_is_over_when_the_quota_was_raised_to_what_it_lacked() {
    for (needed, quota, over) in
        [(5, 4, false), (5, 5, true), (5, 6, true), (6, 5, false), (6, 6, true), (6, 3, false)]
    {
        let mut story = demanding(&[100.0, 100.0], quota);
        let before = found(&mut story, needed, Duration::from_secs(3_600));
        let notes = learn(&mut story.state, &story.policy);
        let what = format!("{needed} needed of four, and {quota} now");
        assert_eq!(short(&story), (!over).then_some(&before), "{what}");
        let told = usize::from(over);
        assert_eq!(notes.len(), told, "{what}");
        assert!(notes.iter().all(|note| matches!(note, FoldNote::QuotaEnough { .. })), "{notes:?}");
    }
}

#[test]
fn what_was_short_is_remembered_for_a_day_and_no_longer() {
    let moment = Duration::from_millis(1);
    for (ago, over) in [(DAY.saturating_sub(moment), false), (DAY, false), (DAY + moment, true)] {
        let mut story = demanding(&[100.0, 100.0], 4);
        let before = found(&mut story, 5, ago);
        let notes = learn(&mut story.state, &story.policy);
        assert_eq!((short(&story), notes.len()), ((!over).then_some(&before), usize::from(over)), "{ago:?}");
    }
    // Found again, it is as old as it was, and seen now.
    let mut story = demanding(&[300.0, 300.0], 4);
    let before = found(&mut story, 5, DAY + moment);
    assert_eq!(learn(&mut story.state, &story.policy), []);
    assert_eq!(short(&story), Some(&QuotaShort { seen_at: story.now, ..before }));
    // A quota that is not known any more does not end it before its day is over.
    let mut story = demanding(&[100.0, 100.0], 9);
    let before = found(&mut story, 5, DAY);
    story.state.quota.get_mut(&StampId::from(SHORT)).unwrap().read_at = Timestamp::default();
    assert_eq!((learn(&mut story.state, &story.policy).len(), short(&story)), (0, Some(&before)));
}

#[test]
fn nothing_is_learnt_while_a_stamp_is_out_or_suspect() {
    for (stage, learns) in [
        (Stage::Serving, true),
        (Stage::Held, true),
        (Stage::Suspect, false),
        (Stage::Evacuating, false),
        (Stage::Cordoned, false),
        (Stage::Proving, false),
        (Stage::Readmitting, false),
    ] {
        let mut story = demanding(&[300.0, 300.0], 4);
        story.state.cases.get_mut(&StampId::from(ONE)).unwrap().stage = stage;
        let notes = learn(&mut story.state, &story.policy);
        assert_eq!((short(&story).is_some(), notes.len()), (learns, usize::from(learns)), "{stage:?}");
    }
}
