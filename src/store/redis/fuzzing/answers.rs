//! What a server may answer, or something that stands in its place: it is understood or refused, and what is taken for a
//! session is one.

use redis::{FromRedisValue, Value};

use super::super::change::{Answer, Seen};
use super::super::create::{Creation, was_there};
use super::super::index::{Enlisted, EnlistedAnswer, Entry, values_of};
use super::super::operate::json_of;
use super::super::{packed, pairs_of, texts_of};
use crate::fuzzing::use_record;
use crate::record::{Token, TokenFormat};
use crate::store::{Fields, NewSession, Outcome, Record, Terms};

/// Checks bytes as an answer in the protocol of Redis, and as a session that a script has packed.
pub fn answers(input: &[u8]) {
    if let Some(pairs) = packed::unpack(input) {
        assert!(pairs.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>() < input.len());
        assert_eq!(packed::unpack(&pack(&pairs)).as_ref(), Some(&pairs));
        texts_of(pairs);
    }
    if let Ok(answer) = redis::parse_redis_value(input) {
        read(&answer);
    }
}

fn read(answer: &Value) {
    let terms = Terms::default();
    for plain in [false, true] {
        if let Ok(pairs) = pairs_of(answer)
            && let Some(record) = Record::from_stored(texts_of(pairs), plain, &terms)
        {
            use_record(&record);
        }
        let format = if plain { TokenFormat::Plain } else { TokenFormat::Secret };
        let presented = Token::mint(format).expect("randomness").presented();
        let new = NewSession { presented, fields: Fields::new(), idle_timeout: None, own_deadline: None };
        if let Ok(answer) = Vec::<Value>::from_redis_value(answer.clone())
            && let Ok(Creation::There { now, packed }) = Creation::read(answer)
            && let Some(pairs) = packed::unpack(&packed)
            && let Ok(Outcome::Done { loaded, .. }) = was_there(pairs, now, &new, &terms)
        {
            assert_eq!(loaded.record.secret_hash.is_none(), plain);
            use_record(&loaded.record);
        }
        if let Ok(answer) = Vec::<Value>::from_redis_value(answer.clone())
            && let Ok(Answer::Other { now, remaining, packed }) = Answer::read(answer)
            && let Some(pairs) = packed::unpack(&packed)
            && let Some(seen) = Seen::found(pairs, remaining, now, &presented, &terms)
        {
            assert_eq!(seen.record.secret_hash.is_none(), plain);
            use_record(&seen.record);
        }
    }
    let _ = values_of(answer.clone());
    let _ = EnlistedAnswer::from_redis_value(answer.clone()).map(Enlisted::read);
    let _ = <(Vec<Entry>,)>::from_redis_value(answer.clone());
    let _ = <(usize, String)>::from_redis_value(answer.clone());
    let _ = <(u64, Vec<Vec<u8>>)>::from_redis_value(answer.clone());
    json_of(answer.clone());
}

/// As `cmsgpack` packs them.
fn pack(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut packed = Vec::new();
    rmp::encode::write_array_len(&mut packed, 2 * pairs.len() as u32).expect("a Vec takes everything");
    for string in pairs.iter().flat_map(|(name, text)| [name, text]) {
        rmp::encode::write_str_len(&mut packed, string.len() as u32).expect("a Vec takes everything");
        packed.extend_from_slice(string);
    }
    packed
}
