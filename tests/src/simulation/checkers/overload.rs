//! No self-inflicted overload: a removal never lowers what is answered well. The survivors' true capacity is held
//! against the load that is moved onto them; what the stamp itself still answers well counts for it.

use domain::{Effect, GatePosition, Purpose};

use super::{Checker, Effected, StampTruth, Written, percent};

/// Share by which truth and facts may differ: a request more or less, an instance counted a moment ago.
const TOLERANCE: f64 = 0.02;

pub(super) struct Overload;

impl Checker for Overload {
    fn name(&self) -> &'static str {
        "overload"
    }

    fn effect(&mut self, seen: &Effected<'_>, found: &mut Vec<String>) {
        let Written::Gate(document) = seen.written else { return };
        let Some(claim) = seen.claim.filter(|claim| claim.step.purpose == Purpose::Removal) else { return };
        let Effect::SetGate { position, .. } = &claim.step.effect else { return };
        let stamp = &document.stamp;
        let before = percent(seen.documents, stamp, seen.now);
        if position.percent() >= before {
            return;
        }
        let demand: f64 = seen.truth.iter().map(|one| one.demand_rps).sum();
        let (now, then) = (answered(seen, before), answered(seen, position.percent()));
        let needed = now * (1.0 - TOLERANCE);
        if then < needed && *position < GatePosition::Open {
            found.push(format!(
                "{stamp} closed to {} %: {then:.0} of {demand:.0} requests per second would be answered well, {now:.0} are now",
                position.percent()
            ));
        }
    }
}

fn open(seen: &Effected<'_>, one: &StampTruth) -> f64 {
    if one.enabled { f64::from(percent(seen.documents, &one.id, seen.now)) / 100.0 } else { 0.0 }
}

/// Requests per second that are answered well, with that gate open for `percent`. All clients spread over the stamps that take
/// some, by what those have of their own: also the clients of a region that another gate keeps out or that Front Door has
/// dropped, which serves nobody.
fn answered(seen: &Effected<'_>, percent: u8) -> f64 {
    let stamp = seen.written.stamp();
    let Some(own) = seen.truth.iter().find(|one| one.id == *stamp) else { return 0.0 };
    let others = || seen.truth.iter().filter(|one| one.id != *stamp && one.served_most_rps > 0.0);
    let weight = |one: &StampTruth| one.demand_rps * open(seen, one);
    let stays = own.demand_rps * f64::from(percent) / 100.0;
    let demand: f64 = seen.truth.iter().map(|one| one.demand_rps).sum();
    let each = demand / (others().map(weight).sum::<f64>() + stays).max(1.0);
    let carried: f64 = others().map(|one| (weight(one) * each).min(one.served_most_rps)).sum();
    carried + (stays * each * (1.0 - own.errors_most)).min(own.served_least_rps)
}
