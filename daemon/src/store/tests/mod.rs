//! The store against a reference model, against torn files, and against a search of its raw bytes.

mod changes;
mod company;
mod erasing;
mod ledgers;
mod outbox;

use cardea_access::time::{Monotonic, Timestamp};
use cardea_protocol::digest::template_hash;
use cardea_protocol::event::{Event, EventKind};
use cardea_protocol::id::{CommandId, ControllerId, ErasureId, EventId, PlateId, Revision, SubjectToken, TemplateId};
use cardea_protocol::message::{Change, PlateEntry, TemplateEntry, Validity};
use cardea_protocol::schedule::WeeklySchedule;
use cardea_protocol::seal::{OpeningKey, SealingKey, seal};
use zeroize::Zeroizing;

use super::*;

struct Site {
    opener: Opener,
    key: SealingKey,
}

impl Site {
    fn new() -> Self {
        let (key, public) = OpeningKey::derive(&Zeroizing::new([3; 32]));
        Self { opener: Opener { key: Arc::new(key), controller: ControllerId::new("gate-1").unwrap() }, key: public }
    }

    fn template(&self, id: usize, subject: usize, plaintext: &[u8]) -> TemplateEntry {
        let template_id = TemplateId::new(format!("t-{id}")).unwrap();
        let sealed = seal(&self.key, &self.opener.controller, &template_id, plaintext).unwrap();
        TemplateEntry { template_id, subject: token(subject), sealed }
    }
}

fn options() -> StoreOptions {
    StoreOptions {
        device_key: DeviceKey::from_bytes([9; 32]),
        events: EventsConfig { max_rows: 100, max_kib: 64 },
        machine_boot: Some("boot-a".to_owned()),
    }
}

fn token(n: usize) -> SubjectToken {
    SubjectToken::new(&format!("{:0>31}{}", format!("a{n}"), "f")).unwrap()
}

fn plate_id(n: usize) -> PlateId {
    PlateId::new(format!("p-{n}")).unwrap()
}

fn plate(n: usize, text: &str) -> PlateEntry {
    let validity = Validity { from: None, until: n.is_multiple_of(2).then_some(Timestamp(1_000)) };
    let subject = n.is_multiple_of(3).then(|| token(n));
    let hours = WeeklySchedule { time_zone: "Europe/Moscow".into(), hours: vec!["mon-fri 08:00-20:00".into()] };
    let (schedule, single_entry) = (n.is_multiple_of(5).then_some(hours), n.is_multiple_of(4));
    PlateEntry { plate_id: plate_id(n), plate: text.to_owned(), subject, schedule, single_entry, validity }
}

/// Distinct bytes that look random, so that a search can mean only these.
fn biometric(seed: usize) -> Vec<u8> {
    (0..40u64).flat_map(|i| template_hash(&[seed as u8, i as u8])).collect()
}

async fn changes(store: &Store, site: &Site, from: u64, changes: Vec<Change>) -> Applied {
    let to = Revision(from + changes.len() as u64);
    store.apply_changes(site.opener.clone(), ChangesBatch { from: Revision(from), to, changes }).await.unwrap()
}

/// Waits until the storage thread has let go of the file.
async fn close(store: Store) {
    let jobs = store.jobs.clone();
    let (done, ended) = oneshot::channel::<()>();
    drop(store);
    // Dropped with the queue, when the thread ends.
    let _ = jobs.send(Box::new(move |_| drop(done)));
    drop(jobs);
    let _ = ended.await;
}
