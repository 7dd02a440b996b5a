//! What a controller holds, applied as a controller applies it.

use std::collections::BTreeMap;

use cardea_protocol::digest::{Digest, Holdings, template_hash};
use cardea_protocol::id::{CardId, ControllerId, ErasureId, PlateId, Revision, SubjectToken, TemplateId};
use cardea_protocol::message::{CardEntry, Change, Down, PlateEntry, TemplateEntry};
use cardea_protocol::seal::OpeningKey;

#[derive(Default)]
pub(super) struct Held {
    pub(super) cursor: Revision,
    pub(super) plates: BTreeMap<PlateId, PlateEntry>,
    pub(super) cards: BTreeMap<CardId, CardEntry>,
    pub(super) templates: BTreeMap<TemplateId, (SubjectToken, Vec<u8>)>,
    pub(super) ordered: Vec<ErasureId>,
    pages: Vec<(Vec<PlateEntry>, Vec<CardEntry>, Vec<TemplateEntry>)>,
}

impl Held {
    pub(super) fn digest(&self) -> Digest {
        let mut holdings = Holdings::new();
        for plate in self.plates.values() {
            holdings.plate(plate);
        }
        for card in self.cards.values() {
            holdings.card(&card.card_id, &card.hash, card.subject.as_ref(), card.validity);
        }
        for (id, (subject, bytes)) in &self.templates {
            holdings.template(id, subject, &template_hash(bytes));
        }
        holdings.digest()
    }

    /// Applies changes or a page of a snapshot; true once there is something to acknowledge.
    pub(super) fn apply(&mut self, me: &ControllerId, key: &OpeningKey, message: Down) -> bool {
        match message {
            Down::Changes { from, to, changes, digest } => {
                assert_eq!(from, self.cursor, "changes that do not follow");
                assert_eq!(changes.len() as u64, to.0 - from.0, "changes with gaps");
                for change in changes {
                    self.change(me, key, change);
                }
                self.cursor = to;
                if let Some(digest) = digest {
                    assert_eq!(digest, self.digest());
                }
                true
            }
            Down::Snapshot { revision, page, pages, plates, cards, templates, digest } => {
                assert_eq!(page as usize, self.pages.len());
                self.pages.push((plates, cards, templates));
                if page + 1 < pages {
                    return false;
                }
                self.plates.clear();
                self.cards.clear();
                self.templates.clear();
                for (plates, cards, templates) in std::mem::take(&mut self.pages) {
                    for plate in plates {
                        self.plates.insert(plate.plate_id.clone(), plate);
                    }
                    for card in cards {
                        self.cards.insert(card.card_id.clone(), card);
                    }
                    for template in templates {
                        self.template(me, key, template);
                    }
                }
                self.cursor = revision;
                assert_eq!(digest, self.digest());
                true
            }
            other => panic!("nothing to apply: {other:?}"),
        }
    }

    fn template(&mut self, me: &ControllerId, key: &OpeningKey, entry: TemplateEntry) {
        let bytes = key.open(me, &entry.template_id, &entry.sealed).expect("sealed to this controller");
        self.templates.insert(entry.template_id, (entry.subject, bytes.to_vec()));
    }

    fn erase(&mut self, erasure: ErasureId, whose: &SubjectToken) {
        self.templates.retain(|_, (subject, _)| subject != whose);
        self.ordered.push(erasure);
    }

    fn change(&mut self, me: &ControllerId, key: &OpeningKey, change: Change) {
        match change {
            Change::PlateAdmitted(plate) => drop(self.plates.insert(plate.plate_id.clone(), plate)),
            Change::PlateRemoved { plate_id } => drop(self.plates.remove(&plate_id)),
            Change::CardAdmitted(card) => drop(self.cards.insert(card.card_id.clone(), card)),
            Change::CardRemoved { card_id } => drop(self.cards.remove(&card_id)),
            Change::TemplateAdded(entry) => self.template(me, key, entry),
            Change::SubjectErased { erasure, subject } => self.erase(erasure, &subject),
            Change::PropertySold { plate_ids, card_ids, subjects, .. } => {
                for card in card_ids {
                    self.cards.remove(&card);
                }
                for plate in plate_ids {
                    self.plates.remove(&plate);
                }
                for (erasure, subject) in subjects {
                    self.erase(erasure, &subject);
                }
            }
            Change::Superseded => {}
        }
    }
}
