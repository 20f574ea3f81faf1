//! The settings of forward-auth.

use axum::http::uri::Authority;
use clap::Args;
use cloakroom::ConfigFile;
use serde::Deserialize;
use url::Url;

use super::sign_in_page::{SignInPage, allowed_host, sign_in_url};
use crate::failure::Failure;

#[derive(Args)]
pub(crate) struct AuthFlags {
    /// For proxies: the page to which visitors are sent who are not signed in and look at a page
    #[arg(long, value_name = "URL", value_parser = sign_in_url)]
    sign_in_url: Option<Url>,

    /// For proxies: a host whose URLs the sign-in page is told in its parameter `next`, with its port if that is not the scheme's
    /// own. Repeat the flag for more hosts
    #[arg(long = "allowed-host", value_name = "HOST", value_parser = allowed_host)]
    allowed_hosts: Vec<Authority>,

    /// For proxies: also send the user's id in the header Remote-User. The proxy has to remove that header from every request
    #[arg(long)]
    remote_user: bool,
}

/// What the answers to proxies depend on, besides the session.
pub(crate) struct Settings {
    pub(super) sign_in_page: Option<SignInPage>,
    /// `Remote-User` is sent, too.
    pub(super) remote_user: bool,
}

/// The table `[service]` of a configuration file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct InFile {
    sign_in_url: Option<String>,
    allowed_hosts: Vec<String>,
    remote_user: bool,
}

impl AuthFlags {
    /// Returns the settings. What a flag says counts more than what the configuration file says.
    ///
    /// # Errors
    /// Returns an error if the table `[service]` of the file contains something that is not allowed. The error names the key.
    pub(crate) fn settings(&self, file: Option<&ConfigFile>) -> Result<Settings, Failure> {
        let refused = |why| Failure::usage(format!("the table [service] of the configuration file: {why}"));
        let InFile { sign_in_url: url, allowed_hosts: hosts, remote_user } = match file {
            Some(file) => toml::from_str(&file.service()).map_err(|error| refused(error.message().to_owned()))?,
            None => InFile::default(),
        };
        let url = match &self.sign_in_url {
            Some(url) => Some(url.clone()),
            None => {
                url.map(|url| sign_in_url(&url)).transpose().map_err(|why| refused(format!("sign_in_url: {why}")))?
            }
        };
        let hosts = match self.allowed_hosts.is_empty() {
            true => hosts.iter().map(|host| allowed_host(host)).collect::<Result<_, _>>(),
            false => Ok(self.allowed_hosts.clone()),
        };
        let hosts: Vec<Authority> = hosts.map_err(|why| refused(format!("allowed_hosts: {why}")))?;
        if url.is_none() && !hosts.is_empty() {
            return Err(Failure::usage(
                "--allowed-host (in a configuration file, allowed_hosts) needs a sign-in page: name it with --sign-in-url (or \
                 sign_in_url)",
            ));
        }
        let sign_in_page = url.map(|url| SignInPage::new(url, hosts));
        Ok(Settings { sign_in_page, remote_user: self.remote_user || remote_user })
    }
}
