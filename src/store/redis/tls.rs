//! Which certificates of servers are trusted, and which certificate of our own is shown to them.

use redis::{ClientTlsConfig, TlsCertificates};

use crate::error::{Error, Result};

/// PEM files, as the application gave them.
#[derive(Clone, Default)]
pub(super) struct Certificates {
    pub(super) authority: Option<Vec<u8>>,
    /// Our own certificate and its key.
    pub(super) own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    /// Returns the certificates for the client library. `None` if the system's trusted certificates are used and we show none
    /// of our own.
    pub(super) fn checked(&self) -> Result<Option<TlsCertificates>> {
        if let Some(authority) = &self.authority {
            check("tls_ca", authority, "CERTIFICATE")?;
        }
        if let Some((certificate, key)) = &self.own {
            check("tls_client_certificate", certificate, "CERTIFICATE")?;
            check("tls_client_certificate", key, "PRIVATE KEY")?;
        }
        if self.authority.is_none() && self.own.is_none() {
            return Ok(None);
        }
        let client_tls = self.own.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        Ok(Some(TlsCertificates { client_tls, root_cert: self.authority.clone() }))
    }
}

/// Checks that the file has such a part. The client's own error would not say which file it is about.
fn check(setting: &'static str, pem: &[u8], part: &str) -> Result<()> {
    let is_begin = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{part}-----"));
    match String::from_utf8_lossy(pem).lines().any(is_begin) {
        true => Ok(()),
        false => Err(Error::config(setting, format!("must be PEM with a {}, and holds none", part.to_lowercase()))),
    }
}
