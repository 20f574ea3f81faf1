//! When a server has to stop, and for how long it may still answer.

use std::future::pending;
use std::time::Duration;

/// How long requests that have begun may still take after the program was told to stop.
pub(crate) const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Returns what is ready when the user pressed ctrl-c or the system sent SIGTERM. From the call on, and not only from the first poll,
/// neither of them ends the process.
#[cfg(unix)]
pub(crate) fn told_to_stop() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let [interrupted, terminated] = [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| {
        let signals = signal(kind);
        async {
            match signals {
                Ok(mut signals) => {
                    signals.recv().await;
                }
                Err(_) => pending().await,
            }
        }
    });
    async {
        tokio::select! {
            () = interrupted => {}
            () = terminated => {}
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn told_to_stop() -> impl Future<Output = ()> + Send {
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    }
}
