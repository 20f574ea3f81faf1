//! Times as the scripts write them, compared with what jiff writes.

use jiff::Timestamp;

use crate::Stand;

const DATES: &str = include_str!("../../src/store/redis/lua/dates.lua");

impl Stand {
    /// What a Lua function from `dates.lua` returns for each text.
    fn lua(&mut self, function: &str, texts: &[String]) -> Vec<String> {
        let script = format!(
            "{DATES}
            local answers = {{}}
            for i, text in ipairs(ARGV) do answers[i] = {function} end
            return answers"
        );
        redis::cmd("EVAL").arg(script).arg(0).arg(texts).query(&mut self.client).expect("the script runs")
    }
}

/// The edges of days, months, years and leap years, and a walk with an odd stride.
fn samples() -> Vec<i64> {
    let mut samples = vec![0, 1, 999, 1000];
    for year in [1970, 1971, 1972, 1999, 2000, 2001, 2023, 2024, 2025, 2026, 2038, 2099, 2100, 2101, 2400, 9998] {
        for day in ["01-01", "02-28", "03-01", "12-31"] {
            let midnight: Timestamp = format!("{year}-{day}T00:00:00Z").parse().unwrap();
            let midnight = midnight.as_millisecond();
            samples.extend([midnight, midnight + 1, midnight + 43_200_007, midnight + 86_399_999]);
            samples.extend((midnight > 0).then_some(midnight - 1));
        }
    }
    samples.extend((0..700).map(|i| 1_700_000_000_000 + i * 123_456_789));
    samples
}

#[tokio::test]
async fn scripts_write_times_as_jiff_does() {
    let mut stand = Stand::new().await;
    let texts: Vec<String> = samples().iter().map(i64::to_string).collect();
    let expected: Vec<String> = samples()
        .into_iter()
        .map(|millis| Timestamp::from_millisecond(millis).unwrap().strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string())
        .collect();
    assert!(expected.len() > 1000);
    assert_eq!(stand.lua("to_iso(tonumber(text))", &texts), expected);
}
