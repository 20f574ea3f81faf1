//! Plain text is sent to this machine only. That holds wherever the address of a connection comes from: a URL, a redirection
//! of a cluster, or sentinels that name a primary.

use std::net::{IpAddr, SocketAddr};

use redis::io::AsyncDNSResolver;
use redis::{ConnectionAddr, RedisFuture, RedisResult};
use url::Host;

use super::client_error::failed;

/// Returns true if this host is the machine itself: an address of the loopback interface, or `localhost`.
pub(super) fn is_this_machine(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return is_loopback(address);
    }
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => is_loopback(address.into()),
        Ok(Host::Ipv6(address)) => is_loopback(address.into()),
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Err(_) => false,
    }
}

/// Refuses an address on another machine that would be reached in plain text.
///
/// # Errors
/// Returns an error that names the address and says what can be done instead.
pub(super) fn check(address: &ConnectionAddr) -> RedisResult<()> {
    match address {
        ConnectionAddr::Tcp(host, port) if !is_this_machine(host) => Err(failed(format!(
            "{host}:{port} is another machine, which would be reached in plain text: anybody between could read the \
             password and every session. Nothing was sent to it. Use TLS (rediss:// or rediss+sentinel://), or accept it \
             with accept_plain_text()"
        ))),
        _ => Ok(()),
    }
}

/// Resolves names of this machine, and leaves out all addresses of other machines. `localhost` needs this, too, because it is
/// only a name.
pub(super) struct ThisMachine;

impl AsyncDNSResolver for ThisMachine {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, port)).await?;
            let ours: Vec<_> = found.filter(|address| is_loopback(address.ip())).collect();
            match ours.is_empty() {
                true => {
                    Err(failed(format!("{host} is no name of this machine here, and plain text goes nowhere else")))
                }
                false => Ok(Box::new(ours.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>),
            }
        })
    }
}

pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_in_every_spelling_and_no_other_is_taken_for_it() {
        let short = ["127.1", "127.0.0", "0x7f.1", "2130706433"];
        let usual = ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "redis.localhost"];
        for host in usual.into_iter().chain(short) {
            assert!(is_this_machine(host), "{host}");
            assert!(check(&ConnectionAddr::Tcp(host.to_owned(), 6379)).is_ok(), "{host}");
        }
        for host in
            ["192.0.2.1", "2001:db8::1", "[2001:db8::1]", "redis.example.com", "localhost.example.com", "", "0.0.0.0"]
        {
            assert!(!is_this_machine(host), "{host}");
            let error = check(&ConnectionAddr::Tcp(host.to_owned(), 6379)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{host}:6379")) && error.contains("accept_plain_text()"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_that_leads_to_another_one_leads_nowhere() {
        assert!(ThisMachine.resolve("127.0.0.1", 1).await.is_ok());
        let error = ThisMachine.resolve("192.0.2.1", 1).await.map(drop).unwrap_err();
        assert!(error.to_string().contains("no name of this machine"), "{error}");
    }
}
