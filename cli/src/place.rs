//! Where the sessions are, as it may be shown: without its password.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use url::Url;

pub(crate) const REDIS_PORT: u16 = 6379;

/// Where the sessions are. Its `Display` shows no password.
pub(crate) enum Place {
    /// In this process.
    Memory,
    /// In a directory of this machine.
    Embedded(PathBuf),
    /// In Redis or Valkey.
    Redis(Reach),
}

/// How to reach Redis. Not `Debug`: a URL may hold a password.
pub(crate) struct Reach {
    /// One server, or nodes of one cluster, or sentinels of one service. Never empty.
    pub(crate) urls: Vec<Url>,
    /// The ACL user, where it is not the default one.
    pub(crate) user: Option<String>,
    /// Whether there is a password, wherever it stands.
    pub(crate) has_password: bool,
    /// What redis-cli has to be told of certificates.
    pub(crate) certificates: Vec<String>,
}

impl Place {
    /// The lines that show the session with this id and key to whoever types them, without a password: of redis-cli, or of
    /// this program.
    pub(crate) fn lines(&self, id: &str, key: &str, plain_tokens: bool) -> Vec<String> {
        let word = shell_word(key);
        let redis_cli = |cli: &str| vec![format!("{cli} HGETALL {word}"), format!("{cli} TTL {word}")];
        match self {
            Place::Memory => redis_cli("redis-cli"),
            Place::Redis(reach) => redis_cli(&reach.redis_cli()),
            Place::Embedded(path) => {
                let plain = if plain_tokens { " --plain-tokens" } else { "" };
                let path = shell_word(&path.display().to_string());
                vec![format!("cloakroom show --store {path}{plain} {}", shell_word(id))]
            }
        }
    }
}

impl Reach {
    /// The `redis-cli` that reaches it, with only the flags it needs.
    fn redis_cli(&self) -> String {
        let mut line = String::from("redis-cli");
        let url = &self.urls[0];
        let mut flag = |text: &str| {
            line.push(' ');
            line.push_str(&shell_word(text));
        };
        if is_sentinel(url) {
            // the sentinels know which server it is today; this program does not say so in time
            ["-h", "PRIMARY"].into_iter().for_each(&mut flag);
        } else {
            match url.host_str() {
                None => ["-s", url.path()].into_iter().for_each(&mut flag),
                Some("127.0.0.1" | "localhost") => {}
                Some(host) => ["-h", host.trim_matches(['[', ']'])].into_iter().for_each(&mut flag),
            }
            if let Some(port) = url.port().filter(|port| *port != REDIS_PORT) {
                ["-p", &port.to_string()].into_iter().for_each(&mut flag);
            }
        }
        if self.urls.len() > 1 && !is_sentinel(url) {
            flag("-c");
        }
        if is_tls(url) {
            flag("--tls");
            self.certificates.iter().map(String::as_str).for_each(&mut flag);
        }
        if let Some(db) = database(url).filter(|db| db != "0") {
            ["-n", &db].into_iter().for_each(&mut flag);
        }
        if let Some(user) = &self.user {
            ["--user", user].into_iter().for_each(&mut flag);
        }
        if self.has_password {
            flag("--askpass");
        }
        line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = match self {
            Place::Memory => return f.write_str("memory"),
            Place::Embedded(path) => return write!(f, "{}", path.display()),
            Place::Redis(Reach { urls, .. }) => urls,
        };
        let url = &urls[0];
        match url.host_str() {
            None => write!(f, "redis {}", url.path())?,
            Some(host) => {
                let (name, port) = if is_sentinel(url) { ("sentinel", 26379) } else { ("redis", REDIS_PORT) };
                let port = url.port().unwrap_or(port);
                write!(f, "{name} {host}:{port}/{}", database(url).as_deref().unwrap_or("0"))?;
            }
        }
        match urls.len() - 1 {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

pub(crate) fn is_tls(url: &Url) -> bool {
    matches!(url.scheme(), "rediss" | "valkeys" | "rediss+sentinel")
}

pub(crate) fn is_sentinel(url: &Url) -> bool {
    url.scheme().ends_with("+sentinel")
}

/// Whether a password stands in the URL, wherever one can.
pub(crate) fn has_password(url: &Url) -> bool {
    url.password().is_some() || ["pass", "sentinel_password"].iter().any(|name| parameter(url, name).is_some())
}

/// The number of the database: in the URL's path, or with a socket, whose path that is, a parameter.
fn database(url: &Url) -> Option<Cow<'_, str>> {
    let db = match url.host_str() {
        // before it stands the name of the service
        Some(_) if is_sentinel(url) => Some(Cow::Borrowed(url.path().trim_matches('/').split_once('/')?.1)),
        Some(_) => Some(Cow::Borrowed(url.path().trim_start_matches('/'))),
        None => parameter(url, "db"),
    };
    db.filter(|db| !db.is_empty())
}

pub(crate) fn user(url: &Url) -> Option<Cow<'_, str>> {
    let name = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy();
    if name.is_empty() { parameter(url, "user") } else { Some(name) }
}

fn parameter<'a>(url: &'a Url, name: &str) -> Option<Cow<'a, str>> {
    url.query_pairs().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// `text` as one word of a shell: quoted only where it must be.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=…".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(urls: &[&str]) -> Place {
        let urls: Vec<_> = urls.iter().map(|url| Url::parse(url).expect("a URL")).collect();
        let (user, has_password) = (user(&urls[0]).map(Cow::into_owned), has_password(&urls[0]));
        Place::Redis(Reach { urls, user, has_password, certificates: vec!["--cacert".into(), "ca.pem".into()] })
    }

    #[test]
    fn the_redis_cli_has_only_the_flags_that_are_needed() {
        let cases = [
            ("redis://127.0.0.1", "redis-cli"),
            ("redis://localhost:6379/0", "redis-cli"),
            ("redis://127.0.0.1:7000/3", "redis-cli -p 7000 -n 3"),
            ("redis://cache.example", "redis-cli -h cache.example"),
            ("rediss://cache.example", "redis-cli -h cache.example --tls --cacert ca.pem"),
            ("redis://[::1]:7000", "redis-cli -h ::1 -p 7000"),
            ("redis://:hunter2@127.0.0.1", "redis-cli --askpass"),
            ("redis://ann%20a:hunter2@127.0.0.1", "redis-cli --user 'ann a' --askpass"),
            ("redis+sentinel://127.0.0.1:26379/mymaster/2", "redis-cli -h PRIMARY -n 2"),
            (
                "unix:///run/redis.sock?db=2&user=ann&pass=hunter2",
                "redis-cli -s /run/redis.sock -n 2 --user ann --askpass",
            ),
        ];
        for (url, line) in cases {
            assert_eq!(
                place(&[url]).lines("", "key", false),
                [format!("{line} HGETALL key"), format!("{line} TTL key")]
            );
        }
        let two = place(&["redis://127.0.0.1:7000", "redis://127.0.0.1:7001"]).lines("", "key", false);
        assert_eq!(two[1], "redis-cli -p 7000 -c TTL key");
    }

    #[test]
    fn a_session_in_a_directory_is_shown_by_this_program() {
        let place = Place::Embedded("/var/lib/my app".into());
        assert_eq!(place.lines("Zk3V", "session:Zk3V", false), ["cloakroom show --store '/var/lib/my app' Zk3V"]);
        assert_eq!(
            place.lines("Zk3V…", "session:Zk3V…", true),
            ["cloakroom show --store '/var/lib/my app' --plain-tokens Zk3V…"]
        );
    }

    #[test]
    fn a_place_is_shown_without_its_password() {
        assert_eq!(place(&["redis://:hunter2@127.0.0.1:7000/3"]).to_string(), "redis 127.0.0.1:7000/3");
        let sentinels =
            ["redis+sentinel://a:hunter2@one/mymaster?sentinel_password=x", "redis+sentinel://two/mymaster"];
        assert_eq!(place(&sentinels).to_string(), "sentinel one:26379/0 and 1 more");
    }

    #[test]
    fn a_key_that_a_shell_would_read_is_quoted() {
        assert_eq!(shell_word("session:Zk3V0pXq1mB8sT5rYw2uCg"), "session:Zk3V0pXq1mB8sT5rYw2uCg");
        assert_eq!(shell_word("it's $HOME:"), r"'it'\''s $HOME:'");
    }
}
