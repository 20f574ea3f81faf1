//! Checks what is left of the data when a process or a machine fails.

use super::finding::Finding;
use super::server::Server;

/// Checks whether sessions, and the ends of sessions, outlive a restart.
pub(super) fn persistence(server: &Server) -> Finding {
    const CHECK: &str = "persistence";
    if !server.may_info() {
        return Finding::skipped(CHECK, "INFO");
    }
    let failed = |name| server.info(name).is_some_and(|status| status != "ok");
    let is_appending = server.info("aof_enabled") == Some("1");
    if is_appending && failed("aof_last_write_status") || failed("rdb_last_bgsave_status") {
        return Finding::bad(CHECK, "the last write to disk failed: changes may be refused, and a restart loses them")
            .advice("look into the server's log: the disk may be full");
    }
    let advice = "run CONFIG SET appendonly yes, then CONFIG REWRITE";
    if !is_appending {
        return match server.setting("save") {
            Some("") => Finding::warn(CHECK, "nothing is written to disk: a restart signs everybody out").advice(advice),
            Some(save) => Finding::warn(
                CHECK,
                format!("only snapshots are written ({save}): after a crash, sessions that were ended since the last one are live again"),
            )
            .advice(advice),
            None => Finding::warn(
                CHECK,
                "there is no append-only file: a crash loses at least the changes since the last snapshot",
            )
            .advice(advice),
        };
    }
    match server.setting("appendfsync") {
        Some("no") => {
            Finding::warn(CHECK, "there is an append-only file, but appendfsync is no: if the machine fails, about half a minute of changes is lost")
                .advice("run CONFIG SET appendfsync everysec, then CONFIG REWRITE")
        }
        Some("always") => Finding::ok(CHECK, "append-only file with appendfsync always: no acknowledged change is lost"),
        Some(other) => {
            Finding::ok(CHECK, format!("append-only file with appendfsync {other}: if the machine fails, about a second of changes is lost"))
        }
        None => Finding::ok(CHECK, "append-only file"),
    }
}

/// Checks whether a replica can take over, and whether a primary that is cut off from its replicas stops accepting changes.
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
                "min-replicas-to-write is {least}, but only {good} replicas are up to date: all changes are refused now, even signing out"
            );
            Finding::bad(CHECK, text).advice("bring the replicas back, or lower min-replicas-to-write until then")
        }
        (0, _) => Finding::warn(CHECK, "there is no replica: while this machine is not available, nobody is signed in")
            .advice("add a replica, and use Sentinel or a cluster"),
        (_, Some(0)) => {
            let text = format!(
                "{online} online, but min-replicas-to-write is 0: a primary that is cut off still accepts changes, and they are lost"
            );
            Finding::warn(CHECK, text).advice("run CONFIG SET min-replicas-to-write 1, then CONFIG REWRITE")
        }
        (_, Some(least)) => Finding::ok(CHECK, format!("{online} online, and min-replicas-to-write is {least}")),
        (_, None) => Finding::ok(
            CHECK,
            format!("{online} online; min-replicas-to-write is not known, because this user may not run CONFIG GET"),
        ),
    }
}
