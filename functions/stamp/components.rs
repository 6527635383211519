//! The stamp's own checks, and what of them may take it out of rotation.

use std::time::Duration;

use adapters::cosmos::{Answer, CosmosCheck};
use domain::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{Component, ComponentCheck, ComponentStatus, Status};

/// Each check gets this long; they run side by side, so a round takes no longer.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// A component must fail hard in this many consecutive rounds before the gated view says so.
pub(super) const HARD_ROUNDS: u32 = 3;

/// The workload's account, read: a component of its own, since reads may go on where no write finds its region.
pub const COSMOS_READ: &str = "cosmos-read";

/// The workload's account, written.
pub const COSMOS_WRITE: &str = "cosmos-write";

/// Whose failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// In this stamp: its hard failure may take the stamp out of rotation.
    Local,
    /// Shared with other stamps, such as the database account: its failure shows as `Degraded` and never as 503, or
    /// all stamps would leave together.
    Shared,
}

/// One round over all checks, side by side.
pub(super) async fn round(
    http: &reqwest::Client,
    checks: &[ComponentCheck],
    cosmos: Option<&CosmosCheck>,
    before: &[Component],
    now: Timestamp,
) -> Vec<Component> {
    let (mut components, account) = tokio::join!(over_http(http, checks, before), of_account(cosmos, now));
    components.extend(account);
    components
}

/// What the account answered, read and write apart. It is shared with every other stamp, so neither ever counts as this
/// stamp's own failure: `hard_failures` stays 0. An account that is not connected to yet is not in the list, and neither is
/// one that refuses our request: that says something about our rights or settings, nothing about the account, and a stamp
/// that they degraded would never be let back in.
async fn of_account(cosmos: Option<&CosmosCheck>, now: Timestamp) -> Vec<Component> {
    let Some(cosmos) = cosmos else { return vec![] };
    let Some(look) = cosmos.look(now, CHECK_TIMEOUT).await else { return vec![] };
    let component = |(name, answer): (&str, Answer)| {
        let (status, detail) = told(name, answer)?;
        Some(Component { name: name.to_owned(), status, hard_failures: 0, detail })
    };
    [(COSMOS_READ, look.read), (COSMOS_WRITE, look.write)].into_iter().filter_map(component).collect()
}

fn told(name: &str, answer: Answer) -> Option<(ComponentStatus, String)> {
    Some(match answer {
        Answer::Well(Some(region)) => (ComponentStatus::Healthy, format!("answered by {region}")),
        Answer::Well(None) => (ComponentStatus::Healthy, "answered".to_owned()),
        Answer::Throttled => (ComponentStatus::Degraded, "answered: too many requests".to_owned()),
        Answer::Late => (ComponentStatus::Degraded, no_answer()),
        Answer::Refused(why) => {
            tracing::warn!(
                component = name,
                why,
                "the check of the workload's account is refused and left out of the view; give the stamp's identity its role \
                 on the container, and the settings CORDON_CHECK_COSMOS_.. the right names"
            );
            return None;
        }
        Answer::Failed(why) => (ComponentStatus::Failed, why),
    })
}

fn no_answer() -> String {
    format!("no answer within {} s", CHECK_TIMEOUT.as_secs())
}

async fn over_http(
    http: &reqwest::Client,
    checks: &[ComponentCheck],
    before: &[Component],
) -> Vec<Component> {
    let mut running = JoinSet::new();
    for (index, check) in checks.iter().enumerate() {
        let request = http.get(&check.url).timeout(CHECK_TIMEOUT).send();
        running.spawn(async move { (index, judge(request.await)) });
    }
    let mut results: Vec<Option<(ComponentStatus, String)>> = vec![None; checks.len()];
    while let Some(finished) = running.join_next().await {
        if let Ok((index, result)) = finished {
            results[index] = Some(result);
        }
    }
    checks
        .iter()
        .zip(results)
        .map(|(check, result)| {
            let (status, detail) =
                result.unwrap_or((ComponentStatus::Degraded, "the check broke off".to_owned()));
            let previous = before.iter().find(|component| component.name == check.name);
            let hard_failures = match (check.reach, status) {
                (Reach::Local, ComponentStatus::Failed) => {
                    previous.map_or(0, |component| component.hard_failures) + 1
                }
                _ => 0,
            };
            Component { name: check.name.clone(), status, hard_failures, detail }
        })
        .collect()
}

/// What the stamp says of itself. A shared dependency's failure degrades it; only its own hard failure is `Unhealthy`.
pub(super) fn status(components: &[Component]) -> Status {
    components.iter().fold(Status::Healthy, |worst, component| {
        let own = match component.status {
            ComponentStatus::Healthy => Status::Healthy,
            ComponentStatus::Failed if component.hard_failures > 0 => Status::Unhealthy,
            ComponentStatus::Failed | ComponentStatus::Degraded => Status::Degraded,
        };
        worst.max(own)
    })
}

/// Whether the gated view may answer 503 on the stamp's own account.
pub(super) fn failed_hard(components: &[Component]) -> bool {
    components.iter().any(|component| component.hard_failures >= HARD_ROUNDS)
}

fn judge(result: Result<reqwest::Response, reqwest::Error>) -> (ComponentStatus, String) {
    match result {
        Ok(response) => {
            let status = response.status();
            // "Full" is said with 429, or with 503 and Retry-After; both are load, not death.
            let full = status.as_u16() == 429
                || status.as_u16() == 503 && response.headers().contains_key("retry-after");
            let verdict = if status.is_success() {
                ComponentStatus::Healthy
            } else if full || !status.is_server_error() {
                ComponentStatus::Degraded
            } else {
                ComponentStatus::Failed
            };
            (verdict, format!("answered {}", status.as_u16()))
        }
        Err(error) if error.is_timeout() => (ComponentStatus::Degraded, no_answer()),
        Err(error) if error.is_connect() => (ComponentStatus::Failed, "nobody is there".to_owned()),
        Err(_) => (ComponentStatus::Degraded, "the connection broke off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(status: ComponentStatus, hard_failures: u32) -> Component {
        Component { name: "app".into(), status, hard_failures, detail: String::new() }
    }

    #[test]
    fn a_shared_dependency_degrades_and_only_the_own_one_fails() {
        assert_eq!(status(&[component(ComponentStatus::Failed, 0)]), Status::Degraded);
        assert_eq!(status(&[component(ComponentStatus::Failed, 1)]), Status::Unhealthy);
        assert_eq!(status(&[]), Status::Healthy);
    }

    #[test]
    fn one_bad_round_is_not_a_hard_failure() {
        assert!(!failed_hard(&[component(ComponentStatus::Failed, HARD_ROUNDS - 1)]));
        assert!(failed_hard(&[component(ComponentStatus::Failed, HARD_ROUNDS)]));
    }
}
