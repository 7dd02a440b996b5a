//! `report.html`: one self-contained page with the pictures, the timeline and the latencies.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::story::telling::{Chapter, STAGES, Telling};

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d2733;--dim:#667;--line:#d8dde3;--ok:#18794e;--bad:#b42318;--bar:#3b7dd8;--page:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa4b2;--line:#333c48;--ok:#4cc38a;--bad:#ff6b5e;--bar:#5b9df0;--page:#14181d}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:32px 20px 80px;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page)}
h1{margin:0 0 4px;font-size:28px}h2{margin:40px 0 8px;font-size:20px}.dim{color:var(--dim)}.ok{color:var(--ok)}.bad{color:var(--bad)}
table{border-collapse:collapse;width:100%}td,th{padding:6px 10px 6px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{height:12px;background:var(--bar);border-radius:3px;min-width:2px}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:16px;margin:12px 0}
figure{margin:0}img{width:100%;border:1px solid var(--line);border-radius:6px;display:block}figcaption{font-size:14px;color:var(--dim);margin-top:4px}
";

/// Renders the page.
pub fn html(telling: &Telling) -> String {
    let mut page = String::new();
    let verdict = if telling.as_told() {
        "<span class=\"ok\">Everything happened as told.</span>"
    } else {
        "<span class=\"bad\">Something did not happen as told.</span>"
    };
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Cardea: the main job</title><style>{STYLE}</style>\
         <h1>Cardea: the main job, end to end</h1><p>{verdict} <span class=\"dim\">One cloud, one controller, one simulated house: \
         real TLS, MQTT, Modbus, SQLite and ONNX inference. Boxes, landmarks, reads and scores are drawn by the same models, \
         run again over the picture that the camera served.</span></p>"
    );
    latencies(&mut page, telling);
    for chapter in &telling.chapters {
        write_chapter(&mut page, chapter);
    }
    page.push_str("</html>\n");
    page
}

fn latencies(page: &mut String, telling: &Telling) {
    page.push_str("<h2>Where the time goes, milliseconds</h2><table><tr><th>passage");
    for stage in STAGES {
        let _ = write!(page, "<th class=\"n\">{stage}");
    }
    page.push_str("<th class=\"n\">seen from outside<th>");
    let longest = telling.passages.iter().map(|p| p.seen_ms).fold(1.0, f64::max);
    for passage in &telling.passages {
        let _ = write!(page, "<tr><td>{}", escape(&passage.what));
        for ms in passage.stages_ms {
            let _ = write!(page, "<td class=\"n\">{}", ms.map(|ms| format!("{ms:.1}")).unwrap_or_default());
        }
        bar(page, passage.seen_ms, longest);
    }
    page.push_str(
        "</table><p class=\"dim\">Seen from outside: from the car on the loop, or the face before the camera, to the relay, \
         with the two frames that a decision needs and the polling of the loop.</p>\
         <h2>Other latencies, milliseconds</h2><table>",
    );
    let longest = telling.latencies.iter().map(|l| l.ms).fold(1.0, f64::max);
    for latency in &telling.latencies {
        let _ = write!(page, "<tr><td>{}", escape(&latency.what));
        bar(page, latency.ms, longest);
    }
    page.push_str("</table>");
}

fn bar(page: &mut String, ms: f64, longest: f64) {
    let share = ms / longest * 100.0;
    let bar = format!("<div class=\"bar\" style=\"width:{share:.1}%\"></div>");
    let _ = write!(page, "<td class=\"n\">{ms:.1}<td style=\"width:25%\">{bar}");
}

fn write_chapter(page: &mut String, chapter: &Chapter) {
    let _ = write!(page, "<h2>{}. {}</h2>", chapter.number, escape(&chapter.title));
    if let Some(failure) = &chapter.failure {
        let _ = write!(page, "<p class=\"bad\">✗ {}</p>", escape(failure));
    }
    if !chapter.pictures.is_empty() {
        page.push_str("<div class=\"pictures\">");
        for picture in &chapter.pictures {
            let _ = write!(
                page,
                "<figure><img alt=\"{0}\" src=\"data:image/jpeg;base64,{1}\"><figcaption>{0}</figcaption></figure>",
                escape(&picture.caption),
                STANDARD.encode(&picture.jpeg)
            );
        }
        page.push_str("</div>");
    }
    page.push_str("<table><tr><th class=\"n\">at, s<th>tried<th>found<th class=\"n\">ms");
    for step in &chapter.steps {
        let took = step.took_ms.map(|ms| format!("{ms:.1}")).unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td class=\"n\">{:.2}<td>{}<td>{}<td class=\"n\">{took}",
            step.at_s,
            escape(&step.what),
            escape(&step.found)
        );
    }
    page.push_str("</table>");
}

/// Text as HTML text or attribute value.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut telling = Telling::new();
        telling.chapter("<script>alert(1)</script>");
        telling.step("\"quoted\"", "a & b");
        let page = html(&telling);
        assert!(!page.contains("<script>"));
        assert!(page.contains("&quot;quoted&quot;") && page.contains("a &amp; b"));
    }

    #[test]
    fn a_failure_shows() {
        let mut telling = Telling::new();
        telling.chapter("one");
        telling.close(&Err(anyhow::anyhow!("the barrier stayed down")));
        assert!(html(&telling).contains("the barrier stayed down"));
        assert!(!telling.as_told());
    }
}
