//! The user who is signed in.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The longest user id, in bytes.
pub const MAX_USER_ID_BYTES: usize = 255;

/// The id of a user, as your application names the user: 1 to 255 bytes of text. It is cheap to clone.
///
/// A number becomes its text, so the number `1` and the string `"1"` are the same user.
///
/// ```
/// use cloakroom::UserId;
///
/// assert_eq!(UserId::from(1), UserId::try_from("1")?);
/// # Ok::<(), cloakroom::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the text as your application's own type of id, as [`str::parse`] does.
    ///
    /// ```
    /// # use cloakroom::UserId;
    /// let user = UserId::from(42);
    /// assert_eq!(user.parse::<i64>(), Ok(42));
    /// ```
    ///
    /// # Errors
    /// Returns the error of `N` if it cannot read the text.
    pub fn parse<N: FromStr>(&self) -> Result<N, N::Err> {
        self.0.parse()
    }
}

impl FromStr for UserId {
    type Err = Error;

    fn from_str(text: &str) -> Result<UserId> {
        UserId::try_from(text)
    }
}

impl TryFrom<&str> for UserId {
    type Error = Error;

    fn try_from(text: &str) -> Result<UserId> {
        match text.len() {
            1..=MAX_USER_ID_BYTES => Ok(UserId(text.into())),
            0 => Err(Error::malformed("a user id", "must not be empty")),
            len => Err(Error::malformed(
                "a user id",
                format!("must have at most {MAX_USER_ID_BYTES} bytes, but this one has {len}"),
            )),
        }
    }
}

impl TryFrom<String> for UserId {
    type Error = Error;

    fn try_from(text: String) -> Result<UserId> {
        UserId::try_from(text.as_str())
    }
}

impl TryFrom<&String> for UserId {
    type Error = Error;

    fn try_from(text: &String) -> Result<UserId> {
        UserId::try_from(text.as_str())
    }
}

impl From<&UserId> for UserId {
    fn from(user: &UserId) -> Self {
        user.clone()
    }
}

macro_rules! from_numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for UserId {
            fn from(number: $number) -> Self {
                UserId(number.to_string().into())
            }
        }
    )*};
}

from_numbers!(i32 u32 i64 u64 i128 u128);

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a line break in a name must not look like a new line of the log
        write!(f, "{}", self.0.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_has_1_to_255_bytes() {
        assert!(UserId::try_from("").is_err());
        assert!(UserId::try_from("a".repeat(255)).is_ok());
        let error = UserId::try_from("a".repeat(10 * 1024)).unwrap_err();
        assert_eq!(error.to_string(), "a user id must have at most 255 bytes, but this one has 10240");
    }

    #[test]
    fn a_number_and_its_text_are_the_same_user() {
        assert_eq!(UserId::from(42_u64), UserId::try_from("42").unwrap());
        assert_eq!(UserId::try_from("a\nb").unwrap().to_string(), "a\\nb");
    }

    #[test]
    fn a_user_id_parses_into_the_number_that_it_was_made_of() {
        assert_eq!(UserId::from(i64::MIN).parse::<i64>(), Ok(i64::MIN));
        assert_eq!(UserId::from(u128::MAX).parse::<u128>(), Ok(u128::MAX));
        assert_eq!("42".parse::<UserId>().unwrap(), UserId::from(42));
        assert!(UserId::try_from("anna").unwrap().parse::<i64>().is_err());
        assert!("".parse::<UserId>().unwrap_err().is_invalid());
    }
}
