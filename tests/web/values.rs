//! Values that many requests want at once: read once and gone, or changed without losing anybody's change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom::store::{Loaded, Lookup, Memory, NewSession, Outcome, SignedOut, Store, Target};
use cloakroom::{
    Config, Device, Error, Field, Page, Session, SessionId, Sessions, TokenFormat, UserId,
    store::{Change, Credentials, Refusal, StoreError, Terms},
};

use super::framework::{Path, Router, get};
use crate::support::{Browser, Fault, Place, on_each_store};

const FLASH: Field<String> = Field::new("flash");
const CART: Field<Vec<u32>> = Field::new("cart");

fn app(sessions: &Sessions) -> Router {
    let add = async |session: Session, Path(item): Path<u32>| {
        session
            .update(CART, |cart| {
                cart.push(item);
                cart.len()
            })
            .await
            .map(|len| len.to_string())
    };
    let set_and_add = async |session: Session, Path(item): Path<u32>| {
        session.set(CART, &vec![100])?;
        session.update(CART, |cart| cart.push(item)).await?;
        Ok::<_, Error>(format!("{:?}", session.get(CART)?))
    };
    let set_and_take = async |session: Session| {
        session.set(FLASH, "pending")?;
        session.take(FLASH).await.map(Option::unwrap_or_default)
    };
    let add_and_fail = async |session: Session| {
        session.update(CART, |cart| cart.push(7)).await?;
        Ok::<_, Error>(axum::http::StatusCode::INTERNAL_SERVER_ERROR)
    };
    Router::new()
        .route("/say/{what}", get(async |session: Session, what: Path<String>| session.set(FLASH, what.as_str())))
        .route("/flash", get(async |session: Session| session.get(FLASH).map(Option::unwrap_or_default)))
        .route("/take", get(async |session: Session| session.take(FLASH).await.map(Option::unwrap_or_default)))
        .route("/set_and_take", get(set_and_take))
        .route("/add/{item}", get(add))
        .route("/set_and_add/{item}", get(set_and_add))
        .route("/add_and_fail", get(add_and_fail))
        .route(
            "/cart",
            get(async |session: Session| session.get(CART).map(|cart| format!("{:?}", cart.unwrap_or_default()))),
        )
        .layer(sessions.layer())
}

async fn at_once(browser: &Browser, paths: impl IntoIterator<Item = String>) -> Vec<crate::support::Answer> {
    let mut tasks = tokio::task::JoinSet::new();
    for path in paths {
        let browser = browser.clone();
        tasks.spawn(async move { browser.get(&path).await });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_flash_value_is_read_once_however_many_requests_want_it() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for round in 0..5 {
            browser.visit(&format!("/say/hello{round}")).await;
            let answers = at_once(&browser, (0..8).map(|_| "/take".to_owned())).await;
            assert!(answers.iter().all(|answer| answer.status == 200));
            let read: Vec<_> =
                answers.iter().map(|answer| answer.body.as_str()).filter(|body| !body.is_empty()).collect();
            assert_eq!(read, [format!("hello{round}")]);
            assert_eq!(browser.visit("/flash").await.body, "");
        }
    })
    .await;
}

#[tokio::test]
async fn taking_where_there_is_nothing_asks_nothing_and_makes_no_session() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        assert_eq!(browser.visit("/take").await.body, "");
        assert_eq!(browser.visit("/set_and_take").await.body, "pending", "what is only pending is taken out again");
        assert_eq!(browser.token(), None);
        assert!(place.store.asked().is_empty());

        browser.visit("/add/1").await;
        place.store.asked();
        assert_eq!(browser.visit("/take").await.body, "");
        assert_eq!(place.store.asked(), ["load"]);
        assert_eq!(browser.visit("/set_and_take").await.body, "pending");
        assert_eq!(browser.visit("/flash").await.body, "");
    })
    .await;
}

/// The application after a deployment that gave both fields another type.
fn deployed(sessions: &Sessions) -> Router {
    let flash: Field<u32> = Field::named("flash");
    let cart: Field<std::collections::BTreeMap<String, u32>> = Field::named("cart");
    let (tried, taken, changed) = (flash.clone(), flash, cart.clone());
    Router::new()
        .route("/try", get(async move |session: Session| session.try_get(tried.clone()).map(drop)))
        .route("/take", get(async move |session: Session| Ok::<_, Error>(format!("{:?}", session.take(taken).await?))))
        .route(
            "/add",
            get(async move |session: Session| {
                let add = |cart: &mut std::collections::BTreeMap<String, u32>| {
                    *cart.entry("coat".to_owned()).or_default() += 1;
                };
                session.update(changed, add).await
            }),
        )
        .route("/cart", get(async move |session: Session| Ok::<_, Error>(format!("{:?}", session.get(cart)?))))
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_deployment_that_changes_a_fields_type_lets_update_and_take_begin_anew() {
    on_each_store(async |place| {
        for format in [TokenFormat::Secret, TokenFormat::Plain] {
            let sessions = place.sessions_with(Config::builder().token_format(format));
            let browser = Browser::new(app(&sessions));
            browser.visit("/say/hello").await;
            browser.visit("/add/7").await;

            let after = browser.at(deployed(&sessions));
            let answer = after.get("/try").await;
            assert_eq!(answer.status, 500, "{format:?}: who wants to see the error still does");
            assert!(answer.error.unwrap().to_string().contains("`flash`"));
            assert_eq!(browser.visit("/flash").await.body, "hello", "and the text is still there");

            assert_eq!(after.visit("/take").await.body, "None");
            assert_eq!(browser.visit("/flash").await.body, "", "{format:?}: taken out");
            after.visit("/add").await;
            after.visit("/add").await;
            assert_eq!(after.visit("/cart").await.body, r#"Some({"coat": 2})"#, "{format:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn updates_that_begin_anew_at_the_same_time_lose_nothing_of_each_other() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = Browser::new(app(&sessions));
        browser.visit("/add/7").await;
        let after = browser.at(deployed(&sessions));
        let answers = at_once(&after, (0..4).map(|_| "/add".to_owned())).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        assert_eq!(after.visit("/cart").await.body, r#"Some({"coat": 4})"#);
    })
    .await;
}

#[tokio::test]
async fn a_value_whose_taking_failed_is_still_there() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/say/hello").await;
    place.store.fault("apply", Fault::Away);
    assert_eq!(browser.get("/take").await.status, 503);
    place.store.heal();
    assert_eq!(browser.visit("/take").await.body, "hello");
}

#[tokio::test]
async fn updates_from_many_requests_lose_nothing() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/add/0").await;
        let mut accepted = vec![0];
        let mut waiting: Vec<u32> = (1..=24).collect();
        // who is told that others came first too often asks again
        while !waiting.is_empty() {
            let answers = at_once(&browser, waiting.iter().map(|item| format!("/add/{item}"))).await;
            let mut again = Vec::new();
            for (item, answer) in waiting.into_iter().zip(answers) {
                match answer.status.as_u16() {
                    200 => accepted.push(item),
                    409 => again.push(item),
                    other => panic!("{other}"),
                }
            }
            waiting = again;
        }
        let mut stored: Vec<u32> = browser.visit("/cart").await.body[1..]
            .trim_end_matches(']')
            .split(", ")
            .map(|item| item.parse().unwrap())
            .collect();
        stored.sort();
        accepted.sort();
        assert_eq!(stored.len(), 25, "none lost, none twice");
    })
    .await;
}

#[tokio::test]
async fn an_update_begins_with_what_is_pending_and_supersedes_it() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for browser in [browser.stranger(), browser] {
            browser.visit("/add/1").await;
            place.store.asked();
            assert_eq!(browser.visit("/set_and_add/2").await.body, "Some([100, 2])");
            assert_eq!(place.store.asked(), ["load", "apply"], "nothing was left for the commit");
            assert_eq!(browser.visit("/cart").await.body, "[100, 2]");
        }
    })
    .await;
}

#[tokio::test]
async fn an_update_stands_whatever_the_response() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        assert_eq!(browser.get("/add_and_fail").await.status, 500);
        assert_eq!(browser.visit("/cart").await.body, "[7]");
    })
    .await;
}

/// Where somebody else always comes first. Counts how often.
struct AlwaysLate(Memory, Arc<AtomicUsize>);

impl Store for AlwaysLate {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        self.0.create(new, terms).await
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        self.0.load(presented, terms).await
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        self.0.load_by_id(id, terms).await
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        match change.fields().is_none_or(|fields| fields.expect.is_empty()) {
            true => self.0.apply(presented, change, terms).await,
            false => {
                self.1.fetch_add(1, Ordering::SeqCst);
                Ok(Outcome::Refused(Refusal::Conflict))
            }
        }
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        self.0.sign_out(presented).await
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        self.0.revoke(target).await
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        self.0.list(user, page, terms).await
    }
}

#[tokio::test]
async fn an_update_that_always_comes_second_gives_up_and_says_so() {
    let late = Arc::new(AtomicUsize::new(0));
    let browser = Browser::new(app(&Sessions::new(AlwaysLate(Memory::new(), late.clone()), Config::default())));
    browser.visit("/say/hello").await;
    for (path, name) in [("/add/1", "`cart`"), ("/take", "`flash`")] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 409);
        let error = answer.error.unwrap();
        assert!(error.is_conflict() && error.to_string().contains(name), "{error}");
        assert!(error.to_string().contains("8 times in a row") && late.swap(0, Ordering::SeqCst) == 8, "{error}");
    }
    assert_eq!(browser.visit("/cart").await.body, "[]");
    assert_eq!(browser.visit("/flash").await.body, "hello");
}
