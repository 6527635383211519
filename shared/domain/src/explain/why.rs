//! Alternatives and counterfactuals in words.

use crate::Timestamp;
use crate::alternatives::{Alternative, Rejected, WhyNot};
use crate::counterfactual::{Change, Counterfactual, Would};

use super::{class, hold};

/// A rejected alternative in words.
pub fn rejected(rejected: &Rejected) -> String {
    format!("{}: not {}: {}", rejected.stamp, alternative(rejected.alternative), why_not(&rejected.why))
}

const fn alternative(alternative: Alternative) -> &'static str {
    match alternative {
        Alternative::DoNothing => "to do nothing",
        Alternative::Cordon => "a cordon",
        Alternative::PartialEvacuation => "a partial evacuation",
        Alternative::PreScaleOnly => "pre-scaling alone",
        Alternative::EmergencyReturn => "an emergency return",
        Alternative::Latch => "a latch",
        Alternative::ReturnNow => "a return at once",
    }
}

fn why_not(why: &WhyNot) -> String {
    match why {
        WhyNot::Forbidden { reason } => hold(*reason).to_owned(),
        WhyNot::NotConfirmed => "no rule says yet that it fails".to_owned(),
        WhyNot::FullNotDead => "it is full, not dead, and the others would fill up too".to_owned(),
        WhyNot::GoesOnFailing { rps } => format!("{rps:.0} requests per second would go on failing"),
        WhyNot::ComesBackHalfAlive => {
            "Front Door has moved its load, and would send it back to a stamp half alive".to_owned()
        }
        WhyNot::SurvivorsCarryAll => "the survivors can carry all of it".to_owned(),
        WhyNot::SurvivorsShort { rps } => {
            format!("the survivors miss {rps:.0} requests per second of ready capacity")
        }
        WhyNot::StillFails => "it fails what it gets, however large the others are".to_owned(),
        WhyNot::SomethingServes => "something else serves and is not failing".to_owned(),
        WhyNot::NotHealthy => "our own probes do not see it healthy".to_owned(),
        WhyNot::TooSoon { until: Some(until) } => format!("not before {until}"),
        WhyNot::TooSoon { until: None } => "not yet".to_owned(),
        WhyNot::WatchedFirst => "each slice is watched before the next opens".to_owned(),
        WhyNot::Unneeded => "nothing asks for it".to_owned(),
    }
}

/// A counterfactual in words, told at `as_of`.
pub fn counterfactual(of: &Counterfactual, as_of: Timestamp) -> String {
    let would = match of.would {
        Would::Cordon => "would be cordoned",
        Would::NotCordon => "would not have been cordoned",
        Would::CloseGate => "would have all of its gate closed",
        Would::Latch => "would be latched",
        Would::Return => "would go on coming back",
        Would::NotStepBack => "would not have been taken out again",
        Would::StepBack => "would be taken out again",
        Would::Clear => "would no longer be suspect",
    };
    format!("{} {would} {}", of.stamp, change(&of.change, as_of))
}

fn change(change: &Change, as_of: Timestamp) -> String {
    let when = |at: Timestamp| {
        if at <= as_of { "now".to_owned() } else { format!("in {}", span(at.since(as_of).as_secs())) }
    };
    match change {
        Change::SecondClass { since, at } => {
            format!("{} if a second class had agreed since {since}", when(*at))
        }
        Change::TwoClasses { since } => {
            format!("now if two classes had agreed since {since}; an alert has no voice of its own")
        }
        Change::Lasts { until } => format!("{} if everything stays as it is", when(*until)),
        Change::Passes { at: Some(at) } => format!("{} at the earliest, when the time has passed", when(*at)),
        Change::Passes { at: None } => "once the time has passed".to_owned(),
        Change::NoContradiction { class: name } => format!("if {} did not see it healthy", class(*name)),
        Change::Without { class: name } => format!("if {} had not spoken against it", class(*name)),
        Change::Contradicted => "if any other class had seen it healthy".to_owned(),
        Change::MoreReady { instances } => {
            let more: Vec<String> =
                instances.iter().map(|(stamp, more)| format!("{more} more in {stamp}")).collect();
            format!("if there were more ready instances: {}", more.join(", "))
        }
        Change::Healthy => "if it were healthy".to_owned(),
        Change::Observed => "if our own probes had seen it".to_owned(),
        Change::LessLoad { rps } => format!("if {rps} requests per second less had arrived"),
        Change::AnotherServes => "if another stamp served".to_owned(),
        Change::AnotherOrigin => "if another origin were enabled".to_owned(),
        Change::NoFreeze => "if removals were not frozen".to_owned(),
        Change::Approved => "if an operator approved it".to_owned(),
        Change::Acknowledged => "if an operator acknowledged it".to_owned(),
        Change::Released => "if an operator released it and its evidence asks for it".to_owned(),
        Change::Resumed => "if the automation were not paused".to_owned(),
        Change::Readable => "if what decides about it could be read afresh".to_owned(),
        Change::Acts => "if the mode of its cause were act".to_owned(),
    }
}

fn span(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
