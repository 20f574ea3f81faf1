//! When something ends, to the moment.

use std::time::{Duration, SystemTime};

use super::{
    Change, Credentials, FieldChanges, NewSession, OnLimit, Record, Refusal, Save, SignIn, Terms, Token, TokenFormat,
    UserId,
};
use crate::clock::from_millis;

/// A whole second, so that nothing is rounded.
const START: u64 = 1_800_000_000_000;

fn after(time: Duration) -> SystemTime {
    from_millis(START) + time
}

fn new_secret(presented: &Credentials) -> Credentials {
    Token::with_new_secret(&presented.id).expect("randomness").presented()
}

fn sign_in(rotate_to: &Credentials) -> Change {
    let new = SignIn::new(UserId::try_from("anna").expect("1 to 255 bytes"), 10, OnLimit::EvictOldest);
    Change::SignIn { new, secret_hash: rotate_to.secret_hash.expect("it was minted with a secret") }
}

#[test]
fn a_second_click_is_the_same_sign_in_until_the_grace_is_over() {
    let terms = Terms::default();
    let visitor = Token::mint(TokenFormat::Secret).expect("randomness").presented();
    let new = NewSession { presented: visitor, fields: Default::default(), idle_timeout: None, own_deadline: None };
    let mut record = Record::new(&new, &terms, after(Duration::ZERO)).expect("it is small");
    record.apply(&visitor, &sign_in(&new_secret(&visitor)), &terms, after(Duration::ZERO)).expect("it may sign in");
    // a second more, because the time of the sign-in is kept in whole seconds
    let end = terms.rotation_grace + Duration::from_secs(1);
    let click =
        |record: &Record, time| record.clone().apply(&visitor, &sign_in(&new_secret(&visitor)), &terms, after(time));
    assert_eq!(click(&record, end - Duration::from_millis(1)), Ok(()));
    assert_eq!(click(&record, end), Err(Refusal::Conflict));
}

#[test]
fn a_deadline_that_is_later_than_what_was_granted_lengthens_nothing_also_when_another_one_follows() {
    let day = Duration::from_secs(24 * 60 * 60);
    let terms = Terms { absolute_lifetime: day, ..Terms::default() };
    let longer = Terms { absolute_lifetime: 30 * day, ..Terms::default() };
    let visitor = Token::mint(TokenFormat::Secret).expect("randomness").presented();
    let new = NewSession { presented: visitor, fields: Default::default(), idle_timeout: None, own_deadline: None };
    let mut record = Record::new(&new, &terms, after(Duration::ZERO)).expect("it is small");
    for deadline in [20 * day, 19 * day] {
        let fields = FieldChanges { own_deadline: Some(Some(after(deadline))), ..FieldChanges::default() };
        let save = Save { fields, touch: true, confirm: false, listed: None };
        record.apply(&visitor, &Change::Save(save), &longer, after(Duration::ZERO)).expect("it may be set");
        assert_eq!(record.expires_at, after(day));
    }
}
