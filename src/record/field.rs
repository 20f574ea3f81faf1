//! Typed fields: the name and the type of a value in one constant.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use super::token::TokenFormat;
use crate::error::{Error, Result};
use crate::record;

/// The longest name of a field, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// The name of a field and the type of its value.
///
/// Define each field of your sessions once, as a constant:
///
/// ```
/// use cloakroom::Field;
///
/// const PAGE_VIEWS: Field<i64> = Field::new("page_views");
/// const CART: Field<Vec<String>> = Field::new("cart");
/// ```
///
/// A name that is empty, reserved or longer than [`MAX_NAME_BYTES`] does not compile:
///
/// ```compile_fail
/// # use cloakroom::Field;
/// const ID: Field<String> = Field::new("user_id");
/// ```
pub struct Field<T: ?Sized> {
    name: Cow<'static, str>,
    value: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Field<T> {
    /// Makes a field with this name. In a constant, the name is checked by the compiler.
    pub const fn new(name: &'static str) -> Field<T> {
        assert!(!name.is_empty(), "a field needs a name");
        assert!(name.len() <= MAX_NAME_BYTES, "a field's name has at most 64 bytes");
        assert!(!record::is_reserved(name), "this name is reserved for the session itself");
        Field { name: Cow::Borrowed(name), value: PhantomData }
    }

    /// Makes a field whose name is known only when the program runs. The name is checked when the field is used: a name that is empty,
    /// reserved or longer than [`MAX_NAME_BYTES`] is an error there. With plain tokens only `created_at`, `last_accessed_at` and
    /// `session_ttl` are reserved.
    pub fn named(name: impl Into<Cow<'static, str>>) -> Field<T> {
        Field { name: name.into(), value: PhantomData }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T: ?Sized> Clone for Field<T> {
    fn clone(&self) -> Self {
        Field { name: self.name.clone(), value: PhantomData }
    }
}

impl<T: ?Sized> fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({:?})", self.name)
    }
}

/// Checks that an application's field may have this name.
pub(crate) fn check_name(name: &str, format: TokenFormat) -> Result<()> {
    let reserved = match format {
        TokenFormat::Secret => record::is_reserved(name),
        TokenFormat::Plain => record::is_reserved_with_plain_tokens(name),
    };
    if name.is_empty() {
        Err(Error::malformed("a field's name", "must not be empty"))
    } else if name.len() > MAX_NAME_BYTES {
        let reason = format!("must have at most {MAX_NAME_BYTES} bytes, but this one has {}", name.len());
        Err(Error::malformed("a field's name", reason))
    } else if reserved {
        Err(Error::malformed(
            format!("field `{name}`"),
            "cannot be used, because this name is reserved for the session itself: choose another name",
        ))
    } else {
        Ok(())
    }
}
