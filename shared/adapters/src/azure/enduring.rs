//! A credential that gives its last token for as long as that is good, whatever the token service says. The SDK's own cache
//! asks for a new one 5 min ahead of the expiry and, if it gets none, fails although the old one would still do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::{Duration, OffsetDateTime};

use super::credential::SharedCredential;

/// A token that expires sooner is not given: it must outlive the request that shows it, and clocks differ.
const GOOD_FOR_MIN: Duration = Duration::seconds(30);

/// After a failure the service is left alone for so long while there is a token that does: each try costs seconds.
const ASK_AGAIN_AFTER: Duration = Duration::seconds(15);

/// Keeps what the credential inside gave last, for each audience.
#[derive(Debug)]
pub(super) struct EnduringCredential {
    inner: SharedCredential,
    held: Mutex<BTreeMap<String, Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    token: AccessToken,
    failed_at: Option<OffsetDateTime>,
}

impl EnduringCredential {
    pub(super) fn new(inner: SharedCredential) -> Self {
        Self { inner, held: Mutex::default() }
    }

    /// The token held, if it is good for a while yet.
    fn held(&self, audience: &str, now: OffsetDateTime) -> Option<Held> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(audience).cloned();
        held.filter(|held| held.token.expires_on >= now + GOOD_FOR_MIN)
    }

    fn hold(&self, audience: String, held: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(audience, held);
    }
}

#[async_trait]
impl TokenCredential for EnduringCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let audience = scopes.join(" ");
        let now = OffsetDateTime::now_utc();
        if let Some(held) = self.held(&audience, now)
            && held.failed_at.is_some_and(|at| now < at + ASK_AGAIN_AFTER)
        {
            return Ok(held.token);
        }
        match self.inner.get_token(scopes, options).await {
            Ok(token) => {
                self.hold(audience, Held { token: token.clone(), failed_at: None });
                Ok(token)
            }
            Err(error) => {
                let now = OffsetDateTime::now_utc();
                let Some(held) = self.held(&audience, now) else { return Err(error) };
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    good_for_s = (held.token.expires_on - now).whole_seconds(),
                    "no new token was given; the last one is still good"
                );
                self.hold(audience, Held { failed_at: Some(now), ..held.clone() });
                Ok(held.token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use azure_core::error::ErrorKind;

    use super::*;

    /// Gives tokens that expire in so many seconds; none: it is down.
    #[derive(Debug)]
    struct Service(Mutex<VecDeque<Option<i64>>>);

    #[async_trait]
    impl TokenCredential for Service {
        async fn get_token(
            &self,
            scopes: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            let answer = self.0.lock().unwrap().pop_front().expect("asked more often than the test allows");
            let Some(seconds) = answer else {
                return Err(azure_core::Error::with_message(ErrorKind::Credential, "down"));
            };
            let expires_on = OffsetDateTime::now_utc() + Duration::seconds(seconds);
            Ok(AccessToken::new(format!("{}-{seconds}", scopes[0]), expires_on))
        }
    }

    async fn given(credential: &EnduringCredential, audience: &str) -> Option<String> {
        credential.get_token(&[audience], None).await.ok().map(|token| token.token.secret().to_owned())
    }

    fn credential(answers: impl IntoIterator<Item = Option<i64>>) -> EnduringCredential {
        EnduringCredential::new(Arc::new(Service(Mutex::new(answers.into_iter().collect()))))
    }

    #[tokio::test]
    async fn a_token_is_given_until_it_expires_although_the_service_is_down() {
        let credential = credential([Some(240), None, Some(3_600)]);
        assert_eq!(given(&credential, "arm").await.as_deref(), Some("arm-240"));
        assert_eq!(given(&credential, "arm").await.as_deref(), Some("arm-240"), "the service is down");
        // It is not asked again at once: the script would end.
        assert_eq!(given(&credential, "arm").await.as_deref(), Some("arm-240"));
        let long_ago = OffsetDateTime::now_utc() - ASK_AGAIN_AFTER;
        credential.held.lock().unwrap().get_mut("arm").unwrap().failed_at = Some(long_ago);
        assert_eq!(given(&credential, "arm").await.as_deref(), Some("arm-3600"), "it is back");
    }

    #[tokio::test]
    async fn a_token_that_is_about_to_expire_or_for_somebody_else_is_not_given() {
        let credential = credential([Some(20), None, Some(3_600), None]);
        assert_eq!(given(&credential, "arm").await.as_deref(), Some("arm-20"));
        assert_eq!(given(&credential, "arm").await, None, "too old");
        assert_eq!(given(&credential, "arm").await.as_deref(), Some("arm-3600"));
        assert_eq!(given(&credential, "cosmos").await, None, "for another audience");
    }
}
