//! Who calls the token, revocation and introspection endpoints: `tls_client_auth` (RFC 8705 §2.1).

use crate::auth::certificate_name::CertificateName;
use crate::auth::oauth::Refusal;
use crate::listener::Peer;
use crate::state::App;
use crate::storage::principals::Principal;

/// The account of that id, if the connection's certificate is the one it is registered with. `known` is set once an
/// existing account is named, for the audit.
pub(crate) async fn authenticate(
    app: &App,
    peer: &Peer,
    client_id: &str,
    known: &mut Option<Principal>,
) -> Result<Principal, Refusal> {
    *known = app.storage.principal(client_id).await?;
    let principal = known.clone().ok_or(Refusal::InvalidClient)?;
    // A controller's certificate says who it is within Cardea only; it is no customer's and no operator's credential.
    let registered = principal.subject_dn.as_deref().filter(|_| !peer.is_controller);
    let name = registered.and_then(|text| text.parse::<CertificateName>().ok());
    if name.is_some_and(|name| name.is_of(peer)) { Ok(principal) } else { Err(Refusal::InvalidClient) }
}

/// Whoever asks about a token: the holder of a certificate, who may have said which account it is.
pub(crate) struct Asker<'a> {
    peer: &'a Peer,
    account: Option<Principal>,
}

impl<'a> Asker<'a> {
    /// Authenticates the account, if one is named.
    pub(crate) async fn of(
        app: &App,
        peer: &'a Peer,
        client_id: Option<&str>,
        known: &mut Option<Principal>,
    ) -> Result<Self, Refusal> {
        let account = match client_id {
            Some(client_id) => Some(authenticate(app, peer, client_id, known).await?),
            None => None,
        };
        Ok(Self { peer, account })
    }

    /// Whether a token was issued to it: to its account, or on a connection with its certificate.
    pub(crate) fn holds(&self, client_id: &str, thumbprint: &str) -> bool {
        let by_account = self.account.as_ref().is_some_and(|account| account.principal_id == client_id);
        by_account || *self.peer.thumbprint == *thumbprint
    }

    /// Whether it may learn about a token of `owner`: of its own customer, or of anyone for the operator's accounts.
    pub(crate) fn oversees(&self, owner: &Principal) -> bool {
        let of_same = |account: &Principal| account.customer.is_none() || account.customer == owner.customer;
        self.account.as_ref().is_some_and(of_same)
    }
}
