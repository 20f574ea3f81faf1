//! Checks whether a text is an origin in the form in which browsers send it.

/// Returns true if a browser could send this text as an `Origin`. Any other text would never match a request.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some(uri) = text.parse::<http::Uri>().ok() else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let port_is_usual = match (scheme, authority.as_str().strip_prefix(authority.host())) {
        (_, Some("")) => true,
        // only as a browser writes a port: never `:080`, never a `:` without a number
        (scheme, Some(port)) => port.strip_prefix(':').is_some_and(|port| {
            let is_default = matches!((scheme, port), ("https", "443") | ("http", "80"));
            !is_default && port.parse::<u16>().is_ok_and(|number| number.to_string() == port)
        }),
        (_, None) => false, // there is a user name before the host
    };
    let is_bare = format!("{scheme}://{authority}") == text && text.to_ascii_lowercase() == text;
    is_bare && port_is_usual && is_host_of_origin(authority.host())
}

/// Returns true for a host name and for an IP address. A `*` is refused: origins are compared as a whole, so it would match
/// nothing.
fn is_host_of_origin(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // browsers shorten IPv6 addresses as Rust does, except those that stand for an IPv4 address
        Some(address) => address
            .parse::<std::net::Ipv6Addr>()
            .is_ok_and(|parsed| parsed.to_string() == address || parsed.to_ipv4_mapped().is_some()),
        None => {
            let is_usual = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !host.is_empty() && !host.starts_with('.') && !host.contains("..") && host.bytes().all(is_usual)
        }
    }
}
