//! A client certificate that is revoked while its connection stands.

use std::time::Duration;

use cardea_cloud::auth::roles::Role;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::support::{Client, Cloud};

const PATIENCE: Duration = Duration::from_secs(20);

/// One connection, and no other, with a client's certificate.
async fn connection(cloud: &Cloud, (certificate, key): &(String, String)) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cloud.server.addresses().ca_file).unwrap()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let stream = TcpStream::connect(cloud.api()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// Asks for the sites and leaves the connection open; the head of the answer and its body.
async fn ask(tls: &mut TlsStream<TcpStream>, token: &str) -> (String, String) {
    let request = format!("GET /v1/sites HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return (head.to_owned(), body.to_owned());
            }
        }
        let mut part = [0; 4_096];
        let count = timeout(PATIENCE, tls.read(&mut part)).await.expect("an answer").unwrap();
        assert!(count > 0, "closed after {text}");
        read.extend_from_slice(&part[..count]);
    }
}

fn serial((certificate, _): &(String, String)) -> String {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    parsed.raw_serial_as_string()
}

async fn revoke(officer: &Client, issuer: &str, identity: &(String, String)) {
    let body = json!({"issuer": issuer, "serial": serial(identity)});
    let answer = officer.post("/v1/certificate-revocations", body).await;
    assert_eq!((answer.status.as_u16(), &answer.json["issuer_known"]), (201, &json!(true)), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_that_is_revoked_is_refused_at_the_next_request_of_an_open_connection() {
    let cloud = Cloud::start().await.with_customer().await;
    cloud.add_account("officer", Role::SecurityOfficer, None).await;
    let (officer, admin) = (cloud.logged_in("officer").await, cloud.logged_in("admin").await);
    let token = admin.token.clone().unwrap();
    let mut open = connection(&cloud, &admin.identity).await;
    assert!(ask(&mut open, &token).await.0.starts_with("HTTP/1.1 200"));

    revoke(&officer, "CN=Clients", &admin.identity).await;
    let (head, body) = ask(&mut open, &token).await;
    assert!(head.starts_with("HTTP/1.1 401") && body.contains("/problems/certificate-revoked"), "{head} {body}");
    let mut rest = Vec::new();
    // However it ends, nothing more comes.
    let _ = timeout(PATIENCE, open.read_to_end(&mut rest)).await.expect("the connection ends");
    assert!(rest.is_empty());

    // Neither does a new connection get anything, nor a new token.
    let mut again = connection(&cloud, &admin.identity).await;
    assert!(ask(&mut again, &token).await.0.starts_with("HTTP/1.1 401"));
    let form = [("grant_type", "client_credentials"), ("client_id", "admin")];
    assert_eq!(admin.token(&form).await.problem(), (401, "certificate-revoked"));
    // The account has another certificate, and goes on.
    assert_eq!(cloud.logged_in("admin").await.get("/v1/sites").await.status, 200);
}
