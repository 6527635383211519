//! Who calls the webhooks: Entra tokens of action groups and of Event Grid, and the key of those who have none
//! (contracts/AZURE.md 7.3).
//!
//! The action groups' function key is the host's to check, and it has done so before we see a call. At `cloud_event` a token
//! can stand in for a key, so there the host asks for nothing and the key is ours to check. A token says more: which
//! application called, in which role. If one is shown it must be good; whether one must be shown is a setting.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Timestamp;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{ControllerApp, HttpCall, HttpReply};

/// The authority of the public cloud.
pub const AUTHORITY: &str = "https://login.microsoftonline.com";

/// How far two clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(120);

/// Signing keys are read again after this; Entra announces new ones well before it signs with them.
const KEYS_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two reads of the keys, whatever unknown key a caller names: nobody can make us call Entra at his pace.
const KEYS_PAUSE: Duration = Duration::from_secs(60);

/// A caller waits for us for 30 s at most, and this is one of several things we do meanwhile.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);

/// The document of a tenant's keys has about 10 KB.
const KEYS_BYTES_MAX: usize = 1024 * 1024;

/// The longest token that is looked at: headers are bounded anyway.
const TOKEN_CHARS_MAX: usize = 16 * 1024;

/// Where a caller shows a key: as it would to the host.
const KEY_HEADER: &str = "x-functions-key";
const KEY_QUERY: &str = "code";

/// Who is expected at a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Azure Monitor's secure webhook.
    ActionGroup,
    /// Event Grid's delivery to a protected webhook.
    EventGrid,
}

impl Caller {
    /// Microsoft's own application, the same in every tenant.
    const fn application(self) -> &'static str {
        match self {
            Self::ActionGroup => "461e8683-5575-4561-ac7f-899cc907d62a",
            Self::EventGrid => "4962773b-9cdb-44cf-a8bf-237846a00ab7",
        }
    }

    /// The role that the administrator gave to it; of Event Grid's the newer and the older name.
    const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::ActionGroup => &["ActionGroupsSecureWebhook"],
            Self::EventGrid => &["AzureEventGridSecureWebhookSubscriber", "AzureEventGridSecureWebhook"],
        }
    }
}

/// Who asks for the key at `cloud_event`.
#[derive(Clone, Debug, Default)]
enum EventKey {
    /// Nobody: without a host the process listens on loopback alone.
    #[default]
    Unasked,
    /// We do, for the one with this digest.
    Is(Box<[u8; 32]>),
    /// We do, and none was set: nobody is let in by a key.
    None,
}

/// Whether a call needs a token whatever its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// A key is enough; a token that is shown must be good.
    Optional,
    /// A call without a token is refused.
    Required,
}

/// Whose tokens count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntraSettings {
    /// Where the tenant's keys are read, and who issues its newer tokens.
    pub authority: String,
    /// The tenant's id.
    pub tenant: String,
    /// What the tokens must be for.
    pub audiences: Vec<String>,
    /// Whether a call needs one.
    pub required: Tokens,
}

/// Who may call the webhooks.
#[derive(Debug)]
pub struct Callers {
    entra: Option<Box<Entra>>,
    event_key: EventKey,
}

#[derive(Debug)]
struct Entra {
    settings: EntraSettings,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    by_id: BTreeMap<String, DecodingKey>,
    read_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.by_id.keys()).finish()
    }
}

/// Why a call is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Denied {
    /// The token or the key is no good: sending it again cannot help.
    Caller(&'static str),
    /// The tenant's keys cannot be read: it may be good, and sending it again can help.
    KeysUnreadable,
}

/// What we read of a token. Of the two versions of tokens one names the application `appid`, the other `azp`.
#[derive(Deserialize)]
struct Claims {
    exp: i64,
    nbf: Option<i64>,
    #[serde(default)]
    roles: Vec<String>,
    appid: Option<String>,
    azp: Option<String>,
}

impl ControllerApp {
    /// What to answer to a call that is not let in; none for one that is.
    pub async fn refused(&self, caller: Caller, call: &HttpCall) -> Option<HttpReply> {
        let now = self.controllers.iter().next()?.clock.now();
        self.callers.refused(caller, call, &self.outbound, now).await
    }
}

impl Callers {
    /// Whoever holds a function key; tokens are not looked at.
    pub const fn with_keys() -> Self {
        Self { entra: None, event_key: EventKey::Unasked }
    }

    /// Tokens count, too.
    pub fn with_tokens(settings: EntraSettings) -> Self {
        let entra = Entra { settings, keys: Mutex::default() };
        Self { entra: Some(Box::new(entra)), event_key: EventKey::Unasked }
    }

    /// `cloud_event` lets in who shows this key, or a token; without a key only tokens.
    #[must_use]
    pub fn asking_for(self, event_key: Option<&str>) -> Self {
        let event_key = event_key
            .map_or(EventKey::None, |key| EventKey::Is(Box::new(Sha256::digest(key.as_bytes()).into())));
        Self { event_key, ..self }
    }

    /// What to answer to a call that is not let in; none for one that is.
    pub async fn refused(
        &self,
        caller: Caller,
        call: &HttpCall,
        http: &reqwest::Client,
        now: Timestamp,
    ) -> Option<HttpReply> {
        let denied = match (&self.entra, bearer(call)) {
            (Some(entra), Some(token)) => entra.check(caller, token, http, now).await.err()?,
            (Some(entra), None) if entra.settings.required == Tokens::Required => {
                Denied::Caller("the call carries no bearer token")
            }
            // A token that nobody here can judge is none.
            _ => self.by_key(caller, call).err()?,
        };
        Some(match denied {
            Denied::Caller(why) => {
                tracing::warn!(caller = ?caller, why, "a webhook call was not let in");
                HttpReply::reason(401, format!("{why}; see README, \"Who may call\""))
                    .with_header("WWW-Authenticate", "Bearer")
            }
            Denied::KeysUnreadable => {
                HttpReply::reason(503, "the tenant's signing keys cannot be read; send it again")
                    .with_header("Retry-After", "60")
            }
        })
    }

    /// The key of `cloud_event`, where the host asks for none. Compared as digests, so that the time it takes says nothing
    /// about how much of it was right.
    fn by_key(&self, caller: Caller, call: &HttpCall) -> Result<(), Denied> {
        let wanted = match (caller, &self.event_key) {
            (Caller::ActionGroup, _) | (Caller::EventGrid, EventKey::Unasked) => return Ok(()),
            (Caller::EventGrid, EventKey::None) => {
                return Err(Denied::Caller(
                    "the call carries no token, and no key is set that would let it in",
                ));
            }
            (Caller::EventGrid, EventKey::Is(digest)) => digest,
        };
        match call.header(KEY_HEADER).or_else(|| call.query.get(KEY_QUERY).map(String::as_str)) {
            Some(shown) if Sha256::digest(shown.as_bytes())[..] == wanted[..] => Ok(()),
            Some(_) => Err(Denied::Caller("the key is another one")),
            None => Err(Denied::Caller("the call carries neither a key nor a token")),
        }
    }
}

fn bearer(call: &HttpCall) -> Option<&str> {
    let value = call.header("authorization")?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Entra {
    async fn check(
        &self,
        caller: Caller,
        token: &str,
        http: &reqwest::Client,
        now: Timestamp,
    ) -> Result<(), Denied> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(Denied::Caller("the token is too long to be one"));
        }
        let header = decode_header(token).map_err(|_| Denied::Caller("the token is not a signed one"))?;
        // By name, not by what the header asks for: "none" and a shared secret are no signatures of Entra's.
        if header.alg != Algorithm::RS256 {
            return Err(Denied::Caller("the token is not signed by RS256"));
        }
        let id = header.kid.ok_or(Denied::Caller("the token does not name its key"))?;
        let key = self.key(&id, http, now).await?;
        let claims = decode::<Claims>(token, &key, &self.validation())
            .map_err(|error| Denied::Caller(reason(error.kind())))?
            .claims;
        check_times(&claims, now)?;
        let application = claims.appid.or(claims.azp).unwrap_or_default();
        if !application.eq_ignore_ascii_case(caller.application()) {
            return Err(Denied::Caller("the token is of another application"));
        }
        if !claims.roles.iter().any(|role| caller.roles().contains(&role.as_str())) {
            return Err(Denied::Caller("the token lacks the role of a webhook's caller"));
        }
        Ok(())
    }

    /// Signature, issuer and audience. The times are ours to check, by our clock.
    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_audience(&self.settings.audiences);
        let EntraSettings { authority, tenant, .. } = &self.settings;
        // Older tokens and newer ones: the caller's application says which it gets.
        validation.set_issuer(&[
            format!("https://sts.windows.net/{tenant}/"),
            format!("{AUTHORITY}/{tenant}/v2.0"),
            format!("{}/{tenant}/v2.0", authority.trim_end_matches('/')),
        ]);
        validation
    }

    async fn key(&self, id: &str, http: &reqwest::Client, now: Timestamp) -> Result<DecodingKey, Denied> {
        let mut keys = self.keys.lock().await;
        let fresh = keys.read_at.is_some_and(|at| now.since(at) < KEYS_AGE_MAX);
        if let Some(key) = keys.by_id.get(id).filter(|_| fresh) {
            return Ok(key.clone());
        }
        if keys.tried_at.is_none_or(|at| now.since(at) >= KEYS_PAUSE) {
            keys.tried_at = Some(now);
            match self.read_keys(http).await {
                Ok(by_id) => {
                    keys.by_id = by_id;
                    keys.read_at = Some(now);
                }
                Err(error) => {
                    tracing::error!(error = %format!("{error:#}"), "the tenant's signing keys cannot be read");
                }
            }
        }
        // Keys that could not be read again are better than none: Entra's outage must not silence its callers.
        match keys.by_id.get(id) {
            Some(key) => Ok(key.clone()),
            None if keys.read_at.is_some() && keys.read_at == keys.tried_at => {
                Err(Denied::Caller("the token is signed by a key that the tenant does not have"))
            }
            None => Err(Denied::KeysUnreadable),
        }
    }

    async fn read_keys(&self, http: &reqwest::Client) -> anyhow::Result<BTreeMap<String, DecodingKey>> {
        let EntraSettings { authority, tenant, .. } = &self.settings;
        let url = format!("{}/{tenant}/discovery/v2.0/keys", authority.trim_end_matches('/'));
        let mut response = http.get(url).timeout(KEYS_TIMEOUT).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            anyhow::ensure!(body.len() <= KEYS_BYTES_MAX, "the key document is over {KEYS_BYTES_MAX} bytes");
        }
        let document: Value = serde_json::from_slice(&body)?;
        let all = document.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
        // Each by itself: one of a kind that we do not know spoils nothing for the others.
        let usable =
            all.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()).filter_map(|key| {
                let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
                Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok()?)).filter(|_| signs)
            });
        let by_id: BTreeMap<_, _> = usable.collect();
        anyhow::ensure!(!by_id.is_empty(), "the key document has no key that signs");
        Ok(by_id)
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), Denied> {
    let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(0);
    let now = now.as_millis() / 1000;
    if claims.exp.saturating_add(leeway) < now {
        return Err(Denied::Caller("the token has expired"));
    }
    if claims.nbf.is_some_and(|from| from.saturating_sub(leeway) > now) {
        return Err(Denied::Caller("the token is not valid yet"));
    }
    Ok(())
}

fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => "the token's signature is not of the key that it names",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks an expiry, issuer or audience",
        _ => "the token cannot be read",
    }
}
