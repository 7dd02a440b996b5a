//! One message of every kind, with everything in it that it may have.

use cardea_protocol::Timestamp;
use cardea_protocol::card::CardHash;
use cardea_protocol::digest::Digest;
use cardea_protocol::event::{AccessDecision, Event, EventKind, Timings};
use cardea_protocol::id::{
    AccessPointId, BootId, CardId, CommandId, ErasureId, EventId, PlateId, Revision, SaleId, SubjectToken, TemplateId,
};
use cardea_protocol::message::{
    AccessPoint, AccessPointKind, CardEntry, Change, Command, CommandOutcome, Down, Hello, PlateEntry, StalenessLimits,
    TemplateEntry, Up, Validity,
};
use cardea_protocol::schedule::WeeklySchedule;
use cardea_protocol::seal::{Sealed, SealingKey};
use cardea_protocol::version::Versions;

/// When everything happens here: 2026-11-27T12:00:00.123Z.
pub(crate) const AT: Timestamp = Timestamp(1_795_780_800_123);

pub(crate) fn subject() -> SubjectToken {
    SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap()
}

fn digest() -> Digest {
    Digest::from_bytes([0xab; 32])
}

fn validity() -> Validity {
    Validity { from: Some(AT), until: Some(AT.plus_ms(3_600_000)) }
}

pub(crate) fn plain_plate() -> PlateEntry {
    PlateEntry::new(PlateId::new("plate-1").unwrap(), "A123BC77".to_owned())
}

pub(crate) fn full_plate() -> PlateEntry {
    PlateEntry {
        plate_id: PlateId::new("plate-2").unwrap(),
        subject: Some(subject()),
        schedule: Some(WeeklySchedule {
            time_zone: "Europe/Moscow".to_owned(),
            hours: vec!["mon-fri 08:00-20:00".to_owned(), "sat 10:00-16:00".to_owned()],
        }),
        single_entry: true,
        validity: validity(),
        ..plain_plate()
    }
}

pub(crate) fn card() -> CardEntry {
    // The number w26:12:34567.
    let hash = CardHash::new("13a94473f8319297fd5ef1df6b9aad5b234a9203da45c0b5f911a5df8a190904").unwrap();
    CardEntry { card_id: CardId::new("card-1").unwrap(), hash, subject: Some(subject()), validity: validity() }
}

fn template() -> TemplateEntry {
    let sealed = Sealed { enc: vec![1; 32], ct: vec![2; 20] };
    TemplateEntry { template_id: TemplateId::new("template-1").unwrap(), subject: subject(), sealed }
}

fn erasure() -> ErasureId {
    ErasureId::new("erasure-1").unwrap()
}

fn door() -> AccessPoint {
    AccessPoint {
        id: AccessPointId::new("door-1").unwrap(),
        kind: AccessPointKind::Door,
        credentials: vec!["face".to_owned(), "card".to_owned()],
        reachable: true,
        state: "closed".to_owned(),
    }
}

fn decision() -> EventKind {
    EventKind::AccessDecision(AccessDecision {
        credential: "plate".to_owned(),
        granted: true,
        reason: "ok".to_owned(),
        plate_id: Some(PlateId::new("plate-2").unwrap()),
        card_id: Some(CardId::new("card-1").unwrap()),
        subject: Some(subject()),
        command_id: Some(CommandId::new("command-1").unwrap()),
        score: Some(12.5),
        threshold: Some(8.1),
        liveness: Some("live".to_owned()),
        ends_at: Some(AT.plus_ms(300_000)),
        timings: Timings { capture_ms: Some(40.0), relay_ms: Some(3.25), ..Timings::default() },
    })
}

fn events() -> Vec<Event> {
    let text = str::to_owned;
    let kinds = vec![
        decision(),
        EventKind::AccessPointState { state: text("open") },
        EventKind::Posture { posture: text("locked-down"), cause: text("local") },
        EventKind::Alarm { alarm: text("forced") },
        EventKind::Equipment { equipment: text("camera-1"), reachable: false, detail: Some(text("timed out")) },
        EventKind::Erased { erasure: erasure() },
        EventKind::Controller { state: text("started") },
        EventKind::Dropped { count: 7 },
    ];
    let event = |(n, kind)| Event {
        id: EventId::new(format!("event-{n}")).unwrap(),
        seq: 1 + n as u64,
        at: AT,
        access_point: (n < 4).then(|| AccessPointId::new("door-1").unwrap()),
        kind,
    };
    kinds.into_iter().enumerate().map(event).collect()
}

fn changes() -> Vec<Change> {
    vec![
        Change::PlateAdmitted(plain_plate()),
        Change::PlateAdmitted(full_plate()),
        Change::PlateRemoved { plate_id: PlateId::new("plate-1").unwrap() },
        Change::CardAdmitted(card()),
        Change::CardRemoved { card_id: CardId::new("card-1").unwrap() },
        Change::TemplateAdded(template()),
        Change::SubjectErased { erasure: erasure(), subject: subject() },
        Change::PropertySold {
            sale: SaleId::new("sale-1").unwrap(),
            plate_ids: vec![PlateId::new("plate-2").unwrap()],
            card_ids: vec![CardId::new("card-1").unwrap()],
            subjects: vec![(erasure(), subject())],
        },
        Change::Superseded,
    ]
}

pub(crate) fn up() -> Vec<(&'static str, Up)> {
    let command_id = || CommandId::new("command-1").unwrap();
    let result = |outcome| Up::CommandResult { command_id: command_id(), outcome };
    vec![
        (
            "hello",
            Up::Hello(Hello {
                versions: Versions::new(1, 1),
                boot_id: BootId::new("boot-1").unwrap(),
                cursor: Revision(7),
                digest: digest(),
                sealing_key: SealingKey(vec![3; 32]),
                embedder: Some("embedder-1".to_owned()),
                software: "0.1.0".to_owned(),
                equipment: vec![door()],
                staleness: StalenessLimits { plate_s: None, face_s: Some(3_600), card_s: Some(86_400) },
            }),
        ),
        ("applied", Up::Applied { revision: Revision(9), digest: digest() }),
        ("events", Up::Events { events: events() }),
        ("command-accepted", result(CommandOutcome::Accepted)),
        ("command-confirmed", result(CommandOutcome::Confirmed)),
        ("command-not-confirmed", result(CommandOutcome::NotConfirmed)),
        ("command-refused", result(CommandOutcome::Refused { reason: "locked-down".to_owned() })),
        ("receipt", Up::Receipt { receipt_jws: "a.b.c".to_owned() }),
        ("equipment", Up::Equipment { equipment: vec![door()] }),
    ]
}

pub(crate) fn down() -> Vec<(&'static str, Down)> {
    let (from, to) = (Revision(0), Revision(9));
    vec![
        ("welcome", Down::Welcome { version: 1 }),
        ("refused", Down::Refused { versions: Versions::new(2, 3), retry_ms: 60_000 }),
        ("changes", Down::Changes { from, to, changes: changes(), digest: Some(digest()) }),
        ("changes-in-part", Down::Changes { from, to: Revision(1), changes: vec![Change::Superseded], digest: None }),
        (
            "snapshot",
            Down::Snapshot {
                revision: to,
                page: 0,
                pages: 1,
                plates: vec![plain_plate(), full_plate()],
                cards: vec![card()],
                templates: vec![template()],
                digest: digest(),
            },
        ),
        ("freshness", Down::Freshness { revision: to, digest: digest(), at: AT }),
        (
            "command",
            Down::Command(Command {
                command_id: CommandId::new("command-1").unwrap(),
                boot_id: BootId::new("boot-1").unwrap(),
                access_point: AccessPointId::new("door-1").unwrap(),
                expires_at: AT.plus_ms(10_000),
            }),
        ),
        ("events-stored", Down::EventsStored { through: 8 }),
        ("receipt-stored", Down::ReceiptStored { erasure: erasure() }),
        ("reconnect", Down::Reconnect { retry_ms: 15_000 }),
    ]
}
