//! The configuration in a file, so that several programs that share their sessions cannot disagree about them.

mod contents;
mod reading;
mod store;

use std::path::Path;

use crate::config::{Config, ConfigBuilder};
use crate::error::{Error, Result};
use crate::sessions::Sessions;
use contents::Contents;

pub use store::StoreSettings;

/// A configuration file: the settings of [`ConfigBuilder`] by their names, and which store to open. [The configuration
/// file](crate::guide::configuration) has all keys.
///
/// ```
/// use cloakroom::ConfigFile;
///
/// let file = ConfigFile::parse(
///     r#"
///     idle_timeout = "1h"
///     max_sessions_per_user = 5
///
///     [store]
///     place = "redis://127.0.0.1:6379"
///     "#,
/// )?;
/// // what is code, such as a hook, is added to the builder
/// let config = file.config().on_event(|event| println!("{event:?}")).build()?;
/// assert_eq!(config.terms().idle_timeout.as_secs(), 3600);
/// assert_eq!(file.store().place, "redis://127.0.0.1:6379");
/// # Ok::<(), cloakroom::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// As it was checked.
    config: Config,
    store: StoreSettings,
    service: toml::Table,
}

impl ConfigFile {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Returns a configuration error ([`is_config`](Error::is_config)) if the file cannot be read, or if something in it is not
    /// allowed or contradicts another setting. The error names the file and the key, and the line if what is wrong stands in one. It
    /// repeats no text that stands in the file as a value, because it may be secret.
    pub fn read(path: impl AsRef<Path>) -> Result<ConfigFile> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
        ConfigFile::parsed(&text, &format!("{}: ", path.display()))
    }

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// Returns the errors of [`read`](ConfigFile::read), without the name of the file.
    pub fn parse(text: &str) -> Result<ConfigFile> {
        ConfigFile::parsed(text, "")
    }

    fn parsed(text: &str, file: &str) -> Result<ConfigFile> {
        let contents: Contents = reading::read(text).map_err(|why| refused(format!("{file}{why}")))?;
        contents.store.check().map_err(|why| refused(format!("{file}{why}")))?;
        contents.check().map_err(|why| refused(format!("{file}{why}")))?;
        // contradictions are found here, also by who never builds it
        let config = contents.builder().build().map_err(|error| refused(format!("{file}{error}")))?;
        Ok(ConfigFile { config, store: contents.store, service: contents.service })
    }

    /// Returns a builder with the settings of the file. Settings that are code are added to it:
    /// [`on_event`](ConfigBuilder::on_event) and [`adopt`](ConfigBuilder::adopt).
    pub fn config(&self) -> ConfigBuilder {
        self.config.clone().into()
    }

    /// Returns the settings of the file without what is code.
    pub fn settings(&self) -> &Config {
        &self.config
    }

    /// Returns the settings of the table `[store]`.
    pub fn store(&self) -> &StoreSettings {
        &self.store
    }

    /// Returns the text of the table `[service]`, which only the program `cloakroom serve` reads.
    pub fn service(&self) -> String {
        self.service.to_string()
    }
}

impl Sessions {
    /// Opens the store that a configuration file names, with the settings of the file. See [`ConfigFile`] to add what is code.
    ///
    /// ```no_run
    /// # async fn open() -> Result<(), cloakroom::Error> {
    /// use cloakroom::Sessions;
    ///
    /// let sessions = Sessions::from_file("/etc/cloakroom.toml").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns a configuration error ([`is_config`](Error::is_config)) if the file cannot be read or something in it is not allowed.
    /// Returns a store error ([`is_store`](Error::is_store)) if the directory cannot be opened or the server cannot be reached.
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Sessions> {
        let file = ConfigFile::read(path)?;
        file.store.open(file.config).await
    }
}

fn refused(why: String) -> Error {
    Error::config("the configuration file", format!("cannot be used: {why}"))
}
