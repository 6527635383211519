//! `FrontDoorHealthProbeLog`: which edge locations could not reach which origin.
//!
//! The log holds failed probes only, so this family can say `Unhealthy` and nothing else; its silence is not health.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use domain::{
    EvidenceClass, FailureKind, InboxItem, Measure, RefusalCode, Scope, Signal, StampId, Standing, Timestamp,
    Verdict, note,
};

use super::item::{Event, digest_of_set, malformed_json};
use super::{Context, Refused, json};
use crate::edge::Json;

const CATEGORY: &str = "FrontDoorHealthProbeLog";

/// Records are counted together in spans of this length, the shortest probe detection there is.
const BUCKET_MS: i64 = 15_000;

/// Edge locations named in a note.
const POPS_NAMED_MAX: usize = 5;

/// Everything in a batch of the stream: `{"records": [..]}`, an array of such, or bare records.
pub fn items(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    let (probes, others): (Vec<_>, Vec<_>) =
        json::records(body).into_iter().partition(|record| is_record(record));
    let mut items = from_records(&probes, ctx);
    items.extend(others.into_iter().flat_map(|other| {
        malformed_json(
            other,
            "probe-log",
            "not a FrontDoorHealthProbeLog record; look at the diagnostic setting",
            ctx,
        )
    }));
    items
}

/// Whether this is a record of the probe log.
pub(super) fn is_record(record: &Json<'_>) -> bool {
    json::text(record, "category").is_some_and(|category| category.eq_ignore_ascii_case(CATEGORY))
}

/// Signals of one set of records: one per stamp and bucket, all in one item whose id is a hash of the set.
pub(super) fn from_records(records: &[&Json<'_>], ctx: &Context<'_>) -> Vec<InboxItem> {
    let oldest = ctx.received_at.before(ctx.policy.limits.horizon.get());
    let bags: Vec<Cow<'_, Json<'_>>> =
        records.iter().map(|record| json::opened_or_null(record, "properties")).collect();
    let mut buckets: BTreeMap<(StampId, i64), Bucket<'_>> = BTreeMap::new();
    let (mut refused, mut contents, mut latest) = (Vec::<Refused>::new(), Vec::new(), None);
    for (record, bag) in records.iter().zip(&bags) {
        match Failure::read(record, bag, ctx) {
            Ok(None) => continue,
            Ok(Some(failure)) if failure.at < oldest => {
                refused.push((RefusalCode::TooOld, format!("{} at {}", failure.stamp, failure.at)));
            }
            Ok(Some(failure)) => {
                latest = latest.max(Some(failure.at));
                let bucket = failure.at.as_millis().div_euclid(BUCKET_MS);
                buckets.entry((failure.stamp.clone(), bucket)).or_default().add(failure);
            }
            Err(refusal) => refused.push(refusal),
        }
        contents.push(*record);
    }
    if contents.is_empty() {
        return Vec::new();
    }
    let event = Event::new("probe-log", &[&digest_of_set(contents)], "probe-log", latest, ctx);
    let signals = buckets.into_iter().map(|((stamp, _), bucket)| bucket.signal(stamp)).collect();
    event.items(signals, refused, ctx)
}

/// One failed probe, in the record's own words.
struct Failure<'a> {
    stamp: StampId,
    at: Timestamp,
    pop: Cow<'a, str>,
    result: Cow<'a, str>,
    status: Cow<'a, str>,
}

impl<'a> Failure<'a> {
    /// None when the probe did not fail.
    fn read(record: &Json<'_>, properties: &'a Json<'_>, ctx: &Context<'_>) -> Result<Option<Self>, Refused> {
        let result = json::text(properties, "result").unwrap_or_default();
        let status = json::text(properties, "httpStatusCode").unwrap_or_default();
        if result.eq_ignore_ascii_case("success") || result.is_empty() && status == "200" {
            return Ok(None);
        }
        let host = json::text(properties, "originName").unwrap_or_default();
        let Some(stamp) = ctx.stamp_of_host(&host) else {
            return Err((RefusalCode::UnknownStamp, format!("origin {host:?} is no stamp's")));
        };
        // A record without a time cannot be placed in the window; taking it for now would make the past present.
        let Some(at) = json::time(record, &["time"]) else {
            return Err((RefusalCode::Malformed, format!("a probe of {host} without a time")));
        };
        let mut pop = json::text(properties, "POP").unwrap_or("?".into());
        if pop.bytes().any(|byte| byte.is_ascii_lowercase()) {
            pop = pop.to_ascii_uppercase().into();
        }
        Ok(Some(Self { stamp, at: at.min(ctx.received_at), pop, result, status }))
    }
}

/// How a probe failed. What the status says counts only when there was an answer.
fn kind(result: &str, status: u16) -> FailureKind {
    let result = result.to_ascii_lowercase();
    if result.contains("dns") || result.contains("nameresol") || result.contains("notresolved") {
        FailureKind::Dns
    } else if result.contains("ssl") || result.contains("tls") || result.contains("cert") {
        FailureKind::Auth
    } else if result.contains("time")
        || result.contains("connect")
        || result.contains("unreach")
        || status == 0
    {
        FailureKind::Unreachable
    } else {
        FailureKind::ServerError
    }
}

/// The failures at one stamp within one bucket.
#[derive(Default)]
struct Bucket<'a> {
    pops: BTreeSet<Cow<'a, str>>,
    /// How many had this result and status.
    results: BTreeMap<(Cow<'a, str>, Cow<'a, str>), u64>,
    latest: Timestamp,
}

/// The kinds a probe can fail with; of equally frequent ones the first speaks.
const KINDS: [FailureKind; 4] =
    [FailureKind::Unreachable, FailureKind::ServerError, FailureKind::Dns, FailureKind::Auth];

impl<'a> Bucket<'a> {
    fn add(&mut self, failure: Failure<'a>) {
        self.latest = self.latest.max(failure.at);
        self.pops.insert(failure.pop);
        *self.results.entry((failure.result, failure.status)).or_default() += 1;
    }

    fn signal(self, stamp: StampId) -> Signal {
        let failed = u64::try_from(self.pops.len()).unwrap_or(u64::MAX);
        // Counted as in `KINDS`.
        let mut kinds = [0; KINDS.len()];
        let mut results = BTreeSet::new();
        for ((result, status), count) in &self.results {
            let kind = kind(result, status.parse().unwrap_or(0));
            for (known, sum) in KINDS.iter().zip(&mut kinds) {
                *sum += if *known == kind { *count } else { 0 };
            }
            results.insert(if status.is_empty() { result.to_string() } else { format!("{result} {status}") });
        }
        let most = KINDS.iter().zip(&kinds).rev().max_by_key(|(_, count)| **count).map(|(kind, _)| *kind);
        let named: Vec<&str> = self.pops.iter().take(POPS_NAMED_MAX).map(AsRef::as_ref).collect();
        let more = self.pops.len().saturating_sub(POPS_NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let results: Vec<String> = results.into_iter().collect();
        Signal {
            scope: Scope::Stamp(stamp),
            class: EvidenceClass::Edge,
            source: "probe-log".to_owned(),
            verdict: Verdict::Unhealthy,
            observed_at: self.latest,
            standing: Standing::Sample,
            failure: most,
            // How many edge locations probe is in no record: those that failed are all there is.
            measure: Some(Measure { failed, total: failed }),
            note: note(&format!(
                "{failed} edge locations: {}{more} ({})",
                named.join(", "),
                results.join(", ")
            )),
        }
    }
}
