//! What only a terminal gets: colours, bars, questions.

use crate::support::operator::House;
use crate::support::terminal::Terminal;

const ESCAPE: char = '\u{1b}';

fn at(house: &House, arguments: &[&str], environment: &[(&str, &str)], answers_there: bool) -> Terminal {
    let port = house.redis.port().to_string();
    let arguments = [arguments, &["--redis-port", &port]].concat();
    Terminal::start(&arguments, environment, answers_there)
}

#[test]
fn a_terminal_gets_colours_unless_it_is_told_not_to() {
    let house = House::open();
    house.visitor();
    for verb in [&["doctor"][..], &["list"], &["stats"]] {
        let said = at(&house, verb, &[], true).end();
        assert!(said.code == 0 && said.stderr.contains(ESCAPE), "{said:?}");
        assert!(!house.run(verb).all().contains(ESCAPE), "{verb:?}: nobody looks at a pipe");
    }
    let said = at(&house, &["list", "--limit", "1"], &[("NO_COLOR", "1")], true).end();
    // what moves the cursor is no colour
    assert!(said.code == 0 && said.stderr.contains("SESSION") && !said.stderr.contains("\u{1b}[1m"), "{said:?}");
    let said = at(&house, &["doctor"], &[("NO_COLOR", "1")], true).end();
    assert!(said.stderr.contains("eviction") && !said.stderr.contains("\u{1b}[3"), "{said:?}");
}

#[test]
fn a_long_look_has_a_bar_beside_its_answer_where_somebody_waits() {
    let house = House::open();
    for _ in 0..100 {
        house.visitor();
    }
    for verb in [&["stats"][..], &["list", "--limit", "0"], &["doctor"], &["revoke", "--all", "--dry-run"]] {
        let slowly = [verb, &["--json", "--rate", "200"]].concat();
        let said = at(&house, &slowly, &[], false).end();
        assert!(said.code == 0 && said.stderr.contains("of 100 keys"), "{said:?}");
        assert!(!said.stdout.contains("keys,") && said.stdout.starts_with('{'), "{said:?}");
        let said = house.run(&slowly);
        assert!(said.code == 0 && said.stderr.is_empty(), "{said:?}");
    }
}

#[test]
fn a_person_at_a_terminal_is_asked_and_only_yes_counts_as_yes() {
    let house = House::open();
    let id = house.visitor();
    for answer in ["", "n", "yess"] {
        let mut terminal = at(&house, &["revoke", "--all"], &[], false);
        terminal.wait_for("This will end all 1 session (prefix session:). Continue? [y/N] ");
        terminal.type_line(answer);
        let said = terminal.end();
        assert!(said.code == 1 && said.stderr.contains("nothing was changed"), "{said:?}");
        assert!(house.exists(&id));
    }
    let mut terminal = at(&house, &["revoke", "--all"], &[], false);
    terminal.wait_for("[y/N] ");
    terminal.type_line("y");
    let said = terminal.end();
    assert_eq!((said.code, said.stdout.as_str()), (0, "ended 1 session\n"), "{said:?}");
    assert!(!house.exists(&id));
}
