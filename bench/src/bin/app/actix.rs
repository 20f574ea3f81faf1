//! actix-web without sessions, and with actix-session and its defaults on Redis.

use std::net::SocketAddr;

use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::dev::Server;
use actix_web::error::ErrorInternalServerError;
use actix_web::web::{Data, Path, get, post};
use actix_web::{App, HttpResponse, HttpServer};
use cloakroom_bench::{TEXTS, texts};

use crate::{Arguments, Result, announce, end_of_input, greeting};

type Answer = actix_web::Result<HttpResponse>;

pub async fn plain() -> Result<()> {
    let server = HttpServer::new(|| App::new().route("/read", get().to(async || greeting(TEXTS[0].1, 1))));
    let server = server.bind("127.0.0.1:0")?;
    serve(server.addrs()[0], server.run()).await
}

pub async fn with_actix_session(arguments: &Arguments) -> Result<()> {
    let store = RedisSessionStore::new(format!("redis://127.0.0.1:{}", arguments.redis_port)).await?;
    let (key, long) = (Key::generate(), arguments.long_value);
    let app = move || {
        App::new()
            .app_data(Data::new(long))
            .wrap(SessionMiddleware::new(store.clone(), key.clone()))
            .route("/begin", post().to(begin))
            .route("/read", get().to(read))
            .route("/change", post().to(change))
            .route("/sign-in/{user}", post().to(sign_in))
            .route("/sign-out", post().to(sign_out))
    };
    let server = HttpServer::new(app).bind("127.0.0.1:0")?;
    serve(server.addrs()[0], server.run()).await
}

/// Serves until the input ends.
pub async fn serve(address: SocketAddr, server: Server) -> Result<()> {
    announce(address);
    tokio::select! {
        ended = server => Ok(ended?),
        () = end_of_input() => Ok(()),
    }
}

async fn begin(session: Session, long: Data<bool>) -> Answer {
    for (name, value) in texts(**long) {
        session.insert(name, value).map_err(ErrorInternalServerError)?;
    }
    session.insert("views", 1).map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().finish())
}

async fn read(session: Session) -> Answer {
    let (Some(name), Some(views)) = (session.get::<String>("name")?, session.get("views")?) else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    Ok(HttpResponse::Ok().body(greeting(&name, views)))
}

async fn change(session: Session) -> Answer {
    let (Some(name), Some(views)) = (session.get::<String>("name")?, session.get::<i64>("views")?) else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    session.insert("views", views + 1).map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().body(greeting(&name, views + 1)))
}

async fn sign_in(session: Session, user: Path<u64>) -> Answer {
    session.renew();
    session.insert("user_id", *user).map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().finish())
}

async fn sign_out(session: Session) -> Answer {
    session.purge();
    Ok(HttpResponse::Ok().finish())
}
