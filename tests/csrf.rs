//! Requests that another site made a browser send: the decision table, and the token for forms.

mod support;

mod csrf {
    mod judged;
    mod token;
}
