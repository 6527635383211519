//! Who asks, and what they may do. The platform's word is believed only where the operator of this deployment said so.

use domain::NOTE_CHARS_MAX;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::edge::{HttpCall, base64};

/// The header in which App Service authentication tells who is signed in. Without that in front anybody can write it.
const PRINCIPAL: &str = "x-ms-client-principal";

/// The cookie that holds the development token.
pub(super) const COOKIE: &str = "cordon-operator";

/// Where identities come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identities {
    /// Nobody can be told from anybody else: everybody may read what this process answers, nobody may order anything.
    Nobody,
    /// App Service authentication stands before this process and writes its header.
    Platform {
        /// The role whose holders may read; none if everybody who is signed in may.
        reader: Option<String>,
        /// The role whose holders may give orders.
        operator: String,
    },
    /// One secret, printed at the start of a process on loopback: for `serve` and drills.
    Development {
        /// The secret.
        token: String,
    },
}

/// How the page knows its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where identities come from.
    pub identities: Identities,
    /// Signs the forms' tokens; the same in every instance of one deployment.
    pub form_key: String,
    /// The origin that readers see in their address bar, where it is not the request's own host: behind a front end.
    pub origin: Option<String>,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Reader,
    /// Read, and give orders.
    Operator,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As the platform names them; none where nobody can be told.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
    /// By which way they proved it.
    pub(super) proof: Proof,
}

/// How an identity was proven: what a browser adds by itself needs more than that to give an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The browser or the platform added it: a form needs our token.
    Ambient,
    /// The caller put it into the request: no other site can.
    Explicit,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotLetIn {
    /// Nobody is signed in.
    Unknown,
    /// Somebody is, without a role here.
    NoRole,
}

impl Access {
    /// Everybody reads, nobody orders.
    pub const fn reading_only() -> Self {
        Self { identities: Identities::Nobody, form_key: String::new(), origin: None }
    }

    /// Who makes this call.
    pub(super) fn caller(&self, call: &HttpCall) -> Result<Caller, NotLetIn> {
        match &self.identities {
            Identities::Nobody => Ok(Caller { name: None, role: Role::Reader, proof: Proof::Ambient }),
            Identities::Development { token } => Ok(developer(token, call)),
            Identities::Platform { reader, operator } => principal(call, reader.as_deref(), operator),
        }
    }

    /// The token of a caller's forms, good for an hour and the one after.
    pub(super) fn form_token(&self, caller: &Caller, hour: i64) -> String {
        let name = caller.name.as_deref().unwrap_or_default();
        let digest =
            Sha256::digest(format!("cordon form\n{}\n{name}\n{hour}\n{}", self.form_key, self.form_key));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a form's token is this caller's.
    pub(super) fn is_form_token(&self, caller: &Caller, hour: i64, token: &str) -> bool {
        [hour, hour - 1].into_iter().any(|hour| same(&self.form_token(caller, hour), token))
    }

    /// Whether a request that changes something comes from a page of ours. Browsers name the origin of every POST; a
    /// request that names none is no browser's, and its token is all there is.
    pub(super) fn is_same_origin(&self, call: &HttpCall) -> bool {
        if call.header("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return false;
        }
        let Some(origin) = call.header("origin") else { return true };
        let host = origin.split_once("://").map(|(_, host)| host);
        match &self.origin {
            Some(ours) => origin.eq_ignore_ascii_case(ours.trim_end_matches('/')),
            None => host.is_some() && host == call.header("host"),
        }
    }
}

impl Caller {
    /// Nobody in particular.
    pub(super) const fn nobody() -> Self {
        Self { name: None, role: Role::Reader, proof: Proof::Ambient }
    }

    /// Whether they may give orders.
    pub fn may_order(&self) -> bool {
        self.role == Role::Operator && self.name.is_some()
    }

    /// For the head of the page.
    pub(super) fn in_words(&self) -> String {
        match (&self.name, self.role) {
            (Some(name), Role::Operator) => format!("{name}, operator"),
            (Some(name), Role::Reader) => format!("{name}, reader"),
            (None, _) => "reading only".to_owned(),
        }
    }
}

fn developer(token: &str, call: &HttpCall) -> Caller {
    let bearer = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let cookies = call.header("cookie").unwrap_or_default();
    let cookie =
        cookies.split([';', ',']).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let operator = |proof| Caller { name: Some("developer".to_owned()), role: Role::Operator, proof };
    if bearer.is_some_and(|given| same(given, token)) {
        operator(Proof::Explicit)
    } else if cookie.is_some_and(|given| same(given, token)) {
        operator(Proof::Ambient)
    } else {
        Caller { name: None, role: Role::Reader, proof: Proof::Ambient }
    }
}

/// The platform's principal: base64 of JSON, with the claims as pairs.
#[derive(Deserialize)]
struct Principal {
    #[serde(default)]
    claims: Vec<Claim>,
    #[serde(default)]
    name_typ: Option<String>,
    #[serde(default)]
    role_typ: Option<String>,
}

#[derive(Deserialize)]
struct Claim {
    typ: String,
    val: String,
}

/// Short names of claims, where the token did not say which type holds the name or the roles.
const NAME_CLAIMS: [&str; 4] = ["preferred_username", "name", "upn", "appid"];
const ROLE_CLAIMS: [&str; 2] = ["roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"];

fn principal(call: &HttpCall, reader: Option<&str>, operator: &str) -> Result<Caller, NotLetIn> {
    // Sent twice, the header was joined by a comma, which no base64 has: it reads as nobody.
    let encoded = call.header(PRINCIPAL).ok_or(NotLetIn::Unknown)?;
    let bytes = base64::decode(encoded).ok_or(NotLetIn::Unknown)?;
    let principal: Principal = serde_json::from_slice(&bytes).map_err(|_| NotLetIn::Unknown)?;
    let of_type = |typ: &str| -> Vec<&str> {
        principal.claims.iter().filter(|claim| claim.typ == typ).map(|claim| claim.val.as_str()).collect()
    };
    let named = NAME_CLAIMS.into_iter().chain(principal.name_typ.as_deref());
    let name = named.flat_map(of_type).map(str::trim).find(|name| !name.is_empty());
    let name: String = domain::note(name.ok_or(NotLetIn::Unknown)?).chars().take(NOTE_CHARS_MAX).collect();
    let types = ROLE_CLAIMS.into_iter().chain(principal.role_typ.as_deref());
    let roles: Vec<&str> = types.flat_map(of_type).collect();
    let role = if roles.contains(&operator) {
        Role::Operator
    } else if reader.is_none_or(|reader| roles.contains(&reader)) {
        Role::Reader
    } else {
        return Err(NotLetIn::NoRole);
    };
    Ok(Caller { name: Some(name), role, proof: Proof::Ambient })
}

/// Compares without telling by its duration where the first difference is.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (a, b) = (Sha256::digest(a.as_bytes()), Sha256::digest(b.as_bytes()));
    a.iter().zip(b.iter()).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}
