//! Checks how long the server takes to answer, and its clock.

use std::time::Duration;

use super::finding::Finding;
use super::server::Server;

const SLOW: Duration = Duration::from_millis(10);
/// Seconds of difference that nobody notices.
const SAME_TIME: f64 = 2.0;

/// Checks how long a request waits for each round trip.
pub(super) fn latency(server: &Server, timeout: Duration) -> Finding {
    judge_latency(&server.pings, timeout)
}

/// Judges the times of round trips, which are sorted, the shortest first.
fn judge_latency(pings: &[Duration], timeout: Duration) -> Finding {
    const CHECK: &str = "latency";
    let Some(last) = pings.len().checked_sub(1) else {
        return Finding::skipped(CHECK, "PING");
    };
    let (median, p99) = (pings[last / 2], pings[last * 99 / 100]);
    let text = format!("median {}, 99 of 100 answers within {}", in_millis(median), in_millis(p99));
    if p99 > timeout / 2 {
        Finding::bad(CHECK, format!("{text}: this is near the time-out of {timeout:?}, so requests will fail"))
            .advice("run SLOWLOG GET and LATENCY DOCTOR to see what is slow")
    } else if p99 > SLOW {
        Finding::warn(CHECK, format!("{text}: each request waits for one or two answers"))
            .advice("run SLOWLOG GET and LATENCY DOCTOR to see what is slow")
    } else {
        Finding::ok(CHECK, text)
    }
}

/// Checks whether the server's clock is right. Sessions depend on this clock alone, so a difference only confuses people who compare
/// logs.
pub(super) fn clock(server: &Server) -> Finding {
    judge_clock(server.ahead)
}

fn judge_clock(ahead: Option<f64>) -> Finding {
    const CHECK: &str = "clock";
    let Some(ahead) = ahead else {
        return Finding::skipped(CHECK, "TIME");
    };
    let text = match ahead.abs() {
        apart if apart < SAME_TIME => return Finding::ok(CHECK, "the server's clock agrees with this machine's"),
        apart => format!(
            "the server's clock is {apart:.0} s {} this machine's",
            if ahead > 0.0 { "ahead of" } else { "behind" }
        ),
    };
    Finding::warn(CHECK, format!("{text}: sessions end by the server's clock, and lists and logs show its times"))
        .advice("synchronise the clocks of both machines with a time server")
}

/// Checks when connections are closed.
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
            format!(
                "the server closes connections that are idle for {idle} s: the first request after a pause may fail"
            ),
        )
        .advice("run CONFIG SET timeout 0, then CONFIG REWRITE"),
        (0, 0) => Finding::warn(
            CHECK,
            "tcp-keepalive is 0: the server never notices that a firewall has dropped a connection",
        )
        .advice("run CONFIG SET tcp-keepalive 300, then CONFIG REWRITE"),
        _ => {
            Finding::ok(CHECK, format!("the server keeps idle connections open, and a call waits at most {timeout:?}"))
        }
    }
}

fn in_millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn a_server_that_answers_slowly_now_and_then_is_reported() {
        let pings = |slow: u64| {
            let millis = [[1; 98].as_slice(), &[slow; 2]].concat();
            millis.into_iter().map(Duration::from_millis).collect::<Vec<_>>()
        };
        let level = |slow| judge_latency(&pings(slow), Duration::from_secs(1)).level;
        assert_eq!([2, 50, 600].map(level), [Level::Ok, Level::Warn, Level::Bad]);
        assert!(judge_latency(&pings(600), Duration::from_secs(1)).text.contains("within 600.00 ms"));
    }

    #[test]
    fn a_clock_that_is_minutes_off_is_reported() {
        assert_eq!(
            [Some(1.0), Some(-120.0), None].map(|ahead| judge_clock(ahead).level),
            [Level::Ok, Level::Warn, Level::Skip]
        );
        assert!(judge_clock(Some(-120.0)).text.contains("120 s behind"));
    }
}
