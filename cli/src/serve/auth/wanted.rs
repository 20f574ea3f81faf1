//! The URL that a visitor wants, and whether they may be sent back to it after the sign-in.

use axum::http::uri::Authority;

/// A URL, in the parts that a proxy names.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    scheme: Scheme,
    authority: Authority,
    /// Path and query.
    target: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scheme {
    Http,
    Https,
}

impl Wanted {
    /// Reads the parts of a URL. `None` if one of them cannot be what a browser asked for.
    pub(crate) fn new(scheme: &str, host: &str, target: &str) -> Option<Wanted> {
        let scheme = match scheme {
            // Traefik names the protocol that the connection changes to
            "https" | "wss" => Scheme::Https,
            "http" | "ws" => Scheme::Http,
            _ => return None,
        };
        let authority = host.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'))?;
        // an OPTIONS for the whole server has `*`, and nobody can be sent there
        let is_target = target == "*" || target.starts_with('/');
        is_target.then(|| Wanted { scheme, authority, target: target.to_owned() })
    }

    /// Reads a URL as nginx writes it: `https://app.example/path?query`.
    pub(crate) fn from_url(url: &str) -> Option<Wanted> {
        let (scheme, rest) = url.split_once("://")?;
        let (host, target) = rest.split_at(rest.find('/')?);
        Wanted::new(scheme, host, target)
    }

    /// Returns the host with its port, as the browser wrote it.
    pub(crate) fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// Returns the URL if its host is one of these, with or without its scheme's default port. A host that was allowed without a
    /// port is allowed on that port only.
    pub(crate) fn url_at(&self, allowed: &[Authority]) -> Option<String> {
        let Wanted { scheme, authority, target } = self;
        let (scheme, default_port) = match scheme {
            Scheme::Http => ("http", ":80"),
            Scheme::Https => ("https", ":443"),
        };
        let own = without(authority, default_port);
        let is_allowed = allowed.iter().any(|allowed| without(allowed, default_port).eq_ignore_ascii_case(own));
        (is_allowed && target != "*").then(|| format!("{scheme}://{own}{target}"))
    }
}

fn without<'a>(authority: &'a Authority, port: &str) -> &'a str {
    authority.as_str().strip_suffix(port).unwrap_or(authority.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back_to(scheme: &str, host: &str, target: &str) -> Option<String> {
        let allowed = ["app.example", "dev.example:8443"].map(|host| host.parse().expect("a host"));
        Wanted::new(scheme, host, target)?.url_at(&allowed)
    }

    #[test]
    fn a_visitor_is_sent_back_to_the_allowed_hosts_only() {
        for (scheme, host, url) in [
            ("https", "app.example", "https://app.example/x"),
            ("https", "App.Example:443", "https://App.Example/x"),
            ("http", "app.example:80", "http://app.example/x"),
            ("wss", "app.example", "https://app.example/x"),
            ("ws", "app.example", "http://app.example/x"),
            ("https", "dev.example:8443", "https://dev.example:8443/x"),
        ] {
            assert_eq!(back_to(scheme, host, "/x").as_deref(), Some(url));
        }
        for (scheme, host) in [
            ("https", "app.example:8443"),
            ("https", "app.example:80"),
            ("https", "dev.example"),
            ("https", "app.example.evil.example"),
            ("https", "evil.example"),
            ("https", "evil.example#app.example"),
            ("https", "app.example@evil.example"),
            ("https", "app.example, evil.example"),
            ("https", "app.example."),
            ("https", "evil.example\\app.example"),
            ("https", ""),
            ("javascript", "app.example"),
            ("HTTPS", "app.example"),
            ("https, http", "app.example"),
            ("", "app.example"),
        ] {
            assert_eq!(back_to(scheme, host, "/x"), None, "{scheme}://{host}");
        }
    }

    #[test]
    fn what_is_wanted_begins_with_a_slash_and_so_never_changes_the_host() {
        assert_eq!(
            back_to("https", "app.example", "//evil.example").as_deref(),
            Some("https://app.example//evil.example")
        );
        for target in ["", "*", ".evil.example", ":80", "@evil.example/", "https://evil.example/"] {
            assert_eq!(back_to("https", "app.example", target), None, "{target}");
        }
        assert_eq!(Wanted::from_url("https://app.example/a?b=/c").map(|url| url.target), Some("/a?b=/c".to_owned()));
        for url in ["", "https://app.example", "app.example/x", "https:///x", "https://app.example?x=/y"] {
            assert_eq!(Wanted::from_url(url), None, "{url}");
        }
    }
}
