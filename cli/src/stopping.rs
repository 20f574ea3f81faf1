//! When a server has to stop, and for how long it may still answer.

use std::time::Duration;

/// How long requests that have begun may still take after the program was told to stop.
pub(crate) const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Ready when the user pressed ctrl-c or the system sent SIGTERM.
pub(crate) async fn told_to_stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
