//! Quotas ahead of time: a loss that a quota would not let the others carry is said while nothing is wrong, once, and what cannot
//! be read is neither none nor plenty.

use std::time::Duration;

use crate::capacity::shares_without;
use crate::facts::{Facts, QuotaFacts};
use crate::judge::replay;
use crate::notice::Notice;
use crate::state::Stage;
use crate::testing::{Direct, Story};
use crate::{Effect, ItemBody, StampId};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

/// The quota of `centralus` is read.
fn read(story: &mut Story, instances_max: u32) {
    let mut facts = Facts::default();
    facts.quota.insert(OTHER.into(), QuotaFacts { read_at: story.now, instances_max });
    story.put(ItemBody::Observed { signals: vec![], facts });
}

fn told(story: &Story) -> usize {
    let is_short = |kind: &serde_json::Value| *kind == serde_json::json!(Notice::QuotaShort);
    let kinds = story.records.iter().filter_map(|record| record.explanation["notices"].as_array());
    kinds.filter(|kinds| kinds.iter().any(is_short)).count()
}

fn possible(story: &Story) -> u32 {
    let out = [StampId::from(LOST)].into();
    shares_without(&story.state, &out, &story.policy)[&StampId::from(OTHER)].instances_possible
}

/// 300 requests per second each, 150 an instance: without the other, five instances are needed.
#[test]
fn a_quota_that_would_not_carry_a_loss_is_told_before_it_and_once() {
    let mut story = Story::calm(2);
    read(&mut story, 4);
    story.tick();
    let short = story.case(OTHER).quota_short.clone().unwrap();
    assert_eq!((short.without.as_str(), short.needed, short.most), (LOST, 5, 4));
    assert_eq!(story.case(LOST).quota_short, None, "nobody read its quota");
    let record = story.records.last().unwrap();
    let text = "centralus would need 5 instances if eastus2 were lost, and its quota allows 4: ask Azure for more before it is needed";
    assert_eq!(record.headline, text);
    assert_eq!(story.case(OTHER).stage, Stage::Serving);
    for _ in 0..20 {
        read(&mut story, 4);
        story.run(600);
    }
    assert_eq!(told(&story), 1, "it stands; it is no news");
    assert_eq!(story.case(OTHER).quota_short.as_ref().unwrap().since, short.since);
    read(&mut story, 30);
    story.tick();
    assert_eq!(story.case(OTHER).quota_short, None);
    let record = story.records.last().unwrap();
    assert!(record.because.iter().any(|line| line == "centralus is no longer known to be short of quota"));
    for record in &story.records {
        assert_eq!(replay(record, &story.policy), Ok(()), "{}", record.headline);
    }
}

#[test]
fn a_quota_that_carries_it_is_no_news() {
    let mut story = Story::calm(2);
    let before = story.records.len();
    read(&mut story, 5);
    story.tick();
    assert_eq!((story.case(OTHER).quota_short.as_ref(), story.records.len()), (None, before));
}

#[test]
fn less_demand_for_a_while_does_not_end_it() {
    let mut story = Story::calm(2);
    read(&mut story, 4);
    story.tick();
    for stamp in [LOST, OTHER] {
        story.scene(stamp).load_rps = 100.0;
    }
    read(&mut story, 4);
    story.run(3_600);
    assert!(story.case(OTHER).quota_short.is_some(), "it would be told again each morning");
    story.run(23 * 3_600 + 600);
    assert_eq!(story.case(OTHER).quota_short, None);
    assert_eq!(told(&story), 1);
}

#[test]
fn a_quota_that_nobody_could_read_for_an_hour_is_unknown_and_bounds_nothing() {
    let mut story = Story::calm(2);
    let policys = story.policy.capacity.instances_max;
    assert_eq!(possible(&story), policys, "never read: unknown, not none");
    read(&mut story, 4);
    story.tick();
    assert_eq!(possible(&story), 4);
    story.run(3_590);
    assert_eq!(possible(&story), 4);
    story.run(600);
    assert_eq!(possible(&story), policys, "too old");
    assert_eq!(crate::quota::instances_max(&story.state, &OTHER.into()), None);
}

#[test]
fn what_is_there_is_there_whatever_the_quota_says() {
    let mut story = Story::calm(2);
    read(&mut story, 0);
    story.tick();
    assert_eq!(possible(&story), 4);
}

/// Found by the drill of a short quota: what a full region was given as relief asked for more than it may have, and got none.
#[test]
fn relief_of_a_full_region_stays_within_its_quota_too() {
    let mut story = Story::calm(2);
    read(&mut story, 5);
    story.tick();
    let full = story.scene(OTHER);
    (full.direct, full.load_rps, full.saturation) = (Direct::Full, 1_200.0, 2.0);
    let mut asked = Vec::new();
    for _ in 0..12 {
        story.tick();
        asked.extend(story.created().iter().filter_map(|step| match &step.effect {
            Effect::RaiseFloor { stamp, minimum, .. } if stamp.as_str() == OTHER => Some(*minimum),
            _ => None,
        }));
    }
    assert_eq!(asked.first(), Some(&5), "{asked:?}");
}

#[test]
fn in_the_loss_no_more_is_asked_for_than_the_quota_allows() {
    let mut story = Story::calm(2);
    read(&mut story, 4);
    story.tick();
    story.scene(LOST).direct = Direct::Down;
    let mut asked = Vec::new();
    for _ in 0..30 {
        story.tick();
        asked.extend(story.created().iter().filter_map(|step| match &step.effect {
            Effect::RaiseFloor { stamp, minimum, .. } => Some((stamp.as_str().to_owned(), *minimum)),
            _ => None,
        }));
    }
    assert_eq!(story.case(LOST).stage, Stage::Cordoned, "its loss is no question of the quota");
    assert_eq!(asked.iter().find(|(stamp, _)| stamp == OTHER), Some(&(OTHER.to_owned(), 4)), "{asked:?}");
    assert_eq!(told(&story), 1);
    assert!(
        story.state.as_of.since(story.case(OTHER).quota_short.as_ref().unwrap().seen_at)
            > Duration::from_secs(60)
    );
}
