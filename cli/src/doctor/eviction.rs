//! What happens when memory is full.

use super::finding::Finding;
use super::server::Server;

/// Whether the server throws sessions away, and how near that, or a refusal, is.
pub(super) fn policy(server: &Server) -> Finding {
    const CHECK: &str = "eviction";
    let policy = server.setting("maxmemory-policy").or(server.info("maxmemory_policy"));
    let Some(policy) = policy else {
        return Finding::skipped(CHECK, "INFO");
    };
    if policy != "noeviction" {
        let text =
            format!("maxmemory-policy is {policy}: with full memory, sessions and users' indexes vanish silently");
        return Finding::bad(CHECK, text).advice("CONFIG SET maxmemory-policy noeviction, and CONFIG REWRITE");
    }
    let (used, most) = (server.number("used_memory").unwrap_or(0), server.number("maxmemory").unwrap_or(0));
    let evicted = match server.number("evicted_keys").unwrap_or(0) {
        0 => String::new(),
        keys => format!("; {keys} keys were evicted since it started, under another policy"),
    };
    match (used * 100).checked_div(most) {
        None => Finding::ok(CHECK, format!("noeviction, and no maxmemory: the machine's memory is the limit{evicted}")),
        Some(percent) if percent >= 90 => Finding::warn(
            CHECK,
            format!("noeviction, but {percent} % of maxmemory is used: soon nobody can sign in{evicted}"),
        )
        .advice("raise maxmemory"),
        Some(percent) => Finding::ok(CHECK, format!("noeviction, {percent} % of maxmemory is used{evicted}")),
    }
}
