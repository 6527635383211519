//! Who we are to Azure: the managed identity in the cloud, the developer's own login elsewhere. No chain that tries
//! one after the other: a chain hides which identity acts, and makes a missing one slow to notice.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, HttpClient, RetryOptions, Transport};
use azure_core::time::{Duration, OffsetDateTime};
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};

use super::enduring::EnduringCredential;

/// What the environment says about identities. The caller reads the variables; nothing here does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityEnvironment {
    /// `IDENTITY_ENDPOINT`: set by App Service and Functions where a managed identity exists.
    pub identity_endpoint: Option<String>,
    /// `AZURE_CLIENT_ID`: which user-assigned identity to use; the system-assigned one if there is none.
    pub client_id: Option<String>,
}

/// Which credential to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The managed identity of the app.
    ManagedIdentity {
        /// Client id of a user-assigned identity; none for the system-assigned one. (A resource id does not work on
        /// App Service.)
        client_id: Option<String>,
    },
    /// The developer's login in the Azure CLI or the Azure Developer CLI.
    DeveloperTools,
    /// A token given as text, for the simulated Azure.
    Static(Secret),
}

/// One credential for everything: ARM, Cosmos DB. It keeps its tokens, one for each audience.
pub type SharedCredential = Arc<dyn TokenCredential>;

/// A credential could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("set up the Azure credential")]
pub struct CredentialError(#[source] azure_core::Error);

impl CredentialKind {
    /// The managed identity where there is one, the developer's login otherwise.
    pub fn of(environment: &IdentityEnvironment) -> Self {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match given(&environment.identity_endpoint) {
            Some(_) => Self::ManagedIdentity { client_id: given(&environment.client_id) },
            None => Self::DeveloperTools,
        }
    }
}

/// Sets up the credential; no token is asked for yet. `http` is the shared client.
///
/// # Errors
/// When the platform's identity settings are present but not usable.
pub fn credential(
    kind: CredentialKind,
    http: Arc<dyn HttpClient>,
) -> Result<SharedCredential, CredentialError> {
    match kind {
        CredentialKind::ManagedIdentity { client_id } => {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.map(UserAssignedId::ClientId),
                client_options: identity_options(http),
            };
            let identity = ManagedIdentityCredential::new(Some(options)).map_err(CredentialError)?;
            Ok(Arc::new(EnduringCredential::new(identity)))
        }
        CredentialKind::DeveloperTools => {
            let login = DeveloperToolsCredential::new(None).map_err(CredentialError)?;
            Ok(Arc::new(EnduringCredential::new(login)))
        }
        CredentialKind::Static(token) => Ok(Arc::new(StaticCredential { token })),
    }
}

/// A token for one audience, as text; kept by the credential until it nearly expires.
///
/// # Errors
/// When the platform gives none.
pub async fn token(credential: &SharedCredential, scope: &str) -> Result<String, TokenError> {
    let token = credential.get_token(&[scope], None).await.map_err(TokenError)?;
    Ok(token.token.secret().to_owned())
}

/// No token was given.
#[derive(Debug, thiserror::Error)]
#[error("ask the platform for a token")]
pub struct TokenError(#[source] azure_core::Error);

/// The identity endpoint is on the same machine and is at times slow to wake with the app, so it is asked again, but
/// within a third of the budget of the call that waits for the token.
fn identity_options(http: Arc<dyn HttpClient>) -> ClientOptions {
    ClientOptions {
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            initial_delay: Duration::milliseconds(200),
            max_retries: 3,
            max_total_elapsed: Duration::seconds(3),
            max_delay: Duration::seconds(1),
        }),
        transport: Some(Transport::new(http)),
        ..ClientOptions::default()
    }
}

/// A token given as text. It never expires as far as we know; only a simulated Azure accepts such a one.
#[derive(Clone, Debug)]
pub struct StaticCredential {
    token: Secret,
}

impl StaticCredential {
    /// Wraps `token`; `Debug` does not show it.
    pub fn new(token: impl Into<String>) -> Self {
        Self { token: Secret::new(token.into()) }
    }
}

#[async_trait]
impl TokenCredential for StaticCredential {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        // A century after the epoch of Unix: far enough that the SDK never asks again, whatever its clock says.
        let expires_on = OffsetDateTime::UNIX_EPOCH + Duration::days(100 * 365);
        Ok(AccessToken::new(self.token.clone(), expires_on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_decides_and_an_empty_setting_is_none() {
        let text = |text: &str| Some(text.to_owned());
        let managed = |client_id| CredentialKind::ManagedIdentity { client_id };
        for (identity_endpoint, client_id, expected) in [
            (text("http://127.0.0.1:41/msi/token"), text("id"), managed(text("id"))),
            (text("http://127.0.0.1:41/msi/token"), text(""), managed(None)),
            (text(""), text("id"), CredentialKind::DeveloperTools),
            (None, None, CredentialKind::DeveloperTools),
        ] {
            assert_eq!(CredentialKind::of(&IdentityEnvironment { identity_endpoint, client_id }), expected);
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        assert!(!format!("{:?}", StaticCredential::new("hush")).contains("hush"));
    }
}
