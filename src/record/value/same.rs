//! Whether two texts are the same JSON value: whatever the order of keys, the spaces and the spelling of numbers.

use serde_json::{Number, Value};

/// Returns true if both texts are JSON, and the same value.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || matches!((parsed(one), parsed(other)), (Some(one), Some(other)) if same(&one, &other))
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_in_other = |(key, value)| other.get(key).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(is_in_other)
        }
        _ => one == other,
    }
}

/// Beyond this, different whole numbers may be read as one and the same float.
const BEYOND_64_BITS: f64 = 18_446_744_073_709_551_616.0;

/// `1`, `1.0` and `1e0` are one number in JSON. Numbers beyond 64 bits are the same only if they are spelled alike: it must not
/// be said that an expectation holds when it does not.
fn same_number(one: &Number, other: &Number) -> bool {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other && one.as_f64().is_some_and(|float| float.abs() < BEYOND_64_BITS),
        _ => false,
    }
}

fn whole(number: &Number) -> Option<i128> {
    let is_whole = |float: &f64| float.fract() == 0.0 && float.abs() < BEYOND_64_BITS;
    number.as_i128().or_else(|| number.as_f64().filter(is_whole).map(|float| float as i128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_may_be_spelled_in_many_ways() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("0", "-0.0"),
            ("0.1", "1e-1"),
            ("18446744073709551615", "18446744073709551615"),
            ("[1, 2]", "[1,2.0]"),
            (r#"{"a":1,"b":[true,null]}"#, r#" { "b" : [ true, null ], "a" : 1.0 } "#),
            (r#""A""#, "\"\\u0041\""),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn different_values_are_never_the_same() {
        for (one, other) in [
            ("1", "2"),
            ("1", "true"),
            ("1", r#""1""#),
            ("0.1", "0.2"),
            ("null", "{}"),
            ("[1,2]", "[2,1]"),
            ("[1]", "[1,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            ("9007199254740993", "9007199254740992.0"),
            ("18446744073709551615", "18446744073709551616"),
            ("[340282366920938463463374607431768211455]", "[340282366920938463463374607431768211454 ]"),
            ("a", "b"),
        ] {
            assert!(!is_same(one, other) && !is_same(other, one), "{one} {other}");
        }
    }
}
