//! Stories of what went wrong once, kept so that it does not again. Each is run on every kind of store.

use crate::in_redis::InRedis;
use crate::place::{InMemory, OnDisk};
use crate::story::Act::{self, *};
use crate::story::Grant::{Provider, Remember, Short, Until, Usual};
use crate::story::Step::{self, Both, Kill, Wait};
use crate::story::{Ask, DAY, Fate, HOUR, MINUTE, Order, Trouble};

const ADA: usize = 0;
const BOB: usize = 1;
const CLEO: usize = 2;
const PHONE: usize = 0;
const LAPTOP: usize = 1;
const TABLET: usize = 2;
const KIOSK: usize = 3;
const SHOP: usize = 0;
const APP: usize = 1;
const DESK: usize = 2;
const FORUM: usize = 3;
const TUTORIAL: usize = 4;

fn asked(browser: usize, server: usize, act: Act) -> Ask {
    Ask { browser, server, act, fate: Fate::Fine }
}

fn asks(browser: usize, act: Act) -> Step {
    Step::Ask(asked(browser, SHOP, act))
}

fn in_trouble(browser: usize, act: Act, question: usize, trouble: Trouble) -> Step {
    Step::Ask(Ask { fate: Fate::Trouble(vec![(question, trouble)]), ..asked(browser, SHOP, act) })
}

fn happens(program: &[Step]) {
    happen(&[program.to_vec()]);
}

fn happen(programs: &[Vec<Step>]) {
    for program in programs {
        for told in [crate::told::<InMemory>(program), crate::told::<OnDisk>(program)] {
            told.unwrap_or_else(|story| panic!("{story}"));
        }
    }
    // in a thread of their own: its Redis is stopped when the thread has ended
    std::thread::scope(|scope| {
        let in_redis = || programs.iter().try_for_each(|program| crate::told::<InRedis>(program));
        let told = scope.spawn(in_redis).join().expect("no panic");
        told.unwrap_or_else(|story| panic!("{story}"));
    });
}

fn at_each_pace(program: impl Fn(Order) -> Vec<Step>) -> Vec<Vec<Step>> {
    (0..200).map(|pace| program(Order { pace, swapped: false })).collect()
}

#[test]
fn simulation_story_a_provider_that_says_the_same_time_each_time_does_not_prolong_the_session() {
    let sign_in = || asks(PHONE, SignIn(ADA, Provider));
    happens(&[sign_in(), sign_in(), sign_in(), Wait(13 * HOUR), asks(PHONE, Look)]);
}

#[test]
fn simulation_story_half_an_hour_stays_half_an_hour_when_the_user_signs_in_again() {
    happens(&[asks(PHONE, SignIn(ADA, Short)), asks(PHONE, SignIn(ADA, Usual)), Wait(31 * MINUTE), asks(PHONE, Look)]);
}

#[test]
fn simulation_story_remember_me_stays_when_the_user_signs_in_again() {
    let again = Step::Ask(asked(PHONE, DESK, SignIn(ADA, Usual)));
    happens(&[asks(PHONE, SignIn(ADA, Remember)), again, Wait(3 * DAY), asks(PHONE, Look)]);
}

#[test]
fn simulation_story_a_sign_in_that_is_not_durable_does_not_lose_the_visitor() {
    happens(&[asks(PHONE, Put), in_trouble(PHONE, SignIn(ADA, Usual), 1, Trouble::NotDurable), asks(PHONE, Look)]);
    happens(&[asks(PHONE, Put), in_trouble(PHONE, Elevate, 1, Trouble::NotDurable), asks(PHONE, Look)]);
}

#[test]
fn simulation_story_a_late_sign_in_of_another_user_does_not_end_the_session_of_who_was_there() {
    happen(&at_each_pace(|order| {
        let elevate = asked(PHONE, SHOP, Elevate);
        let late = asked(PHONE, SHOP, SignIn(BOB, Usual));
        vec![asks(PHONE, SignIn(ADA, Usual)), Both(elevate, late, order)]
    }));
}

#[test]
fn simulation_story_a_sign_in_that_was_ended_on_its_way_is_not_repeated() {
    happen(&at_each_pace(|order| {
        let end = asked(LAPTOP, SHOP, RevokeUser(ADA));
        let sign_in = asked(PHONE, SHOP, SignIn(ADA, Usual));
        vec![asks(PHONE, Put), Both(end, sign_in, order)]
    }));
}

#[test]
fn simulation_story_what_was_answered_as_expired_stays_so_after_a_kill_with_the_clock_set_back() {
    happens(&[asks(PHONE, SignIn(ADA, Usual)), Wait(31 * MINUTE), asks(PHONE, Look), Kill(HOUR), asks(PHONE, Look)]);
}

#[test]
fn simulation_story_whoever_signs_out_with_a_kept_secret_that_ends_its_session_is_signed_out() {
    let at_the_app = |browser, act| Step::Ask(asked(browser, APP, act));
    happens(&[
        at_the_app(PHONE, SignIn(ADA, Usual)),
        Step::Plant { browser: KIOSK, from: PHONE, before: false },
        at_the_app(PHONE, Rotate),
        at_the_app(PHONE, Look),
        Wait(MINUTE),
        at_the_app(KIOSK, SignOut),
    ]);
}

#[test]
fn simulation_story_a_sign_in_that_died_more_than_an_hour_ago_counts_as_no_session() {
    let dies = |after| Step::Ask(Ask { fate: Fate::HungUp(after), ..asked(KIOSK, SHOP, SignIn(ADA, Usual)) });
    let program = |(after, server)| {
        let visits = Step::Ask(asked(KIOSK, FORUM, Put));
        let signs_in = Step::Ask(asked(LAPTOP, server, SignIn(ADA, Usual)));
        vec![asks(PHONE, SignIn(ADA, Remember)), visits, dies(after), Wait(2 * HOUR), signs_in]
    };
    let moments = (1..8).flat_map(|after| [(after, APP), (after, DESK)]);
    happen(&moments.map(program).collect::<Vec<_>>());
}

#[test]
fn simulation_story_sessions_that_signed_in_at_the_same_moment_keep_their_order_over_a_restart() {
    let import = Step::Import(asked(TABLET, DESK, SignIn(ADA, Usual)), Order { pace: 816_573_781, swapped: true });
    let again = Step::Ask(asked(TABLET, TUTORIAL, SignIn(ADA, Short)));
    let out = Step::Ask(asked(LAPTOP, DESK, SignOut));
    happen(&vec![vec![asks(LAPTOP, SignIn(ADA, Usual)), Step::Export, out, import, again, Kill(0)]; 8]);
}

#[test]
fn simulation_story_what_comes_back_from_a_copy_while_its_user_signs_out_has_no_user_where_the_copy_had_none() {
    let program = |pace| {
        let import = Step::Import(asked(PHONE, DESK, SignOut), Order { pace, swapped: false });
        vec![asks(PHONE, Form), Step::Export, asks(PHONE, SignIn(ADA, Usual)), import]
    };
    happen(&[106_328_102, 106_328_103, 8, 12, 15].map(program));
}

#[test]
fn simulation_story_a_deadline_neither_lengthens_nor_shortens_what_another_server_granted() {
    let at = |server, act| Step::Ask(asked(PHONE, server, act));
    let days_idle = at(FORUM, SetIdle(3 * DAY));
    let in_20_days = at(FORUM, SetDeadline(Some(20 * DAY)));
    happens(&[at(SHOP, SignIn(ADA, Usual)), days_idle, in_20_days, Wait(13 * HOUR), at(FORUM, Look)]);
    let in_20_days = at(SHOP, SetDeadline(Some(20 * DAY)));
    happens(&[at(FORUM, SignIn(ADA, Usual)), in_20_days, Wait(3 * DAY), at(FORUM, Look)]);
}

#[test]
fn simulation_story_a_deadline_outlives_a_sign_in_that_was_planned_before_it_was_given() {
    happen(&at_each_pace(|order| {
        let deadline = asked(PHONE, SHOP, SetDeadline(Some(20 * DAY)));
        let sign_in = asked(PHONE, SHOP, SignIn(ADA, Remember));
        vec![
            asks(PHONE, Put),
            Both(deadline, sign_in, order),
            Wait(13 * DAY),
            asks(PHONE, Look),
            Wait(8 * DAY),
            asks(PHONE, Look),
        ]
    }));
}

#[test]
fn simulation_story_a_deadline_stays_with_the_session_when_its_user_signs_in_again() {
    let sign_in = |grant| asks(PHONE, SignIn(ADA, grant));
    happens(&[sign_in(Until), Wait(20 * MINUTE), sign_in(Remember), Wait(45 * MINUTE), asks(PHONE, Look)]);
}

#[test]
fn simulation_story_a_sign_in_that_was_cut_off_keeps_its_place_where_new_ones_are_refused() {
    let remembers = Ask { fate: Fate::HungUp(5), ..asked(TABLET, SHOP, SignIn(ADA, Remember)) };
    let again = Step::Ask(asked(TABLET, DESK, SignIn(ADA, Usual)));
    let others = [asks(KIOSK, SignIn(ADA, Short)), asks(LAPTOP, SignIn(ADA, Usual))];
    happens(&[&[asks(TABLET, Push), Step::Ask(remembers)], &others[..], &[again]].concat());
}

#[test]
fn simulation_story_a_visitors_session_that_comes_back_after_a_sign_in_may_end_with_the_users() {
    let import = Step::Import(asked(TABLET, APP, SignIn(CLEO, Until)), Order { pace: 502_198_188, swapped: false });
    let again = Step::Ask(asked(PHONE, APP, SignIn(CLEO, Usual)));
    let leaves = || asks(PHONE, Leave);
    happens(&[leaves(), Step::Export, asks(PHONE, SignIn(CLEO, Remember)), leaves(), import, again]);
}
