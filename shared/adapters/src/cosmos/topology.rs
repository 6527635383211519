//! Which region of the account takes writes: the account's own document, asked for anew. The client of the SDK reads it too,
//! but keeps it for five minutes and does not show it.

use std::sync::{Arc, Mutex, PoisonError};

use azure_core::credentials::TokenCredential;
use azure_core::http::{HttpClient, Method, Request, StatusCode, Url};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use domain::RegionName;
use serde::Deserialize;

use crate::StoreError;
use crate::memory::rules::{LEDGER, unavailable, unreadable};

/// Of the data plane; what the SDK of this version speaks.
const API_VERSION: &str = "2020-07-15";

/// Whom the token is for; the same for every account.
const SCOPE: &str = "https://cosmos.azure.com/.default";

/// Other addresses that are tried when the account's own does not answer: a document lists one for each region.
const OTHERS_MAX: usize = 3;

/// The account's document and where it is to be had.
pub(super) struct Topology {
    endpoint: Url,
    credential: Arc<dyn TokenCredential>,
    http: Arc<dyn HttpClient>,
    /// The regions' own addresses, from the last document: the account's name may lead to a region that is gone.
    regional: Mutex<Vec<Url>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountBody {
    writable_locations: Vec<LocationBody>,
    #[serde(default)]
    readable_locations: Vec<LocationBody>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LocationBody {
    name: String,
    #[serde(default)]
    database_account_endpoint: Option<String>,
}

impl Topology {
    pub(super) fn new(
        endpoint: Url,
        credential: Arc<dyn TokenCredential>,
        http: Arc<dyn HttpClient>,
    ) -> Self {
        Self { endpoint, credential, http, regional: Mutex::default() }
    }

    pub(super) async fn write_region(&self) -> Result<RegionName, StoreError> {
        let mut addresses = vec![self.endpoint.clone()];
        let regional = self.regional.lock().unwrap_or_else(PoisonError::into_inner).clone();
        addresses.extend(regional.into_iter().take(OTHERS_MAX));
        let mut failed = None;
        for address in addresses {
            match self.document(address).await {
                Ok(document) => {
                    let endpoints = document.readable_locations.iter();
                    let endpoints = endpoints
                        .filter_map(|location| location.database_account_endpoint.as_ref()?.parse().ok());
                    *self.regional.lock().unwrap_or_else(PoisonError::into_inner) = endpoints.collect();
                    return only(document.writable_locations.into_iter().map(|location| location.name));
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| unavailable(LEDGER, "the account has no address")))
    }

    async fn document(&self, address: Url) -> Result<AccountBody, StoreError> {
        let token = self.credential.get_token(&[SCOPE], None).await;
        let token = token.map_err(|error| unavailable(LEDGER, error))?;
        let signed = format!("type=aad&ver=1.0&sig={}", token.token.secret());
        let signed: String = url::form_urlencoded::byte_serialize(signed.as_bytes()).collect();
        let mut request = Request::new(address, Method::Get);
        request.insert_header("authorization", signed);
        request.insert_header("x-ms-version", API_VERSION);
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()).to_lowercase());
        request.insert_header("accept", "application/json");
        let answer = self.http.execute_request(&request).await.map_err(|error| unavailable(LEDGER, error))?;
        if answer.status() != StatusCode::Ok {
            let why = format!("the account answered {} when it was asked for its regions", answer.status());
            return Err(unavailable(LEDGER, why));
        }
        let body = answer.into_body().collect().await.map_err(|error| unavailable(LEDGER, error))?;
        serde_json::from_slice(&body)
            .map_err(|error| unreadable(LEDGER, "account's list of regions".to_owned(), error))
    }
}

/// The one region that takes writes. During a failover the account names two, and for a moment none: whose word counts is
/// not known then.
pub(super) fn only(writable: impl IntoIterator<Item = String>) -> Result<RegionName, StoreError> {
    let writable: Vec<String> = writable.into_iter().collect();
    match writable.as_slice() {
        [one] => Ok(RegionName::from_display(one)),
        [] => Err(unavailable(LEDGER, "the account names no region that takes writes; it is failing over")),
        several => {
            let why = format!(
                "the account names {} as taking writes: it is failing over, or was given several write regions, which \
                 Cordon's own account must not have",
                several.join(" and ")
            );
            Err(unavailable(LEDGER, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::credential::StaticCredential;
    use crate::azure::testing::{Answer, Script};

    const DOCUMENT: &str =
        include_str!("../../../../tests/fixtures/cosmos_account/sample-gateway-account-document.json");

    fn topology(answers: impl IntoIterator<Item = Answer>) -> (Topology, Arc<Script>) {
        let script = Script::new(answers);
        let endpoint = "https://test.documents.azure.com/".parse().unwrap();
        (Topology::new(endpoint, Arc::new(StaticCredential::new("token")), script.clone()), script)
    }

    #[tokio::test]
    async fn the_accounts_document_names_the_region_and_is_asked_for_each_time() {
        let two = DOCUMENT.replacen(
            "\"writableLocations\": [",
            "\"writableLocations\": [{ \"name\": \"East US 2\" },",
            1,
        );
        let none = DOCUMENT.replacen("writableLocations", "others", 1).replacen(
            '{',
            "{ \"writableLocations\": [],",
            1,
        );
        let (topology, script) =
            topology([Answer::text(200, DOCUMENT), Answer::text(200, &two), Answer::text(200, &none)]);
        assert_eq!(topology.write_region().await.unwrap().as_str(), "westus2");
        assert!(matches!(topology.write_region().await, Err(StoreError::Unavailable { .. })), "two");
        assert!(matches!(topology.write_region().await, Err(StoreError::Unavailable { .. })), "none");
        let sent = script.sent();
        assert_eq!(sent.len(), 3);
        let header = |name: &'static str| sent[0].headers.get_optional_str(&name.into()).unwrap().to_owned();
        assert_eq!(header("authorization"), "type%3Daad%26ver%3D1.0%26sig%3Dtoken");
        assert!(header("x-ms-date").ends_with(" gmt"));
    }

    #[tokio::test]
    async fn when_the_accounts_own_address_is_silent_a_region_of_the_last_document_is_asked() {
        let (topology, script) = topology([
            Answer::text(200, DOCUMENT),
            Answer::text(503, ""),
            Answer::text(200, DOCUMENT),
            Answer::text(503, ""),
            Answer::text(503, ""),
        ]);
        assert_eq!(topology.write_region().await.unwrap().as_str(), "westus2");
        assert_eq!(topology.write_region().await.unwrap().as_str(), "westus2");
        assert!(script.sent()[2].line.contains("test-westus2"), "{:?}", script.sent()[2].line);
        assert!(matches!(topology.write_region().await, Err(StoreError::Unavailable { .. })));
    }
}
