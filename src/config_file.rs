//! The configuration file: the settings of a [`ConfigBuilder`] and the store, as text that several programs read.

mod store;
mod time;

use std::path::Path;

use serde::Deserialize;

use self::store::StoreKeys;
use self::time::Time;
use crate::config::{Config, ConfigBuilder, Csrf};
use crate::cookie::SameSite;
use crate::error::{Error, Result};
use crate::record::{OnLimit, OnReplay, TokenFormat};
use crate::sessions::Sessions;

/// A configuration file (TOML), so that all programs that share sessions have the same settings. Its keys are the names of the
/// methods of [`ConfigBuilder`], and `[store]` says where the sessions are. [The configuration
/// file](crate::guide::configuration) lists every key.
///
/// ```
/// use cloakroom::{ConfigFile, OnLimit};
///
/// let file = ConfigFile::parse(
///     r#"
///     idle_timeout = "15m"
///     max_sessions_per_user = 5
///
///     [store]
///     place = "memory"
///     "#,
/// )?;
/// // what is code is not in the file
/// let config = file.config().on_event(|event| println!("{event:?}")).build()?;
/// # Ok::<(), cloakroom::Error>(())
/// ```
///
/// [`Sessions::from_file`] opens the whole.
#[derive(Clone)]
pub struct ConfigFile {
    config: ConfigBuilder,
    store: StoreKeys,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Returns a [configuration error](Error::is_config) if the file cannot be read, and as [`parse`](ConfigFile::parse) does.
    /// It names the file.
    pub fn read(path: impl AsRef<Path>) -> Result<ConfigFile> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|error| refused(format!("{} cannot be read: {error}", path.display())))?;
        parsed(&text).map_err(|problem| refused(format!("{} is not valid: {problem}", path.display())))
    }

    /// Parses the text of a configuration file.
    ///
    /// # Errors
    /// Returns a [configuration error](Error::is_config) if the text is not TOML, or has an unknown key or a value of the wrong
    /// type. It names the line, and never repeats it, because it may contain a secret. Whether the settings contradict each
    /// other is found by [`ConfigBuilder::build`].
    pub fn parse(text: &str) -> Result<ConfigFile> {
        parsed(text).map_err(|problem| refused(format!("is not valid: {problem}")))
    }

    /// Returns a builder with the settings of the file, for what is code: [`on_event`](ConfigBuilder::on_event) and
    /// [`adopt`](ConfigBuilder::adopt).
    pub fn config(&self) -> ConfigBuilder {
        self.config.clone()
    }

    /// Returns `[store] place`, as it may be shown: it has no password, which the file must not contain.
    pub fn place(&self) -> Option<&str> {
        self.store.place.as_deref()
    }

    /// Opens the store that the file names, with this configuration.
    ///
    /// # Errors
    /// Returns a configuration error if the file names no store, or if a setting of the store is refused. Returns a store error
    /// ([`is_store`](Error::is_store)) if the store is not available.
    pub async fn open(&self, config: Config) -> Result<Sessions> {
        self.store.open(config).await
    }
}

impl Sessions {
    /// Opens the store that a [configuration file](ConfigFile) names, with the settings of the file.
    ///
    /// # Errors
    /// Returns a configuration error if the file cannot be read, if it is not valid, or if its settings contradict each other.
    /// Returns a store error ([`is_store`](Error::is_store)) if the store is not available.
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Sessions> {
        let file = ConfigFile::read(path)?;
        file.open(file.config().build()?).await
    }
}

/// Makes the keys of the file and what each of them calls, so that none can be read and then forgotten.
macro_rules! keys {
    (values { $($value:ident: $read:ty => $taken:ty,)* } switches { $($switch:ident,)* }) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            $($value: Option<$read>,)*
            $(#[serde(default)] $switch: bool,)*
            #[serde(default)]
            trust_origin: Vec<String>,
            #[serde(default)]
            store: StoreKeys,
        }

        impl Keys {
            fn apply(self, mut builder: ConfigBuilder) -> (ConfigBuilder, StoreKeys) {
                // first, because a switch may change what a value then sets
                $(if self.$switch { builder = builder.$switch(); })*
                $(if let Some(value) = self.$value { builder = builder.$value(<$taken>::from(value)); })*
                (self.trust_origin.into_iter().fold(builder, ConfigBuilder::trust_origin), self.store)
            }
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($value),)* $(stringify!($switch),)* "trust_origin"];
    };
}

keys! {
    values {
        idle_timeout: Time => std::time::Duration,
        absolute_lifetime: Time => std::time::Duration,
        touch_interval: Time => std::time::Duration,
        rotation_grace: Time => std::time::Duration,
        max_fields: usize => usize,
        max_bytes: usize => usize,
        store_timeout: Time => std::time::Duration,
        token_format: TokenFormat => TokenFormat,
        cookie_name: String => String,
        same_site: SameSite => SameSite,
        cookie_path: String => String,
        cookie_domain: String => String,
        cookie_max_age: Time => std::time::Duration,
        bearer_token_header: String => String,
        rotate_every: Time => std::time::Duration,
        max_sessions_per_user: usize => usize,
        on_limit: OnLimit => OnLimit,
        on_replay: OnReplay => OnReplay,
        sign_in_page: String => String,
        sign_in_next: String => String,
        csrf: Csrf => Csrf,
    }
    switches {
        no_absolute_lifetime,
        cookie_partitioned,
        bearer_tokens,
        plain_http_for_development,
    }
}

/// Parses a text, or says what is wrong with it and where.
fn parsed(text: &str) -> std::result::Result<ConfigFile, String> {
    let keys: Keys = toml::from_str(text).map_err(|error| match error.span() {
        // never the whole error, which shows the line
        Some(span) => {
            let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
            format!("line {line}: {}", without_value(error.message()))
        }
        None => without_value(error.message()),
    })?;
    if keys.no_absolute_lifetime && keys.absolute_lifetime.is_some() {
        return Err("no_absolute_lifetime contradicts absolute_lifetime: remove one of the two".to_owned());
    }
    keys.store.check()?;
    let (config, store) = keys.apply(Config::builder());
    Ok(ConfigFile { config, store })
}

/// Takes the text out of what serde says about a text where none is allowed: it may be a URL with a password.
fn without_value(message: &str) -> String {
    let text = message.strip_prefix("invalid type: string ").and_then(|rest| rest.rsplit_once(", expected "));
    match text {
        Some((_, expected)) => format!("invalid type: a string, expected {expected}"),
        None => message.to_owned(),
    }
}

fn refused(reason: String) -> Error {
    Error::config("the configuration file", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is code, or stands for two other settings.
    const NOT_IN_THE_FILE: [&str; 5] = ["adopt", "on_event", "nist_aal1", "nist_aal2", "nist_aal3"];

    fn message(text: &str) -> String {
        let refused = ConfigFile::parse(text).and_then(|file| file.config().build());
        refused.expect_err("the text is refused").to_string()
    }

    #[test]
    fn every_setting_of_the_builder_has_a_key() {
        let source = include_str!("config.rs");
        let methods = source.split("impl ConfigBuilder {").nth(1).expect("the builder has methods");
        let settings: Vec<_> = methods
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub fn ")?.split(['(', '<']).next())
            .filter(|name| *name != "build" && !NOT_IN_THE_FILE.contains(name))
            .collect();
        assert!(settings.len() > 20, "the settings were not found: {settings:?}");
        let without: Vec<_> = settings.iter().filter(|name| !NAMES.contains(name)).collect();
        assert!(without.is_empty(), "these settings have no key in the configuration file: {without:?}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_name_and_line() {
        let message = message("max_fields = 7\nidle_timout = \"5m\"\n");
        assert!(message.contains("line 2") && message.contains("idle_timout"), "{message}");
    }

    #[test]
    fn a_number_without_a_unit_is_no_time() {
        for text in ["idle_timeout = 30", "idle_timeout = \"30\""] {
            let message = message(text);
            assert!(message.contains("line 1") && message.contains("unit"), "{message}");
        }
    }

    #[test]
    fn a_contradiction_is_found_and_names_the_key() {
        let both = message("idle_timeout = \"1h\"\nabsolute_lifetime = \"5m\"");
        assert!(both.contains("idle_timeout must not exceed absolute_lifetime"), "{both}");
        let endless = message("no_absolute_lifetime = true\nabsolute_lifetime = \"5m\"\ntoken_format = \"plain\"");
        assert!(endless.contains("no_absolute_lifetime"), "{endless}");
    }

    #[test]
    fn no_error_repeats_a_password() {
        for text in [
            "[store]\nplace = \"redis://:hunter2@localhost\"",
            "[store]\nplace = \"redis://localhost\"\nnodes = [\"redis://:hunter2@other\"]",
            "[store]\nplace = \"redis://:hunter2@[bad\"",
            "[store]\nplace = \"redis://localhost\"\nnodes = \"redis://:hunter2@other\"",
            "[store]\npassword = \"hunter2\"",
            "[store]\nplace = \"redis://:hunter2@localhost",
        ] {
            let message = message(text);
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_setting_for_redis_is_refused_for_another_store() {
        let message = message("[store]\nplace = \"memory\"\nprefix = \"shop:\"");
        assert!(message.contains("store.prefix"), "{message}");
    }

    #[test]
    fn the_page_has_every_key_and_the_real_defaults_and_its_example_builds() {
        let page = include_str!("../docs/configuration.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        ConfigFile::parse(example).and_then(|file| file.config().build()).expect("the example builds");

        let settings = page.split("## The store").next().unwrap_or_default();
        let rows: Vec<_> = settings.lines().filter(|line| line.starts_with("| `")).collect();
        let shown: Vec<_> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
        assert!(shown.iter().all(|key| NAMES.contains(key)), "{shown:?}");
        assert!(NAMES.iter().all(|key| shown.contains(key)), "{shown:?}");
        let default = format!("{:?}", Config::default());
        for (key, row) in shown.iter().zip(&rows) {
            let cell = row.trim_end_matches([' ', '|']).rsplit("| ").next().unwrap_or_default();
            if let Some(value) = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) {
                let file = ConfigFile::parse(&format!("{key} = {value}")).expect("the default is allowed");
                let config = file.config().build().expect("the default builds");
                assert_eq!(format!("{config:?}"), default, "the documented default of {key}");
            }
        }
    }

    #[tokio::test]
    async fn one_call_opens_store_and_settings_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cloakroom.toml");
        std::fs::write(&path, "max_fields = 7\nsame_site = \"strict\"\n[store]\nplace = \"memory\"\n").unwrap();
        assert!(Sessions::from_file(&path).await.is_ok());
        assert_eq!(ConfigFile::read(&path).unwrap().config().build().unwrap().terms().max_fields, 7);

        std::fs::write(&path, "max_felds = 7").unwrap();
        let error = Sessions::from_file(&path).await.expect_err("an unknown key is refused").to_string();
        assert!(error.contains("cloakroom.toml") && error.contains("max_felds"), "{error}");
    }
}
