//! Which ARM to talk to.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// The address of an ARM, and optionally the loopback address of a simulated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmEndpoint {
    origin: Url,
    loopback: Option<Url>,
}

/// An address cannot be used as an ARM endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is no address at all.
    #[error("read {text:?} as an address")]
    NotAnAddress {
        /// What was read.
        text: String,
        /// Why not.
        #[source]
        source: url::ParseError,
    },
    /// It is not a bare `https://host[:port]`.
    #[error("use {address} as the ARM endpoint: it must be https, with a host and nothing else")]
    NotABareOrigin {
        /// The address.
        address: Url,
    },
    /// A simulated Azure must be on this machine: it is spoken to in plain text, with a token.
    #[error("use {address} as a simulated Azure: it must be http://127.0.0.1:port")]
    NotLoopback {
        /// The address.
        address: Url,
    },
}

impl ArmEndpoint {
    /// The ARM of the public cloud, `https://management.azure.com`.
    ///
    /// # Errors
    /// Never for this constant; the signature is that of [`ArmEndpoint::new`].
    pub fn public_cloud() -> Result<Self, EndpointError> {
        Self::new("https://management.azure.com")
    }

    /// The ARM at `base`, for sovereign clouds (`https://management.usgovcloudapi.net`, …).
    ///
    /// # Errors
    /// When `base` is not `https://host[:port]`.
    pub fn new(base: &str) -> Result<Self, EndpointError> {
        let origin = parse(base)?;
        let is_bare = origin.scheme() == "https"
            && origin.host().is_some()
            && origin.path() == "/"
            && origin.query().is_none()
            && origin.fragment().is_none()
            && has_no_credentials(&origin);
        if !is_bare {
            return Err(EndpointError::NotABareOrigin { address: origin });
        }
        Ok(Self { origin, loopback: None })
    }

    /// The same endpoint, spoken to at `base` on this machine. Addresses in requests and answers stay those of the
    /// real one, so that everything but the last hop is what runs in production.
    ///
    /// # Errors
    /// When `base` is not plain `http` to a literal loopback address (a name could resolve to anything).
    pub fn with_loopback(self, base: &str) -> Result<Self, EndpointError> {
        let base = parse(base)?;
        check_loopback(&base)?;
        Ok(Self { loopback: Some(base), ..self })
    }

    /// Scheme, host and port of every request.
    pub fn origin(&self) -> &Url {
        &self.origin
    }

    /// Where a simulated Azure listens, if this endpoint is one.
    pub fn loopback(&self) -> Option<&Url> {
        self.loopback.as_ref()
    }

    /// The scope of the token for it.
    pub(crate) fn scope(&self) -> String {
        format!("{}.default", self.origin)
    }

    /// `address` if it is on this origin. An address that Azure gave us is followed with our token in hand, so an
    /// answer that was tampered with must not be able to lead it elsewhere.
    pub(crate) fn own(&self, address: &str) -> Option<Url> {
        let address = Url::parse(address).ok()?;
        (address.origin() == self.origin.origin() && has_no_credentials(&address)).then_some(address)
    }
}

pub(crate) fn check_loopback(base: &Url) -> Result<(), EndpointError> {
    let is_loopback = match base.host() {
        Some(Host::Ipv4(ip)) => ip == Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    };
    if base.scheme() == "http" && is_loopback && base.path() == "/" && has_no_credentials(base) {
        return Ok(());
    }
    Err(EndpointError::NotLoopback { address: base.clone() })
}

fn parse(text: &str) -> Result<Url, EndpointError> {
    Url::parse(text).map_err(|source| EndpointError::NotAnAddress { text: text.to_owned(), source })
}

fn has_no_credentials(address: &Url) -> bool {
    address.username().is_empty() && address.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_on_the_same_origin_are_our_own() {
        let endpoint = ArmEndpoint::public_cloud().unwrap();
        for (address, own) in [
            ("https://management.azure.com/subscriptions/s?x=1", true),
            ("https://MANAGEMENT.azure.com:443/subscriptions/s", true),
            ("http://management.azure.com/subscriptions/s", false),
            ("https://management.azure.com:8443/subscriptions/s", false),
            ("https://management.azure.com.evil.example/", false),
            ("https://management.azure.com@evil.example/", false),
            ("https://user:pw@management.azure.com/", false),
            ("https://eastus.management.azure.com/", false),
            ("/subscriptions/s", false),
            ("", false),
        ] {
            assert_eq!(endpoint.own(address).is_some(), own, "{address}");
        }
    }

    #[test]
    fn a_simulated_azure_is_on_this_machine() {
        for (base, accepted) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/", true),
            ("http://localhost:8080", false),
            ("https://127.0.0.1:8080", false),
            ("http://10.0.0.1:8080", false),
            ("http://127.0.0.1:8080/prefix", false),
            ("nonsense", false),
        ] {
            let endpoint = ArmEndpoint::public_cloud().unwrap().with_loopback(base);
            assert_eq!(endpoint.is_ok(), accepted, "{base}");
        }
    }

    #[test]
    fn a_base_address_is_https_and_bare() {
        for (base, accepted) in [
            ("https://management.usgovcloudapi.net", true),
            ("https://management.chinacloudapi.cn/", true),
            ("http://management.azure.com", false),
            ("https://management.azure.com/subscriptions", false),
            ("https://management.azure.com?x=1", false),
        ] {
            assert_eq!(ArmEndpoint::new(base).is_ok(), accepted, "{base}");
        }
        assert_eq!(ArmEndpoint::public_cloud().unwrap().scope(), "https://management.azure.com/.default");
    }
}
