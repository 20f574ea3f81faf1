//! An address to listen on, as a flag has it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::str::FromStr;

const UNIX: &str = "unix:";

/// `127.0.0.1:8090`, `[::1]:8090` or `unix:/run/cloakroom/cloakroom.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    pub(super) const UNKNOWN: Address = Address::Tcp(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)));

    /// Whether only processes on this machine can connect to it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return match path.starts_with('/') {
                true => Ok(Address::Unix(path.into())),
                false => {
                    Err("the path of a Unix socket must begin with a slash: unix:/run/cloakroom/cloakroom.sock"
                        .to_owned())
                }
            };
        }
        let text = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
        text.parse().map(Address::Tcp).map_err(|_| {
            "give an IP address and a port (127.0.0.1:8090, [::1]:8090), or a Unix socket (unix:/run/cloakroom/cloakroom.sock)"
                .to_owned()
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_address_with_a_port_or_the_path_of_a_socket() {
        let cases = [
            ("127.0.0.1:8090", Some(("http://127.0.0.1:8090", true))),
            ("localhost:80", Some(("http://127.0.0.1:80", true))),
            ("[::1]:80", Some(("http://[::1]:80", true))),
            ("[::ffff:127.0.0.1]:80", Some(("http://[::ffff:127.0.0.1]:80", true))),
            ("0.0.0.0:80", Some(("http://0.0.0.0:80", false))),
            ("[::]:80", Some(("http://[::]:80", false))),
            ("10.0.0.1:80", Some(("http://10.0.0.1:80", false))),
            ("unix:/run/c.sock", Some(("unix:/run/c.sock", true))),
            ("unix:c.sock", None),
            ("example.com:80", None),
            ("8090", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = text.parse::<Address>().ok().map(|address| (address.to_string(), address.is_local()));
            assert_eq!(read, expected.map(|(shown, local)| (shown.to_owned(), local)), "{text}");
        }
    }
}
