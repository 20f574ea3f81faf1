//! Some steps that belong together. Among steps that have nothing to do with one another they would be rare.

use crate::server::{NAMES, RULES};
use crate::story::{Act, Ask, BROWSERS, DAY, Fate, Grant, HOUR, Step, Trouble, USERS, denial, order};
use crate::support::Numbers;

/// Some of these scenes, at random.
pub(crate) fn scene(numbers: &mut Numbers) -> Vec<Step> {
    match numbers.below(7) {
        0..3 => copied_back(numbers),
        3 => refused_beside_another(numbers),
        4 => given_a_deadline(numbers),
        5 => given_a_deadline_beside_a_sign_in(numbers),
        _ => denied(numbers),
    }
}

/// A session that had ended comes back from a copy while its user does something that is about all of their sessions.
fn copied_back(numbers: &mut Numbers) -> Vec<Step> {
    let (user, [first, second, ..], server) = (numbers.below(USERS.len()), browsers(numbers), server(numbers));
    let sign_in = Act::SignIn(user, Grant::Usual);
    let all = [sign_in, Act::Devices, Act::SignOutOthers, Act::SignOutEverywhere, Act::RevokeUser(user)];
    let act = all[numbers.below(all.len())];
    vec![
        Step::Ask(asked(first, server, sign_in)),
        Step::Ask(asked(second, server, sign_in)),
        Step::Export,
        Step::Ask(asked(first, server, Act::SignOut)),
        Step::Import(asked(second, server, act), order(numbers)),
    ]
}

/// A session is signed in twice at the same time, at a server that refuses it and at one that does not.
fn refused_beside_another(numbers: &mut Numbers) -> Vec<Step> {
    let (user, [first, second, third, _]) = (numbers.below(USERS.len()), browsers(numbers));
    let sign_in = Act::SignIn(user, Grant::Usual);
    let refuses = (0..RULES.len()).find(|server| RULES[*server].refuses).expect("one refuses");
    let accepts = (0..RULES.len()).find(|server| RULES[*server].limit > RULES[refuses].limit).expect("one allows more");
    vec![
        Step::Ask(asked(first, accepts, sign_in)),
        Step::Ask(asked(second, accepts, sign_in)),
        Step::Ask(asked(third, accepts, Act::Put)),
        Step::Both(asked(third, refuses, sign_in), asked(third, accepts, sign_in), order(numbers)),
    ]
}

/// The store's server refuses what is asked of a session that is there.
fn denied(numbers: &mut Numbers) -> Vec<Step> {
    let ([browser, ..], server) = (browsers(numbers), server(numbers));
    let acts = [Act::Put, Act::Count, Act::Clear, Act::Take, Act::Rotate, Act::SignIn(0, Grant::Usual)];
    let act = acts[numbers.below(acts.len())];
    let trouble = Trouble::Denied(denial(numbers));
    vec![
        Step::Ask(asked(browser, server, Act::Push)),
        Step::Ask(asked(browser, server, Act::Count)),
        Step::Ask(Ask { fate: Fate::Trouble(vec![(numbers.below(3), trouble)]), ..asked(browser, server, act) }),
    ]
}

/// A session that would live for long without use gets a deadline of its own from whichever server.
fn given_a_deadline(numbers: &mut Numbers) -> Vec<Step> {
    let (user, [browser, ..]) = (numbers.below(USERS.len()), browsers(numbers));
    let longest = (0..RULES.len()).max_by_key(|server| RULES[*server].absolute).expect("there are servers");
    let deadlines = [Some(6 * HOUR), Some(20 * DAY), None];
    let mut steps = vec![
        Step::Ask(asked(browser, server(numbers), Act::SignIn(user, Grant::Usual))),
        Step::Ask(asked(browser, longest, Act::SetIdle(3 * DAY))),
    ];
    for _ in 0..2 {
        let deadline = deadlines[numbers.below(deadlines.len())];
        steps.push(Step::Ask(asked(browser, server(numbers), Act::SetDeadline(deadline))));
    }
    steps
}

/// A visitor's session gets a deadline of its own that is later than it may live, while the visitor signs in for longer.
fn given_a_deadline_beside_a_sign_in(numbers: &mut Numbers) -> Vec<Step> {
    let (user, [browser, ..], server) = (numbers.below(USERS.len()), browsers(numbers), server(numbers));
    let deadline = asked(browser, server, Act::SetDeadline(Some(20 * DAY)));
    let sign_in = asked(browser, server, Act::SignIn(user, Grant::Remember));
    vec![Step::Ask(asked(browser, server, Act::Put)), Step::Both(deadline, sign_in, order(numbers))]
}

fn asked(browser: usize, server: usize, act: Act) -> Ask {
    Ask { browser, server, act, fate: Fate::Fine }
}

/// All of them, beginning with any.
fn browsers(numbers: &mut Numbers) -> [usize; BROWSERS.len()] {
    let first = numbers.below(BROWSERS.len());
    std::array::from_fn(|nth| (first + nth) % BROWSERS.len())
}

/// One that has users.
fn server(numbers: &mut Numbers) -> usize {
    let with_users: Vec<usize> = (0..NAMES.len()).filter(|server| !RULES[*server].plain).collect();
    with_users[numbers.below(with_users.len())]
}
