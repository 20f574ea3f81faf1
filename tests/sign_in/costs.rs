//! What signing in and out costs: the commands that Redis saw, exactly.

use cloakroom::{Config, ConfigBuilder, OnLimit, RecentSignIn, Session, Sessions, SignedIn};

use super::app::{app, id_of, signed_in};
use super::framework::{Router, get};
use crate::support::redis_server::Monitor;
use crate::support::{Browser, Place};

const LOAD: [&str; 1] = ["HGETALL"];
const SCRIPT: &str = "EVALSHA";

fn costly(sessions: &Sessions) -> Router {
    let free = async |SignedIn { session, .. }: SignedIn, _: RecentSignIn<600>| {
        let token = session.csrf_token();
        session.check_csrf(&token)
    };
    let take = async |session: Session| session.take(super::app::field("flash")).await.map(drop);
    let update = async |session: Session| session.update(super::app::field("note"), |note| note.push('x')).await;
    app(sessions)
        .route("/free", get(free))
        .route("/take", get(take))
        .route("/update", get(update))
        .layer(sessions.layer())
}

struct Scene {
    place: Place,
    monitor: Monitor,
    app: Router,
}

impl Scene {
    /// A server that knows the scripts.
    async fn new(config: ConfigBuilder) -> Scene {
        let place = Place::redis().await;
        let app = costly(&place.sessions_with(config));
        let limited = place.sessions_with(Config::builder().max_sessions_per_user(1));
        for _ in 0..2 {
            signed_in(Browser::new(super::app::app(&limited)), "somebody").await.visit("/sign_out_everywhere").await;
            signed_in(Browser::new(super::app::app(&limited)), "else").await;
        }
        let monitor = place.server().monitor();
        Scene { place, monitor, app }
    }

    async fn signed_in(&mut self, count: usize) -> Vec<Browser> {
        let mut browsers = Vec::new();
        for _ in 0..count {
            browsers.push(signed_in(Browser::new(self.app.clone()), "anna").await);
        }
        self.monitor.commands();
        browsers
    }

    /// A visitor with a session and no user.
    async fn anonymous(&mut self) -> Browser {
        let browser = Browser::new(self.app.clone());
        browser.visit("/write/cart/full").await;
        self.monitor.commands();
        browser
    }

    async fn costs(&mut self, browser: &Browser, path: &str, expected: &[&str]) {
        browser.get(path).await;
        assert_eq!(self.monitor.commands(), expected, "{path}");
    }
}

fn after_load<'a>(commands: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    LOAD.into_iter().chain(commands).collect()
}

#[tokio::test]
async fn a_sign_in_within_the_limit_costs_two_and_one_more_without_a_session() {
    let mut scene = Scene::new(Config::builder()).await;
    let anonymous = scene.anonymous().await;
    scene.costs(&anonymous, "/sign_in/anna", &after_load([SCRIPT, SCRIPT])).await;
    scene.costs(&anonymous, "/sign_in/anna", &after_load([SCRIPT, SCRIPT])).await;
    let visitor = anonymous.stranger();
    scene.costs(&visitor, "/sign_in/anna", &[SCRIPT, SCRIPT, SCRIPT]).await;
    // another user: the former session ends, a new one is made
    scene.costs(&visitor, "/sign_in/bert", &after_load([SCRIPT, SCRIPT, SCRIPT, SCRIPT])).await;
}

#[tokio::test]
async fn a_sign_in_one_over_the_limit_costs_three_more() {
    let mut scene = Scene::new(Config::builder().max_sessions_per_user(3)).await;
    scene.signed_in(3).await;
    let anonymous = scene.anonymous().await;
    // written to the index; which of the four exist and whether the new one can be bound, in one flight; who has to go; that one ends; the new one is bound
    let looked = ["HMGET"; 5];
    let over = after_load([SCRIPT].into_iter().chain(looked).chain([SCRIPT, SCRIPT, SCRIPT]));
    scene.costs(&anonymous, "/sign_in/anna", &over).await;
    // what has ended is pruned by the next: it does not add up
    let visitor = anonymous.stranger();
    let over = [SCRIPT, SCRIPT].into_iter().chain(["HMGET"; 6]).chain([SCRIPT, SCRIPT, SCRIPT]).collect::<Vec<_>>();
    scene.costs(&visitor, "/sign_in/anna", &over).await;
    scene.costs(&visitor.stranger(), "/sign_in/anna", &over).await;
}

#[tokio::test]
async fn a_refused_sign_in_costs_no_more_than_an_allowed_one() {
    let mut scene = Scene::new(Config::builder().max_sessions_per_user(2).on_limit(OnLimit::RefuseNew)).await;
    scene.signed_in(2).await;
    let anonymous = scene.anonymous().await;
    let refused = after_load([SCRIPT].into_iter().chain(["HMGET"; 4]).chain([SCRIPT]));
    scene.costs(&anonymous, "/sign_in/anna", &refused).await;
}

#[tokio::test]
async fn signing_out_costs_one_more_here_and_two_on_another_device() {
    let mut scene = Scene::new(Config::builder()).await;
    let browsers = scene.signed_in(3).await;
    // whether the one who asks still may, and the other device
    let other = after_load(LOAD.into_iter().chain([SCRIPT]));
    scene.costs(&browsers[0], &format!("/sign_out_device/{}", id_of(&browsers[1])), &other).await;
    scene.costs(&browsers[0], &format!("/sign_out_device/{}", id_of(&browsers[1])), &other).await;
    scene.costs(&browsers[2], "/sign_out", &after_load([SCRIPT])).await;
    scene.costs(&browsers[0], &format!("/sign_out_device/{}", id_of(&browsers[0])), &after_load([SCRIPT])).await;
}

#[tokio::test]
async fn signing_out_everywhere_costs_two_more_and_the_sessions_in_one_flight() {
    let mut scene = Scene::new(Config::builder()).await;
    // whether the one who asks still may; who there is; those in one flight
    let everywhere = |count| after_load(LOAD.into_iter().chain(["ZRANGE"]).chain(vec![SCRIPT; count]));
    for count in [1, 2, 10] {
        redis::cmd("DEL").arg("session:user:anna").exec(&mut scene.place.server().client()).unwrap();
        let browsers = scene.signed_in(count).await;
        scene.costs(&browsers[0], "/sign_out_everywhere", &everywhere(count)).await;
    }
    // the entries of those that ended before are left to pruning
    redis::cmd("DEL").arg("session:user:anna").exec(&mut scene.place.server().client()).unwrap();
    let browsers = scene.signed_in(4).await;
    scene.costs(&browsers[0], "/sign_out_others", &everywhere(3)).await;
}

#[tokio::test]
async fn a_list_costs_three_more_and_again_as_many_only_when_ghosts_are_met() {
    let mut scene = Scene::new(Config::builder()).await;
    let browsers = scene.signed_in(4).await;
    // as one that ended by itself
    let end = |browser: &Browser, scene: &mut Scene| {
        let key = format!("session:{}", id_of(browser));
        redis::cmd("DEL").arg(key).exec(&mut scene.place.server().client()).unwrap();
        scene.monitor.commands();
    };
    // from now on the server knows the script that prunes
    end(&browsers[3], &mut scene);
    browsers[0].visit("/devices").await;
    scene.monitor.commands();
    let each = ["HMGET", "PTTL"].repeat(3);
    let list = || after_load(LOAD.into_iter().chain(["ZREVRANGEBYSCORE"]).chain(each.clone()));
    scene.costs(&browsers[0], "/devices", &list()).await;

    end(&browsers[1], &mut scene);
    let again = ["ZREVRANGEBYSCORE", "HMGET", "PTTL", "HMGET", "PTTL"];
    let with_ghost = list().into_iter().chain([SCRIPT]).chain(again).collect::<Vec<_>>();
    scene.costs(&browsers[0], "/devices", &with_ghost).await;
    scene.costs(&browsers[0], "/devices", &after_load(LOAD.into_iter().chain(again))).await;
}

#[tokio::test]
async fn guards_and_form_tokens_cost_nothing_and_single_values_one_more() {
    let mut scene = Scene::new(Config::builder()).await;
    let browser = scene.signed_in(1).await.remove(0);
    scene.costs(&browser, "/free", &LOAD).await;
    scene.costs(&browser, "/csrf_token", &LOAD).await;
    scene.costs(&browser, "/update", &after_load([SCRIPT])).await;
    scene.costs(&browser, "/take", &LOAD).await;
    scene.costs(&browser, "/write/flash/hello", &after_load([SCRIPT])).await;
    scene.costs(&browser, "/take", &after_load([SCRIPT])).await;
    scene.costs(&browser, "/elevate", &after_load([SCRIPT])).await;
    scene.costs(&browser.stranger(), "/free", &[]).await;
    scene.costs(&browser.stranger(), "/devices", &[]).await;
}

#[tokio::test]
async fn a_touch_of_one_who_is_signed_in_writes_the_index_again_in_the_same_flight() {
    let mut scene = Scene::new(Config::builder().touch_interval(std::time::Duration::ZERO)).await;
    let browser = scene.signed_in(1).await.remove(0);
    let mut redis = scene.place.server().client();
    // as a failover that lost what its old primary had acknowledged
    redis::cmd("DEL").arg("session:user:anna").exec(&mut redis).unwrap();
    scene.monitor.commands();
    scene.costs(&browser, "/whoami", &after_load([SCRIPT, SCRIPT])).await;
    let index: Vec<String> = redis::cmd("ZRANGE").arg("session:user:anna").arg(0).arg(-1).query(&mut redis).unwrap();
    assert_eq!(index, [id_of(&browser)]);
    let expiry: i64 = redis::cmd("TTL").arg("session:user:anna").query(&mut redis).unwrap();
    assert!(expiry > 12 * 3600, "an hour after the deadline: {expiry}");
}
