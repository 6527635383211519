//! The peers as seen from this stamp: the second vantage of `Direct` evidence.

use std::time::Duration;

use adapters::Clock;
use domain::StampId;
use tokio::task::JoinSet;

use super::{Peer, PeerStatus, PeerView, Status, UngatedView, bounded};

/// Each peer gets this long; they are asked side by side.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks every peer for its view without peers: a peer that asked its own peers in turn would ask us.
pub(super) async fn look(
    http: &reqwest::Client,
    own: &StampId,
    key: &str,
    peers: &[Peer],
    clock: &dyn Clock,
) -> Vec<PeerView> {
    let mut running = JoinSet::new();
    for peer in peers {
        let url = format!("{}/healthz/peer", peer.direct_url.trim_end_matches('/'));
        let request = http
            .get(url)
            .header("x-cordon-key", key)
            .header("x-cordon-vantage", own.as_str())
            .timeout(PEER_TIMEOUT)
            .send();
        let stamp = peer.stamp.clone();
        running.spawn(async move { (stamp, judge(request.await).await) });
    }
    let mut seen = Vec::with_capacity(peers.len());
    while let Some(finished) = running.join_next().await {
        if let Ok((stamp, Some(status))) = finished {
            seen.push(PeerView { stamp, status, observed_at: clock.now() });
        }
    }
    seen.sort_by(|a, b| a.stamp.cmp(&b.stamp));
    seen
}

async fn judge(result: Result<reqwest::Response, reqwest::Error>) -> Option<PeerStatus> {
    let Ok(response) = result else { return Some(PeerStatus::Unreachable) };
    // The regional ingress answers for a stamp that is not there, as the witness reads it too.
    if matches!(response.status().as_u16(), 502 | 504) {
        return Some(PeerStatus::Unreachable);
    }
    if response.status().is_server_error() {
        return Some(PeerStatus::Unhealthy);
    }
    if !response.status().is_success() {
        return None;
    }
    let text = bounded::text(response).await?;
    let view: UngatedView = serde_json::from_str(&text).ok()?;
    Some(match view.status {
        Status::Healthy => PeerStatus::Healthy,
        Status::Degraded => PeerStatus::Degraded,
        Status::Unhealthy => PeerStatus::Unhealthy,
    })
}
