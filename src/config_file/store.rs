//! The table `[store]`: where the sessions are, and how to reach them.

#[cfg(feature = "tls")]
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use super::refused;
use super::time::Time;
use crate::config::Config;
use crate::error::Result;
use crate::sessions::Sessions;

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreKeys {
    pub(super) place: Option<String>,
    nodes: Vec<String>,
    prefix: Option<String>,
    timeout: Option<Time>,
    near_cache: bool,
    username: Option<String>,
    password_file: Option<PathBuf>,
    accept_plain_text: bool,
    tls_ca: Option<PathBuf>,
    tls_client_certificate: Option<PathBuf>,
    tls_client_key: Option<PathBuf>,
}

impl StoreKeys {
    /// Checks what can be checked without the store, or says what is wrong.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let is_redis = self.place.as_deref().is_some_and(|place| place.contains("://"));
        if let Some(key) = self.key_for_redis().filter(|_| !is_redis) {
            return Err(format!("store.{key} needs the URL of a Redis as store.place"));
        }
        if self.tls_client_certificate.is_some() != self.tls_client_key.is_some() {
            return Err("store.tls_client_certificate and store.tls_client_key need each other".to_owned());
        }
        if self.place.iter().chain(&self.nodes).any(|url| has_password(url)) {
            return Err("a URL in [store] contains a password, and a configuration file is read by many: change the \
                        password, and give the new one in the file that store.password_file names, or in the \
                        environment's REDIS_PASSWORD"
                .to_owned());
        }
        Ok(())
    }

    /// Returns the first key that means something for Redis only.
    fn key_for_redis(&self) -> Option<&'static str> {
        let given = [
            ("nodes", !self.nodes.is_empty()),
            ("prefix", self.prefix.is_some()),
            ("timeout", self.timeout.is_some()),
            ("near_cache", self.near_cache),
            ("username", self.username.is_some()),
            ("password_file", self.password_file.is_some()),
            ("accept_plain_text", self.accept_plain_text),
            ("tls_ca", self.tls_ca.is_some()),
            ("tls_client_certificate", self.tls_client_certificate.is_some()),
            ("tls_client_key", self.tls_client_key.is_some()),
        ];
        given.into_iter().find_map(|(key, is_given)| is_given.then_some(key))
    }

    pub(super) async fn open(&self, config: Config) -> Result<Sessions> {
        let Some(place) = &self.place else {
            return Err(refused("needs [store] with a place: `memory`, a directory or the URL of a Redis".to_owned()));
        };
        #[cfg(feature = "redis")]
        if place.contains("://") {
            return Ok(Sessions::new(self.redis(place)?.connect().await?, config));
        }
        Sessions::open(place, config).await
    }

    #[cfg(feature = "redis")]
    fn redis(&self, place: &str) -> Result<crate::store::RedisBuilder> {
        let mut builder = self.nodes.iter().fold(crate::store::Redis::builder(place), |builder, url| builder.and(url));
        if let Some(prefix) = &self.prefix {
            builder = builder.prefix(prefix);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout.into());
        }
        if self.near_cache {
            builder = builder.near_cache(crate::store::NearCache::default());
        }
        if let Some(name) = &self.username {
            builder = builder.username(name);
        }
        builder = match (&self.password_file, password_of_environment()) {
            (Some(file), _) => builder.password_file(file),
            (None, Some(password)) => builder.password(password),
            (None, None) => builder,
        };
        if self.accept_plain_text {
            builder = builder.accept_plain_text();
        }
        self.with_certificates(builder)
    }

    #[cfg(feature = "tls")]
    fn with_certificates(&self, mut builder: crate::store::RedisBuilder) -> Result<crate::store::RedisBuilder> {
        if let Some(file) = &self.tls_ca {
            builder = builder.tls_ca(contents("tls_ca", file)?);
        }
        if let (Some(certificate), Some(key)) = (&self.tls_client_certificate, &self.tls_client_key) {
            let certificate = contents("tls_client_certificate", certificate)?;
            builder = builder.tls_client_certificate(certificate, contents("tls_client_key", key)?);
        }
        Ok(builder)
    }

    #[cfg(all(feature = "redis", not(feature = "tls")))]
    fn with_certificates(&self, builder: crate::store::RedisBuilder) -> Result<crate::store::RedisBuilder> {
        match self.tls_ca.is_some() || self.tls_client_certificate.is_some() {
            true => Err(refused("names certificates, and this build has no TLS: turn on the feature `tls`".to_owned())),
            false => Ok(builder),
        }
    }
}

/// Returns true if what stands before the host of a URL has a password. Works for what is no URL, too, because of a slip of the
/// pen or a character in the password.
fn has_password(url: &str) -> bool {
    let user = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

/// An empty variable counts as not set, so that a service file can switch it off.
#[cfg(feature = "redis")]
fn password_of_environment() -> Option<String> {
    std::env::var("REDIS_PASSWORD").ok().filter(|password| !password.is_empty())
}

#[cfg(feature = "tls")]
fn contents(key: &str, file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| refused(format!("store.{key}: {} cannot be read: {error}", file.display())))
}
