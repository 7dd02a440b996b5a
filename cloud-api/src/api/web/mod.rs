//! What every endpoint shares: bodies, parameters, pages, entity tags, idempotency, limits, request ids.

pub(super) mod etag;
pub(crate) mod extract;
pub(super) mod given_sites;
pub(super) mod idempotency;
pub(super) mod paging;
pub(super) mod rate_limit;
pub(super) mod request_id;
pub(super) mod revoked;
pub(super) mod unread;
pub(super) mod validity;
