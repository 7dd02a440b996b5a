//! The texts that residents consent to, version by version. A recorded one is never changed: consents name it.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ConsentTextId, CustomerId, SiteId};

use super::changes::id;
use super::engine::{Row, Transaction, params};
use super::sites::Scope;
use super::{Storage, StorageError};

/// A version of a customer's text.
#[derive(Clone, Debug)]
pub struct ConsentText {
    /// Its id.
    pub text_id: ConsentTextId,
    /// Whose residents consent to it.
    pub customer: CustomerId,
    /// What a consent calls it.
    pub version: String,
    /// The language it is in (BCP 47).
    pub language: String,
    /// The text.
    pub body: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// Why a text was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum ConsentTextError {
    /// The customer has another text of that version.
    #[error("the customer has another text of that version")]
    Exists,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

const COLUMNS: &str = "SELECT text_id, customer_id, version, language, body, recorded_at FROM consent_texts";

fn text_of(row: &Row<'_>) -> Result<ConsentText, StorageError> {
    Ok(ConsentText {
        text_id: id(row.get(0)?, ConsentTextId::new)?,
        customer: id(row.get(1)?, CustomerId::new)?,
        version: row.get(2)?,
        language: row.get(3)?,
        body: row.get(4)?,
        recorded_at: Timestamp(row.get(5)?),
    })
}

/// Whether the customer served at the site has a text of that version.
pub(super) fn is_known(tx: &Transaction<'_>, site: &SiteId, version: &str) -> Result<bool, StorageError> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM consent_texts t JOIN customer_sites s USING (customer_id)
         WHERE s.site_id = ?1 AND t.version = ?2)",
        [site.as_str(), version],
        |row| row.get(0),
    )
}

impl Storage {
    /// Records a text. The same one again changes nothing and yields the first one's id.
    pub async fn record_consent_text(&self, text: ConsentText) -> Result<ConsentTextId, ConsentTextError> {
        self.write(move |tx| {
            let known = tx.query_opt(
                &format!("{COLUMNS} WHERE customer_id = ?1 AND version = ?2"),
                [text.customer.as_str(), &text.version],
                text_of,
            )?;
            if let Some(known) = known {
                let same = known.body == text.body && known.language == text.language;
                return if same { Ok(known.text_id) } else { Err(ConsentTextError::Exists) };
            }
            tx.execute(
                "INSERT INTO consent_texts (text_id, customer_id, version, language, body, recorded_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    text.text_id.as_str(),
                    text.customer.as_str(),
                    text.version,
                    text.language,
                    text.body,
                    text.recorded_at.0
                ],
            )?;
            Ok(text.text_id.clone())
        })
        .await
    }

    /// The texts within a scope.
    pub async fn consent_texts(&self, scope: &Scope) -> Result<Vec<ConsentText>, StorageError> {
        let scope = scope.clone();
        self.read(move |tx| {
            tx.query(
                &format!("{COLUMNS} WHERE CAST(?1 AS TEXT) IS NULL OR customer_id = ?1 ORDER BY text_id"),
                [scope.only()],
                text_of,
            )
        })
        .await
    }

    /// A text, if it lies within the scope.
    pub async fn consent_text(&self, scope: &Scope, text: &ConsentTextId) -> Result<Option<ConsentText>, StorageError> {
        let (scope, text) = (scope.clone(), text.clone());
        self.read(move |tx| {
            tx.query_opt(
                &format!("{COLUMNS} WHERE text_id = ?2 AND (CAST(?1 AS TEXT) IS NULL OR customer_id = ?1)"),
                params![scope.only(), text.as_str()],
                text_of,
            )
        })
        .await
    }
}
