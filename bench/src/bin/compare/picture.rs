//! The bars: requests a second beside the same framework without sessions.

use std::fmt::Write;

use cloakroom_bench::Operation;

use crate::report::{Report, Row};

const WIDTH: usize = 860;
const NAMES: usize = 250;
const BARS: usize = 430;
const LINE: usize = 26;

/// Its colours follow the reader's scheme, light or dark.
pub fn draw(report: &Report) -> String {
    let panels = [Operation::Read, Operation::Change];
    let (mut body, mut y) = (String::new(), 36);
    for operation in panels {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.operation == operation).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(
            body,
            r#"<text class="title" x="20" y="{y}">{}: requests a second, beside no sessions</text>"#,
            operation.title(),
        );
        y += 14;
        for row in rows {
            draw_bar(&mut body, report, row, y);
            y += LINE;
        }
        y += 40;
    }
    let height = y - 20;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Requests a second of each session layer beside the same application without sessions">
<style>
text {{ font: 14px system-ui, sans-serif; fill: #1f2328; }}
.title {{ font-weight: 600; font-size: 15px; }}
.paper {{ fill: #ffffff; }}
.track {{ fill: #eef0f3; }}
.ours {{ fill: #0a7d6c; }}
.other {{ fill: #8b95a1; }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #e6edf3; }}
  .paper {{ fill: #0d1117; }}
  .track {{ fill: #21262d; }}
  .ours {{ fill: #2bb8a0; }}
  .other {{ fill: #768390; }}
}}
</style>
<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>
{body}</svg>
"#
    )
}

fn draw_bar(body: &mut String, report: &Report, row: &Row, y: usize) {
    let ratio = report.ratio(row).unwrap_or(1.0);
    let class = if row.kind.is_ours() { "ours" } else { "other" };
    let length = (ratio.min(1.0) * BARS as f64).round();
    let (text_y, label_x) = (y + 17, NAMES + BARS + 30);
    let _ = writeln!(
        body,
        r#"<text x="{}" y="{text_y}" text-anchor="end">{}</text>
<rect class="track" x="{}" y="{}" width="{BARS}" height="16" rx="3"/>
<rect class="{class}" x="{}" y="{}" width="{length}" height="16" rx="3"/>
<text x="{label_x}" y="{text_y}">{ratio:.2} · {:.1} k/s</text>"#,
        NAMES,
        row.application,
        NAMES + 12,
        y + 4,
        NAMES + 12,
        y + 4,
        row.rate() / 1000.0,
    );
}
