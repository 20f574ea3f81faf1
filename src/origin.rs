//! Whether a text is an origin as browsers send it.

/// Whether a browser could send this as an `Origin`: anything else would never match.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some(uri) = text.parse::<http::Uri>().ok() else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let port_is_usual = match (scheme, authority.as_str().strip_prefix(authority.host())) {
        (_, Some("")) => true,
        // as a browser writes it: `:080` and `:` are no ports to it
        (scheme, Some(port)) => port.strip_prefix(':').is_some_and(|port| {
            let is_default = matches!((scheme, port), ("https", "443") | ("http", "80"));
            !is_default && port.parse::<u16>().is_ok_and(|number| number.to_string() == port)
        }),
        (_, None) => false, // a user stands before the host
    };
    let is_bare = format!("{scheme}://{authority}") == text && text.to_ascii_lowercase() == text;
    is_bare && port_is_usual && is_host_of_origin(authority.host())
}

/// A host name or an address. A `*` would stand for nothing: origins are compared as a whole.
fn is_host_of_origin(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // browsers shorten addresses, and write those that stand for IPv4 in another way than we do
        Some(address) => address
            .parse::<std::net::Ipv6Addr>()
            .is_ok_and(|parsed| parsed.to_string() == address || parsed.to_ipv4_mapped().is_some()),
        None => {
            let is_usual = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !host.is_empty() && !host.starts_with('.') && !host.contains("..") && host.bytes().all(is_usual)
        }
    }
}
