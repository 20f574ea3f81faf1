//! Times as the scripts write and read them, against jiff.

use jiff::Timestamp;

use crate::Stand;

const DATES: &str = include_str!("../../src/store/redis/lua/dates.lua");

impl Stand {
    /// What a function of the dates makes of each text.
    fn lua(&mut self, function: &str, texts: &[String]) -> Vec<String> {
        let script = format!(
            "{DATES}
            local answers = {{}}
            for i, text in ipairs(ARGV) do answers[i] = {function} end
            return answers"
        );
        redis::cmd("EVAL").arg(script).arg(0).arg(texts).query(&mut self.client).expect("the script runs")
    }

    fn lua_from_iso(&mut self, texts: &[String]) -> Vec<Option<i64>> {
        let answers = self.lua("string.format('%.0f', from_iso(text) or -1)", texts);
        answers.iter().map(|answer| answer.parse().ok().filter(|millis| *millis >= 0)).collect()
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

#[tokio::test]
async fn scripts_read_times_as_jiff_does() {
    let mut stand = Stand::new().await;
    let mut texts = Vec::new();
    for (i, millis) in samples().into_iter().enumerate() {
        let time = Timestamp::from_millisecond(millis).unwrap();
        let hours = (i % 23) as i8 - 11;
        let zoned = time.to_zoned(jiff::tz::Offset::constant(hours).to_time_zone());
        texts.push(time.to_string());
        texts.push(zoned.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string());
        texts.push(zoned.strftime("%Y-%m-%d %H:%M:%S%.6f%z").to_string());
    }
    let expected: Vec<Option<i64>> =
        texts.iter().map(|text| text.parse::<Timestamp>().ok().map(|time| time.as_millisecond())).collect();
    assert_eq!(stand.lua_from_iso(&texts), expected);
}

#[tokio::test]
async fn scripts_read_the_habits_of_other_languages() {
    let mut stand = Stand::new().await;
    let noon: Timestamp = "2026-04-02T12:00:00Z".parse().unwrap();
    let same = [
        "2026-04-02T12:00:00",
        "2026-04-02T12:00:00.000000",
        "2026-04-02 12:00:00+00:00",
        "2026-04-02T12:00:00.000Z",
        "2026-04-02T12:00:00.0001234Z",
        "2026-04-02T12:00Z",
        "2026-04-02T12:00",
        "2026-04-02 12:00:00+00",
        "2026-04-02T14:30:00+02:30",
        "2026-04-02T04:00:00-0800",
    ]
    .map(str::to_owned);
    assert_eq!(stand.lua_from_iso(&same), vec![Some(noon.as_millisecond()); same.len()]);
}
