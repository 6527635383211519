//! What others do to the resources while the world runs: a deployment that writes everything whole, a person in the portal, a
//! stamp that is taken away. They need Front Door's configuration as everybody does: one operation at a time.

use std::collections::VecDeque;

use domain::StampId;
use serde::{Deserialize, Serialize};

use crate::arm::ArmState;
use crate::scenario::Freeze;
use crate::world::World;

/// One thing that somebody else does, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditSpec {
    /// What.
    pub kind: EditKind,
    /// To which stamp; none for a deployment, which is of all.
    #[serde(default)]
    pub stamp: Option<StampId>,
    /// When, in seconds since the start.
    pub at_s: u32,
}

/// What somebody else can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EditKind {
    /// The whole deployment again: every origin enabled, every autoscale setting as in the templates.
    Redeploy,
    /// The origin's `enabledState` becomes `Enabled`.
    EnableOrigin,
    /// It becomes `Disabled`.
    DisableOrigin,
    /// The autoscale setting as in the templates, and so without a profile of ours.
    ResetAutoscale,
    /// The tag `cordon:state` becomes `draining`.
    Drain,
    /// The origin and the tagged resources are deleted.
    Remove,
}

/// What the edits have left.
#[derive(Clone, Debug)]
pub(crate) struct Edits {
    /// Origin changes that wait for Front Door: stamp and whether it is to be enabled.
    waiting: VecDeque<(usize, bool)>,
    pub(crate) draining: Vec<bool>,
    pub(crate) removed: Vec<bool>,
}

impl Edits {
    pub(crate) fn new(stamps: usize) -> Self {
        Self { waiting: VecDeque::new(), draining: vec![false; stamps], removed: vec![false; stamps] }
    }
}

impl World {
    /// The edits of this second, and the next origin change that Front Door takes.
    pub(crate) fn make_edits(&mut self) {
        let due: Vec<EditSpec> =
            self.scenario.edits.iter().filter(|edit| edit.at_s == self.t).cloned().collect();
        for edit in due {
            let one = edit.stamp.as_ref().and_then(|stamp| self.index(stamp));
            let stamps = one.map_or_else(|| (0..self.stamps.len()).collect(), |s| vec![s]);
            for s in stamps {
                self.make_edit(edit.kind, s);
            }
        }
        let taken = self.edge.running().is_none() && self.conditions.freeze != Some(Freeze::Reject);
        if let Some((s, enabled)) = taken.then(|| self.edits.waiting.pop_front()).flatten() {
            let mut setting = self.edge.configured[s];
            if setting.enabled != enabled {
                setting.enabled = enabled;
                self.edge.accept(self.seed, s, setting);
            }
        }
    }

    fn make_edit(&mut self, kind: EditKind, s: usize) {
        match kind {
            EditKind::Redeploy => {
                if !self.edits.removed[s] {
                    self.edits.waiting.push_back((s, true));
                }
                self.reset_autoscale(s);
            }
            EditKind::EnableOrigin => self.edits.waiting.push_back((s, true)),
            EditKind::DisableOrigin => self.edits.waiting.push_back((s, false)),
            EditKind::ResetAutoscale => self.reset_autoscale(s),
            EditKind::Drain => self.edits.draining[s] = true,
            EditKind::Remove => {
                self.edits.removed[s] = true;
                self.edits.waiting.push_back((s, false));
            }
        }
    }

    /// A regional provider takes no change while its region is lost: that part of a deployment fails.
    fn reset_autoscale(&mut self, s: usize) {
        if !self.conditions.stamps[s].lost {
            let fresh = ArmState::new(&self.scenario, &self.ids);
            self.arm.autoscale[s] = fresh.autoscale[s].clone();
        }
    }
}

/// What is wrong with an edit, if anything.
pub(crate) fn objection(edit: &EditSpec, stamps: &[StampId]) -> Option<String> {
    let known = edit.stamp.as_ref().is_some_and(|stamp| stamps.contains(stamp));
    match (edit.kind, &edit.stamp) {
        (EditKind::Redeploy, None) => None,
        (EditKind::Redeploy, Some(_)) => Some("a redeploy is of all stamps: leave stamp out".into()),
        _ if known => None,
        (kind, _) => Some(format!("edit {kind:?} needs a stamp of the scenario")),
    }
}
