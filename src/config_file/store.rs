//! The table `[store]`: where the sessions are, and how to reach them.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::reading::Span;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::sessions::Sessions;

/// The settings of a store in a [`ConfigFile`](super::ConfigFile).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StoreSettings {
    /// Where the sessions are, as in [`Sessions::open`]: `memory`, a directory, or the URL of a Redis. Several URLs, separated by
    /// spaces, are nodes of one cluster or sentinels of one service. Empty if the file does not say.
    pub place: String,
    /// The text with which every key in Redis begins.
    pub prefix: Option<String>,
    /// How long to wait for a connection to Redis and for each answer.
    #[serde(deserialize_with = "span")]
    pub timeout: Option<Duration>,
    /// The name of the ACL user of Redis.
    pub username: Option<String>,
    /// A file with the password of Redis. It is read again for each connection.
    pub password_file: Option<PathBuf>,
    /// A file with the password of the sentinels.
    pub sentinel_password_file: Option<PathBuf>,
    /// Allows an unencrypted connection to a Redis on another machine.
    pub accept_plain_text: bool,
    /// Keeps the sessions that were just read in this process. See [`NearCache`](crate::store::NearCache).
    pub near_cache: Option<bool>,
    /// A file in PEM with the certificate of the authority that has signed the certificate of Redis.
    pub tls_ca: Option<PathBuf>,
    /// A file in PEM with the certificate that the application shows to Redis.
    pub tls_cert: Option<PathBuf>,
    /// A file in PEM with the private key for `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// Answers a change in a directory only when the disk has it.
    pub wait_for_disk: bool,
}

fn span<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Span::deserialize(deserializer).map(|span| Some(span.0))
}

impl StoreSettings {
    /// Returns true if the sessions are in a Redis.
    pub fn is_redis(&self) -> bool {
        self.place.contains("://")
    }

    /// Checks that the settings fit the place and each other. The error repeats no URL.
    pub(super) fn check(&self) -> Result<(), String> {
        let of_redis = [
            ("prefix", self.prefix.is_some()),
            ("timeout", self.timeout.is_some()),
            ("username", self.username.is_some()),
            ("password_file", self.password_file.is_some()),
            ("sentinel_password_file", self.sentinel_password_file.is_some()),
            ("accept_plain_text", self.accept_plain_text),
            ("near_cache", self.near_cache.is_some()),
            ("tls_ca", self.tls_ca.is_some()),
            ("tls_cert", self.tls_cert.is_some()),
            ("tls_key", self.tls_key.is_some()),
        ];
        if let Some((key, _)) = of_redis.iter().find(|(_, is_set)| *is_set && !self.is_redis()) {
            return Err(format!("store.{key} is for Redis, but store.place is not the URL of a Redis"));
        }
        if self.wait_for_disk && (self.is_redis() || self.place == "memory") {
            return Err("store.wait_for_disk is for a directory, but store.place is not a directory".to_owned());
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("store.tls_cert and store.tls_key need each other: set both, or neither".to_owned());
        }
        if self.urls().any(has_password) {
            return Err(
                "store.place contains a password: change the password, write the new one into a file, and name \
                        the file in store.password_file"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Returns the URLs of Redis.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.place.split_whitespace().filter(|_| self.is_redis())
    }

    /// Opens the store.
    pub(super) async fn open(&self, config: Config) -> Result<Sessions> {
        match () {
            () if self.is_redis() => self.open_redis(config).await,
            () if self.wait_for_disk => self.open_directory(config),
            () => Sessions::open(&self.place, config).await,
        }
    }

    #[cfg(feature = "redis")]
    async fn open_redis(&self, config: Config) -> Result<Sessions> {
        Ok(Sessions::new(self.redis()?.connect().await?, config))
    }

    /// Returns a builder of the Redis store with these settings.
    ///
    /// # Errors
    /// Returns a configuration error if a certificate cannot be read.
    #[cfg(feature = "redis")]
    pub fn redis(&self) -> Result<crate::store::RedisBuilder> {
        use crate::store::{NearCache, Redis};
        let mut urls = self.urls();
        let first = urls.next().unwrap_or_default();
        let mut builder = urls.fold(Redis::builder(first), |builder, url| builder.and(url));
        if let Some(prefix) = &self.prefix {
            builder = builder.prefix(prefix);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(name) = &self.username {
            builder = builder.username(name);
        }
        if let Some(file) = &self.password_file {
            builder = builder.password_file(file);
        }
        if let Some(file) = &self.sentinel_password_file {
            builder = builder.sentinel_password_file(file);
        }
        if self.accept_plain_text {
            builder = builder.accept_plain_text();
        }
        if self.near_cache == Some(true) {
            builder = builder.near_cache(NearCache::default());
        }
        if let Some(file) = &self.tls_ca {
            builder = builder.tls_ca(contents("store.tls_ca", file)?);
        }
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            builder = builder
                .tls_client_certificate(contents("store.tls_cert", certificate)?, contents("store.tls_key", key)?);
        }
        Ok(builder)
    }

    #[cfg(not(feature = "redis"))]
    async fn open_redis(&self, config: Config) -> Result<Sessions> {
        // says which feature is missing
        Sessions::open(&self.place, config).await
    }

    #[cfg(feature = "embedded")]
    fn open_directory(&self, config: Config) -> Result<Sessions> {
        let store = crate::store::Embedded::builder(&self.place).wait_for_disk().open()?;
        Ok(Sessions::new(store, config))
    }

    #[cfg(not(feature = "embedded"))]
    fn open_directory(&self, _config: Config) -> Result<Sessions> {
        Err(Error::config(
            "store.place",
            "is a directory, and this build has no embedded store: turn on the feature `embedded`",
        ))
    }
}

#[cfg(feature = "redis")]
fn contents(setting: &'static str, file: &std::path::Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| Error::config(setting, format!("{}: {error}", file.display())))
}

/// Whether the part of a URL before the host has a password. It is not parsed: what cannot be parsed may contain one as well.
fn has_password(url: &str) -> bool {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let in_user = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    in_user || after_scheme.contains("pass=")
}
