//! Calls that are given up while the server answers them, as when a browser closes its connection.

use cloakroom::store::Store as _;

use crate::{Stand, add};

#[tokio::test]
async fn the_answer_to_a_call_that_was_given_up_reaches_nobody_else() {
    let stand = Stand::new().await;
    let mut sessions = Vec::new();
    for name in ["ada", "ben", "cleo", "dan", "eve"] {
        sessions.push((name, stand.session(&[("name", name)]).await));
    }
    for round in 0..600 {
        let (_, given_up) = &sessions[round % 5];
        let (name, asked) = &sessions[(round / 5 + 1) % 5];
        let change = add("views", 1);
        // each call is given up a little later: before the command leaves, while it is on its way, when the answer is there
        let patience = async {
            for _ in 0..round % 12 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = stand.store.load(given_up, &stand.terms), if round % 2 == 0 => {}
            _ = stand.store.apply(given_up, &change, &stand.terms), if round % 2 == 1 => {}
            () = patience => {}
        }
        let found = stand.load(asked).await.expect("it lives");
        assert_eq!(found.record.fields.get("name"), Some(*name), "round {round}");
    }
}
