//! Cloakroom on actix-web, with its defaults.

use actix_web::web::{Data, Path, get, post};
use actix_web::{App, HttpResponse, HttpServer};
use cloakroom::{Error, Field, Session};
use cloakroom_bench::texts;

use crate::actix::serve;
use crate::cloakroom::{NAME, VIEWS, sessions};
use crate::{Arguments, Result, greeting};

type Answer = std::result::Result<HttpResponse, Error>;

pub async fn run(arguments: &Arguments) -> Result<()> {
    let (sessions, long) = (sessions(arguments).await?, arguments.long_value);
    let app = move || {
        App::new()
            .app_data(Data::new(long))
            .wrap(sessions.layer())
            .route("/begin", post().to(begin))
            .route("/read", get().to(read))
            .route("/change", post().to(change))
            .route("/sign-in/{user}", post().to(sign_in))
            .route("/sign-out", post().to(sign_out))
    };
    let server = HttpServer::new(app).bind("127.0.0.1:0")?;
    serve(server.addrs()[0], server.run()).await
}

async fn begin(session: Session, long: Data<bool>) -> Answer {
    for (name, value) in texts(**long) {
        session.set(Field::<String>::named(name), &value)?;
    }
    session.set(VIEWS, &1)?;
    Ok(HttpResponse::Ok().finish())
}

async fn read(session: Session) -> Answer {
    let (Some(name), Some(views)) = (session.get(NAME)?, session.get(VIEWS)?) else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    Ok(HttpResponse::Ok().body(greeting(&name, views)))
}

async fn change(session: Session) -> Answer {
    let (Some(name), Some(views)) = (session.get(NAME)?, session.get(VIEWS)?) else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    session.set(VIEWS, &(views + 1))?;
    Ok(HttpResponse::Ok().body(greeting(&name, views + 1)))
}

async fn sign_in(session: Session, user: Path<u64>) -> Answer {
    session.sign_in(*user).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn sign_out(session: Session) -> Answer {
    session.sign_out().await?;
    Ok(HttpResponse::Ok().finish())
}
