//! One of the applications that are compared. They answer the same routes with the same text:
//!
//! - `POST /begin` stores a session with the fields of [`cloakroom_bench::TEXTS`] and `views`,
//! - `GET /read` answers `name` and `views`, or 401 to whoever has no session,
//! - `POST /change` does the same and counts `views` up,
//! - `POST /sign-in/{user}` binds a user in the way the library has for it, so that the cookie changes,
//! - `POST /sign-out` ends the session.
//!
//! It listens on a free port of loopback, prints `listening ADDRESS`, and ends when its standard input does.

#![forbid(unsafe_code)]

mod actix;
mod axum_session;
mod by_hand;
mod cloakroom;
mod cloakroom_on_actix;
mod plain;
mod tower_sessions;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use clap::Parser;
use cloakroom_bench::Kind;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    kind: Kind,
    /// The port of Redis on this machine.
    #[arg(long, default_value_t = 6379)]
    redis_port: u16,
    /// Where the embedded store keeps its journal.
    #[arg(long, default_value = "sessions")]
    directory: PathBuf,
    /// One value of 180 bytes instead of 58, to see what it costs in memory.
    #[arg(long)]
    long_value: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.kind.is_on_actix() {
        true => actix_web::rt::System::new().block_on(run_actix(&arguments)),
        false => tokio::runtime::Runtime::new()?.block_on(run_axum(&arguments)),
    }
}

async fn run_axum(arguments: &Arguments) -> Result<()> {
    let router = match arguments.kind {
        Kind::AxumPlain => plain::router(),
        Kind::AxumLayer => plain::router_with_layer(),
        Kind::CloakroomEmbedded | Kind::CloakroomRedis | Kind::CloakroomNear => cloakroom::router(arguments).await?,
        Kind::TowerSessionsMemory | Kind::TowerSessionsRedis => tower_sessions::router(arguments).await?,
        Kind::AxumSessionRedis => axum_session::router(arguments).await?,
        Kind::Tutorial | Kind::OneHgetall => by_hand::router(arguments).await?,
        _ => unreachable!("actix-web has a runtime of its own"),
    };
    serve(router).await
}

async fn run_actix(arguments: &Arguments) -> Result<()> {
    match arguments.kind {
        Kind::ActixPlain => actix::plain().await,
        Kind::ActixSessionRedis => actix::with_actix_session(arguments).await,
        _ => cloakroom_on_actix::run(arguments).await,
    }
}

async fn serve(router: Router) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?);
    tokio::select! {
        ended = async { axum::serve(listener, router).await } => Ok(ended?),
        () = end_of_input() => Ok(()),
    }
}

fn announce(address: SocketAddr) {
    println!("listening {address}");
}

/// The program that measures holds the other end: if it dies, so does this.
async fn end_of_input() {
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    while matches!(stdin.read(&mut byte).await, Ok(1)) {}
}

/// What every application answers to who has a session.
fn greeting(name: &str, views: i64) -> String {
    format!("{name} has been here {views} times")
}
