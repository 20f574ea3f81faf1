//! An application on actix-web: people sign in, see their account, and sign out. Run it with `cargo run --example actix` and
//! open <http://127.0.0.1:3000/>.

use actix_web::web::{Form, ServiceConfig, get, post};
use actix_web::{App, HttpResponse, HttpServer, http::header};
use cloakroom::{Config, Error, Field, Session, Sessions, SignedIn, store::Memory};
use serde::Deserialize;

const VISITS: Field<i64> = Field::new("visits");

/// The routes. Tests mount them as `main` does.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.route("/", get().to(home))
        .route("/sign-in", get().to(form))
        .route("/sign-in", post().to(sign_in))
        .route("/account", get().to(account))
        .route("/sign-out", post().to(sign_out));
}

/// A page for everybody.
async fn home(session: Session, who: Option<SignedIn>) -> Result<String, Error> {
    let visits = session.increment(VISITS, 1).await?;
    let name = who.map_or("stranger".to_owned(), |who| who.user.to_string());
    Ok(format!("Hello, {name}. You have been here {visits} times.\n"))
}

async fn form() -> HttpResponse {
    let form = r#"<form method="post"><input name="user" autofocus><button>Sign in</button></form>"#;
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(form)
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
}

/// A real application checks a password first: see the example `passwords`.
async fn sign_in(session: Session, form: Form<SignIn>) -> Result<HttpResponse, Error> {
    session.sign_in(form.into_inner().user).await?;
    Ok(to("/account"))
}

/// A page for those who are signed in. Others are redirected to the sign-in page.
async fn account(SignedIn { user, session }: SignedIn) -> Result<String, Error> {
    let visits = session.get(VISITS)?.unwrap_or_default();
    Ok(format!("This is your account, {user}. You have been on the first page {visits} times.\n"))
}

async fn sign_out(session: Session) -> Result<HttpResponse, Error> {
    session.sign_out().await?;
    Ok(to("/"))
}

fn to(page: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, page)).finish()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().plain_http_for_development().sign_in_page("/sign-in").build()?;
    // once, outside the closure: all workers share it
    let layer = Sessions::new(Memory::new(), config).layer();
    println!("http://127.0.0.1:3000/");
    let app = move || App::new().configure(routes).wrap(layer.clone());
    HttpServer::new(app).bind(("127.0.0.1", 3000))?.run().await?;
    Ok(())
}
