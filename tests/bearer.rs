//! Tokens outside cookies, as a mobile application or a command line sees them: through the real layer and router.
#![allow(clippy::duplicate_mod)] // a scenario is compiled once for each framework

mod support;

#[path = "bearer"]
mod on_axum {
    use crate::support::on_axum as framework;

    mod app;
    mod answers;
    mod challenges;
    mod cross_site;
    mod rotation;
    mod two_ways;
}

#[path = "bearer"]
mod on_actix {
    use crate::support::on_actix as framework;

    mod app;
    mod answers;
    mod challenges;
    mod cross_site;
    mod rotation;
    mod two_ways;
}
