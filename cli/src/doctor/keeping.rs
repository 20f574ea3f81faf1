//! What is left when a process or a machine dies.

use super::finding::Finding;
use super::server::Server;

/// Whether sessions, and that they were revoked, outlive a restart.
pub(super) fn persistence(server: &Server) -> Finding {
    const CHECK: &str = "persistence";
    if !server.may_info() {
        return Finding::skipped(CHECK, "INFO");
    }
    let failed = |name| server.info(name).is_some_and(|status| status != "ok");
    let is_appending = server.info("aof_enabled") == Some("1");
    if is_appending && failed("aof_last_write_status") || failed("rdb_last_bgsave_status") {
        return Finding::bad(
            CHECK,
            "the last write to disk has failed: changes may be refused, and are lost at a restart",
        )
        .advice("look into its log: is the disk full?");
    }
    let advice = "CONFIG SET appendonly yes, and CONFIG REWRITE";
    if !is_appending {
        return match server.setting("save") {
            Some("") => Finding::warn(CHECK, "none: a restart signs everybody out").advice(advice),
            Some(save) => Finding::warn(
                CHECK,
                format!("snapshots only ({save}): a crash brings sessions back that were revoked since"),
            )
            .advice(advice),
            None => Finding::warn(
                CHECK,
                "no append-only file: a crash loses at least what was done since the last snapshot",
            )
            .advice(advice),
        };
    }
    match server.setting("appendfsync") {
        Some("no") => {
            Finding::warn(CHECK, "append-only file, but appendfsync is no: a machine that dies loses half a minute")
                .advice("CONFIG SET appendfsync everysec, and CONFIG REWRITE")
        }
        Some("always") => Finding::ok(CHECK, "append-only file, appendfsync always: nothing acknowledged is lost"),
        Some(other) => {
            Finding::ok(CHECK, format!("append-only file, appendfsync {other}: a machine that dies loses a second"))
        }
        None => Finding::ok(CHECK, "append-only file"),
    }
}

/// Whether somebody can take over, and whether a primary that is cut off stops.
pub(super) fn replication(server: &Server) -> Finding {
    const CHECK: &str = "replicas";
    if !server.may_info() {
        return Finding::skipped(CHECK, "INFO");
    }
    let replicas = server.number("connected_slaves").unwrap_or(0);
    let online =
        (0..replicas).filter(|i| server.info(&format!("slave{i}")).is_some_and(|line| line.contains("state=online")));
    let online = online.count() as u64;
    let least = server.numeric_setting("min-replicas-to-write").or(server.numeric_setting("min-slaves-to-write"));
    let good = server.number("min_slaves_good_slaves").unwrap_or(online);
    match (replicas, least) {
        (_, Some(least)) if good < least => {
            let text = format!(
                "min-replicas-to-write is {least}, but {good} replicas are near enough: all changes are refused now, signing out too"
            );
            Finding::bad(CHECK, text).advice("bring replicas back, or lower it until then")
        }
        (0, _) => Finding::warn(CHECK, "none: while this machine is away nobody is signed in")
            .advice("add a replica, and Sentinel or a cluster"),
        (_, Some(0)) => {
            let text = format!(
                "{online} online, but min-replicas-to-write is 0: a primary that is cut off goes on, and what it does is lost"
            );
            Finding::warn(CHECK, text).advice("CONFIG SET min-replicas-to-write 1, and CONFIG REWRITE")
        }
        (_, Some(least)) => Finding::ok(CHECK, format!("{online} online, min-replicas-to-write {least}")),
        (_, None) => Finding::ok(
            CHECK,
            format!("{online} online; min-replicas-to-write is not known: this user may not run CONFIG GET"),
        ),
    }
}
