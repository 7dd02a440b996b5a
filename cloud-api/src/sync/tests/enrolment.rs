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
use super::controller::{Controller, PATIENCE, Pipe, enroll, id, issued, register, request_for, request_named, text};
use crate::listener::Peer as TlsPeer;
use crate::pki::Peer;
use crate::storage::certificates::IssuedCertificate;
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
    let renew =
        |key: &KeyPair| Request::post(est::SIMPLEREENROLL_PATH).body(Body::from(request_named(key, "gate-1"))).unwrap();
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

const DAY_MS: i64 = 24 * 3_600_000;

/// A certificate that the controller was issued so long ago, good for 30 days, with the key it is for.
async fn long_ago(
    cloud: &Cloud,
    gate: &Controller,
    days: i64,
) -> (KeyPair, CertificateDer<'static>, IssuedCertificate) {
    let key = KeyPair::generate().unwrap();
    let request = est::decode_body(&request_named(&key, gate.id.as_str())).unwrap();
    let then = cloud.now().plus_ms(-days * DAY_MS);
    let (certificate, issued) = cloud.authority.issue_controller(&request, &gate.id, 30, then).unwrap();
    cloud.storage.add_certificate(&gate.id, issued.clone()).await.unwrap();
    (key, certificate, issued)
}

/// What the enrolment listener answers to a renewal with this certificate.
async fn late(cloud: &Cloud, certificate: Option<&CertificateDer<'static>>, name: &str) -> (StatusCode, String) {
    let key = KeyPair::generate().unwrap();
    let request = Request::post(est::SIMPLEREENROLL_PATH).body(Body::from(request_named(&key, name))).unwrap();
    let mut router = cloud.enroller.claim_router();
    if let Some(certificate) = certificate {
        router = router.layer(Extension(TlsPeer::read(certificate, true).unwrap()));
    }
    let response = router.oneshot(request).await.unwrap();
    (response.status(), text(response).await)
}

#[tokio::test]
async fn an_expired_certificate_is_renewed_within_the_grace_and_where_it_is_the_last() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    // 30 days of life and 90 of grace.
    let (_, in_grace, issued_in_grace) = long_ago(&cloud, &gate, 119).await;
    let (_, too_late, _) = long_ago(&cloud, &gate, 121).await;
    let (status, body) = late(&cloud, Some(&in_grace), "gate-1").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(Peer::of(&issued(&body)).unwrap().common_name, "gate-1");
    let (status, body) = late(&cloud, Some(&too_late), "gate-1").await;
    assert_eq!((status, body.contains("too long ago")), (StatusCode::FORBIDDEN, true), "{body}");
    // Nobody's, another name's, and a name that no request may bring.
    assert_eq!(late(&cloud, None, "gate-1").await.0, StatusCode::FORBIDDEN);
    assert_eq!(late(&cloud, Some(&in_grace), "gate-2").await.0, StatusCode::BAD_REQUEST);

    // The API takes none that has expired, should one get through to it.
    let key = KeyPair::generate().unwrap();
    let body = Body::from(request_named(&key, "gate-1"));
    let renewal = Request::post(est::SIMPLEREENROLL_PATH).body(body).unwrap();
    assert_eq!(by_certificate(&cloud, &in_grace, renewal).await.0, StatusCode::FORBIDDEN);
    let question = Request::get(CONFIGURATION_PATH).body(Body::empty()).unwrap();
    assert_eq!(by_certificate(&cloud, &in_grace, question).await.0, StatusCode::FORBIDDEN);

    // One that came later and was used has taken its place; the later one is good.
    let proves_itself =
        async |issued| cloud.storage.supersede_certificates(&gate.id, &issued, cloud.now()).await.unwrap();
    let (_, later, issued_later) = long_ago(&cloud, &gate, 100).await;
    assert_eq!(late(&cloud, Some(&in_grace), "gate-1").await.0, StatusCode::OK, "that one has not been used yet");
    proves_itself(issued_in_grace).await;
    assert_eq!(late(&cloud, Some(&in_grace), "gate-1").await.0, StatusCode::OK);
    proves_itself(issued_later).await;
    assert_eq!(late(&cloud, Some(&in_grace), "gate-1").await.0, StatusCode::FORBIDDEN);
    assert_eq!(late(&cloud, Some(&later), "gate-1").await.0, StatusCode::OK);

    cloud.storage.revoke_controller(&Scope::Operator, &gate.id, cloud.now()).await.unwrap();
    assert_eq!(late(&cloud, Some(&later), "gate-1").await.0, StatusCode::FORBIDDEN);
    let other = Controller::claimed(&cloud, "gate-2").await;
    let (_, expired, _) = long_ago(&cloud, &other, 60).await;
    assert_eq!(late(&cloud, Some(&expired), "gate-2").await.0, StatusCode::OK);
    cloud.storage.decommission_controller(&Scope::Operator, &other.id, cloud.now()).await.unwrap();
    assert_eq!(late(&cloud, Some(&expired), "gate-2").await.0, StatusCode::FORBIDDEN);
}

async fn an_expired_certificate_does_not_get_past_the_broker(on: On) {
    let cloud = Cloud::start(on).await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    assert!(Pipe::open(gate.options(&cloud), &topic::down(&gate.id)).await.unwrap().granted);
    let (key, certificate, _) = long_ago(&cloud, &gate, 60).await;
    (gate.certificate, gate.key_pem) = (certificate, Zeroizing::new(key.serialize_pem()));
    assert!(Pipe::open(gate.options(&cloud), &topic::down(&gate.id)).await.is_err());
}

on_each_broker! {
    a_renewed_certificate_replaces_the_old_one_once_it_has_worked,
    an_expired_certificate_does_not_get_past_the_broker,
}
