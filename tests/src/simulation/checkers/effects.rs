//! Effectively-once effect: each effect has a committed step that its writer has claimed, and one claim is one effect.

use super::{Checker, Effected};

pub(super) struct Effects;

impl Checker for Effects {
    fn name(&self) -> &'static str {
        "effects"
    }

    fn effect(&mut self, seen: &Effected<'_>, found: &mut Vec<String>) {
        match seen.claim {
            None => found.push(format!("{:?} by instance {} without any claim", seen.written, seen.instance)),
            Some(claim) if !seen.written.is_of(&claim.step) => {
                found.push(format!("{:?} is not what step {} claims", seen.written, claim.step.id));
            }
            Some(claim) if claim.effects > 1 => {
                let (step, attempt) = (&claim.step.id, claim.step.attempts);
                found.push(format!("attempt {attempt} of step {step} had {} effects", claim.effects));
            }
            Some(_) => {}
        }
    }
}
