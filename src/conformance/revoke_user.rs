//! Ending a user's sessions: one, the others, all.
#![allow(missing_docs)] // the names say it

use tokio::task::JoinSet;

use super::given::{add, confirm, given, ids_of, pause, rotate_to, set, sign_in, sorted, touch, user};
use super::{Fixture, mint, with_new_secret};
use crate::record::Refusal;
use crate::store::{Outcome, Target};

pub async fn a_user_ends_one_of_their_own_sessions<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let sessions = given.signed_in_times(3, &sign_in(&anna)).await;
    let target = Target::SessionOf(anna.clone(), sessions[1].id);
    assert_eq!(given.end(target.clone()).await, 1);
    given.assert_gone(&sessions[1]).await;
    assert_eq!(given.end(target).await, 0);
    assert_eq!(given.listed(&anna).await, [sessions[2].id, sessions[0].id]);
}

pub async fn a_strangers_session_answers_as_one_that_does_not_exist<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    given.signed_in(&sign_in(&anna)).await;
    let strangers = given.signed_in(&sign_in(&user("bert"))).await;
    let visitor = given.session(&[("user_id_of_the_application", "anna")]).await;
    for id in [strangers.id, visitor.id, mint().id] {
        assert_eq!(given.end(Target::SessionOf(anna.clone(), id)).await, 0);
    }
    given.load(&strangers).await.expect("it lives");
    given.load(&visitor).await.expect("it lives");
    assert_eq!(given.listed(&user("bert")).await, [strangers.id]);
}

pub async fn a_user_ends_all_sessions_but_one<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    let sessions = given.signed_in_times(4, &sign_in(&anna)).await;
    let strangers = given.signed_in(&sign_in(&user("bert"))).await;
    let visitor = given.session(&[]).await;
    assert_eq!(given.end(Target::OthersOf(anna.clone(), sessions[2].id)).await, 3);
    for i in [0, 1, 3] {
        given.assert_gone(&sessions[i]).await;
    }
    assert_eq!(given.listed(&anna).await, [sessions[2].id]);
    assert_eq!(given.end(Target::OthersOf(anna.clone(), sessions[2].id)).await, 0);
    for other in [&sessions[2], &strangers, &visitor] {
        given.load(other).await.expect("it lives");
    }
    // who asks to keep a session that is not theirs keeps none of their own, and does nothing to that session
    assert_eq!(given.end(Target::OthersOf(anna.clone(), strangers.id)).await, 1);
    given.load(&strangers).await.expect("it lives");
    assert_eq!(given.listed(&anna).await, []);
}

pub async fn all_of_a_users_sessions_end_at_once<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    assert_eq!(given.end(Target::AllOf(anna.clone())).await, 0);
    let sessions = given.signed_in_times(5, &sign_in(&anna)).await;
    let strangers = given.signed_in_times(2, &sign_in(&user("bert"))).await;
    // a session that has ended already is not counted again
    given.revoke(&sessions[0]).await;
    let rotated = with_new_secret(&sessions[1]);
    given.apply(&sessions[1], &rotate_to(&rotated)).await.made();
    assert_eq!(given.end(Target::AllOf(anna.clone())).await, 4);
    for presented in sessions.iter().chain([&rotated]) {
        given.assert_gone(presented).await;
    }
    assert_eq!(given.end(Target::AllOf(anna.clone())).await, 0);
    assert_eq!(given.listed(&anna).await, []);
    assert_eq!(given.listed(&user("bert")).await, [strangers[1].id, strangers[0].id]);
    // and the user may sign in again
    let next = given.signed_in(&sign_in(&anna)).await;
    assert_eq!(given.listed(&anna).await, [next.id]);
}

pub async fn many_revokes_of_a_user_at_once_count_each_session_once<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    let anna = user("anna");
    for round in 0..5 {
        let sessions = given.signed_in_times(6, &sign_in(&anna)).await;
        let targets = [
            Target::AllOf(anna.clone()),
            Target::AllOf(anna.clone()),
            Target::OthersOf(anna.clone(), sessions[3].id),
            Target::SessionOf(anna.clone(), sessions[3].id),
            Target::SessionOf(anna.clone(), sessions[1].id),
            Target::Session(sessions[2].id),
        ];
        let mut tasks = JoinSet::new();
        for (i, target) in targets.into_iter().enumerate() {
            let given = given.clone();
            tasks.spawn(async move {
                pause((i * 3 + round) % 5).await;
                given.end(target).await
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<u64>(), 6);
        for presented in &sessions {
            assert_eq!(given.load(presented).await, None);
        }
    }
}

pub async fn signing_out_everywhere_ends_what_was_bound_whatever_is_on_its_way<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..15 {
        let anna = user(&format!("anna {round}"));
        let bound = given.signed_in_times(4, &sign_in(&anna)).await;
        let mut tasks = JoinSet::new();
        for (i, presented) in bound.iter().copied().enumerate() {
            for (j, change) in [set("a", "2"), touch(), add("n", 1), confirm()].into_iter().enumerate() {
                let given = given.clone();
                tasks.spawn(async move {
                    pause((round * 7 + i * 3 + j * 5) % 13).await;
                    let answer = given.apply(&presented, &change).await;
                    assert!(matches!(answer, Outcome::Done { .. } | Outcome::Refused(Refusal::Gone)), "{answer:?}");
                });
            }
        }
        let mut signing_in = JoinSet::new();
        for i in 0..6 {
            let (given, anna) = (given.clone(), anna.clone());
            signing_in.spawn(async move {
                let visitor = given.session(&[]).await;
                pause((round * 5 + i * 4) % 9).await;
                given.sign_in(&visitor, &sign_in(&anna)).await
            });
        }
        pause(round % 8).await;
        given.end(Target::AllOf(anna.clone())).await;
        // these sign-ins began after the sign-out had finished
        let late = given.signed_in_times(2, &sign_in(&anna)).await;
        tasks.join_all().await;

        for presented in &bound {
            given.assert_gone(presented).await;
        }
        let mut alive = ids_of(&late);
        for presented in &late {
            given.load(presented).await.expect("it lives");
        }
        for (presented, answer) in signing_in.join_all().await {
            let lives = given.load(&presented).await.is_some();
            assert!(!lives || matches!(answer, Outcome::Done { .. }));
            alive.extend(lives.then_some(presented.id));
        }
        // no session lives that the next sign-out would miss
        assert_eq!(sorted(given.listed(&anna).await), sorted(alive.clone()));
        assert_eq!(given.end(Target::AllOf(anna.clone())).await, alive.len() as u64);
        assert_eq!(given.listed(&anna).await, []);
    }
}

pub async fn ending_the_others_spares_the_one_that_asks_whatever_is_on_its_way<F: Fixture>(fixture: &F) {
    let given = given(fixture).await;
    for round in 0..10 {
        let anna = user(&format!("anna {round}"));
        let kept = given.signed_in(&sign_in(&anna)).await;
        let mut tasks = JoinSet::new();
        for i in 0..5 {
            let (given, anna) = (given.clone(), anna.clone());
            tasks.spawn(async move {
                let visitor = given.session(&[]).await;
                pause((round * 5 + i * 4) % 9).await;
                given.sign_in(&visitor, &sign_in(&anna)).await.0
            });
        }
        pause(round % 8).await;
        given.end(Target::OthersOf(anna.clone(), kept.id)).await;
        let mut alive = vec![kept.id];
        for presented in tasks.join_all().await {
            alive.extend(given.load(&presented).await.map(|_| presented.id));
        }
        given.load(&kept).await.expect("it lives");
        assert_eq!(sorted(given.listed(&anna).await), sorted(alive));
    }
}
