//! Whether a new face is another resident's too: one person under two tokens, or two whom the door cannot tell apart.
//!
//! It is said, and refuses nothing: twins live in one house. Templates are decrypted for it one at a time, in memory that is
//! overwritten.

use std::collections::BTreeSet;
use std::sync::Arc;

use cardea_models::Template;
use cardea_protocol::id::{SiteId, SubjectToken};

use crate::keys::Vault;
use crate::storage::changes::StoredTemplate;

/// The residents, other than `subject`, of whom a template is as alike to `new` as one person's are. One that cannot be read is
/// alike to nobody.
pub(super) fn of(
    vault: &Arc<Vault>,
    site: &SiteId,
    subject: &SubjectToken,
    (new, same_person_cosine): (&Template, f32),
    held: &[StoredTemplate],
) -> Vec<String> {
    let others = held.iter().filter(|template| template.subject != *subject);
    let alike = others.filter(|template| {
        let key = vault.unwrap(site, &template.subject, &template.wrapped_key);
        let plaintext = key.and_then(|key| key.decrypt(&template.template_id, &template.ciphertext));
        let read = plaintext.ok().and_then(|plaintext| Template::from_bytes(&plaintext).ok());
        read.and_then(|read| new.compare(&read).ok()).is_some_and(|cosine| cosine >= same_person_cosine)
    });
    let subjects: BTreeSet<&str> = alike.map(|template| template.subject.as_str()).collect();
    subjects.into_iter().map(str::to_owned).collect()
}
