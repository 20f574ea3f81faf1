//! `cloakroom serve`: sessions over HTTP, for applications in any language and for proxies.

mod access;
mod api;
mod auth;
mod browser;
mod flags;
pub(crate) mod keys;
mod listen;
mod manager;
mod operators;
mod problem;
mod service;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use cloakroom::Sessions;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

pub(crate) use self::flags::Flags;
use crate::failure::Failure;
use crate::place::Place;
use crate::serve::listen::{Address, Listeners};
use crate::serve::service::Service;
use crate::stopping::told_to_stop;
use crate::terminal::{self, Many};

/// Serves until the program is told to stop.
///
/// # Errors
/// Returns an error if the store is not available, a setting is refused, or the program cannot listen on an address.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    if flags.print_openapi {
        return print_openapi();
    }
    let settings = flags.auth.settings(flags.store.redis.config.as_ref())?;
    let numbers = operators::count()?;
    let place = flags.store.place()?;
    let service = Arc::new(Service::open(&flags, &place).await?);
    keys::reload_at_hangup(Arc::clone(&service.keys));
    let mut callers = callers(&service, settings);
    if flags.admin_listen.is_empty() {
        callers = callers.merge(administrators(&service, numbers.clone()));
    }
    let administrators = administrators(&service, numbers).merge(operators::health());
    let listeners = Listeners::bind(&flags, finished(callers, &service), finished(administrators, &service)).await?;
    // before anybody knows where it listens, or a signal could end it without a word
    let told_to_stop = told_to_stop();
    announce(&flags, &service, &place, &listeners.addresses());
    listeners.serve(told_to_stop).await;
    Ok(())
}

/// Serves the API of these sessions beside another server of this program, for as long as the process lives. Returns the address.
///
/// # Errors
/// Returns an error if the program cannot listen on the address, or if other machines could reach it.
pub(crate) async fn beside(sessions: &Sessions, address: SocketAddr) -> Result<SocketAddr, Failure> {
    if !address.ip().to_canonical().is_loopback() {
        return Err(Failure::usage(format!(
            "--service: other machines can reach {address}, and there are no keys: give an address of this machine only"
        )));
    }
    let service = Arc::new(Service::of(sessions.clone())?);
    let applications = finished(applications(&service), &service);
    let cannot = |error| Failure::failed(format!("--service: cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    tokio::spawn(async { axum::serve(listener, applications).await });
    Ok(address)
}

/// Prints the description of the API, for clients that are made of it.
fn print_openapi() -> Result<(), Failure> {
    let document = api::document().to_pretty_json().map_err(|error| Failure::failed(error.to_string()))?;
    terminal::line(document)
}

/// What applications and proxies ask.
fn callers(service: &Arc<Service>, settings: auth::Settings) -> Router<Arc<Service>> {
    applications(service).merge(auth::router(Arc::clone(service), settings)).merge(operators::health())
}

/// What applications ask.
fn applications(service: &Service) -> Router<Arc<Service>> {
    let with_key = from_fn_with_state(Arc::clone(&service.keys), keys::for_a_session);
    api::router().route_layer(with_key).merge(api::about())
}

/// What administrators ask, and their tools.
fn administrators(service: &Service, numbers: PrometheusHandle) -> Router<Arc<Service>> {
    let with_key = from_fn_with_state(Arc::clone(&service.keys), keys::for_administrators);
    let with_any_key = from_fn_with_state(Arc::clone(&service.keys), keys::for_a_session);
    api::administrators().route_layer(with_key).merge(operators::numbers(numbers).route_layer(with_any_key))
}

/// Adds the answers to whatever else is asked.
fn finished(router: Router<Arc<Service>>, service: &Arc<Service>) -> Router {
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(map_response(never_stored))
        .layer(from_fn(access::record))
        .with_state(Arc::clone(service))
}

/// Says that no cache may keep an answer: each is about one visitor at one moment.
async fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Says on stdout where it listens, and who may call. That nobody reads it is no reason to stop.
fn announce(flags: &Flags, service: &Service, place: &Place, addresses: &[Address]) {
    let (callers, administrators) = addresses.split_at(flags.listen.len());
    let line = |who: &str, address: &Address| format!("{who}: {address}  (store: {place})\n");
    let mut said: String = callers.iter().map(|address| line("Cloakroom service", address)).collect();
    said.extend(administrators.iter().map(|address| line("For administrators", address)));
    match &flags.keys {
        Some(path) => {
            said.push_str(&format!("Callers: {} in {}\n", Many(service.keys.count(), "API key"), path.display()))
        }
        None => said.push_str("Callers: everybody who can connect has all rights, because there is no --keys\n"),
    }
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(said.as_bytes()).and_then(|()| stdout.flush());
}
