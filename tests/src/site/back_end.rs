//! A customer's back end, as a plain HTTPS client with a certificate and key of its own: it knows nothing of Cardea
//! but its URL and its API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Certificate, Client, Identity, Method, RequestBuilder};
use serde_json::Value;
use tokio::time::Instant;

use super::pki::ClientFiles;

/// An HTTPS client with a client certificate, and a token once it has asked for one.
#[derive(Clone)]
pub struct BackEnd {
    http: Client,
    base: String,
    token: Option<String>,
}

/// An answer: status, JSON (null if there is none), and how long it took.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body, if it is JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// From sending to having read the answer.
    pub took: Duration,
}

impl Reply {
    /// The reply, if it has this status; otherwise an error with the problem document.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        bail!("expected HTTP {status}, got {}: {}", self.status, String::from_utf8_lossy(&self.bytes))
    }

    /// A text field of the body, by JSON pointer.
    pub fn text(&self, pointer: &str) -> anyhow::Result<String> {
        let value = self.body.pointer(pointer).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("the answer has no text at {pointer}: {}", self.body))
    }

    /// The last part of the problem document's type.
    pub fn problem(&self) -> String {
        let kind = self.body.get("type").and_then(Value::as_str).unwrap_or_default();
        kind.rsplit('/').next().unwrap_or_default().to_owned()
    }
}

impl BackEnd {
    /// A client that trusts `server_ca` alone and shows `files`.
    pub fn new(base: &str, server_ca: &Path, files: Option<&ClientFiles>) -> anyhow::Result<Self> {
        let ca = Certificate::from_pem(&std::fs::read(server_ca)?)?;
        let mut builder = Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(30)).https_only(true);
        if let Some(files) = files {
            let mut pem = std::fs::read(&files.certificate)?;
            pem.extend(std::fs::read(&files.key)?);
            builder = builder.identity(Identity::from_pem(&pem)?);
        }
        Ok(Self { http: builder.build()?, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same client with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Its token, once it has one.
    pub fn bearer(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Asks the token endpoint; `form` is the grant.
    pub async fn token(&self, form: &[(&str, &str)]) -> anyhow::Result<Reply> {
        self.send(self.request(Method::POST, "/oauth2/token").form(form)).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(self.request(Method::GET, path)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// POST without a body, with a header.
    pub async fn post_with(&self, path: &str, header: (&'static str, &str)) -> anyhow::Result<Reply> {
        self.send(self.request(Method::POST, path).header(header.0, header.1)).await
    }

    /// POST of a picture or other bytes, or a stream of them.
    pub async fn post_bytes(&self, path: &str, kind: &str, bytes: impl Into<Body>) -> anyhow::Result<Reply> {
        self.send(self.request(Method::POST, path).header(CONTENT_TYPE, kind).body(bytes)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Reply> {
        let start = Instant::now();
        let response = request.send().await?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await?.to_vec();
        let took = start.elapsed();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Reply { status, body, bytes, took })
    }
}
