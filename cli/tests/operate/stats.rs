//! Counting.

use crate::support::operator::House;

#[test]
fn sessions_and_users_are_counted_and_how_long_they_live() {
    let house = House::open();
    for _ in 0..3 {
        house.visitor();
    }
    for _ in 0..2 {
        house.signed_in("andrew");
    }
    house.signed_in("berta");
    let json = house.run(&["stats", "--json"]).json();
    let figures = ["sessions", "signed_in", "anonymous", "users", "most_sessions_of_a_user"];
    assert_eq!(figures.map(|name| json[name].as_u64().expect("a number")), [6, 3, 3, 2, 2]);
    // visitors have ten minutes, users half an hour
    let counts = |name: &str| {
        json[name]
            .as_array()
            .expect("parts")
            .iter()
            .map(|part| part["sessions"].as_u64().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    assert_eq!(counts("age"), [6, 0, 0, 0, 0, 0, 0]);
    assert_eq!(counts("remaining")[..3], [0, 3, 3]);
    let said = house.run(&["stats"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("signed in") && said.stdout.contains('█') && said.stderr.is_empty(), "{said:?}");
}
