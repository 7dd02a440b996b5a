//! Erasures: ordered, answered, complete.

use cardea_access::card::CardNumber;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{CardId, CustomerId, ErasureId, Revision, SaleId};
use cardea_protocol::jws::{Signer, Use};
use cardea_protocol::message::{Down, Receipt, Up, Validity};

use super::broker::{On, on_each_broker};
use super::cloud::{Cloud, EMBEDDER};
use super::controller::{Controller, Talk};
use crate::storage::cards::NewCard;
use crate::storage::erasures::Erasure;
use crate::storage::sales::NewSale;
use crate::storage::sites::Scope;

fn receipt(cloud: &Cloud, gate: &Controller, erasure: &ErasureId, signer: &Signer) -> Up {
    let receipt = Receipt {
        erasure: erasure.clone(),
        controller: gate.id.clone(),
        revision: gate.held.cursor,
        templates_erased: 1,
        verified: true,
        at: cloud.now(),
    };
    Up::Receipt { receipt_jws: signer.sign(Use::Receipt, &receipt).unwrap() }
}

async fn state(cloud: &Cloud, erasure: &ErasureId) -> Erasure {
    cloud.storage.erasure(&Scope::Operator, erasure).await.unwrap().unwrap()
}

async fn acknowledged(talk: &mut Talk, erasure: &ErasureId) {
    match talk.next().await {
        Down::ReceiptStored { erasure: stored } => assert_eq!(stored, *erasure),
        other => panic!("an acknowledgement, not {other:?}"),
    }
}

async fn an_erasure_is_complete_when_every_controller_has_signed_for_it(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut door = Controller::claimed(&cloud, "gate-2").await;
    let (mut at_gate, mut at_door) = (gate.begin(&cloud).await, door.begin(&cloud).await);
    gate.follow(&mut at_gate, 1).await;
    door.follow(&mut at_door, 1).await;
    assert_eq!((gate.held.templates.len(), door.held.templates.len()), (1, 1));

    let erasure = cloud.withdraw().await;
    gate.follow(&mut at_gate, 2).await;
    door.follow(&mut at_door, 2).await;
    assert_eq!(gate.held.ordered, std::slice::from_ref(&erasure));
    assert!(gate.held.templates.is_empty());
    let ordered = state(&cloud, &erasure).await;
    assert_eq!((ordered.cloud_erased, ordered.completed_at, ordered.controllers.len()), (1, None, 2));

    at_gate.say(receipt(&cloud, &gate, &erasure, &gate.signer())).await;
    acknowledged(&mut at_gate, &erasure).await;
    // Repeated, it is acknowledged again; for another controller, or with another's key, it is not believed.
    at_gate.say(receipt(&cloud, &gate, &erasure, &gate.signer())).await;
    acknowledged(&mut at_gate, &erasure).await;
    at_gate.say(receipt(&cloud, &door, &erasure, &gate.signer())).await;
    at_gate.say(receipt(&cloud, &door, &erasure, &door.signer())).await;
    at_door.say(receipt(&cloud, &door, &erasure, &gate.signer())).await;
    at_gate.say(receipt(&cloud, &gate, &ErasureId::random(), &gate.signer())).await;
    at_gate.say(receipt(&cloud, &gate, &erasure, &gate.signer())).await;
    acknowledged(&mut at_gate, &erasure).await;
    assert_eq!(state(&cloud, &erasure).await.completed_at, None);

    at_door.say(receipt(&cloud, &door, &erasure, &door.signer())).await;
    acknowledged(&mut at_door, &erasure).await;
    let complete = state(&cloud, &erasure).await;
    assert!(complete.completed_at.is_some());
    assert!(complete.controllers.iter().all(|part| part.receipt_jws.is_some()));
}

async fn a_decommissioned_controller_owes_nothing_and_a_revoked_one_does(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 1).await;
    cloud.storage.revoke_controller(&Scope::Operator, &gate.id, cloud.now()).await.unwrap();
    cloud.sync.end_sessions(&gate.id).await;
    // Not active any more, but it was sent the template.
    let erasure = cloud.withdraw().await;
    assert_eq!(state(&cloud, &erasure).await.completed_at, None);
    cloud.storage.decommission_controller(&Scope::Operator, &gate.id, cloud.now()).await.unwrap();
    assert!(state(&cloud, &erasure).await.completed_at.is_some());
}

async fn a_sale_is_one_change_for_plates_and_biometrics(on: On) {
    let cloud = Cloud::start(on).await;
    let plate = cloud.admit("A123BC77").await;
    cloud.admit("B123BC77").await;
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 3).await;
    let sale = cloud.sell(&plate).await;
    gate.follow(&mut talk, 4).await;
    assert_eq!((gate.held.plates.len(), gate.held.templates.len()), (1, 0));
    let erasures = cloud.storage.erasures_of_sale(&Scope::Operator, &sale).await.unwrap();
    assert_eq!(gate.held.ordered, [erasures[0].erasure_id.clone()]);
}

async fn cards_arrive_stay_through_a_withdrawal_and_end_with_the_sale(on: On) {
    let cloud = Cloud::start(on).await;
    let scope = Scope::Operator;
    let hash = |number: &str| CardHash::of(&CardNumber::parse(number).unwrap());
    for (number, subject) in [("w26:1:1", Some(Cloud::subject())), ("w26:1:2", None)] {
        let card = NewCard {
            card_id: CardId::random(),
            site: cloud.site.clone(),
            hash: hash(number),
            subject,
            validity: Validity::ALWAYS,
            fingerprint: [1; 32],
            subject_fingerprint: None,
            lifts_sale: None,
        };
        cloud.storage.admit_card(&scope, card, cloud.now()).await.unwrap();
    }
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 3).await;
    cloud.withdraw().await;
    gate.follow(&mut talk, 4).await;
    assert_eq!((gate.held.cards.len(), gate.held.templates.len()), (2, 0), "a consent is about biometrics alone");
    let sale = NewSale {
        sale_id: SaleId::random(),
        site: cloud.site.clone(),
        customer: CustomerId::new("customer-1").unwrap(),
        plates: vec![],
        cards: vec![],
        subjects: vec![(Cloud::subject(), [2; 32])],
    };
    let sold =
        cloud.storage.sell_property(&scope, sale, (|_| [2; 32], |_| [3; 32]), cloud.now()).await.unwrap().unwrap();
    assert_eq!(sold.cards, 1);
    cloud.sync.changed(&cloud.site);
    gate.follow(&mut talk, 5).await;
    let left: Vec<_> = gate.held.cards.values().map(|card| card.hash.clone()).collect();
    assert_eq!(left, [hash("w26:1:2")]);
}

async fn an_order_survives_a_snapshot(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 1).await;
    talk.pipe.leave();
    let erasure = cloud.withdraw().await;

    // It comes back with a cursor beyond the log, so it is given a snapshot, which carries no orders.
    gate.held.cursor = Revision(50);
    let mut talk = gate.begin(&cloud).await;
    while gate.held.cursor != Revision(51) {
        let message = talk.next().await;
        gate.apply(&mut talk, message).await;
    }
    assert!(gate.held.ordered.is_empty() && gate.held.templates.is_empty());
    gate.follow(&mut talk, 52).await;
    assert_eq!(gate.held.ordered, std::slice::from_ref(&erasure));
    talk.say(receipt(&cloud, &gate, &erasure, &gate.signer())).await;
    acknowledged(&mut talk, &erasure).await;
    assert!(state(&cloud, &erasure).await.completed_at.is_some());
}

async fn an_order_survives_a_session_that_broke_off_after_the_snapshot(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 1).await;
    talk.pipe.leave();
    let erasure = cloud.withdraw_at(cloud.now().plus_ms(-120_000)).await;

    // It has applied a snapshot, which carried no order, and lost the connection before it could say so.
    gate.held.cursor = Revision(2);
    gate.held.templates.clear();
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 3).await;
    assert_eq!(gate.held.ordered, std::slice::from_ref(&erasure));
    talk.say(receipt(&cloud, &gate, &erasure, &gate.signer())).await;
    acknowledged(&mut talk, &erasure).await;
    assert!(state(&cloud, &erasure).await.completed_at.is_some());
}

on_each_broker! {
    an_erasure_is_complete_when_every_controller_has_signed_for_it,
    a_decommissioned_controller_owes_nothing_and_a_revoked_one_does,
    a_sale_is_one_change_for_plates_and_biometrics,
    cards_arrive_stay_through_a_withdrawal_and_end_with_the_sale,
    an_order_survives_a_snapshot,
    an_order_survives_a_session_that_broke_off_after_the_snapshot,
}
