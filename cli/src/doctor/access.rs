//! Checks who else can read the connection, and whether this user may do too much or too little.

use serde_json::Value;

use super::finding::{Finding, Level};
use super::probe::{NEEDED, NEEDED_IN_A_CLUSTER, rule_of};
use super::server::Server;
use crate::place::{Reach, is_sentinel, is_tls};

/// Checks whether anybody on the network can read the connection.
pub(super) fn encryption(reach: &Reach, servers: &[String]) -> Finding {
    const CHECK: &str = "encryption";
    // the nodes of a cluster may be elsewhere than the one that was named
    let is_local_url = |url: &url::Url| url.host_str().is_none_or(is_local);
    let is_local_node = |name: &String| match name.rsplit_once(':') {
        Some((host, _)) if !name.contains("://") => is_local(host),
        _ => true,
    };
    if reach.urls.iter().all(is_tls) {
        Finding::ok(CHECK, "the connection is encrypted with TLS")
    } else if reach.urls.iter().any(is_sentinel) {
        Finding::warn(CHECK, "plain text to the primary, wherever the sentinels say that it is")
            .advice("use rediss+sentinel:// or an encrypted tunnel")
    } else if reach.urls.iter().all(is_local_url) && servers.iter().all(is_local_node) {
        Finding::ok(CHECK, "plain text, but it does not leave this machine")
    } else {
        Finding::warn(CHECK, "plain text to another machine: anybody on the network between can read every session")
            .advice("use rediss:// or an encrypted tunnel")
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.starts_with("127.") || host == "::1" || host.ends_with(".localhost")
}

/// Checks whether this user may do more than sessions need.
pub(super) fn acl(server: &Server, prefix: &str) -> Finding {
    const CHECK: &str = "acl";
    let name = &server.user;
    let Some(rules) = &server.rules else {
        return Finding::ok(CHECK, "this user may not read its own rules, so it is limited");
    };
    let words = |name: &str| rules.get(name).map(words_of).unwrap_or_default();
    let (flags, commands, keys) = (words("flags"), words("commands"), words("keys"));
    let has = |words: &[String], word: &str| words.iter().any(|other| other == word);
    let is_narrow = has(&commands, "-@all") || has(&commands, "-@admin") || has(&commands, "-@dangerous");
    let any_command = !is_narrow && (has(&flags, "allcommands") || has(&commands, "+@all"));
    let any_key = has(&flags, "allkeys") || has(&keys, "~*") || has(&keys, "*");
    let advice = format!("create a user for the application: ACL SETUSER cloakroom {}", wanted_rules(server, prefix));
    if has(&flags, "nopass") {
        let (level, who) = if is_only_local(server) {
            (Level::Warn, "anybody on this machine")
        } else if has_no_port(server, "port") && server.setting("tls-auth-clients") == Some("yes") {
            (Level::Warn, "anybody who has a certificate")
        } else {
            (Level::Bad, "anybody who can reach the port")
        };
        let text = format!("user {name} needs no password: {who} can read and end every session");
        return Finding::new(CHECK, level, text).advice(advice);
    }
    match (any_command, any_key) {
        (true, _) => {
            Finding::warn(CHECK, format!("user {name} may run every command, even FLUSHALL and CONFIG")).advice(advice)
        }
        (false, true) => Finding::warn(CHECK, format!("user {name} may reach every key, not only {prefix}*"))
            .advice(format!("run ACL SETUSER {name} resetkeys ~{prefix}*")),
        (false, false) => Finding::ok(CHECK, format!("user {name} is limited to some commands and keys")),
    }
}

/// Checks whether this user may do everything that sessions need. Each command was tried.
pub(super) fn commands(server: &Server, prefix: &str) -> Finding {
    const CHECK: &str = "commands";
    let name = &server.user;
    let allowed = &server.allowed;
    if !allowed.missing.is_empty() {
        let rules = allowed.missing.iter().map(|rule| format!("+{rule}")).collect::<Vec<_>>().join(" ");
        let text =
            format!("user {name} may not run these commands, which sessions need: {}", allowed.missing.join(", "));
        return Finding::bad(CHECK, text).advice(format!("run ACL SETUSER {name} {rules}"));
    }
    if allowed.not_these_keys {
        let text = format!("user {name} may not use the keys {prefix}*");
        return Finding::bad(CHECK, text).advice(format!("run ACL SETUSER {name} ~{prefix}*"));
    }
    let durable = if allowed.may_wait { "" } else { " except WAIT, without which durable revokes fail" };
    Finding::ok(CHECK, format!("user {name} may run every command that sessions need{durable}"))
}

/// Returns the narrowest rules that work.
fn wanted_rules(server: &Server, prefix: &str) -> String {
    let in_a_cluster = NEEDED_IN_A_CLUSTER.iter().filter(|_| server.is_of_cluster());
    let commands = NEEDED.iter().chain(in_a_cluster).map(|command| format!("+{}", rule_of(command)));
    let commands = commands.chain(["+wait".to_owned()]).collect::<Vec<_>>().join(" ");
    format!("on >PASSWORD ~{prefix}* -@all {commands}")
}

/// Whether nobody on another machine gets an answer.
fn is_only_local(server: &Server) -> bool {
    let is_bound_here = |address: &str| is_local(address.trim_start_matches('-'));
    let bound = server.setting("bind").is_some_and(|bind| {
        let mut addresses = bind.split_whitespace().peekable();
        addresses.peek().is_some() && addresses.all(is_bound_here)
    });
    let has_no_port = has_no_port(server, "port") && has_no_port(server, "tls-port");
    bound || server.setting("protected-mode") == Some("yes") || has_no_port
}

fn has_no_port(server: &Server, port: &str) -> bool {
    // a server that was built without TLS knows no such setting
    server.setting(port).is_none_or(|port| port == "0")
}

/// A list, or words in one text: versions differ.
fn words_of(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(|item| item.as_str()).map(str::to_owned).collect(),
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_ok_only_if_it_stays_on_this_machine() {
        let judged = |url: &str, servers: &[&str]| {
            let urls = vec![url::Url::parse(url).expect("a URL")];
            let reach = Reach { urls, user: None, has_password: false, certificates: Vec::new() };
            let finding = encryption(&reach, &servers.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            (finding.level, finding.text)
        };
        for (url, server) in [
            ("rediss://cache.example", "rediss://cache.example"),
            ("redis://127.0.0.1:7000", "redis://127.0.0.1:7000"),
            ("redis://localhost", "127.0.0.1:7001"),
            ("redis://[::1]:7000", "[::1]:7001"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ] {
            assert_eq!(judged(url, &[server]).0, Level::Ok, "{url}");
        }
        for (url, servers) in [
            ("redis://cache.example", &["redis://cache.example"][..]),
            ("redis://localhost", &["127.0.0.1:7000", "192.0.2.7:7000"]),
            ("redis+sentinel://127.0.0.1/sessions", &["sessions (by 1 sentinels)"]),
        ] {
            let (level, text) = judged(url, servers);
            assert!(level == Level::Warn && text.starts_with("plain text to"), "{url}: {text}");
        }
    }
}
