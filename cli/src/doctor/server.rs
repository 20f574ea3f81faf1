//! What one server says about itself. It is asked once, and the checks judge the answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloakroom::store::Redis;
use cloakroom::store::StoreError;
use serde_json::Value;

use super::finding::Finding;
use super::probe::{self, Allowed, is_forbidden};

/// How many round trips are measured.
const PINGS: usize = 100;
const SETTINGS: [&str; 13] = [
    "appendfsync",
    "bind",
    "hash-max-*",
    "maxmemory-policy",
    "min-replicas-to-write",
    "min-slaves-to-write",
    "port",
    "protected-mode",
    "save",
    "tcp-keepalive",
    "timeout",
    "tls-auth-clients",
    "tls-port",
];
const SLOTS: u64 = 16384;

/// One primary, and what it answered.
pub(super) struct Server {
    pub(super) name: String,
    /// What it says to everybody, whatever the ACL.
    hello: BTreeMap<String, Value>,
    info: Option<BTreeMap<String, String>>,
    settings: Option<BTreeMap<String, String>>,
    cluster: Option<BTreeMap<String, String>>,
    /// Who this program is to it, and by which rules.
    pub(super) user: String,
    pub(super) rules: Option<BTreeMap<String, Value>>,
    pub(super) allowed: Allowed,
    /// Round trips, the shortest first.
    pub(super) pings: Vec<Duration>,
    /// Its clock less ours, in seconds.
    pub(super) ahead: Option<f64>,
}

impl Server {
    /// Asks everything that needs no key. `user` is who this program believes to be.
    ///
    /// # Errors
    /// When it does not answer. That it forbids is an answer.
    pub(super) async fn ask(redis: &Redis, name: &str, user: Option<&str>) -> Result<Server, StoreError> {
        let hello: Option<BTreeMap<_, _>> =
            asked(redis, name, &["HELLO"]).await?.map(|hello| pairs_of(&hello).collect());
        let hello = hello.unwrap_or_default();
        let info = text(asked(redis, name, &["INFO"]).await?).map(|text| lines_of(&text));
        let mut settings = None;
        for setting in SETTINGS {
            let Some(answer) = asked(redis, name, &["CONFIG", "GET", setting]).await? else { break };
            let known = settings.get_or_insert_with(BTreeMap::new);
            known.extend(pairs_of(&answer).map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned())));
        }
        let user = text(asked(redis, name, &["ACL", "WHOAMI"]).await?).or(user.map(str::to_owned));
        let user = user.unwrap_or_else(|| "default".to_owned());
        let rules = asked(redis, name, &["ACL", "GETUSER", &user]).await?.map(|rules| pairs_of(&rules).collect());
        let is_cluster = hello.get("mode").is_some_and(|mode| mode == "cluster");
        let cluster = if is_cluster { text(asked(redis, name, &["CLUSTER", "INFO"]).await?) } else { None };
        let allowed = probe::try_all(redis, name, is_cluster).await?;
        let mut pings = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            let begin = Instant::now();
            match redis.command(name, &["PING"]).await {
                // one that is refused has taken as long
                Err(error) if error.code().is_none() => return Err(error),
                _ => {}
            }
            pings.push(begin.elapsed());
        }
        pings.sort();
        let ahead = clock(redis, name).await?;
        let cluster = cluster.map(|text| lines_of(&text));
        Ok(Server { name: name.to_owned(), hello, info, settings, cluster, user, rules, allowed, pings, ahead })
    }

    pub(super) fn may_info(&self) -> bool {
        self.info.is_some()
    }

    pub(super) fn may_config(&self) -> bool {
        self.settings.is_some()
    }

    pub(super) fn is_sentinel(&self) -> bool {
        self.hello("mode") == Some("sentinel")
    }

    fn hello(&self, name: &str) -> Option<&str> {
        self.hello.get(name)?.as_str()
    }

    pub(super) fn info(&self, name: &str) -> Option<&str> {
        self.info.as_ref()?.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.info(name)?.parse().ok()
    }

    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.as_ref()?.get(name).map(String::as_str)
    }

    pub(super) fn numeric_setting(&self, name: &str) -> Option<u64> {
        self.setting(name)?.parse().ok()
    }

    pub(super) fn is_of_cluster(&self) -> bool {
        self.hello("mode") == Some("cluster")
    }
}

/// What it is.
pub(super) fn version(server: &Server) -> Finding {
    const CHECK: &str = "server";
    let is_valkey = server.info("valkey_version").is_some() || server.hello("server") == Some("valkey");
    let flavour = if is_valkey { "Valkey" } else { "Redis" };
    let version = server.info("valkey_version").or(server.info("redis_version")).or(server.hello("version"));
    let Some(version) = version else {
        return Finding::warn(CHECK, "the server does not say what it is, nor which version");
    };
    let mode = server.hello("mode").unwrap_or("standalone");
    let role = server.info("role").or(server.hello("role"));
    judge_version(&format!("{flavour} {version}, {mode}"), version, mode, role, server.info("loading") == Some("1"))
}

fn judge_version(text: &str, version: &str, mode: &str, role: Option<&str>, is_loading: bool) -> Finding {
    const CHECK: &str = "server";
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let since = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match (mode, role) {
        ("sentinel", _) => Finding::bad(CHECK, format!("{text}: a sentinel, which stores no sessions"))
            .advice("name it with a URL such as redis+sentinel://host:26379/service"),
        (_, Some("slave" | "replica")) => Finding::bad(CHECK, format!("{text}: a replica, which accepts no writes"))
            .advice("name the primary or the sentinels instead"),
        _ if is_loading => {
            Finding::bad(CHECK, format!("{text}: it is still loading its data, and refuses everything until then"))
        }
        _ if since < (6, 2) => {
            Finding::bad(CHECK, format!("{text}: older than version 6.2, which is the oldest that works"))
                .advice("update the server")
        }
        _ => Finding::ok(CHECK, text),
    }
}

/// Whether all keys have somebody who takes them.
pub(super) fn cluster(server: &Server) -> Finding {
    const CHECK: &str = "cluster";
    if !server.is_of_cluster() {
        return Finding::ok(CHECK, "not a cluster: one server has all the keys");
    }
    let Some(cluster) = &server.cluster else {
        return Finding::skipped(CHECK, "CLUSTER INFO");
    };
    let number = |name: &str| cluster.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (assigned, well) = (number("cluster_slots_assigned"), number("cluster_slots_ok"));
    let state = cluster.get("cluster_state").map_or("unknown", String::as_str);
    let text = format!(
        "{well} of {SLOTS} slots are served by {} primaries, and the cluster's state is {state}",
        number("cluster_size")
    );
    let advice = "run redis-cli --cluster check HOST:PORT, then redis-cli --cluster fix HOST:PORT";
    match (state, assigned.min(well)) {
        ("ok", SLOTS) => Finding::ok(CHECK, text),
        ("ok", _) => Finding::bad(CHECK, format!("{text}: sessions in the other slots fail")).advice(advice),
        _ => Finding::bad(CHECK, format!("{text}: the whole cluster may refuse commands")).advice(advice),
    }
}

/// What it answers; `None` where this user may not ask.
pub(super) async fn asked(redis: &Redis, server: &str, command: &[&str]) -> Result<Option<Value>, StoreError> {
    unless_forbidden(redis.command(server, command).await)
}

/// `None` where this user may not ask, or an operator has renamed the command.
pub(super) fn unless_forbidden<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_forbidden(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn clock(redis: &Redis, name: &str) -> Result<Option<f64>, StoreError> {
    let seconds_of = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let begin = seconds_of(SystemTime::now());
    let answer = asked(redis, name, &["TIME"]).await?;
    let end = seconds_of(SystemTime::now());
    Ok(answer.and_then(|answer| {
        let part = |i: usize| answer.get(i)?.as_str()?.parse::<f64>().ok();
        // it was asked somewhere between
        Some(part(0)? + part(1)? / 1e6 - (begin + end) / 2.0)
    }))
}

fn text(answer: Option<Value>) -> Option<String> {
    answer.and_then(|answer| answer.as_str().map(str::to_owned))
}

fn lines_of(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn pairs_of(answer: &Value) -> impl Iterator<Item = (String, Value)> {
    let items = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    items.chunks_exact(2).filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn a_server_that_cannot_store_sessions_is_reported() {
        let judged = |version: &str, mode: &str, role: &str, is_loading| {
            judge_version(&format!("Redis {version}"), version, mode, Some(role), is_loading)
        };
        let level = |finding: Finding| finding.level;
        for version in ["6.2.0", "7.0.15", "8.1.4", "10.0"] {
            assert_eq!(level(judged(version, "standalone", "master", false)), Level::Ok, "{version}");
        }
        let bad = [
            (judged("6.0.16", "standalone", "master", false), "older than version 6.2"),
            (judged("none", "standalone", "master", false), "older than version 6.2"),
            (judged("7.0.15", "sentinel", "sentinel", false), "stores no sessions"),
            (judged("7.0.15", "cluster", "replica", false), "a replica"),
            (judged("7.0.15", "standalone", "slave", false), "a replica"),
            (judged("7.0.15", "standalone", "master", true), "still loading"),
        ];
        for (finding, words) in bad {
            assert!(finding.level == Level::Bad && finding.text.contains(words), "{finding:?}");
        }
    }
}
