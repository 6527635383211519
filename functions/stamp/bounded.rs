//! Bodies of others, read to a bound: one that does not say how long it is may have no end.

/// The most that a peer's view or the application's load may weigh, in bytes.
const BYTES_MAX: usize = 64 * 1_024;

/// The body as text; none where it is longer, breaks off or is no text.
pub(super) async fn text(mut response: reqwest::Response) -> Option<String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).ok()
}
