//! What JSON would lose without a word: numbers that it does not have are written as `null`, and so is an option that holds
//! nothing inside another option. Here a value is only looked at; nothing is written.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};

use super::Problem;

const NO_NUMBER: Problem = "holds NaN or an infinite number, which JSON does not have";
const NO_OPTION: Problem = "holds an empty option in an option, and would be read back as None";

/// What a value would lose, if anything.
pub(super) fn what<V: Serialize + ?Sized>(value: &V) -> Option<Problem> {
    value.serialize(Look::default()).err().and_then(|Lost(why)| why)
}

/// Whether the whole value is an option that holds something.
pub(super) fn is_option<V: Serialize + ?Sized>(value: &V) -> bool {
    matches!(value.serialize(Look::default()), Ok(Seen::Some))
}

/// What a value is, as far as it matters.
enum Seen {
    Null,
    Some,
    Other,
}

/// Why a value is refused; `None` where it fails by itself, which `serde_json` has noticed before.
#[derive(Debug)]
struct Lost(Option<Problem>);

#[derive(Default)]
struct Look {
    /// A struct can be told how to read its field: `#[serde(deserialize_with = ...)]` keeps apart what is empty and what is
    /// missing.
    is_field: bool,
}

/// The parts of a list, map or struct.
struct Parts;

impl Parts {
    fn part<T: Serialize + ?Sized>(&self, value: &T, is_field: bool) -> Result<(), Lost> {
        value.serialize(Look { is_field }).map(drop)
    }
}

fn number(is_finite: bool) -> Result<Seen, Lost> {
    if is_finite { Ok(Seen::Other) } else { Err(Lost(Some(NO_NUMBER))) }
}

macro_rules! harmless {
    ($($name:ident: $type:ty,)*) => {$(
        fn $name(self, _value: $type) -> Result<Seen, Lost> {
            Ok(Seen::Other)
        }
    )*};
}

impl Serializer for Look {
    type Ok = Seen;
    type Error = Lost;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    harmless! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
    }

    fn serialize_f32(self, value: f32) -> Result<Seen, Lost> {
        number(value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<Seen, Lost> {
        number(value.is_finite())
    }

    fn serialize_none(self) -> Result<Seen, Lost> {
        Ok(Seen::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Seen, Lost> {
        let is_field = self.is_field;
        match value.serialize(self)? {
            Seen::Null if !is_field => Err(Lost(Some(NO_OPTION))),
            Seen::Null => Ok(Seen::Null),
            Seen::Some | Seen::Other => Ok(Seen::Some),
        }
    }

    fn serialize_unit(self) -> Result<Seen, Lost> {
        Ok(Seen::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Seen, Lost> {
        Ok(Seen::Null)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, _variant: &'static str) -> Result<Seen, Lost> {
        Ok(Seen::Other)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<Seen, Lost> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<Seen, Lost> {
        Parts.part(value, false).map(|()| Seen::Other)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Parts, Lost> {
        Ok(Parts)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Parts, Lost> {
        Ok(Parts)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Parts, Lost> {
        Ok(Parts)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Parts, Lost> {
        Ok(Parts)
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Parts, Lost> {
        Ok(Parts)
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Parts, Lost> {
        Ok(Parts)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Parts, Lost> {
        Ok(Parts)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _value: &T) -> Result<Seen, Lost> {
        Ok(Seen::Other)
    }
}

macro_rules! parts {
    ($($part:ident $method:ident($($ignored:ty)?) in a field: $is_field:literal,)*) => {$(
        impl ser::$part for Parts {
            type Ok = Seen;
            type Error = Lost;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_key: $ignored,)? value: &T) -> Result<(), Lost> {
                self.part(value, $is_field)
            }

            fn end(self) -> Result<Seen, Lost> {
                Ok(Seen::Other)
            }
        }
    )*};
}

parts! {
    SerializeSeq serialize_element() in a field: false,
    SerializeTuple serialize_element() in a field: false,
    SerializeTupleStruct serialize_field() in a field: true,
    SerializeTupleVariant serialize_field() in a field: true,
    SerializeStruct serialize_field(&'static str) in a field: true,
    SerializeStructVariant serialize_field(&'static str) in a field: true,
}

impl ser::SerializeMap for Parts {
    type Ok = Seen;
    type Error = Lost;

    /// A key is a string in the end, and `serde_json` refuses what cannot be one.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, _key: &T) -> Result<(), Lost> {
        Ok(())
    }

    /// What is flattened into a map may be a struct's field.
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Lost> {
        self.part(value, true)
    }

    fn end(self) -> Result<Seen, Lost> {
        Ok(Seen::Other)
    }
}

impl ser::Error for Lost {
    fn custom<T: fmt::Display>(_message: T) -> Lost {
        Lost(None)
    }
}

impl std::error::Error for Lost {}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.unwrap_or(super::NO_JSON))
    }
}
