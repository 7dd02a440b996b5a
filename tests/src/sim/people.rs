//! Who is to be admitted, by what: what the cloud's disk says, and what of it was taken back at which revision.

use std::collections::BTreeMap;

use anyhow::Result;
use cardea_models::Template;
use cardea_protocol::id::{CardId, PlateId, Revision, SaleId, SubjectToken, TemplateId};

use super::cloud::{Machine, Subject};
use super::controller::{EMBEDDER, Shown};
use super::witness::Witness;

/// Of each kind: a flat's face, plate and card have the same number.
pub(super) const OF_EACH: usize = 2;
/// The number of whoever lives at another site, which none of the gates is at.
pub(super) const ABROAD: usize = OF_EACH;
const PLATES: [&str; OF_EACH + 1] = ["A123BC77", "B456CE99", "E789KX97"];
const DIMENSIONS: usize = 128;

/// A credential of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Face(usize),
    Plate(usize),
    Card(usize),
}

/// All of them.
pub(super) const ALL: [What; 3 * OF_EACH] =
    [What::Face(0), What::Face(1), What::Plate(0), What::Plate(1), What::Card(0), What::Card(1)];

/// What is admitted at another site only.
pub(super) const NEVER: [What; 3] = [What::Face(ABROAD), What::Plate(ABROAD), What::Card(ABROAD)];

/// The ids under which each was ever registered here, newest last.
pub(super) struct People {
    pub(super) subjects: Vec<Subject>,
    pub(super) templates: [Vec<TemplateId>; OF_EACH + 1],
    pub(super) plates: [Vec<PlateId>; OF_EACH + 1],
    pub(super) cards: [Vec<CardId>; OF_EACH + 1],
    /// Sales of each flat.
    pub(super) sales: [Vec<SaleId>; OF_EACH],
    /// What a sale is known to block, until somebody names that sale.
    pub(super) blocked: BTreeMap<What, SaleId>,
    removed: BTreeMap<What, Revision>,
}

impl People {
    pub(super) fn new() -> Result<Self> {
        let subjects = (0..=ABROAD).map(subject).collect::<Result<_>>()?;
        Ok(Self {
            subjects,
            templates: Default::default(),
            plates: Default::default(),
            cards: Default::default(),
            sales: Default::default(),
            blocked: BTreeMap::new(),
            removed: BTreeMap::new(),
        })
    }

    pub(super) fn shown(&self, what: What) -> Shown {
        match what {
            What::Face(i) => Shown::Face(self.subjects[i].face.clone()),
            What::Plate(i) => Shown::Plate(PLATES[i].to_owned()),
            What::Card(i) => Shown::Card(uid(i)),
        }
    }

    /// The id of it that the cloud holds.
    pub(super) fn plate(&self, cloud: &Machine, i: usize) -> Result<Option<PlateId>> {
        for id in &self.plates[i] {
            if cloud.has("SELECT 1 FROM plates WHERE plate_id = ?1", id.as_str())? {
                return Ok(Some(id.clone()));
            }
        }
        Ok(None)
    }

    pub(super) fn card(&self, cloud: &Machine, i: usize) -> Result<Option<CardId>> {
        for id in &self.cards[i] {
            if cloud.has("SELECT 1 FROM cards WHERE card_id = ?1", id.as_str())? {
                return Ok(Some(id.clone()));
            }
        }
        Ok(None)
    }

    pub(super) fn has_face(&self, cloud: &Machine, i: usize) -> Result<bool> {
        cloud.has("SELECT 1 FROM templates WHERE subject = ?1", self.subjects[i].token.as_str())
    }

    /// Whether the cloud admits it.
    pub(super) fn is_admitted(&self, cloud: &Machine, what: What) -> Result<bool> {
        Ok(match what {
            What::Face(i) => self.has_face(cloud, i)?,
            What::Plate(i) => self.plate(cloud, i)?.is_some(),
            What::Card(i) => self.card(cloud, i)?.is_some(),
        })
    }

    /// The revision by which it was taken back, if it was and is not admitted again.
    pub(super) fn removed_at(&mut self, cloud: &Machine, witness: &Witness, what: What) -> Result<Option<Revision>> {
        if self.is_admitted(cloud, what)? {
            return Ok(None);
        }
        let ids: Vec<String> = match what {
            What::Face(i) => {
                for template in &self.templates[i] {
                    witness.erased(template);
                }
                vec![self.subjects[i].token.as_str().to_owned()]
            }
            What::Plate(i) => self.plates[i].iter().map(ToString::to_string).collect(),
            What::Card(i) => self.cards[i].iter().map(ToString::to_string).collect(),
        };
        let sql = match what {
            What::Face(_) => {
                "SELECT max(c.revision) FROM changes c JOIN erasures e ON e.erasure_id = c.ref_id WHERE e.subject = ?1"
            }
            What::Plate(_) => "SELECT max(revision) FROM changes WHERE ref_id = ?1 AND kind = 'plate-removed'",
            What::Card(_) => "SELECT max(revision) FROM changes WHERE ref_id = ?1 AND kind = 'card-removed'",
        };
        let mut newest = None;
        for id in ids {
            newest = newest.max(cloud.number(sql, &id)?);
        }
        let (What::Face(i) | What::Plate(i) | What::Card(i)) = what;
        for sale in self.sales.get(i).into_iter().flatten() {
            newest = newest.max(cloud.number("SELECT max(revision) FROM sales WHERE sale_id = ?1", &sale.to_string())?);
        }
        let revision = newest.map(|revision| Revision(revision.unsigned_abs()));
        if let Some(revision) = revision {
            self.removed.insert(what, revision);
        }
        Ok(revision)
    }

    /// Whether it was never registered under any id.
    pub(super) fn is_stranger(&self, what: What) -> bool {
        match what {
            What::Face(i) => self.templates[i].is_empty(),
            What::Plate(i) => self.plates[i].is_empty(),
            What::Card(i) => self.cards[i].is_empty(),
        }
    }
}

/// The chip of a card.
pub(super) fn uid(i: usize) -> [u8; 4] {
    [0x04, 0xA1, 0xB2, i as u8]
}

pub(super) fn plate(i: usize) -> &'static str {
    PLATES[i]
}

fn subject(i: usize) -> Result<Subject> {
    let token = SubjectToken::new(&format!("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e{i:02x}"))?;
    // As far apart as faces can be.
    let mut bytes = b"CFT1".to_vec();
    bytes.push(EMBEDDER.len() as u8);
    bytes.extend_from_slice(EMBEDDER.as_bytes());
    bytes.extend_from_slice(&(DIMENSIONS as u16).to_le_bytes());
    for n in 0..DIMENSIONS {
        bytes.extend_from_slice(&(if n == i { 1.0_f32 } else { 0.0 }).to_le_bytes());
    }
    Ok(Subject { token, face: Template::from_bytes(&bytes)? })
}
