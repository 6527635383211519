//! The epoch in a blob of the witness region, one for each workload, written with If-Match: outside the account whose
//! failover it counts.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::HeaderName;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request, StatusCode, Url};
use domain::WorkloadId;

use super::credential::SharedCredential;
use crate::StoreError;
use crate::epoch::{EPOCH_SCHEMA, Epoch, EpochStore, EpochWrite, StoredEpoch};
use crate::memory::rules::{EPOCH, unavailable, unreadable};

/// Of the Blob service; any from 2017-11-09 on takes tokens.
const API_VERSION: &str = "2023-11-03";

/// Whom the token is for; the same for every storage account.
const SCOPE: &str = "https://storage.azure.com/.default";

/// One workload's epoch as a blob.
pub struct BlobEpoch {
    blob: Url,
    http: Arc<dyn HttpClient>,
    /// None where the address itself is signed.
    credential: Option<SharedCredential>,
}

impl BlobEpoch {
    /// The blob `epoch-WORKLOAD.json` in a container, `https://ACCOUNT.blob.core.windows.net/CONTAINER`. Without a
    /// credential the address carries a signature.
    ///
    /// # Errors
    /// When the address is none of a container.
    pub fn new(
        container: &str,
        workload: &WorkloadId,
        http: Arc<dyn HttpClient>,
        credential: Option<SharedCredential>,
    ) -> Result<Self, StoreError> {
        let mut blob: Url = container.trim().parse().map_err(|error| unavailable(EPOCH, error))?;
        let is_container = blob.path().len() > 1;
        match blob.path_segments_mut() {
            Ok(mut path) if is_container => path.pop_if_empty().push(&format!("epoch-{workload}.json")),
            _ => {
                return Err(unavailable(
                    EPOCH,
                    format!("{container:?} is not the address of a blob container"),
                ));
            }
        };
        Ok(Self { blob, http, credential })
    }

    async fn send(&self, mut request: Request) -> Result<AsyncRawResponse, StoreError> {
        if let Some(credential) = &self.credential {
            let token = credential.get_token(&[SCOPE], None).await;
            let token = token.map_err(|error| unavailable(EPOCH, error))?;
            request.insert_header("authorization", format!("Bearer {}", token.token.secret()));
        }
        request.insert_header("x-ms-version", API_VERSION);
        self.http.execute_request(&request).await.map_err(|error| unavailable(EPOCH, error))
    }
}

#[async_trait]
impl EpochStore for BlobEpoch {
    async fn read(&self) -> Result<Option<StoredEpoch>, StoreError> {
        let answer = self.send(Request::new(self.blob.clone(), Method::Get)).await?;
        // A container that is not there is no epoch that was never written.
        if answer.status() == StatusCode::NotFound
            && header(&answer, "x-ms-error-code").as_deref() == Some("BlobNotFound")
        {
            return Ok(None);
        }
        if answer.status() != StatusCode::Ok {
            return Err(refused("read", &answer));
        }
        let what = || "epoch".to_owned();
        let tag =
            header(&answer, "etag").ok_or_else(|| unreadable(EPOCH, what(), "it came without an ETag"))?;
        let body = answer.into_body().collect().await.map_err(|error| unavailable(EPOCH, error))?;
        let epoch: Epoch = serde_json::from_slice(&body).map_err(|error| unreadable(EPOCH, what(), error))?;
        if epoch.schema > EPOCH_SCHEMA {
            let cause = format!("its schema is {}, the newest known here is {EPOCH_SCHEMA}", epoch.schema);
            return Err(unreadable(EPOCH, what(), cause));
        }
        Ok(Some(StoredEpoch { epoch, tag }))
    }

    async fn write(&self, replaces: Option<&str>, epoch: &Epoch) -> Result<EpochWrite, StoreError> {
        let body = serde_json::to_vec(epoch).map_err(|error| unreadable(EPOCH, "epoch".to_owned(), error))?;
        let mut request = Request::new(self.blob.clone(), Method::Put);
        request.insert_header("x-ms-blob-type", "BlockBlob");
        request.insert_header("content-type", "application/json");
        match replaces {
            Some(tag) => request.insert_header("if-match", tag.to_owned()),
            None => request.insert_header("if-none-match", "*"),
        }
        request.insert_header("content-length", body.len().to_string());
        request.set_body(body);
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::Created => Ok(EpochWrite::Written),
            // Replaced or created by somebody else, or by our own try whose answer was lost.
            StatusCode::PreconditionFailed | StatusCode::Conflict => Ok(EpochWrite::Changed),
            _ => Err(refused("write", &answer)),
        }
    }
}

fn header(answer: &AsyncRawResponse, name: &'static str) -> Option<String> {
    answer.headers().get_optional_str(&HeaderName::from_static(name)).map(str::to_owned)
}

/// The service's code says more than its status: `AuthorizationPermissionMismatch`, `ContainerNotFound`.
fn refused(what: &str, answer: &AsyncRawResponse) -> StoreError {
    let code = header(answer, "x-ms-error-code").unwrap_or_else(|| "no code".to_owned());
    unavailable(
        EPOCH,
        format!(
            "the blob service answered {} ({code}) to the {what}: see that the container of CORDON_EPOCHS is there and \
             that this identity may read and write its blobs",
            answer.status()
        ),
    )
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;
    use crate::azure::credential::StaticCredential;
    use crate::azure::testing::{Answer, Script};

    const CONTAINER: &str = "https://st.blob.core.windows.net/cordon/";

    fn epoch(number: u32) -> Epoch {
        Epoch {
            schema: EPOCH_SCHEMA,
            number,
            write_region: "westus3".into(),
            since: Timestamp::from_secs(60),
            why: "first".into(),
        }
    }

    fn store(answers: impl IntoIterator<Item = Answer>) -> (BlobEpoch, Arc<Script>) {
        let script = Script::new(answers);
        let credential: SharedCredential = Arc::new(StaticCredential::new("token"));
        let store = BlobEpoch::new(CONTAINER, &"contoso-shoes".into(), script.clone(), Some(credential));
        (store.unwrap(), script)
    }

    #[tokio::test]
    async fn it_is_created_once_and_replaced_by_its_etag() {
        let missing = Answer::empty(404).header("x-ms-error-code", "BlobNotFound");
        let body = serde_json::to_value(epoch(1)).unwrap();
        let (store, script) = store([
            missing,
            Answer::empty(201),
            Answer::json(200, &body).header("etag", "\"0x1\""),
            Answer::empty(412),
            Answer::empty(409),
        ]);
        assert_eq!(store.read().await.unwrap(), None);
        assert_eq!(store.write(None, &epoch(1)).await.unwrap(), EpochWrite::Written);
        let stored = store.read().await.unwrap().unwrap();
        assert_eq!((stored.epoch, stored.tag.as_str()), (epoch(1), "\"0x1\""));
        assert_eq!(store.write(Some(&stored.tag), &epoch(2)).await.unwrap(), EpochWrite::Changed);
        assert_eq!(store.write(None, &epoch(2)).await.unwrap(), EpochWrite::Changed);
        let sent = script.sent();
        assert_eq!(sent[1].line, "PUT https://st.blob.core.windows.net/cordon/epoch-contoso-shoes.json");
        let header = |n: usize, name: &'static str| {
            sent[n].headers.get_optional_str(&HeaderName::from_static(name)).map(str::to_owned)
        };
        assert_eq!(header(1, "if-none-match").as_deref(), Some("*"));
        assert_eq!(header(3, "if-match").as_deref(), Some("\"0x1\""));
        assert_eq!(header(3, "if-none-match"), None);
        assert_eq!(header(1, "x-ms-blob-type").as_deref(), Some("BlockBlob"));
        assert_eq!(header(0, "authorization").as_deref(), Some("Bearer token"));
        assert_eq!(sent[1].body, body);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_never_taken_for_absent() {
        let newer = serde_json::json!({ "schema": 2, "number": 1, "write_region": "westus3", "since": "2026-01-01T00:00:00Z", "why": "" });
        let (store, _) = store([
            Answer::empty(404).header("x-ms-error-code", "ContainerNotFound"),
            Answer::empty(403).header("x-ms-error-code", "AuthorizationPermissionMismatch"),
            Answer::empty(503),
            Answer::unreachable(),
            Answer::json(200, &serde_json::to_value(epoch(1)).unwrap()),
            Answer::text(200, "{").header("etag", "1"),
            Answer::json(200, &newer).header("etag", "1"),
        ]);
        for _ in 0..4 {
            assert!(matches!(store.read().await, Err(StoreError::Unavailable { .. })));
        }
        for _ in 0..3 {
            assert!(matches!(store.read().await, Err(StoreError::Unreadable { .. })));
        }
    }

    #[test]
    fn an_address_that_is_no_container_is_refused() {
        let of = |text: &str| BlobEpoch::new(text, &"w".into(), Script::new([]), None);
        assert!(of("https://st.blob.core.windows.net/").is_err());
        assert!(of("cordon").is_err());
        let signed = of("http://127.0.0.1:10000/devstoreaccount1/cordon?sig=x").unwrap();
        assert_eq!(signed.blob.as_str(), "http://127.0.0.1:10000/devstoreaccount1/cordon/epoch-w.json?sig=x");
    }
}
