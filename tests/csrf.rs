//! Requests that another site made a browser send: the decision table, and the token for forms.
#![allow(clippy::duplicate_mod)] // a scenario is compiled once for each framework

mod support;

#[path = "csrf"]
mod on_axum {
    use crate::support::on_axum as framework;

    mod judged;
    mod token;
}

#[path = "csrf"]
mod on_actix {
    use crate::support::on_actix as framework;

    mod judged;
    mod token;
}
