//! `cloakroom demo`: a page, and its answers in JSON, that show how sessions begin, live and end.

mod absence;
mod answer;
mod assets;
mod devices;
mod flags;
mod fields;
mod form;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod look;
mod names;
mod page;
mod posted;
mod refused;
mod routes;
mod stranger;
mod timeline;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use cloakroom::Sessions;
use cloakroom::store::{Embedded, Memory};
use tokio::net::TcpListener;

pub(crate) use self::flags::Flags;
use crate::demo::flags::Limits;
use crate::demo::names::Names;
use crate::demo::timeline::Timeline;
use crate::failure::Failure;
use crate::place::Place;
use crate::redis_flags;
use crate::stopping::{LAST_REQUESTS, told_to_stop};

/// What the handlers know about the demo they are in.
pub(crate) struct Demo {
    place: Place,
    prefix: String,
    plain_tokens: bool,
    limits: Limits,
    timeline: Arc<Timeline>,
    /// Where it listens.
    address: SocketAddr,
    /// Where it answers other programs.
    service: Option<SocketAddr>,
}

impl Demo {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Serves until the program is told to stop.
///
/// # Errors
/// Returns an error if the store is not available, a setting is refused, or the program cannot listen on the address.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let (limits, config) = flags.limits()?;
    let timeline = Arc::new(Timeline::default());
    let events = Arc::clone(&timeline);
    let config = config.on_event(move |event| events.record(event)).build()?;
    let place = flags.store.place()?;
    let sessions = match &place {
        Place::Memory => Sessions::new(Memory::new(), config),
        Place::Embedded(path) => Sessions::new(Embedded::open(path)?, config),
        Place::Redis(reach) => Sessions::new(redis_flags::connect(flags.store.redis.builder(reach)?).await?, config),
    };
    let (listener, address) = listen(&flags.host, flags.port).await?;
    let names = Names::new(address.ip(), &flags.host, &flags.allowed_host);
    let plain_tokens = flags.store.redis.plain_tokens();
    let service = match flags.service {
        Some(address) => Some(crate::serve::beside(&sessions, address).await?),
        None => None,
    };
    let prefix = flags.store.redis.prefix();
    let demo = Demo { place, prefix, plain_tokens, limits, timeline, address, service };
    // before anybody knows where it listens, or a signal could end it without a word
    let told_to_stop = told_to_stop();
    announce(&demo);
    serve(listener, routes::router(demo, names, &sessions), told_to_stop).await
}

async fn listen(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot = |error| {
        Failure::failed(format!(
            "the demo cannot listen on {host}, port {port}: {error}. Choose another one with --port or --host"
        ))
    };
    let listener = TcpListener::bind((host, port)).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}

/// Prints where it listens. That nobody reads it is no reason to stop.
fn announce(demo: &Demo) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "Cloakroom demo: {}  (store: {})", demo.url("/"), demo.place);
    if let Some(service) = demo.service {
        let _ = writeln!(stdout, "For other programs: http://{service}/");
    }
    let _ = stdout.flush();
}

/// Serves until the program is told to stop, and then lets the requests that have begun end, but waits for a limited time only.
async fn serve(
    listener: TcpListener,
    router: Router,
    told_to_stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let stop = Arc::new(tokio::sync::Notify::new());
    let stopping = Arc::clone(&stop);
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        told_to_stop.await;
        stopping.notify_one();
    });
    tokio::select! {
        served = async { serving.await } => served.map_err(|error| Failure::failed(error.to_string())),
        () = async { stop.notified().await; tokio::time::sleep(LAST_REQUESTS).await } => Ok(()),
    }
}
