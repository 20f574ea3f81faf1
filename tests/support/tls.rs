//! Certificates of a test's own, and a server that wants to see one.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::RedisServer;
use super::redis_server::free_port;

/// An authority and the certificates that it signed, each as a PEM text.
pub struct Certificates {
    pub authority: String,
    /// Certificate and key.
    pub server: (String, String),
    /// Certificate and key.
    pub client: (String, String),
}

impl Certificates {
    pub fn new() -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the tests' authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let signed = |names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
            let mut params = CertificateParams::new(names.clone()).unwrap();
            // a certificate with the same name as its issuer would count as signed by itself
            params.distinguished_name.push(DnType::CommonName, names[0].as_str());
            let certificate = params.signed_by(&key, &authority).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        Certificates {
            server: signed(&["127.0.0.1", "localhost"]),
            client: signed(&["app.example"]),
            authority: authority.pem(),
        }
    }

    /// Starts a server that speaks TLS on the second port, to whoever shows a certificate of this authority.
    pub fn server(&self) -> (RedisServer, u16) {
        self.server_with(&[])
    }

    /// Starts such a server with more settings.
    pub fn server_with(&self, more: &[&str]) -> (RedisServer, u16) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let settings = self.settings(dir.path(), port);
        let settings: Vec<_> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
        // the files are read at the start only
        (RedisServer::start_with(&settings), port)
    }

    /// The settings of a server that speaks TLS. Writes the files that these settings name.
    pub fn settings(&self, dir: &Path, port: u16) -> Vec<String> {
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let settings = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file("server.crt", &self.server.0)),
            ("--tls-key-file", file("server.key", &self.server.1)),
            ("--tls-ca-cert-file", file("ca.crt", &self.authority)),
            ("--tls-auth-clients", "yes".to_owned()),
        ];
        settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}
