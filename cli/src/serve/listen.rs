//! Where the service listens.

use std::io::Write as _;

use axum::Router;
use tokio::net::TcpListener;

use super::flags::Flags;
use super::service::Service;
use crate::failure::Failure;

/// Serves until the program is told to stop.
///
/// # Errors
/// Returns an error if the program cannot listen on an address.
pub(crate) async fn serve(flags: &Flags, service: &Service, router: Router) -> Result<(), Failure> {
    let address = &flags.listen[0];
    let cannot = |error| Failure::failed(format!("the service cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "Cloakroom service: http://{address}/  (store: {})", service.place);
    let _ = stdout.flush();
    drop(stdout);
    axum::serve(listener, router).await.map_err(|error| Failure::failed(error.to_string()))
}
