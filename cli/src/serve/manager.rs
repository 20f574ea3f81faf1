//! Tells the service manager how far the service is (`Type=notify` of systemd). Where there is none, nothing happens.

#[cfg(unix)]
pub(crate) fn ready() {
    tell(sd_notify::NotifyState::Ready);
}

#[cfg(unix)]
pub(crate) fn stopping() {
    tell(sd_notify::NotifyState::Stopping);
}

#[cfg(unix)]
fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told how far the service is");
    }
}

#[cfg(not(unix))]
pub(crate) fn ready() {}

#[cfg(not(unix))]
pub(crate) fn stopping() {}
