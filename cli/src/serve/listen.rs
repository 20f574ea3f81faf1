//! Where the service listens: TCP addresses and Unix sockets, until it is told to stop.

mod address;
mod connections;
mod files;
mod listener;
#[cfg(unix)]
mod socket_file;

use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::address::Address;
use self::connections::Limits;
use self::listener::Listener;
use super::Flags;
use super::manager;
use crate::failure::Failure;
use crate::stopping::LAST_REQUESTS;

/// The addresses that the flags name, each with what it answers.
pub(crate) struct Listeners {
    listeners: Vec<(Listener, Router)>,
    limits: Limits,
}

impl Listeners {
    /// Begins to listen for callers, and for administrators if they have addresses of their own.
    ///
    /// # Errors
    /// Returns an error if the program cannot listen on an address, or if others could reach it without a key.
    pub(crate) async fn bind(flags: &Flags, callers: Router, administrators: Router) -> Result<Listeners, Failure> {
        let callers = flags.listen.iter().map(|address| (address, &callers));
        let administrators = flags.admin_listen.iter().map(|address| (address, &administrators));
        let limits = Limits {
            connections: files::allow(flags.max_connections),
            keep_alive: Duration::from_secs(flags.keep_alive),
        };
        let mut listeners = Vec::new();
        for (address, router) in callers.chain(administrators) {
            if flags.keys.is_none() && !flags.without_keys && !address.is_local() {
                return Err(Failure::usage(format!(
                    "other machines can reach {address}, and without keys everybody who can connect has all rights: name a file with \
                     keys with --keys, or confirm this with --without-keys"
                )));
            }
            listeners.push((Listener::bind(address).await?, router.clone()));
        }
        Ok(Listeners { listeners, limits })
    }

    /// Returns the addresses, those for callers first.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.listeners.iter().map(|(listener, _)| listener.address()).collect()
    }

    /// Serves until the program is told to stop, and then lets the requests that have begun end, but waits for a limited time only.
    pub(crate) async fn serve(self, told_to_stop: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let mut serving = JoinSet::new();
        for (listener, router) in self.listeners {
            serving.spawn(connections::serve(listener, router, self.limits, stopping.clone()));
        }
        manager::ready();
        told_to_stop.await;
        manager::stopping();
        let _ = stop.send(true);
        let last = async { while serving.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_REQUESTS, last).await.is_err() {
            tracing::warn!("some requests were not answered before the end");
        }
    }
}
