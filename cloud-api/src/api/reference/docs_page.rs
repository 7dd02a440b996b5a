//! `GET /docs`: the API's description to read: one page, made from the OpenAPI document, without a script and without
//! anything from elsewhere.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::reference::openapi;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f2;padding:.6rem;overflow:auto;border-radius:4px}\
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem;text-align:left;vertical-align:top}\
h2{margin-top:2.5rem;border-bottom:2px solid}summary{cursor:pointer}nav li{display:inline-block;margin-right:1rem}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#e4e4e0}pre{background:#242422}td,th{border-color:#444}\
a{color:#8ab4f8}}";

/// The style by its hash: nothing else of the kind is carried out.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
});

static PAGE: LazyLock<String> = LazyLock::new(|| page(openapi::document()));

/// A text as HTML shows it.
struct Text<'a>(&'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn text(value: &Value) -> Text<'_> {
    Text(value.as_str().unwrap_or_default())
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn page(document: &Value) -> String {
    let mut tags: Vec<&str> = Vec::new();
    let operations: Vec<_> = members(&document["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, operation)| (path, method, operation)))
        .collect();
    for (_, _, operation) in &operations {
        let tag = operation["tags"][0].as_str().unwrap_or("other");
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style></head><body><h1>{0}</h1><p>{1}</p>\
         <p>The same for programs: <a href=\"/openapi.json\">openapi.json</a>.</p><nav><ul>",
        text(&document["info"]["title"]),
        text(&document["info"]["description"]),
    );
    for tag in &tags {
        let _ = write!(html, "<li><a href=\"#{0}\">{0}</a></li>", Text(tag));
    }
    html.push_str("</ul></nav>");
    for tag in tags {
        let _ = write!(html, "<h2 id=\"{0}\">{0}</h2>", Text(tag));
        for (path, method, operation) in &operations {
            if operation["tags"][0].as_str().unwrap_or("other") == tag {
                write_operation(&mut html, document, path, method, operation);
            }
        }
    }
    html.push_str("</body></html>\n");
    html
}

fn write_operation(html: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let id = text(&operation["operationId"]);
    let _ = write!(
        html,
        "<section><h3 id=\"{id}\"><code>{} {}</code></h3><p>{} {}</p>",
        Text(&method.to_uppercase()),
        Text(path),
        text(&operation["summary"]),
        text(&operation["description"]),
    );
    let mut rows = String::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let needed = if parameter["required"] == true { "needed" } else { "" };
        let (name, place, what) = (text(&parameter["name"]), text(&parameter["in"]), text(&parameter["description"]));
        let _ = write!(rows, "<tr><td><code>{name}</code></td><td>{place} {needed}</td><td>{what}</td></tr>");
    }
    let _ = write!(html, "<table>{rows}</table>");
    for (media_type, content) in members(&operation["requestBody"]["content"]) {
        let _ = write!(html, "<h4>Request: <code>{}</code></h4>", Text(media_type));
        write_content(html, document, content);
    }
    let mut problems = String::new();
    for (status, response) in members(&operation["responses"]) {
        if status.starts_with('2') {
            let _ = write!(html, "<h4>{}: {}</h4>", Text(status), text(&response["description"]));
            for content in members(&response["content"]).map(|(_, content)| content) {
                write_content(html, document, content);
            }
        }
        for (slug, example) in members(&response["content"][crate::problem::CONTENT_TYPE]["examples"]) {
            let (status, slug, when) = (Text(status), Text(slug), text(&example["summary"]));
            let _ = write!(
                problems,
                "<tr><td>{status}</td><td><a href=\"/problems/{slug}\">{slug}</a></td><td>{when}</td></tr>"
            );
        }
    }
    let _ = write!(html, "<details><summary>Problems</summary><table>{problems}</table></details></section>");
}

fn write_content(html: &mut String, document: &Value, content: &Value) {
    let schema = content["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    if let Some(name) = schema {
        let schema = &document["components"]["schemas"][name];
        let needed = |field: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == field));
        let mut rows = String::new();
        for (field, value) in members(&schema["properties"]) {
            let (needed, what) = (if needed(field) { "needed" } else { "" }, text(&value["description"]));
            let _ = write!(rows, "<tr><td><code>{}</code></td><td>{needed}</td><td>{what}</td></tr>", Text(field));
        }
        let _ = write!(html, "<table>{rows}</table>");
    }
    let example = match &content["example"] {
        Value::Null => return,
        Value::String(text) => text.clone(),
        value => format!("{value:#}"),
    };
    let _ = write!(html, "<pre>{}</pre>", Text(&example));
}

// === handler ===

/// The API's description, to read.
#[utoipa::path(get, path = "/docs", operation_id = "docs", tag = "about",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(crate) async fn handle() -> Response {
    let mut response = PAGE.as_str().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::try_from(POLICY.as_str()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Api, as_nobody};

    #[tokio::test]
    async fn the_page_shows_every_operation_and_needs_nothing_else() {
        let answer = Api::new().await.get("/docs", as_nobody()).await;
        let html = String::from_utf8(answer.bytes.clone()).unwrap();
        for endpoint in crate::api::endpoints() {
            let heading = format!("<code>{} {}</code>", endpoint.method, endpoint.path);
            assert!(html.contains(&heading), "{heading}");
        }
        for foreign in ["<script", "<img", "<link", "style=", "onload=", "http://", "src="] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    }

    #[test]
    fn no_text_of_the_document_becomes_markup() {
        let evil = serde_json::json!({"info": {"title": "<script>alert('1')</script>", "description": "\"&\""}});
        let html = page(&evil);
        assert!(
            !html.contains("<script")
                && html.contains("&lt;script&gt;alert(&#39;1&#39;)")
                && html.contains("&quot;&amp;")
        );
    }
}
