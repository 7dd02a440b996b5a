//! Claiming and renewing.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use cardea_protocol::controller::{CONFIGURATION_PATH, Configuration};
use cardea_protocol::est;
use cardea_protocol::topic;
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use super::broker::{On, on_each_broker};
use super::cloud::Cloud;
use super::controller::{Controller, PATIENCE, Pipe, enroll, id, issued, register, request_for, text};
use crate::listener::Peer as TlsPeer;
use crate::pki::Peer;
use crate::storage::sites::Scope;

async fn by_certificate(
    cloud: &Cloud,
    certificate: &CertificateDer<'static>,
    request: Request<Body>,
) -> (StatusCode, String) {
    let peer = TlsPeer::read(certificate, true).unwrap();
    let response = cloud.enroller.controller_router().layer(Extension(peer)).oneshot(request).await.unwrap();
    (response.status(), text(response).await)
}

#[tokio::test]
async fn a_claim_code_bears_few_wrong_tries() {
    let cloud = Cloud::start(On::Embedded).await;
    let right = register(&cloud, &id("gate-1"), 60_000).await.reveal();
    let key = KeyPair::generate().unwrap();
    // A malformed request costs no try, and neither does what is no code at all.
    assert_eq!(enroll(&cloud, "gate-1", &right, "junk!".to_owned()).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(enroll(&cloud, "gate-1", "", request_for(&key)).await.status(), StatusCode::UNAUTHORIZED);
    let mut answers = Vec::new();
    for _ in 0..5 {
        let response = enroll(&cloud, "gate-1", "0000-0000-0000-0000", request_for(&key)).await;
        assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
        answers.push((response.status(), text(response).await));
    }
    let void = enroll(&cloud, "gate-1", &right, request_for(&key)).await;
    answers.push((void.status(), text(void).await));
    let unknown = enroll(&cloud, "gate-9", &right, request_for(&key)).await;
    answers.push((unknown.status(), text(unknown).await));
    assert!(answers.iter().all(|answer| answer.0 == StatusCode::UNAUTHORIZED && *answer == answers[0]), "{answers:?}");
    assert!(cloud.storage.controller(&Scope::Operator, &id("gate-1")).await.unwrap().unwrap().claim_expires.is_some());
}

#[tokio::test]
async fn a_claim_code_is_used_once_and_expires() {
    let cloud = Cloud::start(On::Embedded).await;
    let code = register(&cloud, &id("gate-1"), 60_000).await.reveal();
    let key = KeyPair::generate().unwrap();
    let wrong = enroll(&cloud, "gate-1", "0000-0000-0000-0000", request_for(&key)).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(enroll(&cloud, "gate-1", &code, request_for(&key)).await.status(), StatusCode::OK);
    assert_eq!(enroll(&cloud, "gate-1", &code, request_for(&key)).await.status(), StatusCode::UNAUTHORIZED);

    let expired = register(&cloud, &id("gate-2"), -1).await.reveal();
    assert_eq!(enroll(&cloud, "gate-2", &expired, request_for(&key)).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(enroll(&cloud, "gate-1", &expired, request_for(&key)).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_ca_is_there_for_everybody() {
    let cloud = Cloud::start(On::Embedded).await;
    let request = Request::get(est::CACERTS_PATH).body(Body::empty()).unwrap();
    let response = cloud.enroller.claim_router().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], est::PKCS7);
    assert_eq!(issued(&text(response).await), *cloud.authority.certificate_der());
}

async fn a_renewed_certificate_replaces_the_old_one_once_it_has_worked(on: On) {
    let cloud = Cloud::start(on).await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let (status, body) =
        by_certificate(&cloud, &gate.certificate, Request::get(CONFIGURATION_PATH).body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    let configuration: Configuration = serde_json::from_str(&body).unwrap();
    assert_eq!((configuration.controller, configuration.site), (gate.id.clone(), cloud.site.clone()));

    let key = KeyPair::generate().unwrap();
    let renew = |key: &KeyPair| Request::post(est::SIMPLEREENROLL_PATH).body(Body::from(request_for(key))).unwrap();
    let (status, body) = by_certificate(&cloud, &gate.certificate, renew(&key)).await;
    assert_eq!(status, StatusCode::OK);

    // Until the new one has worked, the old one does.
    let old_options = gate.options(&cloud);
    assert!(Pipe::open(old_options.clone(), &topic::down(&gate.id)).await.unwrap().granted);
    let old = std::mem::replace(&mut gate.certificate, issued(&body));
    gate.key_pem = Zeroizing::new(key.serialize_pem());
    let mut talk = gate.begin(&cloud).await;
    cloud.admit("A123BC77").await;
    gate.follow(&mut talk, 1).await;
    let serial = Peer::of(&old).unwrap().serial;
    let deadline = Instant::now() + PATIENCE;
    while cloud.storage.certificate(&serial).await.unwrap().unwrap().active {
        assert!(Instant::now() < deadline, "the acknowledgement was not handled");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if cloud.has_hooks() {
        let refused = Pipe::open(old_options, &topic::down(&gate.id)).await;
        assert!(refused.is_err());
    }
    assert_eq!(by_certificate(&cloud, &old, renew(&key)).await.0, StatusCode::FORBIDDEN);

    // The cloud's own client certificate, and a customer's, are no controller's.
    let foreign = cloud.authority.issue_cloud_client(cloud.now()).unwrap().for_rustls().unwrap().0.remove(0);
    assert_eq!(by_certificate(&cloud, &foreign, renew(&key)).await.0, StatusCode::FORBIDDEN);
    cloud.storage.revoke_controller(&Scope::Operator, &gate.id, cloud.now()).await.unwrap();
    assert_eq!(by_certificate(&cloud, &gate.certificate, renew(&key)).await.0, StatusCode::FORBIDDEN);
}

on_each_broker! { a_renewed_certificate_replaces_the_old_one_once_it_has_worked }
