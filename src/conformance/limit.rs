//! How many sessions a user may have.
#![allow(missing_docs)] // the names say it

use std::time::Duration;

use tokio::task::JoinSet;

use super::given::{
    Given, bind, elevate_to, given, ids_of, limited, pause, rotate_to, set, sign_in, sorted, touch, user,
};
use super::{Fixture, new_session, with_new_secret};
use crate::record::{Credentials, OnLimit, Refusal, SignIn};
use crate::store::{Lookup, Outcome, Store, Target};

const N: usize = 3;

/// The sessions that live. Asserts that the user's list names exactly these.
async fn alive<S: Store>(given: &Given<S>, sessions: &[Credentials], new: &SignIn) -> Vec<Credentials> {
    let mut alive = Vec::new();
    for presented in sessions {
        if let Some(loaded) = given.load(presented).await {
            assert_eq!(loaded.record.user_id.as_ref(), Some(&new.user));
            // after two clicks, both secrets open the same session
            if !alive.iter().any(|other: &Credentials| other.id == presented.id) {
                alive.push(*presented);
            }
        }
    }
    assert_eq!(sorted(given.listed(&new.user).await), sorted(ids_of(&alive)));
    alive
}

pub async fn one_sign_in_too_many_ends_the_oldest<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let new = limited(&user("anna"), N, OnLimit::EvictOldest);
    let mut sessions = given.signed_in_times(N, &new).await;
    for _ in 0..4 {
        let visitor = given.session(&[]).await;
        let (signed_in, answer) = given.sign_in(&visitor, &new).await;
        let oldest = sessions.remove(0);
        assert_eq!(answer.evicted(), [oldest.id]);
        assert_eq!(given.load(&oldest).await, None);
        sessions.push(signed_in);
        assert_eq!(alive(&given, &sessions, &new).await, sessions);
    }
}

pub async fn the_oldest_is_the_one_that_signed_in_longest_ago<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let new = limited(&user("anna"), N, OnLimit::EvictOldest);
    let visitor = given.session(&[]).await; // made first, signs in last
    let sessions = given.signed_in_times(N, &new).await;
    // using a session, rotating it and giving it a new idle timeout do not make it a later one
    given.apply(&sessions[1], &touch()).await.made();
    given.apply(&sessions[1], &rotate_to(&with_new_secret(&sessions[1]))).await.made();
    // but signing in again does
    let (again, answer) = given.sign_in(&sessions[0], &new).await;
    assert_eq!(answer.evicted(), []);
    let (last, answer) = given.sign_in(&visitor, &new).await;
    assert_eq!(answer.evicted(), [sessions[1].id]);
    assert_eq!(given.listed(&new.user).await, [last.id, again.id, sessions[2].id]);
}

pub async fn an_evicted_browser_can_learn_why_and_nobody_else<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let new = limited(&user("anna"), 1, OnLimit::EvictOldest);
    let visitor = given.session(&[("cart", "[1]")]).await;
    let (evicted, answer) = given.sign_in(&visitor, &new).await;
    answer.made();
    let latest = given.signed_in(&new).await;

    let rotated = with_new_secret(&evicted);
    let verbs =
        [set("a", "1"), touch(), rotate_to(&rotated), bind(&rotated, &new), bind(&evicted, &new), rotate_to(&evicted)];
    for change in verbs {
        assert_eq!(given.look_up(&evicted).await, Lookup::Evicted);
        assert_eq!(given.apply(&evicted, &change).await, Outcome::Refused(Refusal::Gone), "{change:?}");
    }
    for other in [&visitor, &rotated, &with_new_secret(&evicted)] {
        assert_eq!(given.look_up(other).await, Lookup::Gone);
    }
    let again = given.create(&new_session(evicted, Default::default())).await;
    assert_eq!(again, Outcome::Refused(Refusal::Conflict));
    // whoever would end the evicted session finds it ended already, and its browser is still told of the eviction
    assert_eq!(given.end(Target::SessionOf(new.user.clone(), evicted.id)).await, 0);
    assert_eq!(given.end(Target::Session(evicted.id)).await, 0);
    assert_eq!(given.look_up(&evicted).await, Lookup::Evicted);
    assert_eq!(given.listed(&new.user).await, [latest.id]);
    assert_eq!(given.end(Target::AllOf(new.user.clone())).await, 1);
    assert_eq!(given.look_up(&evicted).await, Lookup::Evicted);
    assert_eq!(given.listed(&new.user).await, []);
}

pub async fn a_sign_in_with_a_stale_secret_leaves_the_visitors_session_out_of_the_users<F: Fixture>(fixture: &F) {
    for most in [1, N] {
        let given = given(fixture).await;
        let new = limited(&user("anna"), most, OnLimit::EvictOldest);
        let signed_in = given.signed_in(&new).await;
        let stale = given.session(&[("cart", "[1]")]).await;
        let visitor = with_new_secret(&stale);
        given.apply(&stale, &elevate_to(&visitor)).await.made();
        assert_eq!(given.sign_in(&stale, &new).await.1, Outcome::Refused(Refusal::Conflict));
        let before = given.record(&visitor).await;
        assert_eq!(given.listed(&new.user).await, [signed_in.id]);

        // the visitor's session is not evicted as one of the user's, and takes no place of theirs
        let others = given.signed_in_times(most, &new).await;
        assert_eq!(alive(&given, &others, &new).await, others);
        assert_eq!(given.end(Target::OthersOf(new.user.clone(), others[0].id)).await, most as u64 - 1);
        assert_eq!(given.end(Target::AllOf(new.user.clone())).await, 1);
        assert_eq!(given.record(&visitor).await, before, "it is nobody's");
        // and a user can sign in to it as to any other session
        let (again, answer) = given.sign_in(&visitor, &new).await;
        answer.made();
        assert_eq!(given.listed(&new.user).await, [again.id]);
        assert_eq!(given.end(Target::AllOf(new.user)).await, 1);
    }
}

pub async fn what_has_expired_counts_neither_for_a_visitor_nor_for_who_signs_in_again<F: Fixture>(fixture: &F) {
    for policy in [OnLimit::RefuseNew, OnLimit::EvictOldest] {
        let given = given(fixture).await;
        let new = limited(&user("anna"), N, policy);
        let short = SignIn { idle_timeout: Some(Duration::from_secs(1)), ..new.clone() };
        let expired = given.signed_in_times(N - 1, &short).await;
        let stays = given.signed_in(&new).await;
        fixture.advance(Duration::from_secs(2)).await;
        assert_eq!(given.load(&expired[0]).await, None);
        // the user signs in to a session that is already theirs, and then to as many more as there is room for
        let (again, answer) = given.sign_in(&stays, &limited(&new.user, 1, policy)).await;
        assert_eq!(answer.evicted(), []);
        let mut all = vec![again];
        all.extend(given.signed_in_times(N - 1, &new).await);
        assert_eq!(alive(&given, &all, &new).await, all);
    }
}

pub async fn a_lowered_limit_ends_as_many_as_are_too_many<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let sessions = given.signed_in_times(6, &sign_in(&anna)).await;
    let new = limited(&anna, 2, OnLimit::EvictOldest);
    let visitor = given.session(&[]).await;
    let (signed_in, answer) = given.sign_in(&visitor, &new).await;
    assert_eq!(sorted(answer.evicted()), sorted(ids_of(&sessions[..5])));
    assert_eq!(given.listed(&anna).await, [signed_in.id, sessions[5].id]);
}

pub async fn a_refused_sign_in_changes_nothing_and_may_be_tried_again<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let new = limited(&user("anna"), N, OnLimit::RefuseNew);
    let sessions = given.signed_in_times(N, &new).await;
    let visitor = given.session(&[("cart", "[1]")]).await;
    let before = given.record(&visitor).await;
    // this works as often as anybody tries: a refused sign-in takes no place
    for _ in 0..2 * N {
        let (rotated, answer) = given.sign_in(&visitor, &new).await;
        assert_eq!(answer, Outcome::Refused(Refusal::LimitReached));
        assert_eq!(given.load(&rotated).await, None);
        assert_eq!(given.record(&visitor).await, before);
        let another = given.session(&[]).await;
        assert_eq!(given.sign_in(&another, &new).await.1, Outcome::Refused(Refusal::LimitReached));
    }
    assert_eq!(alive(&given, &sessions, &new).await, sessions);

    // the visitor's session does not end with the user's sessions: it is nobody's
    given.end(Target::OthersOf(new.user.clone(), sessions[0].id)).await;
    assert_eq!(given.record(&visitor).await, before);
    let (signed_in, answer) = given.sign_in(&visitor, &new).await;
    answer.made();
    assert_eq!(given.listed(&new.user).await, [signed_in.id, sessions[0].id]);
}

pub async fn signing_in_again_needs_no_place<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for on_limit in [OnLimit::EvictOldest, OnLimit::RefuseNew] {
        let new = limited(&user(&format!("{on_limit:?}")), N, on_limit);
        let mut sessions = given.signed_in_times(N, &new).await;
        for i in [0, 2, 1, 1, 0] {
            let (again, answer) = given.sign_in(&sessions[i], &new).await;
            assert_eq!(answer.evicted(), []);
            sessions[i] = again;
        }
        assert_eq!(alive(&given, &sessions, &new).await, sessions);
        assert_eq!(given.listed(&new.user).await, ids_of(&[sessions[0], sessions[1], sessions[2]]));
    }
}

pub async fn a_refused_re_sign_in_leaves_the_session_in_the_list<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let sessions = given.signed_in_times(N, &sign_in(&anna)).await;
    // the limit was lowered: the session is one too many, but it is still bound to the user
    let new = limited(&anna, 1, OnLimit::RefuseNew);
    for _ in 0..2 {
        assert_eq!(given.sign_in(&sessions[1], &new).await.1, Outcome::Refused(Refusal::LimitReached));
        assert_eq!(sorted(given.listed(&anna).await), sorted(ids_of(&sessions)));
    }
    // the first session is within the limit, and keeps its place in the list
    given.sign_in(&sessions[0], &new).await.1.made();
    let latest_first: Vec<_> = sessions.iter().rev().map(|presented| presented.id).collect();
    assert_eq!(given.listed(&anna).await, latest_first);
    assert_eq!(given.end(Target::AllOf(anna.clone())).await, N as u64);
    assert_eq!(given.load(&sessions[1]).await, None);
}

pub async fn signing_in_again_to_the_same_secret_evicts_nobody<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for on_limit in [OnLimit::EvictOldest, OnLimit::RefuseNew] {
        let new = limited(&user(&format!("{on_limit:?}")), N, on_limit);
        let mut sessions = given.signed_in_times(N - 1, &new).await;
        let visitor = given.session(&[]).await;
        let rotated = with_new_secret(&visitor);
        let change = bind(&rotated, &new);
        let first = given.apply(&visitor, &change).await.made().record;
        for _ in 0..3 {
            let again = given.apply(&visitor, &change).await;
            assert_eq!(again.clone().made().record, first);
            assert_eq!(again.evicted(), []);
        }
        sessions.push(rotated);
        assert_eq!(alive(&given, &sessions, &new).await, sessions);
    }
}

pub async fn sessions_that_have_ended_do_not_count<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for on_limit in [OnLimit::EvictOldest, OnLimit::RefuseNew] {
        let new = limited(&user(&format!("{on_limit:?}")), N, on_limit);
        let first = given.signed_in(&new).await;
        let revoked = given.signed_in(&new).await;
        let brief = SignIn { idle_timeout: Some(Duration::from_secs(1)), ..new.clone() };
        given.signed_in(&brief).await;
        given.revoke(&revoked).await;
        fixture.advance(Duration::from_secs(1)).await;
        // two places are free
        for _ in 0..2 {
            let visitor = given.session(&[]).await;
            assert_eq!(given.sign_in(&visitor, &new).await.1.evicted(), []);
        }
        given.load(&first).await.expect("it lives");
        assert_eq!(given.listed(&new.user).await.len(), N);
    }
}

pub async fn each_user_has_a_limit_of_their_own<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let (anna, bert) =
        (limited(&user("anna"), 1, OnLimit::EvictOldest), limited(&user("bert"), 1, OnLimit::EvictOldest));
    let annas = given.signed_in(&anna).await;
    let berts = given.signed_in(&bert).await;
    let annas_next = given.signed_in(&anna).await;
    assert_eq!(given.look_up(&annas).await, Lookup::Evicted);
    assert_eq!(given.listed(&anna.user).await, [annas_next.id]);
    assert_eq!(given.listed(&bert.user).await, [berts.id]);
}

/// Signs in at the same time in twenty sessions more than the limit allows. Answers the sessions that live in the end, and
/// how many sign-ins were acknowledged.
async fn rush<S: Store>(given: &Given<S>, new: &SignIn, round: usize) -> (Vec<Credentials>, usize) {
    let mut tasks = JoinSet::new();
    for i in 0..N + 20 {
        let (given, new) = (given.clone(), new.clone());
        tasks.spawn(async move {
            let visitor = given.session(&[]).await;
            pause((i * 7 + round * 3) % 11).await;
            given.sign_in(&visitor, &new).await
        });
    }
    let (mut all, mut acknowledged) = (Vec::new(), 0);
    for (rotated, answer) in tasks.join_all().await {
        match answer {
            Outcome::Done { .. } => acknowledged += 1,
            Outcome::Refused(refusal) => {
                assert!(matches!(refusal, Refusal::LimitReached | Refusal::Gone), "{refusal:?}");
                assert_eq!(given.load(&rotated).await, None);
            }
        }
        all.push(rotated);
    }
    (alive(given, &all, new).await, acknowledged)
}

pub async fn of_many_sign_ins_at_once_exactly_as_many_live_as_are_allowed<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..6 {
        let new = limited(&user(&format!("evict {round}")), N, OnLimit::EvictOldest);
        let (alive, _) = rush(&given, &new, round).await;
        assert_eq!(alive.len(), N);
    }
}

pub async fn of_many_sign_ins_at_once_exactly_as_many_are_let_in_as_are_allowed<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..6 {
        let new = limited(&user(&format!("refuse {round}")), N, OnLimit::RefuseNew);
        let (alive, acknowledged) = rush(&given, &new, round).await;
        assert_eq!((alive.len(), acknowledged), (N, N));
    }
}

/// Sessions that are bound already sign in again while others sign in too. No more live than the limit allows, and the list
/// hides none of them.
pub async fn sign_ins_and_repeated_ones_at_once_stay_within_the_limit<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..12 {
        let on_limit = if round % 2 == 0 { OnLimit::EvictOldest } else { OnLimit::RefuseNew };
        let new = limited(&user(&format!("again {round}")), N, on_limit);
        let bound = given.signed_in_times(N, &new).await;
        let mut tasks = JoinSet::new();
        for i in 0..12 {
            let (given, new) = (given.clone(), new.clone());
            let again = bound[i % N];
            tasks.spawn(async move {
                let presented = if i < 2 * N { again } else { given.session(&[]).await };
                pause((i * 5 + round) % 7).await;
                given.sign_in(&presented, &new).await.0
            });
        }
        let mut all = tasks.join_all().await;
        all.extend(bound);
        let alive = alive(&given, &all, &new).await;
        assert!(alive.len() <= N, "{} live", alive.len());
        if on_limit == OnLimit::RefuseNew {
            // no new session was let in, and no bound session was ended
            assert_eq!(sorted(ids_of(&alive)), sorted(ids_of(&all[12..])));
        }
    }
}
