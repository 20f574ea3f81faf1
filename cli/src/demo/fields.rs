//! The fields that the demo keeps in a session.

use cloakroom::Field;

pub(crate) const USERNAME: Field<String> = Field::new("username");
pub(crate) const PAGE_VIEWS: Field<i64> = Field::new("page_views");
