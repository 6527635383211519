//! Front Door's own probes and nobody else: what every workload has without an automation.

use crate::fleet::steering::{Hands, Steering};
use crate::fleet::stream::Seen;

/// For the reader of the table.
pub(crate) const ABOUT: &str = "no automation; each location drops a stamp after 3 bad of 4 probes (15 s apart) and takes it back after 2 good";

/// Does nothing.
#[derive(Debug)]
pub(crate) struct FrontDoorAlone;

impl Steering for FrontDoorAlone {
    fn step(&mut self, _: &Seen, _: &mut Hands<'_>) {}

    fn is_idle(&self) -> bool {
        true
    }
}
