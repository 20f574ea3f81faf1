//! How many connections the system lets this process have: each of them is an open file.

/// How many files the process needs besides: the store, the listeners, the runtime.
#[cfg(unix)]
const OTHER_FILES: u64 = 100;

/// Lets the process open as many files as it may, and returns how many connections it can have: as many as wanted, or fewer.
#[cfg(unix)]
pub(super) fn allow(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let possible = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1);
    if possible < wanted {
        tracing::warn!(
            files,
            connections = possible,
            "this process may have fewer connections than --max-connections: raise its limit of open files (ulimit -n, LimitNOFILE)"
        );
    }
    possible.min(wanted)
}

#[cfg(not(unix))]
pub(super) fn allow(wanted: usize) -> usize {
    wanted
}
