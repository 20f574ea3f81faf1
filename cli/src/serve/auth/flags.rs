//! The settings of forward-auth.

use axum::http::uri::Authority;
use clap::Args;
use url::Url;

use super::sign_in_page::{SignInPage, allowed_host, sign_in_url};

#[derive(Args)]
pub(crate) struct AuthFlags {
    /// For proxies: the page to which visitors are sent who are not signed in and look at a page
    #[arg(long, value_name = "URL", value_parser = sign_in_url)]
    sign_in_url: Option<Url>,

    /// For proxies: a host whose URLs the sign-in page is told in its parameter `next`, with its port if that is not the scheme's
    /// own. Repeat the flag for more hosts
    #[arg(long = "allowed-host", value_name = "HOST", value_parser = allowed_host, requires = "sign_in_url")]
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

impl AuthFlags {
    pub(crate) fn settings(&self) -> Settings {
        let page = |url: &Url| SignInPage::new(url.clone(), self.allowed_hosts.clone());
        Settings { sign_in_page: self.sign_in_url.as_ref().map(page), remote_user: self.remote_user }
    }
}
