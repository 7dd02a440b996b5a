//! A camera over HTTPS with basic authentication: only its own authority is trusted, and only it sees the password.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{path::Path, sync::Arc, time::Duration};

use cardea_hardware::{DeviceError, Hardware, HardwareConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// base64 of `viewer:hunter2`
const EXPECTED: &str = "authorization: Basic dmlld2VyOmh1bnRlcjI=";
const PICTURE: [u8; 6] = [0xFF, 0xD8, 0xFF, 0xE0, 0xFF, 0xD9];

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A camera that answers 401 unless the password is right; returns its port.
async fn camera(authority: &CertifiedIssuer<'static, KeyPair>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _peer) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_string();
            let status = if request.contains(EXPECTED) { "200 OK" } else { "401 Unauthorized" };
            let head = format!(
                "HTTP/1.1 {status}\r\nWWW-Authenticate: Basic realm=\"yard\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                PICTURE.len()
            );
            stream.write_all(&[head.as_bytes(), &PICTURE].concat()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    port
}

async fn fetch(port: u16, ca_file: &Path, password: &str) -> Result<usize, DeviceError> {
    let config: HardwareConfig = toml::from_str(&format!(
        "[[camera]]\nid = \"yard\"\ndriver = \"http-snapshot\"\nurl = \"https://localhost:{port}/still?token=t0ken\"\n\
         ca_file = \"{}\"\nusername = \"viewer\"\npassword = {password:?}\n",
        ca_file.display()
    ))
    .unwrap();
    let hardware = Hardware::open(&config)?;
    let frame = timeout(Duration::from_secs(15), hardware.cameras["yard"].frame()).await.expect("an answer")?;
    Ok(frame.bytes.len())
}

#[tokio::test]
async fn the_right_authority_and_password_give_a_picture_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority(), authority());
    let ca_file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ours_file = ca_file("ours.pem", &ours.pem());
    let port = camera(&ours).await;
    assert_eq!(fetch(port, &ours_file, "hunter2").await.unwrap(), PICTURE.len());

    let denied = fetch(port, &ours_file, "hunter3").await.unwrap_err();
    assert!(denied.to_string().contains("check username and password"), "{denied}");
    assert!(!denied.to_string().contains("hunter3") && !denied.to_string().contains("t0ken"), "{denied}");

    let untrusted = fetch(port, &ca_file("other.pem", &other.pem()), "hunter2").await.unwrap_err();
    assert!(matches!(untrusted, DeviceError::Unreachable { .. }), "{untrusted}");
    assert!(!untrusted.to_string().contains("t0ken"), "{untrusted}");

    for (name, text) in [("empty.pem", ""), ("absent.pem", "-")] {
        let path = ca_file(name, text);
        if name == "absent.pem" {
            std::fs::remove_file(&path).unwrap();
        }
        let refused = fetch(port, &path, "hunter2").await.unwrap_err();
        assert!(matches!(&refused, DeviceError::Config(_)) && refused.to_string().contains(name), "{refused}");
    }
}
