//! The guide's table, the constants and what is really told are the same names.

use std::collections::BTreeSet;

use cloakroom::{Config, metrics};

use super::heard::{Heard, app};
use crate::support::{Browser, Place};

const GUIDE: &str = include_str!("../../docs/metrics.md");

/// The first column of the guide's table.
fn documented() -> Vec<&'static str> {
    let rows = GUIDE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).filter(|name| name.starts_with("cloakroom_")).collect()
}

#[test]
fn the_guide_names_every_metric_once_and_no_other() {
    let (documented, constants) = (documented(), metrics::NAMES);
    assert_eq!(documented.len(), constants.len());
    assert_eq!(BTreeSet::from_iter(documented), constants.iter().copied().collect());
}

#[tokio::test]
async fn every_recorded_metric_has_a_name_from_the_table_a_unit_and_a_description() {
    let heard = Heard::new();
    let browser = Browser::new(app(&Place::memory().sessions_with(Config::builder())));
    for path in ["/write", "/read", "/count", "/misread", "/forged", "/sign_in/anna", "/rotate", "/sign_out"] {
        browser.get(path).await;
    }
    let names = heard.names();
    assert!(names.len() >= 9, "{names:?}");
    assert!(names.iter().all(|name| metrics::NAMES.contains(&name.as_str())), "{names:?}");
    assert_eq!(heard.undescribed(), Vec::<String>::new());
}

#[tokio::test]
async fn a_recorder_that_comes_after_the_sessions_hears_them_and_can_be_told_what_they_are() {
    let browser = Browser::new(app(&Place::memory().sessions()));
    browser.visit("/write").await;
    let heard = Heard::new();
    browser.visit("/read").await;
    assert_eq!(heard.all()["loads{outcome=live}"], 1);
    assert!(!heard.undescribed().is_empty());
    metrics::describe();
    assert_eq!(heard.undescribed(), Vec::<String>::new());
}
