//! The erasure journal: what may never come back. Only ever added to; it names nobody.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, ErasureId, SaleId, SiteId, SubjectToken};

use super::KeyStore;
use crate::storage::StorageError;
use crate::storage::changes::id;
use crate::storage::engine::{Transaction, params};

/// What an entry forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A subject's biometrics and the consent they rested on.
    Erased,
    /// A plate, card or subject that was sold away.
    Blocked,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Blocked => "blocked",
        }
    }
}

/// An entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) entry_id: String,
    pub(super) kind: Kind,
    pub(super) site: SiteId,
    /// Of [`KeyStore::fingerprint`], or the vault's fingerprint of what was sold.
    pub(super) value_hmac: Vec<u8>,
    pub(super) sale: Option<(SaleId, CustomerId)>,
    pub(super) at: Timestamp,
}

impl Entry {
    /// The erasure that it is the entry of.
    pub(super) fn erasure(&self) -> Result<ErasureId, StorageError> {
        id(self.entry_id.clone(), ErasureId::new)
    }
}

/// A plate, card or subject that a sale blocks.
pub(in crate::storage) struct Block<'a> {
    pub(in crate::storage) site: &'a SiteId,
    /// The vault's fingerprint of it.
    pub(in crate::storage) fingerprint: &'a [u8; 32],
    pub(in crate::storage) sale: &'a SaleId,
    pub(in crate::storage) customer: &'a CustomerId,
}

impl KeyStore {
    /// What the journal calls a subject of a site.
    pub(super) fn fingerprint(&self, site: &SiteId, subject: &SubjectToken) -> [u8; 32] {
        *self.vault.derive("erasure journal", format!("{site}\0{}", subject.as_str()).as_bytes())
    }

    /// Deletes a subject's key and enters that in the journal, under the erasure's id; lasts when this returns. Answers every
    /// entry of that subject, for the data to note once it has followed.
    pub(in crate::storage) fn erase(
        &self,
        erasure: &ErasureId,
        site: &SiteId,
        subject: &SubjectToken,
        sale: Option<(&SaleId, &CustomerId)>,
        at: Timestamp,
    ) -> Result<Vec<String>, StorageError> {
        let value = self.fingerprint(site, subject);
        self.transaction(|tx| {
            tx.execute(
                "DELETE FROM subject_keys WHERE site_id = ?1 AND subject = ?2",
                params![site.as_str(), subject.as_str()],
            )?;
            enter(tx, erasure, Kind::Erased, site, &value, sale, at)
        })
    }

    /// Enters in the journal what a sale blocks; lasts when this returns. Answers every entry of that value.
    pub(in crate::storage) fn block(&self, block: &Block<'_>, at: Timestamp) -> Result<Vec<String>, StorageError> {
        let sale = Some((block.sale, block.customer));
        self.transaction(|tx| enter(tx, &ErasureId::random(), Kind::Blocked, block.site, block.fingerprint, sale, at))
    }

    /// Whether the journal holds that erasure of the site.
    pub(in crate::storage) fn has_ordered(&self, site: &str, erasure: &str) -> Result<bool, StorageError> {
        let found = self.reading().query(
            "SELECT 1 FROM journal WHERE entry_id = ?1 AND site_id = ?2 AND kind = 'erased'",
            [erasure, site],
            |row| row.get::<i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// The whole journal, oldest first.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, StorageError> {
        self.reading().query(
            "SELECT entry_id, kind, site_id, value_hmac, sale_id, customer_id, at FROM journal ORDER BY number",
            [],
            |row| {
                let kind = match row.get::<String>(1)?.as_str() {
                    "erased" => Kind::Erased,
                    "blocked" => Kind::Blocked,
                    _ => return Err(StorageError::Corrupt("kind of a journal entry")),
                };
                let sale: Option<String> = row.get(4)?;
                let customer: Option<String> = row.get(5)?;
                let sale = sale.zip(customer).map(|(sale, customer)| {
                    Ok::<_, StorageError>((id(sale, SaleId::new)?, id(customer, CustomerId::new)?))
                });
                Ok(Entry {
                    entry_id: row.get(0)?,
                    kind,
                    site: id(row.get(2)?, SiteId::new)?,
                    value_hmac: row.get(3)?,
                    sale: sale.transpose()?,
                    at: Timestamp(row.get(6)?),
                })
            },
        )
    }
}

/// An erasure that is carried out again stands there already.
fn enter(
    tx: &Transaction<'_>,
    entry: &ErasureId,
    kind: Kind,
    site: &SiteId,
    value: &[u8; 32],
    sale: Option<(&SaleId, &CustomerId)>,
    at: Timestamp,
) -> Result<Vec<String>, StorageError> {
    tx.execute(
        "INSERT INTO journal (entry_id, kind, site_id, value_hmac, sale_id, customer_id, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (entry_id) DO NOTHING",
        params![
            entry.as_str(),
            kind.as_str(),
            site.as_str(),
            value,
            sale.map(|(sale, _)| sale.as_str()),
            sale.map(|(_, customer)| customer.as_str()),
            at.0
        ],
    )?;
    tx.query(
        "SELECT entry_id FROM journal WHERE site_id = ?1 AND value_hmac = ?2 AND kind = ?3",
        params![site.as_str(), value, kind.as_str()],
        |row| row.get(0),
    )
}
