//! Whose certificates are trusted, and which one is shown.

use redis::sentinel::SentinelClientBuilder;
use redis::{ClientTlsConfig, TlsCertificates, TlsMode};

use crate::error::{Error, Result};

/// PEM files, as they were given.
#[derive(Clone, Default)]
pub(super) struct Certificates {
    pub(super) authority: Option<Vec<u8>>,
    /// The certificate and its key.
    pub(super) own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    /// For the client library; `None` where the system's trust and no certificate of ours are meant.
    pub(super) fn checked(&self) -> Result<Option<TlsCertificates>> {
        let is_pem =
            |bytes: &[u8]| bytes.starts_with(b"-----BEGIN ") || bytes.windows(12).any(|part| part == b"\n-----BEGIN ");
        let own = self
            .own
            .iter()
            .flat_map(|(certificate, key)| [("tls_client_certificate", certificate), ("tls_client_certificate", key)]);
        for (setting, bytes) in self.authority.iter().map(|ca| ("tls_ca", ca)).chain(own) {
            if !is_pem(bytes) {
                return Err(Error::config(setting, "must be PEM: it begins with -----BEGIN"));
            }
        }
        if self.authority.is_none() && self.own.is_none() {
            return Ok(None);
        }
        let client_tls = self.own.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        Ok(Some(TlsCertificates { client_tls, root_cert: self.authority.clone() }))
    }

    pub(super) fn for_sentinels(&self, builder: SentinelClientBuilder, is_tls: bool) -> Result<SentinelClientBuilder> {
        if !is_tls {
            return Ok(builder);
        }
        let builder =
            builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
        Ok(match self.checked()? {
            Some(all) => builder.set_client_to_redis_certificates(all.clone()).set_client_to_sentinel_certificates(all),
            None => builder,
        })
    }
}
