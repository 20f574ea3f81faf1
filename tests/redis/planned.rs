//! Changes are planned on the session as it was loaded, and are made only if everything that they rely on is unchanged.

use std::time::{Duration, SystemTime};

use cloakroom::conformance::with_new_secret;
use cloakroom::store::{Change, FieldChanges, Loaded, Outcome, Redis, Refusal, Save, SignIn, Store, Terms};
use tokio::task::JoinSet;

use crate::support::Gate;
use crate::{
    DAY, PATIENT, Stand, add, bind, change, confirm, elevate_to, fields, key, millis, rotate_to, set, sign_in, touch,
};

/// This session, as if it had been loaded at another time.
fn loaded_at(loaded: &Loaded, now: std::time::SystemTime) -> Loaded {
    Loaded { record: loaded.record.clone(), now }
}

#[tokio::test]
async fn two_requests_that_have_loaded_the_same_session_change_different_fields() {
    let stand = Stand::new().await;
    let presented = stand.session(&[("n", "1")]).await;
    let loaded = stand.load(&presented).await.unwrap();
    for change in [set("a", "1"), set("b", "2"), add("n", 1), add("n", 1), touch()] {
        let answer = stand.store.apply_to(&loaded, &presented, &change, &stand.terms).await.unwrap();
        assert!(matches!(answer, Outcome::Done { .. }), "{change:?}: {answer:?}");
    }
    let now = stand.load(&presented).await.unwrap();
    assert_eq!(now.record.fields, fields(&[("a", "1"), ("b", "2"), ("n", "3")]));
}

#[tokio::test]
async fn what_was_loaded_before_a_secret_was_replaced_lets_nobody_change_the_session() {
    let stand = Stand::new().await;
    let old = stand.session(&[]).await;
    let loaded = stand.load(&old).await.unwrap();
    let new = with_new_secret(&old);
    stand.made(&old, &elevate_to(&new)).await;
    for change in [set("a", "1"), touch()] {
        let answer = stand.store.apply_to(&loaded, &old, &change, &stand.terms).await.unwrap();
        assert_eq!(answer, Outcome::Refused(Refusal::Gone), "{change:?}");
    }
    let answer = stand.store.apply_to(&loaded, &old, &rotate_to(&with_new_secret(&old)), &stand.terms).await.unwrap();
    assert_eq!(answer, Outcome::Refused(Refusal::Gone));
    assert_eq!(stand.load(&new).await.unwrap().record.fields, fields(&[]));
}

#[tokio::test]
async fn a_secret_that_a_rotation_holds_does_not_share_the_grace_of_the_one_before() {
    let mut stand = Stand::new().await;
    stand.terms.rotation_grace = Duration::ZERO;
    let first = stand.session(&[]).await;
    let second = with_new_secret(&first);
    stand.made(&first, &rotate_to(&second)).await;
    let loaded = stand.load(&second).await.unwrap();
    // another request shows the second secret, so the grace of the first begins
    stand.made(&second, &confirm()).await;
    assert!(stand.hash(&second).contains_key("previous_until"));
    let third = with_new_secret(&second);
    let answer = stand.store.apply_to(&loaded, &second, &rotate_to(&third), &stand.terms).await.unwrap();
    assert!(matches!(answer, Outcome::Done { .. }), "{answer:?}");
    assert!(!stand.hash(&third).contains_key("previous_until"));
    assert!(stand.load(&second).await.is_some() && stand.load(&third).await.is_some());
}

/// A save that gives the session this deadline of its own, or takes it away.
fn deadline(at: Option<SystemTime>) -> Change {
    let fields = FieldChanges { own_deadline: Some(at), ..FieldChanges::default() };
    Change::Save(Save { fields, touch: false, confirm: false, listed: None })
}

#[tokio::test]
async fn a_deadline_that_another_request_has_given_is_not_overlooked_where_it_does_not_show_in_the_end() {
    let stand = Stand::new().await;
    let hour = Duration::from_secs(3600);
    for taken_away in [false, true] {
        let presented = stand.session(&[]).await;
        let loaded = stand.load(&presented).await.unwrap();
        // later than the absolute lifetime, so the session ends when it would have ended anyway
        let later = loaded.record.expires_at + hour;
        stand.made(&presented, &deadline(Some(later))).await;
        assert_eq!(stand.load(&presented).await.unwrap().record.expires_at, loaded.record.expires_at);

        let (change, opens) = if taken_away {
            (deadline(None), presented)
        } else {
            let new = with_new_secret(&presented);
            (bind(&new, &SignIn { absolute_lifetime: Some(100 * hour), ..sign_in() }), new)
        };
        let answer = stand.store.apply_to(&loaded, &presented, &change, &stand.terms).await.unwrap();
        assert!(matches!(answer, Outcome::Done { .. }), "{answer:?}");
        let record = stand.load(&opens).await.unwrap().record;
        if taken_away {
            assert_eq!(record.own_deadline, None);
        } else {
            assert_eq!((record.own_deadline, record.expires_at), (Some(later), later), "it outlives its deadline");
        }
    }
}

#[tokio::test]
async fn a_session_that_was_revoked_after_it_was_loaded_does_not_come_back() {
    let mut stand = Stand::new().await;
    let presented = stand.session(&[("n", "1")]).await;
    let loaded = stand.load(&presented).await.unwrap();
    assert!(stand.store.sign_out(&presented).await.is_ok());
    for change in [set("a", "1"), add("n", 1), touch(), rotate_to(&with_new_secret(&presented))] {
        let answer = stand.store.apply_to(&loaded, &presented, &change, &stand.terms).await.unwrap();
        assert_eq!(answer, Outcome::Refused(Refusal::Gone), "{change:?}");
    }
    assert!(!stand.ask::<bool>("EXISTS", key(&presented)));
}

#[tokio::test]
async fn however_long_ago_a_session_was_loaded_a_touch_is_at_the_servers_time() {
    let mut stand = Stand::new().await;
    let presented = stand.session(&[]).await;
    let loaded = stand.load(&presented).await.unwrap();
    let seconds = Duration::from_secs(5);
    for now in [loaded.now - DAY, loaded.now - seconds, loaded.now + seconds, loaded.now + DAY] {
        let before = stand.time();
        let loaded = loaded_at(&loaded, now);
        let answer = stand.store.apply_to(&loaded, &presented, &touch(), &stand.terms).await.unwrap();
        assert!(matches!(answer, Outcome::Done { .. }), "{answer:?}");
        let record = stand.load(&presented).await.unwrap().record;
        assert!((before..=stand.time()).contains(&millis(record.last_accessed_at)), "{record:?}");
        assert_eq!(stand.expiry(&presented) as u64, millis(record.ends_at()));
    }
}

#[tokio::test]
async fn a_touch_that_comes_late_takes_nothing_back() {
    let mut stand = Stand::new().await;
    let presented = stand.session(&[]).await;
    let early = stand.load(&presented).await.unwrap();
    let later = loop {
        let later = stand.load(&presented).await.unwrap();
        if later.now > early.now {
            break later;
        }
    };
    for loaded in [&later, &early] {
        stand.store.apply_to(loaded, &presented, &touch(), &stand.terms).await.unwrap();
        let record = stand.load(&presented).await.unwrap().record;
        assert!(record.last_accessed_at >= later.now, "{record:?}");
        assert_eq!(stand.expiry(&presented) as u64, millis(record.ends_at()));
    }
}

#[tokio::test]
async fn requests_that_fill_a_session_at_the_same_time_stay_within_its_limits() {
    let stand = Stand::new().await;
    let terms = Terms { max_fields: 24, max_bytes: 2400, ..stand.terms };
    for (grown, bytes) in [(2, 10), (1, 1000)] {
        let presented = stand.session(&[("a", "1")]).await;
        for _ in 0..4 {
            let loaded = stand.load(&presented).await.unwrap();
            let mut requests = JoinSet::new();
            for i in 0..8 {
                let (store, loaded) = (stand.store.clone(), loaded.clone());
                let name = format!("field {i} of {}", loaded.record.fields.len());
                let mut fields = set(&name, &"x".repeat(bytes));
                if grown == 2 {
                    fields = crate::set_both(&name, &format!("{name}, too"), &"x".repeat(bytes));
                }
                requests.spawn(async move { store.apply_to(&loaded, &presented, &fields, &terms).await.unwrap() });
            }
            requests.join_all().await;
        }
        let fields = &stand.load(&presented).await.unwrap().record.fields;
        assert!(
            fields.len() <= terms.max_fields && fields.bytes() <= terms.max_bytes,
            "{} {}",
            fields.len(),
            fields.bytes()
        );
        assert!(fields.len() > terms.max_fields / 2 || fields.bytes() > terms.max_bytes / 3);
    }
}

#[tokio::test]
async fn two_changes_that_meet_may_fill_a_session_to_its_last_byte_and_its_last_field_but_not_beyond() {
    let mut stand = Stand::new().await;
    let warm = stand.session(&[]).await;
    stand.made(&warm, &touch()).await; // from now on the server knows the script
    stand.terms = Terms { max_fields: 4, max_bytes: 100, ..stand.terms };
    let (x, y) = ("x".repeat(49), "y".repeat(49));
    // the slow change, and the quick one that comes first
    let cases = [
        (vec![("b", &y[..])], vec![("c", &x[..47])], true),
        (vec![("b", &y[..])], vec![("c", &x[..48])], false),
        (vec![("b", "2"), ("c", "3")], vec![("d", "4")], true),
        (vec![("b", "2"), ("c", "3")], vec![("d", "4"), ("e", "5")], false),
    ];
    for (slow_one, quick_one, fits) in cases {
        let presented = stand.session(&[("a", "1")]).await;
        let setting = |stored| change(FieldChanges { set: fields(stored), ..FieldChanges::default() });
        let gate = Gate::before(stand.server.port()).await;
        let slow = Redis::builder(gate.url()).timeout(PATIENT).connect().await.unwrap();
        gate.close();
        let (terms, slow_one) = (stand.terms, setting(&slow_one));
        let changing = tokio::spawn(async move { slow.apply(&presented, &slow_one, &terms).await.unwrap() });
        // it looks at the fields and the expiry, and is about to write
        for _ in 0..2 {
            assert!(gate.asks().await);
            gate.step().await;
        }
        assert!(gate.asks().await);
        stand.made(&presented, &setting(&quick_one)).await;
        gate.open();
        let answer = changing.await.unwrap();
        assert_eq!(matches!(answer, Outcome::Done { .. }), fits, "beside {quick_one:?}: {answer:?}");
        let stored = &stand.load(&presented).await.unwrap().record.fields;
        assert_eq!(stored.bytes() == 100 || stored.len() == 4, fits, "{stored:?}");
    }
}

#[tokio::test]
async fn a_change_that_was_planned_long_before_keeps_to_the_limits_of_what_is_there_by_now() {
    let mut stand = Stand::new().await;
    stand.terms = Terms { max_fields: 3, max_bytes: 40, ..stand.terms };
    let setting = |stored: &[(&str, &str)]| FieldChanges { set: fields(stored), ..FieldChanges::default() };
    let removing = |names: &[&str], stored: &[(&str, &str)]| FieldChanges {
        remove: names.iter().map(|name| name.to_string()).collect(),
        ..setting(stored)
    };
    let adding = |counted: &[(&str, i64)]| FieldChanges {
        add: counted.iter().map(|(name, by)| (name.to_string(), *by)).collect(),
        ..FieldChanges::default()
    };
    let (long, longer) = ("x".repeat(35), "x".repeat(37));
    let three: &[(&str, &str)] = &[("a", "1"), ("b", "2"), ("n", "9")];
    // what is loaded, what another request does then, the change that was planned on what was loaded, and whether it fits
    let cases = [
        // it writes over what is not there any more
        (three, removing(&["b"], &[("m", "2")]), setting(&[("b", "3")]), false),
        (three, removing(&["b"], &[]), setting(&[("b", "3")]), true),
        (three, removing(&["n"], &[("m", "9")]), adding(&[("n", 1)]), false),
        (three, removing(&["n"], &[]), adding(&[("n", 1)]), true),
        // it removes what is not there any more
        (three, removing(&["a"], &[("m", "1")]), removing(&["a"], &[("c", "1")]), false),
        (three, removing(&["a"], &[]), removing(&["a"], &[("c", "1")]), true),
        // it makes shorter what is short by now
        (&[("a", &long)], setting(&[("a", "1"), ("b", &long)]), setting(&[("a", "1234")]), false),
        (&[("a", &long)], setting(&[("a", "1"), ("b", &long)]), setting(&[("a", "123")]), true),
        // a counter gets one more digit than there is room for
        (three, setting(&[("a", &long)]), adding(&[("n", 1)]), false),
        (three, setting(&[("a", &long[1..])]), adding(&[("n", 1)]), true),
        (&[("n", "-9"), ("a", "1")], setting(&[("a", &long[..34]), ("b", "1")]), adding(&[("n", -1)]), false),
        (&[("n", "9007199254740991"), ("a", "1")], setting(&[("a", &long[..22])]), adding(&[("n", 1)]), true),
        // a new counter, two of them, and one with more digits than a number of Lua has
        (&[("a", "1")], setting(&[("a", &longer)]), adding(&[("n", 9)]), true),
        (&[("a", "1")], setting(&[("a", &longer)]), adding(&[("n", 10)]), false),
        (three, setting(&[("a", &long[2..])]), adding(&[("b", 8), ("n", 1)]), true),
        (three, setting(&[("a", &long[1..])]), adding(&[("b", 8), ("n", 1)]), false),
        (&[("n", "9999999999999998"), ("a", "1")], setting(&[("a", &long[..22])]), adding(&[("n", 1)]), true),
        // several fields come, and several go
        (three, setting(&[]), setting(&[("a", &long[1..]), ("b", "22")]), true),
        (three, setting(&[]), setting(&[("a", &long[1..]), ("b", "222")]), false),
        (three, setting(&[("n", "99")]), removing(&["a", "b"], &[("c", &longer[1..])]), true),
        (three, setting(&[("n", "99")]), removing(&["a", "b"], &[("c", &longer)]), false),
        // what stands beside the names is no name
        (&[("1", "1"), ("b", "2")], setting(&[("a", &long[2..])]), removing(&["b"], &[("c", "333")]), true),
        (&[("1", "1"), ("b", "2")], setting(&[("a", &long[2..])]), removing(&["b"], &[("c", "3333")]), false),
        // it is full to the last byte, and does not grow
        (three, setting(&[("a", &long)]), adding(&[("n", -9)]), true),
        (three, setting(&[("a", &long)]), setting(&[("b", "4")]), true),
    ];
    for (stored, between, planned, fits) in cases {
        let presented = stand.session(stored).await;
        let loaded = stand.load(&presented).await.unwrap();
        stand.made(&presented, &change(between.clone())).await;
        let there = stand.hash(&presented);
        let answer = stand.store.apply_to(&loaded, &presented, &change(planned.clone()), &stand.terms).await.unwrap();
        let case = format!("{stored:?}, {between:?}, {planned:?}: {answer:?}");
        if fits {
            assert!(matches!(answer, Outcome::Done { .. }), "{case}");
            let fields = &stand.load(&presented).await.unwrap().record.fields;
            assert!(fields.len() <= 3 && fields.bytes() <= 40, "{case}");
        } else {
            assert!(matches!(answer, Outcome::Refused(Refusal::Invalid { .. })), "{case}");
            assert_eq!(stand.hash(&presented), there, "{case}");
        }
    }
}

#[tokio::test]
async fn a_sign_in_that_discards_the_fields_discards_what_others_have_added_since_it_was_planned() {
    let stand = Stand::new().await;
    let visitor = stand.session(&[("a", "1"), ("b", "2")]).await;
    let loaded = stand.load(&visitor).await.unwrap();
    stand.made(&visitor, &set("late", "3")).await;
    let rotated = with_new_secret(&visitor);
    let discarding = bind(&rotated, &SignIn { discard_fields: true, ..sign_in() });
    let answer = stand.store.apply_to(&loaded, &visitor, &discarding, &stand.terms).await.unwrap();
    assert!(matches!(answer, Outcome::Done { .. }), "{answer:?}");
    assert_eq!(stand.load(&rotated).await.unwrap().record.fields, fields(&[]));
}

#[tokio::test]
async fn two_requests_that_change_one_session_all_the_time_both_get_through() {
    let stand = Stand::new().await;
    let presented = stand.session(&[]).await;
    stand.made(&presented, &touch()).await; // from now on the server knows the script
    let asked = stand.scripts_run();
    let mut requests = JoinSet::new();
    for name in ["left", "right"] {
        let (store, terms) = (stand.store.clone(), stand.terms);
        requests.spawn(async move {
            for i in 0..200 {
                let loaded = store.load(&presented, &terms).await.unwrap().live().unwrap();
                let change = set(name, &i.to_string());
                let answer = store.apply_to(&loaded, &presented, &change, &terms).await.unwrap();
                assert!(matches!(answer, Outcome::Done { .. }), "{name} {i}: {answer:?}");
            }
        });
    }
    requests.join_all().await;
    assert_eq!(stand.load(&presented).await.unwrap().record.fields, fields(&[("left", "199"), ("right", "199")]));
    let again = stand.scripts_run() - asked - 400;
    eprintln!("400 changes of two requests: {again} planned again");
    assert!(again <= 40, "{again}: different fields are no obstacle, only a plan of more than a second ago is");
}

#[tokio::test]
async fn two_requests_that_update_the_same_field_all_the_time_both_get_through_and_lose_nothing() {
    let stand = Stand::new().await;
    let presented = stand.session(&[("n", "0")]).await;
    stand.made(&presented, &touch()).await;
    let asked = stand.scripts_run();
    let mut requests = JoinSet::new();
    for _ in 0..2 {
        let (store, terms) = (stand.store.clone(), stand.terms);
        requests.spawn(async move {
            let mut conflicts = 0;
            for _ in 0..200 {
                loop {
                    let loaded = store.load(&presented, &terms).await.unwrap().live().unwrap();
                    let n = loaded.record.fields["n"].to_owned();
                    let next = (n.parse::<u64>().unwrap() + 1).to_string();
                    let change = expecting(set("n", &next), "n", &n);
                    match store.apply_to(&loaded, &presented, &change, &terms).await.unwrap() {
                        Outcome::Done { .. } => break,
                        Outcome::Refused(Refusal::Conflict) => conflicts += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
            conflicts
        });
    }
    let conflicts: u64 = requests.join_all().await.into_iter().sum();
    assert_eq!(&stand.load(&presented).await.unwrap().record.fields["n"], "400");
    eprintln!("400 updates of one field: {conflicts} of them told that another came first");
    // what is refused has been planned a second time, on what was there instead
    assert!(stand.scripts_run() - asked >= 400 + conflicts);
}

/// The change, if this field has this text.
fn expecting(change: Change, name: &str, text: &str) -> Change {
    let Change::Save(mut save) = change else { unreachable!("it is a save") };
    save.fields.expect.insert(name.to_owned(), Some(text.to_owned()));
    save.into()
}

#[tokio::test]
async fn sixty_four_requests_that_count_at_the_same_time_are_all_counted() {
    let stand = Stand::new().await;
    let presented = stand.session(&[("n", "9007199254740990")]).await;
    let loaded = stand.load(&presented).await.unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..64 {
        let (store, terms, loaded) = (stand.store.clone(), stand.terms, loaded.clone());
        requests.spawn(async move {
            for _ in 0..10 {
                store.apply_to(&loaded, &presented, &add("n", 1), &terms).await.unwrap();
            }
        });
    }
    requests.join_all().await;
    assert_eq!(stand.load(&presented).await.unwrap().record.fields.get("n"), Some("9007199254741630"));
}
