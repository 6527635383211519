//! The floor: no effect of ours leaves fewer open regions than the policy wants, and none takes the last one that can
//! serve.

use super::{Checker, Effected, Moment, Written, percent};

pub(super) struct Floor;

impl Checker for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn effect(&mut self, seen: &Effected<'_>, found: &mut Vec<String>) {
        let stamp = seen.written.stamp();
        let narrows = match seen.written {
            Written::Gate(document) => document.position.percent() < percent(seen.documents, stamp, seen.now),
            Written::Origin(_, enabled) => !enabled,
            Written::Floor(_) => false,
        };
        if !narrows {
            return;
        }
        let open = |other: &&super::StampTruth| {
            other.id != *stamp && other.enabled && percent(seen.documents, &other.id, seen.now) > 0
        };
        let others: Vec<_> = seen.truth.iter().filter(open).collect();
        if others.is_empty() {
            found.push(format!("{:?} leaves no other region open", seen.written));
            return;
        }
        // Whoever acts rests on what was true some minutes ago: only what nobody could have seen otherwise counts.
        let serves = seen.truth.iter().any(|one| one.id == *stamp && one.served_least_rps > 0.0);
        if serves && others.iter().all(|other| other.served_most_rps <= 0.0) {
            found.push(format!("{:?} takes the last region that serves", seen.written));
        }
    }

    fn moment(&mut self, seen: &Moment<'_>, found: &mut Vec<String>) {
        let open =
            seen.truth.iter().filter(|one| one.enabled && percent(seen.documents, &one.id, seen.now) > 0);
        let least = usize::try_from(seen.policy.capacity.regions_min).unwrap_or(1);
        let count = open.count();
        if count < least {
            found.push(format!("{count} regions are open, {least} must be"));
        }
    }
}
