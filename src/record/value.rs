//! Writes values as text that a person can read, and reads them back exactly.
//!
//! A string is stored raw (`andrew`), everything else as JSON (`3`, `true`, `{"id":1}`). A string that would
//! itself parse as JSON (`3`, `"x"`) is stored JSON-quoted, so that `"3"` the string and `3` the number stay
//! different.
//!
//! A value that JSON would silently change, or could not read back, is refused when it is written.

use serde::Serialize;
use serde::de::DeserializeOwned;

mod lost;
mod same;

/// Why a value could not be written or read, without the value itself.
pub(crate) type Problem = &'static str;

/// Returns the text as which a value is stored.
pub(crate) fn to_text<V: Serialize + ?Sized>(value: &V) -> Result<String, Problem> {
    let json = to_json(value, DEEPEST)?;
    match raw_string(&json) {
        Some(raw) if !is_json(&raw) => Ok(raw),
        _ => Ok(json),
    }
}

/// Returns the JSON of a value that a field is expected to have.
pub(crate) fn to_expected<V: Serialize + ?Sized>(value: &V) -> Result<String, Problem> {
    to_json(value, DEEPEST)
}

/// Returns true if the text of a field is a spelling of the value with this JSON.
pub(crate) fn is_text_of(json: &str, text: &str) -> bool {
    match raw_string(json) {
        Some(expected) => from_text::<String>(text).is_ok_and(|string| string == expected),
        None => same::is_same(json, text),
    }
}

/// Returns true if the text of a field is a spelling of the value with this JSON, with plain tokens. Every text is then a string.
pub(crate) fn is_raw_text_of(json: &str, text: &str) -> bool {
    match raw_string(json) {
        Some(expected) => text == expected,
        None => same::is_same(json, text),
    }
}

/// Returns a value as it is written inside a list.
pub(crate) fn to_item<V: Serialize + ?Sized>(value: &V) -> Result<String, Problem> {
    to_json(value, DEEPEST - 1)
}

/// How many levels of lists, maps and structs `serde_json` can read.
const DEEPEST: usize = 127;

const TOO_DEEP: Problem = "is nested deeper than 127 levels, so it could not be read back";
/// The only problem that is due to the type and not to the value.
pub(crate) const NO_JSON: Problem = "cannot be written as JSON";

fn to_json<V: Serialize + ?Sized>(value: &V, deepest: usize) -> Result<String, Problem> {
    let json = serde_json::to_string(value).map_err(|_| NO_JSON)?;
    // everything that would be lost is written as null
    if json.contains("null")
        && let Some(why) = lost::what(value)
    {
        return Err(why);
    }
    match json.len() > 2 * deepest && depth(&json) > deepest {
        true => Err(TOO_DEEP),
        false => Ok(json),
    }
}

/// Returns how many levels of lists and objects there are.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string) = (0_usize, 0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match (byte, in_string) {
            (b'"', _) => in_string = !in_string,
            (b'\\', true) => drop(bytes.next()),
            (b'[' | b'{', false) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (b']' | b'}', false) => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// Returns the string that a JSON string contains.
fn raw_string(json: &str) -> Option<String> {
    json.starts_with('"').then(|| serde_json::from_str(json).ok()).flatten()
}

/// Reads a value from its stored text.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    const MISFIT: Problem = "does not contain a value of the type that was asked for";
    if may_be_json(text) {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            Err(_) if is_json(text) => return Err(MISFIT),
            Err(_) => {}
        }
    }
    // raw text counts as a JSON string, for any type that can be read from a string
    T::deserialize(serde_json::Value::String(text.to_owned())).map_err(|_| MISFIT)
}

/// Returns the text as which a value is stored with plain tokens. Strings are written raw, whatever they look like, so that the other
/// program reads what was meant.
pub(crate) fn to_raw_text<V: Serialize + ?Sized>(value: &V) -> Result<String, Problem> {
    let json = to_json(value, DEEPEST)?;
    match raw_string(&json) {
        Some(raw) if is_null(&raw) && lost::is_option(value) => Err("would be read back as None with plain tokens"),
        Some(raw) => Ok(raw),
        None => Ok(json),
    }
}

/// Reads text that may have been written raw. A string is read as it is, even if it looks like a number.
pub(crate) fn from_raw_text<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    match serde_json::from_str::<T>(text) {
        Ok(value) if !text.trim_ascii_start().starts_with('"') => Ok(value),
        _ => T::deserialize(serde_json::Value::String(text.to_owned())).or_else(|_| from_text(text)),
    }
}

fn is_json(text: &str) -> bool {
    may_be_json(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn is_null(text: &str) -> bool {
    serde_json::from_str::<()>(text).is_ok()
}

/// Decides by the beginning of the text, because letting a parser refuse ordinary text costs more than reading it.
fn may_be_json(text: &str) -> bool {
    matches!(text.trim_ascii_start().bytes().next(), Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, text: &str) {
        assert_eq!(to_text(&value).unwrap(), text);
        assert_eq!(from_text::<T>(text).unwrap(), value);
    }

    #[test]
    fn a_person_can_read_what_is_stored() {
        comes_back("andrew".to_owned(), "andrew");
        comes_back(3_i64, "3");
        comes_back(true, "true");
        comes_back(vec![1, 2], "[1,2]");
        comes_back(BTreeMap::from([("a".to_owned(), 1)]), r#"{"a":1}"#);
    }

    #[test]
    fn a_string_that_looks_like_json_stays_a_string() {
        comes_back("3".to_owned(), r#""3""#);
        comes_back("true".to_owned(), r#""true""#);
        comes_back("null".to_owned(), r#""null""#);
        comes_back(r#""x""#.to_owned(), r#""\"x\"""#);
        comes_back("{}".to_owned(), r#""{}""#);
        comes_back(" 3 ".to_owned(), r#"" 3 ""#);
    }

    #[test]
    fn odd_values_come_back_too() {
        comes_back(String::new(), "");
        comes_back("line\nbreak\0\u{fffd}".to_owned(), "line\nbreak\0\u{fffd}");
        comes_back(Some("x".to_owned()), "x");
        comes_back(None::<String>, "null");
        comes_back(Some("null".to_owned()), r#""null""#);
        comes_back('x', "x");
        comes_back(i64::MIN, "-9223372036854775808");
        comes_back(u64::MAX, "18446744073709551615");
        comes_back(0.1_f64, "0.1");
        comes_back((), "null");
    }

    #[test]
    fn raw_text_of_another_program_reads_as_the_type_that_is_asked_for() {
        assert_eq!(from_raw_text::<String>("3").unwrap(), "3");
        assert_eq!(from_raw_text::<i64>("3").unwrap(), 3);
        assert_eq!(from_raw_text::<String>(r#""x""#).unwrap(), r#""x""#);
        assert_eq!(from_raw_text::<String>(&to_raw_text("true").unwrap()).unwrap(), "true");
        assert!(from_raw_text::<i64>("three").is_err());
    }

    /// Everything that serde knows, one in another.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct All {
        double: f64,
        single: f32,
        wide: (i128, u128),
        text: String,
        letter: char,
        bytes: Vec<u8>,
        option: Option<f64>,
        unit: (),
        of_texts: Option<String>,
        shape: Shape,
        by_number: BTreeMap<i64, Vec<Option<String>>>,
        by_bool: BTreeMap<bool, u64>,
        by_letter: BTreeMap<char, f32>,
        by_wide: BTreeMap<u128, ()>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle(f64),
        Line(f32, Option<i64>),
        Box { sides: [f64; 2], inner: Option<std::boxed::Box<Shape>> },
    }

    fn json_like() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => ".{0,8}",
            2 => r#"[ \t\n\r]?("x"|"|\[\]|\{"a":1\}|null|true|-?[0-9]{1,3}(\.5)?|1e400)[ \n]?"#,
            1 => r#"[\[\]{}",:\\nul0-9 ]{0,9}"#,
        ]
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let leaf = prop_oneof![
            Just(Shape::Point),
            prop::num::f64::ANY.prop_map(Shape::Circle),
            any::<(f32, Option<i64>)>().prop_map(|(x, y)| Shape::Line(x, y)),
        ];
        leaf.prop_recursive(4, 8, 1, |inner| {
            (any::<[f64; 2]>(), prop::option::of(inner.prop_map(std::boxed::Box::new)))
                .prop_map(|(sides, inner)| Shape::Box { sides, inner })
        })
    }

    fn all() -> impl Strategy<Value = All> {
        let floats = (prop::num::f64::ANY, prop::num::f32::ANY, prop::option::of(prop::num::f64::ANY));
        let texts = (json_like(), any::<char>(), any::<Vec<u8>>(), prop::option::of(json_like()));
        let lists = prop::collection::vec(prop::option::of(json_like()), 0..3);
        let maps = (prop::collection::btree_map(any::<i64>(), lists, 0..3), any::<BTreeMap<bool, u64>>());
        let more = (any::<BTreeMap<char, f32>>(), any::<BTreeMap<u128, ()>>());
        (floats, any::<(i128, u128)>(), texts, shape(), maps, more).prop_map(
            |(floats, wide, texts, shape, maps, more)| {
                let (double, single, option) = floats;
                let (text, letter, bytes, of_texts) = texts;
                let ((by_number, by_bool), (by_letter, by_wide)) = (maps, more);
                All {
                    double,
                    single,
                    wide,
                    text,
                    letter,
                    bytes,
                    option,
                    unit: (),
                    of_texts,
                    shape,
                    by_number,
                    by_bool,
                    by_letter,
                    by_wide,
                }
            },
        )
    }

    /// Whatever is accepted comes back as it was; whether it was accepted.
    fn comes_back_or_is_refused<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> bool {
        if let Ok(text) = to_raw_text(value) {
            assert_eq!(&from_raw_text::<T>(&text).unwrap(), value, "with plain tokens: {text}");
        }
        let text = to_text(value);
        if let Ok(text) = &text {
            assert_eq!(&from_text::<T>(text).unwrap(), value, "{text}");
        }
        text.is_ok()
    }

    proptest! {
        #[test]
        fn every_accepted_value_comes_back_equal(all in all()) {
            let All { double, single, wide, text, letter, bytes, option, of_texts, shape, by_number, by_letter, .. } = &all;
            prop_assert_eq!(comes_back_or_is_refused(double), double.is_finite());
            prop_assert_eq!(comes_back_or_is_refused(single), single.is_finite());
            prop_assert_eq!(comes_back_or_is_refused(option), option.is_none_or(f64::is_finite));
            prop_assert!(comes_back_or_is_refused(wide) && comes_back_or_is_refused(text));
            prop_assert!(comes_back_or_is_refused(letter) && comes_back_or_is_refused(bytes));
            prop_assert!(comes_back_or_is_refused(of_texts) && comes_back_or_is_refused(by_number));
            comes_back_or_is_refused(shape);
            comes_back_or_is_refused(by_letter);
            comes_back_or_is_refused(&Some(of_texts.clone()));
            comes_back_or_is_refused(&vec![Some(*option)]);
            comes_back_or_is_refused(&all);
        }
    }

    #[test]
    fn a_number_that_json_does_not_have_is_refused_wherever_it_stands() {
        #[derive(Serialize)]
        struct Order {
            price: Option<f64>,
        }
        #[derive(Serialize)]
        enum Point {
            At { x: f32 },
            Tuple(u8, f64),
            Newtype(f64),
        }
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let refused = |text: Result<String, Problem>| assert!(text.unwrap_err().contains("NaN or an infinite"));
            refused(to_text(&wrong));
            refused(to_text(&(wrong as f32)));
            refused(to_text(&Some(wrong)));
            refused(to_text(&[1.0, wrong]));
            refused(to_text(&(1, (wrong, "null"))));
            refused(to_text(&BTreeMap::from([("a", Some(vec![wrong]))])));
            refused(to_text(&Order { price: Some(wrong) }));
            refused(to_text(&Point::At { x: wrong as f32 }));
            refused(to_text(&Point::Tuple(1, wrong)));
            refused(to_text(&Point::Newtype(wrong)));
            refused(to_raw_text(&[wrong]));
            refused(to_item(&wrong));
            assert_eq!(to_text(&BTreeMap::from([(Key(wrong), 1)])), Err(NO_JSON));
        }
        assert_eq!(to_text(&Order { price: None }).unwrap(), r#"{"price":null}"#);
    }

    /// A number as a key, in some order.
    #[derive(Serialize, PartialEq)]
    struct Key(f64);

    impl Eq for Key {}

    impl Ord for Key {
        fn cmp(&self, other: &Key) -> std::cmp::Ordering {
            self.0.total_cmp(&other.0)
        }
    }

    impl PartialOrd for Key {
        fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    #[test]
    fn what_is_nested_as_deep_as_can_be_read_is_accepted_and_what_is_deeper_is_not() {
        fn nested(levels: usize) -> serde_json::Value {
            (0..levels).fold("[[{\\\"".into(), |inner, level| match level % 2 {
                0 => serde_json::json!([inner]),
                _ => serde_json::json!({ "a": inner }),
            })
        }
        assert!(comes_back_or_is_refused(&nested(DEEPEST)));
        assert_eq!(to_text(&nested(DEEPEST + 1)), Err(TOO_DEEP));
        assert_eq!(to_raw_text(&nested(DEEPEST + 1)), Err(TOO_DEEP));
        assert!(to_item(&nested(DEEPEST - 1)).is_ok(), "a list of it has one level more");
        assert_eq!(to_item(&nested(DEEPEST)), Err(TOO_DEEP));
        assert!(comes_back_or_is_refused(&"[".repeat(1000)), "a text is as deep as it likes");
        assert!(comes_back_or_is_refused(&vec!["[{".repeat(1000)]));
        let wide: Vec<Vec<u8>> = vec![vec![1]; 1000];
        assert!(comes_back_or_is_refused(&wide));
    }

    #[test]
    fn an_empty_option_in_an_option_is_refused() {
        let nothing: Option<Option<u8>> = Some(None);
        assert!(to_text(&nothing).unwrap_err().contains("option in an option"));
        assert!(to_text(&vec![nothing]).is_err() && to_text(&Some(())).is_err());
        assert!(comes_back_or_is_refused(&Some(Some(1))) && comes_back_or_is_refused(&None::<Option<u8>>));
    }

    #[test]
    fn with_plain_tokens_an_optional_text_that_reads_null_is_refused() {
        assert!(to_raw_text(&Some(" null")).unwrap_err().contains("read back as None"));
        assert_eq!(to_raw_text("null").unwrap(), "null");
        assert_eq!(from_raw_text::<String>("null").unwrap(), "null");
        assert_eq!(from_raw_text::<String>(" \"x\"").unwrap(), " \"x\"");
    }
}
