//! How long things take, and what the clocks say.

use std::time::Duration;

use super::finding::Finding;
use super::server::Server;

const SLOW: Duration = Duration::from_millis(10);
/// Seconds of difference that nobody notices.
const SAME_TIME: f64 = 2.0;

/// How long a request waits for each round trip.
pub(super) fn latency(server: &Server, timeout: Duration) -> Finding {
    const CHECK: &str = "latency";
    let Some(last) = server.pings.len().checked_sub(1) else {
        return Finding::skipped(CHECK, "PING");
    };
    let (median, p99) = (server.pings[last / 2], server.pings[last * 99 / 100]);
    let text = format!("median {}, 99 of 100 within {}", in_millis(median), in_millis(p99));
    if p99 > timeout / 2 {
        Finding::bad(CHECK, format!("{text}: near the time-out of {timeout:?}, requests will fail"))
            .advice("SLOWLOG GET, LATENCY DOCTOR")
    } else if p99 > SLOW {
        Finding::warn(CHECK, format!("{text}: each request waits for one or two of these"))
            .advice("SLOWLOG GET, LATENCY DOCTOR")
    } else {
        Finding::ok(CHECK, text)
    }
}

/// Whether its clock is right. Sessions live by it alone, so a difference harms only whoever compares logs.
pub(super) fn clock(server: &Server) -> Finding {
    const CHECK: &str = "clock";
    let Some(ahead) = server.ahead else {
        return Finding::skipped(CHECK, "TIME");
    };
    let text = match ahead.abs() {
        apart if apart < SAME_TIME => return Finding::ok(CHECK, "the same time as on this machine"),
        apart => format!("{apart:.0} s {} this machine", if ahead > 0.0 { "ahead of" } else { "behind" }),
    };
    Finding::warn(CHECK, format!("{text}: sessions end by the server's clock, and its times are in lists and logs"))
        .advice("let both machines ask a time server")
}

/// When connections are closed.
pub(super) fn timeouts(server: &Server, timeout: Duration) -> Finding {
    const CHECK: &str = "time-outs";
    if !server.may_config() {
        return Finding::skipped(CHECK, "CONFIG GET");
    }
    let idle = server.numeric_setting("timeout").unwrap_or(0);
    let keepalive = server.numeric_setting("tcp-keepalive").unwrap_or(0);
    match (idle, keepalive) {
        (1.., _) => Finding::warn(
            CHECK,
            format!("it closes connections that are idle for {idle} s: the first request after a pause may fail"),
        )
        .advice("CONFIG SET timeout 0, and CONFIG REWRITE"),
        (0, 0) => Finding::warn(CHECK, "tcp-keepalive is 0: connections that a firewall has dropped are never noticed")
            .advice("CONFIG SET tcp-keepalive 300, and CONFIG REWRITE"),
        _ => Finding::ok(CHECK, format!("it keeps idle connections; a call waits {timeout:?} at most")),
    }
}

fn in_millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}
