//! Public outages as incidents of the light world. Windows, shapes and expected actions are those of incidents.json; what
//! lasted longer than three hours is played as three hours, since no policy here changes its mind after that; the gaps
//! (which share failed, how it came and went) are drawn within what the reports say.

use super::CALM_S;
use super::family::{Draw, put, say};
use super::truth::{AlertSource, Expected, FaultKind, Incident};

/// Longest window that is played, in minutes.
const WINDOW_MAX_MIN: u32 = 180;

/// One public outage: its id, what failed in our terms, for how many minutes, the first message after so many (none
/// known: 34, the median), and what a reviewer expects.
struct Case {
    id: &'static str,
    shape: Shape,
    minutes: u32,
    told_after_min: Option<u32>,
    expected: Expected,
}

/// What our workload would have felt.
#[derive(Clone, Copy)]
enum Shape {
    /// One region, dark.
    Dark,
    /// One region, this share of the requests failing.
    Partial(f64),
    /// One region dips for so many minutes, then next to nothing fails.
    Dip(f64, u32),
    /// One region's database; its web tier is fine.
    Data(f64),
    /// Nothing in the data plane; one region cannot grow.
    NoGrowth,
    /// The region's clients at the edge.
    Clients(f64),
    /// Everything through the edge, this share.
    Edge(f64),
    /// Everything through the edge, in cycles of five minutes.
    EdgeCycles(f64),
    /// Our own credentials everywhere, and this share of the requests.
    Identity(f64),
    /// One region, partial, and the survivors cannot grow.
    PartialAndShort(f64),
    /// Like `NoGrowth`, and no metric can be read.
    Unseen,
}

const fn case(id: &'static str, shape: Shape, minutes: u32, told: Option<u32>, expected: Expected) -> Case {
    Case { id, shape, minutes, told_after_min: told, expected }
}

const CASES: [Case; 19] = [
    case("azure-eastus2-2025-01-08", Shape::Partial(0.3), 3_239, None, Expected::Cordon),
    case("azure-centralus-2024-07-18", Shape::Dark, 1_460, None, Expected::Cordon),
    case("azure-westeurope-2025-11-05", Shape::Partial(0.15), 572, None, Expected::Either),
    case("azure-southcentralus-2018-09-04", Shape::Dark, 2_316, None, Expected::Cordon),
    case("azure-westus-2026-02-07", Shape::Partial(0.4), 1_226, None, Expected::Cordon),
    case("azure-westeurope-2023-10-20", Shape::Dip(0.04, 30), 579, None, Expected::NoCordon),
    case("azure-afd-2025-10-09", Shape::Clients(0.17), 490, None, Expected::NoCordon),
    case("azure-afd-2024-07-30", Shape::Edge(0.2), 478, None, Expected::NoCordon),
    case("azure-aad-2021-03-15", Shape::Identity(0.4), 877, Some(39), Expected::NoCordon),
    case("azure-dns-2021-04-01", Shape::Edge(0.3), 69, Some(22), Expected::NoCordon),
    case("azure-cosmos-northeurope-2022-09-07", Shape::Data(0.3), 451, None, Expected::Either),
    case("azure-eastus-2026-04-24", Shape::NoGrowth, 712, None, Expected::NoCordon),
    case("azure-eastus2-2025-09-10", Shape::NoGrowth, 587, None, Expected::NoCordon),
    case("ms-southamerica-2026-05-13", Shape::PartialAndShort(0.5), 180, Some(70), Expected::Either),
    case("aws-useast1-2021-12-07", Shape::Unseen, 670, Some(52), Expected::Either),
    case("aws-useast1-2020-11-25", Shape::Partial(0.1), 1_028, None, Expected::Either),
    case("gcp-europe-west9-2023-04-26", Shape::Dark, 1_440, None, Expected::Cordon),
    case("gcp-uscentral1b-2026-09-01", Shape::Partial(0.03), 251, Some(82), Expected::NoCordon),
    case("cloudflare-2025-11-18", Shape::EdgeCycles(0.7), 346, Some(28), Expected::NoCordon),
];

/// The ids of the recorded incidents: number `seed` of the family is case `seed` modulo their count.
pub fn recorded_names() -> Vec<&'static str> {
    CASES.iter().map(|case| case.id).collect()
}

/// Case `seed` modulo the number of cases, on a workload drawn by the seed.
pub(super) fn recorded(draw: &Draw) -> Incident {
    let case = &CASES[(draw.seed.0 % CASES.len() as u64) as usize];
    let mut incident = draw.calm(case.id);
    incident.expected = case.expected;
    let until = CALM_S + case.minutes.min(WINDOW_MAX_MIN) * 60;
    let span = (CALM_S, until);
    shape(&mut incident, case.shape, span);
    let fired = CALM_S + case.told_after_min.unwrap_or(34) * 60;
    let about = if matches!(case.shape, Shape::Edge(_) | Shape::EdgeCycles(_) | Shape::Identity(_)) {
        0..incident.stamps.len()
    } else {
        0..1
    };
    for s in about {
        let resolved = fired.max(until) + 55 * 60;
        say(&mut incident, AlertSource::Service, (s, 1), (fired, Some(resolved)), 2);
    }
    incident
}

fn shape(incident: &mut Incident, shape: Shape, span: (u32, u32)) {
    let first = Some(0);
    match shape {
        Shape::Dark => put(incident, FaultKind::Lost, first, span),
        Shape::Partial(share) => put(incident, FaultKind::AppErrors(share), first, span),
        Shape::Dip(share, minutes) => {
            put(incident, FaultKind::AppErrors(share), first, (span.0, span.0 + minutes * 60));
        }
        Shape::Data(share) => {
            put(incident, FaultKind::AppErrors(share), first, span);
            put(incident, FaultKind::DataLies, first, span);
        }
        Shape::NoGrowth => {
            let now = incident.stamps[0].instances;
            put(incident, FaultKind::Quota(now), first, span);
        }
        Shape::Clients(share) => put(incident, FaultKind::ClientsFail(share), Some(1), span),
        Shape::Edge(share) => put(incident, FaultKind::EdgeFails(share), None, span),
        Shape::EdgeCycles(share) => {
            for from in (span.0..span.1).step_by(600) {
                put(incident, FaultKind::EdgeFails(share), None, (from, from + 300));
            }
        }
        Shape::Identity(share) => {
            put(incident, FaultKind::AuthFails, None, span);
            put(incident, FaultKind::AppErrors(share), None, span);
        }
        Shape::PartialAndShort(share) => {
            put(incident, FaultKind::AppErrors(share), first, span);
            for s in 1..incident.stamps.len() {
                let most = incident.stamps[s].instances + 2;
                put(incident, FaultKind::Quota(most), Some(s), span);
            }
        }
        Shape::Unseen => {
            let now = incident.stamps[0].instances;
            put(incident, FaultKind::Quota(now), first, span);
            put(incident, FaultKind::MetricsDown, None, span);
        }
    }
}
