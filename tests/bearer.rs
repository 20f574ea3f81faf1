//! Tokens outside cookies, as a mobile application or a command line sees them: through the real layer and router.

mod support;

mod bearer {
    mod app;
    mod answers;
    mod challenges;
    mod cross_site;
    mod rotation;
    mod two_ways;
}
