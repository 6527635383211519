//! Health checks with rise and fall counts, as HAProxy has them and Cloudflare's monitors in slower form.
//!
//! Source: HAProxy configuration manual, `default-server`/`server`: `inter 2000`, `fall 3`, `rise 2`. (Cloudflare load
//! balancing monitors: interval 60 s, retries 2; the same shape, later.) The check asks the application's health URL
//! from one place; the result is obeyed at once, here by the gate, which is as close as this plant comes to a proxy's own
//! data plane. With every server down HAProxy refuses all; here Front Door's fail-open takes over.

use domain::GatePosition;

use crate::fleet::steering::{Hands, Steering};
use crate::fleet::stream::{Ping, Seen};

/// For the reader of the table.
pub(crate) const ABOUT: &str = "HAProxy's defaults: inter 2 s, fall 3, rise 2, one prober, obeyed at once by the gate (Cloudflare's monitors: the same, slower)";

const FALL: u32 = 3;
const RISE: u32 = 2;

#[derive(Clone, Copy, Debug)]
struct Server {
    up: bool,
    /// Checks in a row that contradict `up`.
    against: u32,
}

/// One state per stamp.
#[derive(Debug)]
pub(crate) struct HealthCheck {
    servers: Vec<Server>,
}

impl HealthCheck {
    pub(crate) fn new(stamps: usize) -> Self {
        Self { servers: vec![Server { up: true, against: 0 }; stamps] }
    }
}

impl Steering for HealthCheck {
    fn step(&mut self, seen: &Seen, hands: &mut Hands<'_>) {
        for (s, (server, stamp)) in self.servers.iter_mut().zip(&seen.stamps).enumerate() {
            let before = server.up;
            for ping in stamp.pings {
                let good = ping == Ping::Ok;
                server.against = if good == server.up { 0 } else { server.against + 1 };
                if server.against >= if server.up { FALL } else { RISE } {
                    *server = Server { up: !server.up, against: 0 };
                }
            }
            if server.up != before {
                hands.set_gate(s, if server.up { GatePosition::Open } else { GatePosition::Closed });
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.servers.iter().all(|server| server.up)
    }
}
