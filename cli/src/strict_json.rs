//! Reads JSON in which no object has a key twice. Most programs silently take one of the two values, and they do not all take the
//! same one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one value from one line.
///
/// # Errors
/// Returns an error if the text is not JSON, or if an object has a key twice. The error names the key and repeats no value.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let error = match serde_json::from_str(text) {
        Ok(Strict(value)) => return Ok(value),
        Err(error) => error,
    };
    let said = error.to_string();
    // the text is one line, so its number would only confuse
    let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
    match error.is_data() {
        true => Err(format!("{what}, at column {}", error.column())),
        false => Err(format!("the line is not JSON ({what}, at column {})", error.column())),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(Reader).map(Strict)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{}` is given twice", key.escape_debug())));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(map.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(value)) = elements.next_element()? {
            all.push(value);
        }
        Ok(all.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_it_is() {
        for text in [r#"{"a":[1,-2,0.5,null,true,"é\n"],"b":{"a":{}}}"#, "[]", "null", "18446744073709551615"] {
            assert_eq!(parse(text), Ok(serde_json::from_str(text).expect("JSON")), "{text}");
        }
        assert!(
            parse("{\"a\": ").is_err_and(|why| why == "the line is not JSON (EOF while parsing a value, at column 6)")
        );
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_at_every_level_and_its_values_are_not() {
        for text in [
            r#"{"key":"hunter2","key":"hunter3"}"#,
            r#"{"key":1,"\u006bey":1}"#,
            r#"{"a":{"key":1,"b":2,"key":1}}"#,
            r#"[[{"key":{},"key":{}}]]"#,
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.starts_with("the key `key` is given twice, at column ") && !why.contains("hunter"), "{why}");
        }
    }
}
