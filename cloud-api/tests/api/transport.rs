//! Who gets a connection at all, and what the connection bears.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use cardea_cloud::pki::Authority;
use cardea_cloud::storage::sites::Scope;
use cardea_protocol::clock::Clock as _;

use super::support::{Ca, Cloud, answer, http_trusting};

#[tokio::test]
async fn without_a_certificate_there_is_no_api() {
    let cloud = Cloud::start().await;
    let url = format!("https://localhost:{}/healthz", cloud.api().port());
    assert!(cloud.http(None).get(&url).send().await.is_err());
    assert!(cloud.http(Some(cloud.clients.client("anyone"))).get(&url).send().await.is_ok());
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let cloud = Cloud::start().await;
    let url = format!("https://localhost:{}/healthz", cloud.api().port());
    for other in [Ca::new("Strangers"), Ca::new("Clients")] {
        assert!(cloud.http(Some(other.client("operator"))).get(&url).send().await.is_err());
    }
}

#[tokio::test]
async fn nothing_is_served_in_clear_text() {
    let cloud = Cloud::start().await;
    let mut stream = TcpStream::connect(cloud.api()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn silent_connections_stall_nobody_and_are_cut_off() {
    let cloud = Cloud::start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(cloud.api()).await.unwrap());
    }
    let client = cloud.client("anyone");
    for _ in 0..3 {
        let answer = tokio::time::timeout(Duration::from_secs(4), client.get("/healthz")).await.expect("not stalled");
        assert_eq!(answer.status, 204);
    }
    let cut_off = async {
        for stream in &mut silent {
            let mut byte = [0];
            assert!(matches!(stream.read(&mut byte).await, Ok(0) | Err(_)));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), cut_off).await.expect("cut off after the handshake's time");
}

#[tokio::test]
async fn sessions_are_never_resumed() {
    let cloud = with_tls12().await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let connector = connector(&cloud, version);
        for _ in 0..3 {
            let stream = TcpStream::connect(cloud.api()).await.unwrap();
            let mut tls = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
            let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            tls.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            let _ = tls.read_to_end(&mut answer).await;
            assert!(answer.starts_with(b"HTTP/1.1 204"));
            assert_ne!(tls.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        }
    }
}

#[tokio::test]
async fn a_hundred_megabytes_are_answered_with_a_problem() {
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    let body = vec![b'x'; 100 * 1024 * 1024];
    for (path, media_type) in [
        ("/v1/sites/birch-street-12/plates", "application/json"),
        ("/v1/sites/birch-street-12/subjects/5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f/faces", "image/jpeg"),
    ] {
        // The consent comes first for a photo; either way nothing of that size gets in.
        let request = client.request(Method::POST, path).header("content-type", media_type).body(body.clone());
        let answer = answer(request).await;
        assert!(matches!(answer.problem(), (413, "body-too-large") | (403, "consent-missing")), "{answer:?}");
    }
    assert_eq!(client.get("/healthz").await.status, 204);
}

#[tokio::test]
async fn what_is_for_controllers_is_for_the_cardea_cas_certificates_only() {
    let cloud = Cloud::start().await;
    let client = cloud.client("gate-1");
    let answer = client.get("/v1/controllers/self/configuration").await;
    assert_eq!(answer.problem(), (403, "certificate-not-controller"));
}

#[tokio::test]
async fn the_enrolment_listener_serves_enrolment_only() {
    let cloud = Cloud::start().await;
    let http = cloud.http(None);
    let url = |path: &str| format!("https://localhost:{}{path}", cloud.server.addresses().enrol.port());
    assert_eq!(http.get(url("/.well-known/est/cacerts")).send().await.unwrap().status(), 200);
    for path in ["/v1/sites", "/oauth2/token", "/openapi.json", "/healthz"] {
        assert_eq!(http.get(url(path)).send().await.unwrap().status(), 404, "{path}");
    }
}

/// A certificate of the Cardea CA, issued then for 30 days and known to the cloud, with its key, PEM.
async fn controllers_certificate(cloud: &Cloud, name: &str, days_ago: i64) -> (String, String) {
    let (storage, now) = (&cloud.server.app().storage, cloud.clock.now());
    let controller = cardea_protocol::id::ControllerId::new(name).unwrap();
    let authority = Authority::open_or_create(cloud.server.addresses().ca_file.parent().unwrap(), now).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let then = now.plus_ms(-days_ago * 24 * 3_600_000);
    let (certificate, issued) = authority.issue_controller(request.der(), &controller, 30, then).unwrap();
    let site = cardea_protocol::id::SiteId::new(super::support::SITE).unwrap();
    storage.register_controller(&Scope::Operator, &controller, &site, String::new(), now, now).await.unwrap();
    storage.finish_claim(&controller, String::new(), issued).await.unwrap();
    let body = cardea_protocol::est::encode_body(&certificate);
    (format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"), key.serialize_pem())
}

#[tokio::test]
async fn an_expired_certificate_is_good_for_its_renewal_and_for_nothing_else() {
    let cloud = Cloud::start().await.with_customer().await;
    let expired = cloud.http(Some(controllers_certificate(&cloud, "gate-1", 60).await));
    let good = cloud.http(Some(controllers_certificate(&cloud, "gate-2", 1).await));
    let addresses = cloud.server.addresses();
    let api = |path: &str| format!("https://localhost:{}{path}", addresses.api.port());
    let enrol = |path: &str| format!("https://localhost:{}{path}", addresses.enrol.port());
    let request = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        cardea_protocol::est::encode_body(params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().der())
    };
    let (renewal, configuration) = ("/.well-known/est/simplereenroll", "/v1/controllers/self/configuration");
    // The API does not even shake hands.
    assert!(expired.get(api(configuration)).send().await.is_err());
    assert!(expired.post(api(renewal)).body(request("gate-1")).send().await.is_err());
    assert_eq!(good.get(api(configuration)).send().await.unwrap().status(), 200);
    // Enrolment does, with whoever has a certificate of the Cardea CA or none.
    assert_eq!(expired.post(enrol(renewal)).body(request("gate-1")).send().await.unwrap().status(), 200);
    assert_eq!(good.post(enrol(renewal)).body(request("gate-2")).send().await.unwrap().status(), 200);
    assert_eq!(cloud.http(None).post(enrol(renewal)).body(request("gate-1")).send().await.unwrap().status(), 403);
    assert!(cloud.client("gate-1").http.post(enrol(renewal)).body(request("gate-1")).send().await.is_err());
    assert_eq!(expired.get(enrol(configuration)).send().await.unwrap().status(), 404);
    // Its time is the cloud's: after 90 days it is over.
    for _ in 0..61 {
        cloud.clock.advance_ms(24 * 3_600_000);
    }
    assert_eq!(expired.post(enrol(renewal)).body(request("gate-1")).send().await.unwrap().status(), 403);
}

/// A cloud that speaks TLS 1.2 too.
async fn with_tls12() -> Cloud {
    Cloud::start_edited(false, |_, text| text.replace("[server]", "[server]\ntls12 = true")).await
}

/// A client with a trusted certificate that offers this version of TLS alone.
fn connector(cloud: &Cloud, version: &'static rustls::SupportedProtocolVersion) -> TlsConnector {
    let (certificate, key) = cloud.clients.client("anyone");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cloud.server.addresses().ca_file).unwrap()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

/// The suite that a client which offers this version of TLS alone gets, if it gets one.
async fn negotiated(cloud: &Cloud, version: &'static rustls::SupportedProtocolVersion) -> Option<String> {
    let stream = TcpStream::connect(cloud.api()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = connector(cloud, version).connect(name, stream).await.ok()?;
    Some(format!("{:?}", tls.get_ref().1.negotiated_cipher_suite()?.suite()))
}

#[tokio::test]
async fn tls_is_1_3_and_1_2_only_where_it_is_configured() {
    let cloud = Cloud::start().await;
    assert!(negotiated(&cloud, &rustls::version::TLS13).await.is_some());
    assert_eq!(negotiated(&cloud, &rustls::version::TLS12).await, None);
    let cloud = with_tls12().await;
    let suite = negotiated(&cloud, &rustls::version::TLS12).await.unwrap();
    assert!(suite.starts_with("TLS_ECDHE") && (suite.contains("GCM") || suite.contains("POLY1305")), "{suite}");
}

#[tokio::test]
async fn certificates_are_read_anew_and_broken_ones_change_nothing() {
    let (before, after) = (Ca::new("Before"), Ca::new("After"));
    let show = |folder: &Path, (pem, key): (String, String)| {
        std::fs::write(folder.join("server.pem"), pem).unwrap();
        std::fs::write(folder.join("server.key"), key).unwrap();
    };
    let cloud = Cloud::start_edited(false, |folder, text| {
        show(folder, before.server("localhost"));
        text.replace("[server]", "[server]\ncertificate = 'server.pem'\nprivate_key = 'server.key'")
    })
    .await;
    let trusting = |ca: &Ca| http_trusting(ca.pem.as_bytes(), Some(cloud.clients.client("anyone")));
    let certificates = cloud.server.certificates();
    let now = cardea_protocol::Timestamp(0);
    let url = format!("https://localhost:{}/healthz", cloud.api().port());
    // Connections are kept open by this client; it trusts what is shown first.
    let first = trusting(&before);
    assert_eq!(first.get(&url).send().await.unwrap().status(), 204);
    assert!(!certificates.renew(now).unwrap(), "nothing has changed");

    show(cloud.folder.path(), ("not a certificate".to_owned(), "not a key".to_owned()));
    assert!(certificates.renew(now).is_err());
    assert!(!certificates.renew(now).unwrap(), "told once");
    assert_eq!(trusting(&before).get(&url).send().await.unwrap().status(), 204, "the old certificate stays");

    show(cloud.folder.path(), after.server("localhost"));
    assert!(certificates.renew(now).unwrap());
    assert_eq!(first.get(&url).send().await.unwrap().status(), 204, "an open connection goes on");
    assert_eq!(trusting(&after).get(&url).send().await.unwrap().status(), 204);
    assert!(trusting(&before).get(&url).send().await.is_err(), "shown no more");
}

#[tokio::test]
async fn a_certificate_of_the_clouds_own_is_replaced_in_time() {
    let cloud = Cloud::start().await;
    let url = format!("https://localhost:{}/healthz", cloud.api().port());
    let days = |days: i64| cloud.clock.now().plus_ms(days * 24 * 60 * 60 * 1_000);
    assert!(!cloud.server.certificates().renew(days(80)).unwrap());
    assert!(cloud.server.certificates().renew(days(91)).unwrap());
    assert!(!cloud.server.certificates().renew(days(100)).unwrap(), "it is young again");
    // Its time begins when it was made: a client of today does not take it yet.
    assert!(cloud.http(Some(cloud.clients.client("anyone"))).get(&url).send().await.is_err());
}

#[tokio::test]
async fn a_client_ca_that_is_taken_away_lets_nobody_new_in() {
    let cloud = Cloud::start().await;
    let url = format!("https://localhost:{}/healthz", cloud.api().port());
    let client = || cloud.http(Some(cloud.clients.client("anyone")));
    assert!(client().get(&url).send().await.is_ok());
    std::fs::write(cloud.folder.path().join("clients.pem"), Ca::new("Others").pem).unwrap();
    assert!(cloud.server.certificates().renew(cardea_protocol::Timestamp(0)).unwrap());
    assert!(client().get(&url).send().await.is_err());
}

/// Asks over a connection that stays open; whether there was an answer.
async fn asks(tls: &mut tokio_rustls::client::TlsStream<TcpStream>) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    if tls.write_all(request).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut some = [0; 1024];
        match tls.read(&mut some).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => answer.extend_from_slice(&some[..count]),
        }
    }
    answer.starts_with(b"HTTP/1.1 204")
}

#[tokio::test]
async fn an_open_connection_ends_with_the_trust_in_its_ca_and_no_sooner() {
    let cloud = Cloud::start().await;
    let stream = TcpStream::connect(cloud.api()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = connector(&cloud, &rustls::version::TLS13).connect(name, stream).await.unwrap();
    assert!(asks(&mut tls).await);
    let trusted = |pem: String| {
        std::fs::write(cloud.folder.path().join("clients.pem"), pem).unwrap();
        assert!(cloud.server.certificates().renew(cardea_protocol::Timestamp(0)).unwrap());
    };
    trusted(format!("{}{}", Ca::new("Others").pem, cloud.clients.pem));
    assert!(asks(&mut tls).await, "its CA is one of two");
    trusted(Ca::new("Others").pem);
    // Nobody asks: it ends by itself.
    let mut byte = [0];
    let ended = tokio::time::timeout(Duration::from_secs(20), tls.read(&mut byte)).await.expect("it ends at once");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn health_is_told_without_a_certificate_and_nothing_else_is() {
    let cloud = Cloud::start_configured("[health]\nlisten = '127.0.0.1:0'\n").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let address = cloud.server.addresses().health.unwrap();
    for (path, status) in [("/livez", 204), ("/readyz", 204), ("/v1/sites", 404), ("/openapi.json", 404)] {
        let answer = http.get(format!("http://{address}{path}")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (status, ""), "{path}");
    }
}
