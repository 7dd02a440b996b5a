//! The way out, against servers of this machine: names lead where the tests say, and the guard looks on.

use std::collections::HashMap;
use std::sync::Mutex;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Names with addresses of the test's, which may change from one question to the next.
#[derive(Default)]
struct Told {
    addresses: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
}

impl Told {
    fn of(name: &str, answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|one| one.iter().map(|text| text.parse().unwrap()).collect());
        let mut answers: Vec<Vec<IpAddr>> = answers.collect();
        answers.reverse();
        Arc::new(Self { addresses: Mutex::new(HashMap::from([(name.to_owned(), answers)])) })
    }
}

#[async_trait]
impl Names for Told {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses = self.addresses.lock().unwrap();
        let answers = addresses.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        answers.pop().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A receiver on this machine, for `hooks.example.org`.
struct Receiver {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

impl Receiver {
    async fn start(answer: &'static str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = KeyPair::generate().unwrap();
        let names = vec!["hooks.example.org".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut bytes = Vec::new();
                while !bytes.ends_with(b"{}") {
                    let mut part = [0; 4_096];
                    let Ok(read @ 1..) = stream.read(&mut part).await else { break };
                    bytes.extend_from_slice(&part[..read]);
                }
                seen.lock().unwrap().push(String::from_utf8(bytes).unwrap());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, heads, folder }
    }

    fn https(&self, allow: &[&str], names: Arc<Told>, trusted: bool) -> Https {
        let ca = trusted.then(|| self.folder.path().join("ca.pem"));
        let settings = Settings { allow: allow.iter().map(|&one| one.to_owned()).collect(), ca };
        Https::new(&settings, names).unwrap()
    }

    fn message(&self, host: &str) -> Outgoing {
        Outgoing {
            url: format!("https://{host}:{}/cardea", self.port),
            id: "msg_1".to_owned(),
            timestamp_s: 1_795_420_800,
            signatures: "v1,AAAA v1,BBBB".to_owned(),
            body: "{}".to_owned(),
        }
    }

    fn asked(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

const NAME: &str = "hooks.example.org";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn no(outcome: Outcome) -> Answer {
    Answer { outcome, status: None }
}

#[tokio::test]
async fn what_is_sent_has_the_headers_of_the_standard() {
    let receiver = Receiver::start(OK).await;
    let https = receiver.https(&[NAME], Told::of(NAME, &[&["127.0.0.1"]]), true);
    let answer = https.post(receiver.message(NAME)).await;
    assert_eq!(answer, Answer { outcome: Outcome::Delivered, status: Some(200) });
    let head = receiver.heads.lock().unwrap()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /cardea http/1.1\r\n"), "{head}");
    for line in [
        "content-type: application/json",
        "webhook-id: msg_1",
        "webhook-timestamp: 1795420800",
        "webhook-signature: v1,aaaa v1,bbbb",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
}

#[tokio::test]
async fn an_address_inside_is_not_connected_to_by_name_or_number() {
    let receiver = Receiver::start(OK).await;
    for addresses in [&["127.0.0.1"][..], &["1.1.1.1", "127.0.0.1"], &["::ffff:127.0.0.1"]] {
        let https = receiver.https(&[], Told::of(NAME, &[addresses]), true);
        assert_eq!(https.post(receiver.message(NAME)).await, no(Outcome::AddressNotAllowed), "{addresses:?}");
    }
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"] {
        let https = receiver.https(&[NAME], Told::of("localhost", &[&["127.0.0.1"]]), true);
        assert_eq!(https.post(receiver.message(host)).await, no(Outcome::AddressNotAllowed), "{host}");
    }
    assert_eq!(receiver.asked(), 0);
    let https = receiver.https(&["127.0.0.0/8"], Told::of(NAME, &[]), true);
    assert_eq!(https.post(receiver.message("127.0.0.1")).await.outcome, Outcome::Delivered);
}

#[tokio::test]
async fn a_name_is_judged_anew_at_each_delivery() {
    let receiver = Receiver::start(OK).await;
    // First allowed, then within: what a rebinding name would do.
    let names = Told::of(NAME, &[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]]);
    let https = receiver.https(&["127.0.0.1"], names, true);
    let outcomes = [
        https.post(receiver.message(NAME)).await.outcome,
        https.post(receiver.message(NAME)).await.outcome,
        https.post(receiver.message(NAME)).await.outcome,
    ];
    assert_eq!(outcomes, [Outcome::Delivered, Outcome::AddressNotAllowed, Outcome::Delivered]);
    assert_eq!(receiver.asked(), 2);
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let receiver =
        Receiver::start("HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
    let https = receiver.https(&[NAME], Told::of(NAME, &[&["127.0.0.1"], &["127.0.0.1"]]), true);
    let answer = https.post(receiver.message(NAME)).await;
    assert_eq!(answer, Answer { outcome: Outcome::Refused, status: Some(307) });
    assert_eq!(receiver.asked(), 1);
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_waited_for_no_longer_than_that() {
    let receiver = Receiver::start("").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings { allow: vec!["127.0.0.1".to_owned()], ca: None };
    let https = Https::patient(&settings, Told::of(NAME, &[]), Duration::from_millis(100)).unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    assert_eq!(https.post(Outgoing { url, ..receiver.message(NAME) }).await, no(Outcome::TimedOut));
}

#[tokio::test]
async fn who_is_not_trusted_not_there_or_has_no_address_is_unreachable() {
    let receiver = Receiver::start(OK).await;
    let stranger = receiver.https(&[NAME], Told::of(NAME, &[&["127.0.0.1"]]), false);
    assert_eq!(stranger.post(receiver.message(NAME)).await, no(Outcome::Unreachable));
    let nameless = receiver.https(&[NAME], Told::of(NAME, &[]), true);
    assert_eq!(nameless.post(receiver.message(NAME)).await, no(Outcome::Unreachable));
    assert_eq!(receiver.asked(), 0);
}
