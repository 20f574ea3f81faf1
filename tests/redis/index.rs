//! A user's index: how long it is kept, and that no session is missing from what it names.

use std::time::Duration;

use cloakroom::conformance::with_new_secret;
use cloakroom::store::{Outcome, Redis, Store, Target};
use cloakroom::{
    OnLimit,
    store::{Credentials, Refusal, SignIn},
};
use futures_util::future::try_join_all;

use crate::support::capture::Capture;
use crate::support::{Gate, ServerClock};
use crate::{DAY, PATIENT, Stand, anna, bind, key, limited, millis, sign_in, touch_of};

const INDEX: &str = "session:user:anna";

impl Stand {
    fn score(&mut self, presented: &Credentials) -> Option<f64> {
        self.ask("ZSCORE", (INDEX, presented.id.expose()))
    }

    /// When the index expires, in milliseconds since 1970, as exactly as the server says it.
    fn index_expiry(&mut self) -> u64 {
        let left: i64 = self.ask("PTTL", INDEX);
        self.time() + u64::try_from(left).expect("the index is there, and expires")
    }
}

#[tokio::test]
async fn the_index_outlives_the_longest_session_whatever_its_user_does_meanwhile() {
    const DAYS: u32 = 30;
    let mut clock = ServerClock::new();
    let mut stand = Stand::with_clock(&clock).await;
    let remembered = SignIn { idle_timeout: Some(DAYS * DAY), absolute_lifetime: Some(DAYS * DAY), ..sign_in() };
    let long = stand.signed_in(&remembered).await;
    let (begin, kept_until) = (stand.time(), stand.index_expiry());
    for _ in 1..DAYS {
        clock.advance(DAY);
        let mut busy = stand.signed_in(&sign_in()).await;
        for _ in 0..5 {
            let again = with_new_secret(&busy);
            stand.made(&busy, &bind(&again, &sign_in())).await;
            busy = again;
        }
        let touch = touch_of(&stand.load(&busy).await.expect("it lives"));
        let touches = (0..400).map(|_| stand.store.apply(&busy, &touch, &stand.terms));
        try_join_all(touches).await.expect("the server answers");
    }
    // the two questions behind an expiry may be a while apart, but that only makes the expiry look later
    assert!(stand.index_expiry() >= kept_until - 50, "a deadline moves later only");

    let passed = Duration::from_millis(stand.time() - begin);
    clock.advance(DAYS * DAY - passed - Duration::from_secs(60));
    assert!(stand.load(&long).await.is_some(), "it has a minute left");
    assert_eq!(stand.listed(&anna()).await, [long.id]);
    assert_eq!(stand.revoke(Target::AllOf(anna())).await, 1);
    assert_eq!(stand.load(&long).await, None);
}

#[tokio::test]
async fn the_index_is_kept_for_an_hour_after_the_latest_deadline_also_where_a_sign_in_changes_no_entry() {
    const SLACK: u64 = 10_000;
    let mut stand = Stand::new().await;
    let first = stand.signed_in(&sign_in()).await;
    stand.signed_in(&sign_in()).await;
    let is_kept_after = async |stand: &mut Stand, presented: &Credentials| {
        let deadline = stand.load(presented).await.expect("it lives").record.expires_at;
        let (kept_until, expiry) = (millis(deadline) + 60 * 60 * 1000, stand.index_expiry());
        assert!((kept_until..kept_until + SLACK).contains(&expiry), "{expiry} instead of {kept_until}");
    };
    is_kept_after(&mut stand, &first).await;
    // the session is within the lowered limit, so it keeps its place
    let (month, again) = (Some(30 * DAY), with_new_secret(&first));
    let remembered = SignIn { idle_timeout: month, absolute_lifetime: month, ..limited(1, OnLimit::RefuseNew) };
    stand.made(&first, &bind(&again, &remembered)).await;
    is_kept_after(&mut stand, &again).await;
}

#[tokio::test]
async fn a_sign_in_is_the_latest_though_the_servers_clock_was_set_back() {
    let mut stand = Stand::new().await;
    let (first, second) = (stand.signed_in(&sign_in()).await, stand.signed_in(&sign_in()).await);
    let ahead = stand.time() as f64 / 1000.0 + 1000.0;
    for (presented, score) in [(first, ahead - 500.0), (second, ahead)] {
        let _: () = stand.ask("ZADD", (INDEX, score, presented.id.expose()));
    }
    let third = stand.signed_in(&sign_in()).await;
    assert_eq!(stand.listed(&anna()).await, [third.id, second.id, first.id]);
    assert!(stand.score(&third).unwrap() < ahead + 1.0, "no further ahead than it must be");
}

#[tokio::test]
async fn a_touch_leaves_the_order_of_sign_in_as_it_is() {
    let mut stand = Stand::new().await;
    for _ in 0..3 {
        let presented = stand.signed_in(&sign_in()).await;
        let touch = touch_of(&stand.load(&presented).await.unwrap());
        let (score, order) = (stand.score(&presented), stand.listed(&anna()).await);
        stand.made(&presented, &touch).await;
        assert_eq!((stand.score(&presented), stand.listed(&anna()).await), (score, order));
    }
}

#[tokio::test]
async fn what_the_index_had_lost_is_logged_by_the_touch_that_writes_it_again_and_nothing_else_is() {
    const LOST: &str = "the index had lost a session, and has it again";
    let capture = Capture::default();
    let _logged = tracing::subscriber::set_default(capture.subscriber());
    let mut stand = Stand::new().await;
    let presented = stand.signed_in(&sign_in()).await;
    let touch = touch_of(&stand.load(&presented).await.unwrap());
    stand.made(&presented, &touch).await;
    assert_eq!(capture.count(LOST), 0);
    let _: () = stand.ask("ZREM", (INDEX, presented.id.expose()));
    stand.made(&presented, &touch).await;
    assert_eq!(capture.count(LOST), 1);
    // as a sign-in that was refused
    let score = stand.score(&presented).unwrap();
    let _: () = stand.ask("ZADD", (INDEX, -score, presented.id.expose()));
    stand.made(&presented, &touch).await;
    assert_eq!(capture.count(LOST), 2);
    stand.made(&presented, &touch).await;
    assert_eq!(capture.count(LOST), 2);
}

#[tokio::test]
async fn an_index_whose_expiry_was_taken_away_gets_one_again() {
    let mut stand = Stand::new().await;
    let presented = stand.signed_in(&sign_in()).await;
    let touch = touch_of(&stand.load(&presented).await.unwrap());
    let _: () = stand.ask("PERSIST", INDEX);
    stand.made(&presented, &touch).await;
    assert_eq!(stand.server.immortal_keys(), Vec::<String>::new());
    let _: () = stand.ask("PERSIST", INDEX);
    stand.signed_in(&sign_in()).await;
    assert_eq!(stand.server.immortal_keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_session_that_the_index_has_lost_is_no_stranger_when_it_signs_in_again_beyond_the_limit() {
    let mut stand = Stand::new().await;
    let one = limited(1, OnLimit::RefuseNew);
    let first = stand.signed_in(&one).await;
    // as after a failover that lost a write that the old primary had acknowledged
    let _: () = stand.ask("ZREM", (INDEX, first.id.expose()));
    let second = stand.signed_in(&one).await;
    let again = stand.apply(&first, &bind(&with_new_secret(&first), &one)).await;
    assert_eq!(again, Outcome::Refused(Refusal::LimitReached));
    assert!(stand.load(&first).await.is_some(), "what was refused is the sign-in, not the session");
    assert_eq!(stand.listed(&anna()).await, [first.id, second.id]);
    assert_eq!(stand.revoke(Target::AllOf(anna())).await, 2);
    assert_eq!((stand.load(&first).await, stand.load(&second).await), (None, None));
}

/// Two servers sign the same visitor in. One of them has been given the new, lower limit already. The index names two
/// sessions, and one of these has ended. The server with the old limit finds that out first, so the other server comes a
/// moment too late with its refusal. Answers the visitor's session: it lives, and its entry says that it was refused.
async fn refused_and_bound(stand: &mut Stand) -> Credentials {
    stand.signed_in(&sign_in()).await;
    let ended = stand.signed_in(&sign_in()).await;
    stand.revoke(Target::Session(ended.id)).await;
    let visitor = stand.session(&[]).await;
    let (slow, gate) = slow(stand).await;
    let (terms, refused) = (stand.terms, bind(&with_new_secret(&visitor), &limited(1, OnLimit::RefuseNew)));
    let refusing = tokio::spawn(async move { slow.apply(&visitor, &refused, &terms).await.unwrap() });
    // the server has written to the index, and has looked at all three sessions there and at the visitor's own
    for _ in 0..5 {
        assert!(gate.asks().await);
        gate.step().await;
    }
    let bound = with_new_secret(&visitor);
    stand.made(&visitor, &bind(&bound, &limited(2, OnLimit::RefuseNew))).await;
    gate.open();
    assert_eq!(refusing.await.unwrap(), Outcome::Refused(Refusal::LimitReached));
    assert!(stand.score(&bound).expect("it stays") < 0.0, "the order of steps that this is about");
    bound
}

/// A stand whose server knows all scripts already, so that each later step is one command.
async fn taught() -> Stand {
    let mut stand = Stand::new().await;
    for new in [limited(1, OnLimit::EvictOldest), limited(1, OnLimit::RefuseNew)] {
        stand.signed_in(&new).await;
        let visitor = stand.session(&[]).await;
        stand.apply(&visitor, &bind(&with_new_secret(&visitor), &new)).await;
        stand.revoke(Target::AllOf(anna())).await;
        let _: () = stand.ask("DEL", INDEX);
    }
    stand
}

#[tokio::test]
async fn signing_out_everywhere_ends_a_session_that_one_sign_in_bound_while_another_was_refused() {
    let mut stand = taught().await;
    let bound = refused_and_bound(&mut stand).await;
    assert_eq!(stand.revoke(Target::AllOf(anna())).await, 2);
    assert_eq!(stand.load(&bound).await, None);
}

#[tokio::test]
async fn the_next_touch_lists_a_session_that_one_sign_in_bound_while_another_was_refused() {
    let mut stand = taught().await;
    let bound = refused_and_bound(&mut stand).await;
    let touch = touch_of(&stand.load(&bound).await.unwrap());
    stand.made(&bound, &touch).await;
    assert!(stand.listed(&anna()).await.contains(&bound.id));
    assert!(stand.score(&bound).unwrap() > 0.0);
}

#[tokio::test]
async fn a_session_that_signs_in_again_within_the_limit_is_not_one_more_for_which_room_is_looked_for() {
    let stand = taught().await;
    for on_limit in [OnLimit::EvictOldest, OnLimit::RefuseNew] {
        let two = limited(2, on_limit);
        let (first, second) = (stand.signed_in(&two).await, stand.signed_in(&two).await);
        let (before, again) = (stand.scripts_run(), with_new_secret(&first));
        stand.made(&first, &bind(&again, &two)).await;
        assert_eq!(stand.scripts_run() - before, 2, "one for the index, and one for the session");
        assert_eq!(stand.listed(&anna()).await, [first.id, second.id]);
        stand.revoke(Target::AllOf(anna())).await;
    }
}

/// A store whose commands a test lets through one by one.
async fn slow(stand: &Stand) -> (Redis, Gate) {
    let gate = Gate::before(stand.server.port()).await;
    let slow = Redis::builder(gate.url()).timeout(PATIENT).connect().await.unwrap();
    gate.close();
    (slow, gate)
}

#[tokio::test]
async fn signing_out_everywhere_ends_a_sign_in_on_its_way_and_counts_only_who_was_signed_in() {
    let mut stand = taught().await;
    let bound = stand.signed_in(&sign_in()).await;
    let visitor = stand.session(&[]).await;
    let (slow, gate) = slow(&stand).await;
    let (terms, change) = (stand.terms, bind(&with_new_secret(&visitor), &sign_in()));
    let signing_in = tokio::spawn(async move { slow.apply(&visitor, &change, &terms).await.unwrap() });
    while stand.score(&visitor).is_none() {
        assert!(gate.asks().await);
        gate.step().await;
    }
    assert_eq!(stand.revoke(Target::AllOf(anna())).await, 1, "the visitor was not signed in yet");
    assert_eq!((stand.load(&bound).await, stand.load(&visitor).await), (None, None));
    gate.open();
    assert_eq!(signing_in.await.unwrap(), Outcome::Refused(Refusal::Gone));
}

#[tokio::test]
async fn a_refused_sign_in_leaves_the_entry_of_another_that_is_on_its_way() {
    let mut stand = taught().await;
    let first = stand.signed_in(&sign_in()).await;
    let visitor = stand.session(&[]).await;
    let (slow, gate) = slow(&stand).await;
    let (terms, change) = (stand.terms, bind(&with_new_secret(&visitor), &limited(2, OnLimit::RefuseNew)));
    let signing_in = tokio::spawn(async move { slow.apply(&visitor, &change, &terms).await.unwrap() });
    while stand.score(&visitor).is_none() {
        assert!(gate.asks().await);
        gate.step().await;
    }
    // this sign-in comes from a server that has the lower limit already
    let refused = stand.apply(&visitor, &bind(&with_new_secret(&visitor), &limited(1, OnLimit::RefuseNew))).await;
    assert_eq!(refused, Outcome::Refused(Refusal::LimitReached));
    gate.open();
    assert!(matches!(signing_in.await.unwrap(), Outcome::Done { .. }));
    assert_eq!(stand.listed(&anna()).await, [visitor.id, first.id]);
}

#[tokio::test]
async fn without_a_grace_a_second_click_ends_nobody() {
    let mut stand = taught().await;
    stand.terms.rotation_grace = Duration::ZERO;
    let visitor = stand.session(&[]).await;
    stand.apply(&visitor, &bind(&with_new_secret(&visitor), &sign_in())).await;
    let other = stand.signed_in(&sign_in()).await;
    // this sign-in comes from a server that has the lower limit already
    let click = bind(&with_new_secret(&visitor), &limited(1, OnLimit::EvictOldest));
    assert_eq!(stand.apply(&visitor, &click).await, Outcome::Refused(Refusal::Conflict));
    assert_eq!(stand.listed(&anna()).await, [other.id, visitor.id]);
}

#[tokio::test]
async fn a_second_click_that_comes_after_the_grace_ends_nobody() {
    let mut clock = ServerClock::new();
    let stand = Stand::with_clock(&clock).await;
    let visitor = stand.session(&[]).await;
    stand.made(&visitor, &bind(&with_new_secret(&visitor), &sign_in())).await;
    let other = stand.signed_in(&sign_in()).await;
    clock.advance(stand.terms.rotation_grace + Duration::from_secs(2));
    // this sign-in comes from a server that has the lower limit already
    let click = bind(&with_new_secret(&visitor), &limited(1, OnLimit::EvictOldest));
    assert_eq!(stand.apply(&visitor, &click).await, Outcome::Refused(Refusal::Conflict));
    assert!(stand.load(&other).await.is_some());
}

#[tokio::test]
async fn a_sign_in_beyond_the_limit_with_a_record_that_has_no_secret_is_gone_and_ends_nobody() {
    let mut stand = Stand::new().await;
    let first = stand.signed_in(&sign_in()).await;
    let visitor = stand.session(&[]).await;
    let _: i64 = stand.ask("HDEL", (key(&visitor), "secret_hash"));
    let one = bind(&with_new_secret(&visitor), &limited(1, OnLimit::EvictOldest));
    assert_eq!(stand.apply(&visitor, &one).await, Outcome::Refused(Refusal::Gone));
    assert!(stand.load(&first).await.is_some());
}

#[tokio::test]
async fn a_sign_in_whose_session_ends_before_it_is_judged_by_the_limit_is_gone() {
    let mut stand = taught().await;
    let full = limited(1, OnLimit::RefuseNew);
    let first = stand.signed_in(&full).await;
    let visitor = stand.session(&[]).await;
    let (slow, gate) = slow(&stand).await;
    let (terms, change) = (stand.terms, bind(&with_new_secret(&visitor), &full));
    let signing_in = tokio::spawn(async move { slow.apply(&visitor, &change, &terms).await.unwrap() });
    // the server has written to the index, and has looked at both sessions there and at the visitor's own
    for _ in 0..4 {
        assert!(gate.asks().await);
        gate.step().await;
    }
    stand.revoke(Target::Session(visitor.id)).await;
    // another server finds no session with this id
    assert_eq!(stand.listed(&anna()).await, [first.id]);
    assert_eq!(stand.score(&visitor), None);
    gate.open();
    assert_eq!(signing_in.await.unwrap(), Outcome::Refused(Refusal::Gone));
}

#[tokio::test]
async fn what_a_refused_sign_in_left_in_the_index_goes_after_an_hour_unless_its_session_is_signed_in() {
    let mut clock = ServerClock::new();
    let mut stand = Stand::with_clock(&clock).await;
    let (day, full) = (Some(DAY), limited(1, OnLimit::RefuseNew));
    let bound = stand.signed_in(&SignIn { idle_timeout: day, absolute_lifetime: day, ..sign_in() }).await;
    let refused = stand.session(&[]).await;
    let try_it = async |stand: &Stand, visitor: &Credentials| {
        let answer = stand.apply(visitor, &bind(&with_new_secret(visitor), &full)).await;
        assert_eq!(answer, Outcome::Refused(Refusal::LimitReached));
    };
    try_it(&stand, &refused).await;
    let another = stand.signed_in(&SignIn { idle_timeout: day, absolute_lifetime: day, ..sign_in() }).await;
    let score = stand.score(&bound).unwrap();
    let _: () = stand.ask("ZADD", (INDEX, -score, bound.id.expose()));

    clock.advance(Duration::from_secs(2 * 60 * 60));
    let visitor = stand.session(&[]).await;
    try_it(&stand, &visitor).await;
    assert_eq!(stand.score(&refused), None);
    assert_eq!(stand.score(&bound), Some(-score));
    assert_eq!(stand.revoke(Target::AllOf(anna())).await, 2);
    assert_eq!((stand.load(&bound).await, stand.load(&another).await), (None, None));
}

#[tokio::test]
async fn a_sign_in_that_died_before_it_was_done_costs_the_visitor_nothing_an_hour_later() {
    let mut clock = ServerClock::new();
    let mut stand = Stand::with_clock(&clock).await;
    stand.terms.idle_timeout = DAY / 2;
    let one = limited(1, OnLimit::EvictOldest);
    for is_evicted in [true, false] {
        let visitor = stand.session(&[("cart", "[1]")]).await;
        // a server that stops after it wrote the index and before it wrote the session leaves this behind
        let now = stand.time() as f64 / 1000.0;
        let _: () = stand.ask("ZADD", (INDEX, now, visitor.id.expose()));
        let _: () = stand.ask("EXPIRE", (INDEX, 24 * 60 * 60));
        clock.advance(Duration::from_secs(2 * 60 * 60));
        let ended = match is_evicted {
            true => {
                stand.signed_in(&one).await;
                1
            }
            false => 0,
        };
        assert_eq!(stand.revoke(Target::AllOf(anna())).await, ended);
        assert!(stand.load(&visitor).await.is_some(), "it is nobody's");
    }
}

#[tokio::test]
async fn a_sign_in_that_died_before_it_was_done_counts_towards_no_limit_an_hour_later() {
    let mut clock = ServerClock::new();
    let mut stand = Stand::with_clock(&clock).await;
    stand.terms.idle_timeout = DAY / 2;
    let visitor = stand.session(&[]).await;
    let now = stand.time() as f64 / 1000.0;
    let _: () = stand.ask("ZADD", (INDEX, now, visitor.id.expose()));
    let _: () = stand.ask("EXPIRE", (INDEX, 24 * 60 * 60));
    clock.advance(Duration::from_secs(2 * 60 * 60));
    let first = stand.signed_in(&limited(1, OnLimit::RefuseNew)).await;
    assert_eq!(stand.listed(&anna()).await, [first.id]);
}

#[tokio::test]
async fn a_list_takes_only_ids_out_of_the_index_that_can_never_be_a_session_of_this_user() {
    let mut stand = Stand::new().await;
    let (live, visitor, of_another) =
        (stand.signed_in(&sign_in()).await, stand.session(&[]).await, stand.session(&[]).await);
    let _: i64 = stand.ask("HSET", (key(&of_another), "user_id", "andrew"));
    // the visitor's sign-in may be on its way
    let now = stand.time() as f64 / 1000.0 + 1.0;
    for presented in [&visitor, &of_another] {
        let _: () = stand.ask("ZADD", (INDEX, now, presented.id.expose()));
    }
    assert_eq!(stand.listed(&anna()).await, [live.id]);
    assert_eq!(stand.ask::<Vec<String>>("ZRANGE", (INDEX, 0, -1)), [live.id.expose(), visitor.id.expose()]);
}
