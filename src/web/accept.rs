//! Whether a request asks for JSON. (RFC 9110, section 12.5.1)

use http::HeaderValue;

/// Returns true if these `Accept` headers name JSON and prefer it to a page or a text, or like it as much. Browsers name
/// HTML, and many programs name nothing or `*/*`: they get a text.
pub(super) fn prefers_json(accept: &[HeaderValue]) -> bool {
    let (mut json, mut text) = (0.0, 0.0);
    for range in accept.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(quality).unwrap_or(1.0);
        let liked = match media.split_once('/') {
            Some(("application", "json" | "*")) => &mut json,
            Some(("application", kind)) if kind.ends_with("+json") => &mut json,
            Some(("text" | "*", _) | ("application", "xhtml+xml")) => &mut text,
            _ => continue,
        };
        *liked = quality.max(*liked);
    }
    json > 0.0 && json >= text
}

/// Returns the value of a parameter `q`. A value that cannot be read counts as 0.
fn quality(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.split_once('=')?;
    let quality = value.trim().parse().ok().filter(|quality| (0.0..=1.0).contains(quality));
    name.trim().eq_ignore_ascii_case("q").then(|| quality.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        for (accept, expected) in [
            (&["application/json"][..], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["application/problem+json"], true),
            (&["application/vnd.api+json;q=0.2"], true),
            (&["application/json, text/plain, */*"], true),
            (&["application/json;q=0.9, */*;q=0.8"], true),
            (&["application/json ; Q=0.9 , text/html ; q=0.8"], true),
            (&["application/*"], true),
            (&["text/html;q=0.5", "application/json"], true),
            (&[], false),
            (&[""], false),
            (&["*/*"], false),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"], false),
            (&["text/html, application/json;q=0.9"], false),
            (&["text/plain, application/json;q=0.1"], false),
            (&["application/json;q=0"], false),
            (&["application/json;q=much"], false),
            (&["application/json;q=7"], false),
            (&["application/json;q=NaN"], false),
            (&["application/jsonp", "json", "application", "/json", ";;,,q=1"], false),
            (&["text/json+nothing"], false),
        ] {
            let headers: Vec<_> = accept.iter().map(|value| HeaderValue::from_static(value)).collect();
            assert_eq!(prefers_json(&headers), expected, "{accept:?}");
        }
        assert!(!prefers_json(&[HeaderValue::from_bytes(b"application/json\xff").unwrap()]));
    }
}
