//! Checks what happens when the server's memory is full.

use super::finding::Finding;
use super::server::Server;

/// Checks whether the server throws sessions away when its memory is full, and how full it is.
pub(super) fn policy(server: &Server) -> Finding {
    const CHECK: &str = "eviction";
    let policy = server.setting("maxmemory-policy").or(server.info("maxmemory_policy"));
    let Some(policy) = policy else {
        return Finding::skipped(CHECK, "INFO");
    };
    if policy != "noeviction" {
        let text = format!(
            "maxmemory-policy is {policy}: when the memory is full, sessions and users' indexes disappear without a message"
        );
        return Finding::bad(CHECK, text).advice("run CONFIG SET maxmemory-policy noeviction, then CONFIG REWRITE");
    }
    let (used, most) = (server.number("used_memory").unwrap_or(0), server.number("maxmemory").unwrap_or(0));
    let evicted = match server.number("evicted_keys").unwrap_or(0) {
        0 => String::new(),
        keys => format!("; {keys} keys were evicted under another policy since the server started"),
    };
    match (used * 100).checked_div(most) {
        None => {
            Finding::ok(CHECK, format!("noeviction without maxmemory: only the machine's memory is the limit{evicted}"))
        }
        Some(percent) if percent >= 90 => Finding::warn(
            CHECK,
            format!("noeviction, and {percent} % of maxmemory is used: when it is full, nobody can sign in{evicted}"),
        )
        .advice("raise maxmemory"),
        Some(percent) => Finding::ok(CHECK, format!("noeviction, {percent} % of maxmemory is used{evicted}")),
    }
}
