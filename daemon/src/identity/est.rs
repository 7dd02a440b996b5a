//! The client of the cloud's enrolment (EST, RFC 7030) and of the controller's configuration, with errors that tell the
//! person on the ladder what to do.

use std::error::Error as _;
use std::time::Duration;

use cardea_protocol::controller::{CONFIGURATION_PATH, Configuration};
use cardea_protocol::est::{self, CACERTS_PATH, PKCS10, SIMPLEENROLL_PATH, SIMPLEREENROLL_PATH};
use cardea_protocol::id::ControllerId;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{RequestBuilder, StatusCode};
use rustls::{CertificateError, ClientConfig};
use url::Url;
use zeroize::Zeroizing;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
/// A certs-only message or a configuration is far smaller.
const MAX_ANSWER: usize = 256 * 1024;

/// Why the cloud did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EstError {
    /// The code, or the controller id with it.
    #[error(
        "the cloud does not accept the claim code for this controller: it is mistyped, used, expired, or was tried too \
         often. Check the controller id, then ask the operator for a new code"
    )]
    Code,
    /// The certificate in use does not count.
    #[error(
        "the cloud does not accept this controller's certificate: it was revoked or superseded, or expired too long ago. \
         Ask the operator"
    )]
    Certificate,
    /// Nobody answers there.
    #[error("cannot reach {host}: check the cable, the address, DNS and the firewall ({why})")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the system said.
        why: String,
    },
    /// The server's certificate is not of the authority that was given.
    #[error(
        "{host} shows a certificate of another authority than the one given: check --ca, and that no proxy is in between"
    )]
    Authority {
        /// Host and port.
        host: String,
    },
    /// The authority is not the one on the claim sheet.
    #[error(
        "{host} is not the cloud of this claim sheet: its authority has another fingerprint than the one printed. Check the address, \
         and that nobody is in between; the code was not sent"
    )]
    Fingerprint {
        /// Host and port.
        host: String,
    },
    /// The server's certificate is for another name.
    #[error("the certificate of {host} is for another name: use the name the operator gave")]
    Name {
        /// Host and port.
        host: String,
    },
    /// The server's certificate is not valid now, by this machine's clock.
    #[error("by this machine's clock the certificate of {host} is {when}: set the clock (timedatectl), then try again")]
    Clock {
        /// Host and port.
        host: String,
        /// "not valid yet" or "expired".
        when: &'static str,
    },
    /// TLS failed otherwise.
    #[error("no secure connection to {host}: {why}")]
    Tls {
        /// Host and port.
        host: String,
        /// What TLS said.
        why: String,
    },
    /// An answer that is not one.
    #[error("{host} answered {status}, which is not an answer of the Cardea cloud: check the address")]
    Answer {
        /// Host and port.
        host: String,
        /// HTTP status.
        status: StatusCode,
    },
    /// The answer cannot be understood.
    #[error("the answer of {host} cannot be understood: check the address, and that cloud and cardead fit together")]
    Content {
        /// Host and port.
        host: String,
    },
    /// The address.
    #[error("{0} is not an https:// address")]
    Url(Url),
    /// The HTTP client could not be made.
    #[error("the HTTPS client could not be made")]
    Client(#[source] reqwest::Error),
}

/// Talks to one server.
#[derive(Debug)]
pub(crate) struct EstClient {
    http: reqwest::Client,
    base: Url,
}

impl EstClient {
    pub(crate) fn new(base: &Url, tls: ClientConfig) -> Result<Self, EstError> {
        if base.scheme() != "https" || base.host_str().is_none() {
            return Err(EstError::Url(base.clone()));
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(EstError::Client)?;
        Ok(Self { http, base: base.clone() })
    }

    /// §4.1: the authority.
    pub(super) async fn ca_certificates(&self) -> Result<Vec<Vec<u8>>, EstError> {
        self.certificates(self.http.get(self.url(CACERTS_PATH)?), EstError::Certificate).await
    }

    /// §4.2.1: a first certificate for the claim code.
    pub(super) async fn simple_enroll(
        &self,
        controller: &ControllerId,
        code: &Zeroizing<String>,
        request_der: &[u8],
    ) -> Result<Vec<Vec<u8>>, EstError> {
        let request = self.enrol(SIMPLEENROLL_PATH, request_der)?.basic_auth(controller.as_str(), Some(code.as_str()));
        self.certificates(request, EstError::Code).await
    }

    /// §4.2.2: a further certificate for the one in use.
    pub(crate) async fn simple_reenroll(&self, request_der: &[u8]) -> Result<Vec<Vec<u8>>, EstError> {
        let request = self.enrol(SIMPLEREENROLL_PATH, request_der)?;
        self.certificates(request, EstError::Certificate).await
    }

    /// Where everything is.
    pub(super) async fn configuration(&self) -> Result<Configuration, EstError> {
        let body = self.answer(self.http.get(self.url(CONFIGURATION_PATH)?), EstError::Certificate).await?;
        serde_json::from_str(&body).map_err(|_| EstError::Content { host: self.host() })
    }

    fn enrol(&self, path: &str, request_der: &[u8]) -> Result<RequestBuilder, EstError> {
        Ok(self
            .http
            .post(self.url(path)?)
            .header(CONTENT_TYPE, PKCS10)
            .header(HeaderName::from_static("content-transfer-encoding"), "base64")
            .body(est::encode_body(request_der)))
    }

    async fn certificates(&self, request: RequestBuilder, unauthorized: EstError) -> Result<Vec<Vec<u8>>, EstError> {
        let body = self.answer(request, unauthorized).await?;
        est::read_certs_only(&body).map_err(|_| EstError::Content { host: self.host() })
    }

    async fn answer(&self, request: RequestBuilder, unauthorized: EstError) -> Result<String, EstError> {
        let mut response = request.send().await.map_err(|error| self.explain(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(unauthorized),
            StatusCode::FORBIDDEN => return Err(EstError::Certificate),
            status => return Err(EstError::Answer { host: self.host(), status }),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(EstError::Content { host: self.host() });
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| EstError::Content { host: self.host() })
    }

    fn url(&self, path: &str) -> Result<Url, EstError> {
        self.base.join(path).map_err(|_| EstError::Url(self.base.clone()))
    }

    /// Host and port.
    pub(super) fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        format!("{host}:{}", self.base.port_or_known_default().unwrap_or(443))
    }

    fn explain(&self, error: &reqwest::Error) -> EstError {
        let host = self.host();
        match find_tls_error(error) {
            Some(error) => explain_tls(host, &error),
            None => EstError::Unreachable { host, why: innermost(error) },
        }
    }
}

/// What a TLS failure means for the person who has to mend it.
pub(crate) fn explain_tls(host: String, error: &rustls::Error) -> EstError {
    use CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => EstError::Authority { host },
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            EstError::Name { host }
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            EstError::Clock { host, when: "not valid yet" }
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            EstError::Clock { host, when: "expired" }
        }
        rustls::Error::AlertReceived(_) => EstError::Certificate,
        other => EstError::Tls { host, why: other.to_string() },
    }
}

/// The TLS error inside, if it is one. An `io::Error` hides what it was made of from `source`.
pub(crate) fn find_tls_error(error: &(dyn std::error::Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.clone());
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        if let Some(tls) = inside.and_then(|inside| find_tls_error(inside)) {
            return Some(tls);
        }
        next = error.source();
    }
    None
}

fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if error.is_timeout() && error.source().is_none() { "no answer in time".to_owned() } else { innermost.to_string() }
}
