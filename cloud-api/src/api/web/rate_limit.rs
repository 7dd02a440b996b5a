//! So many calls for each account, and then `429` with `Retry-After`: one back end in a loop leaves the cloud to the others.
//!
//! A token bucket per account, or per client certificate where no token is asked for. In memory: a restart forgives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cardea_access::time::Monotonic;

use crate::auth::Caller;
use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::Shared;

/// Calls at once.
pub(in crate::api) const BURST: u64 = 2_000;
/// Calls a second, in the long run.
pub(in crate::api) const PER_SECOND: u64 = 200;
/// Accounts counted; the one longest idle goes first.
const MAX_COUNTED: usize = 10_000;

/// Millicalls.
const CALL: u64 = 1_000;

struct Bucket {
    left: u64,
    at: Monotonic,
}

/// The buckets.
#[derive(Clone, Default)]
pub(in crate::api) struct Limits(Arc<Mutex<HashMap<String, Bucket>>>);

impl Limits {
    /// Takes a call; or says after how many seconds there is one.
    fn take(&self, now: Monotonic, who: &str) -> Result<(), u64> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(who) {
            if buckets.len() >= MAX_COUNTED
                && let Some(idle) = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(who, _)| who.clone())
            {
                buckets.remove(&idle);
            }
            buckets.insert(who.to_owned(), Bucket { left: BURST * CALL, at: now });
        }
        let Some(bucket) = buckets.get_mut(who) else { return Ok(()) };
        // A millisecond earns as many millicalls as a second earns calls.
        let earned = now.since_ms(bucket.at).saturating_mul(PER_SECOND);
        bucket.left = bucket.left.saturating_add(earned).min(BURST * CALL);
        bucket.at = now;
        match bucket.left.checked_sub(CALL) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err((CALL - bucket.left).div_ceil(PER_SECOND).div_ceil(1_000).max(1)),
        }
    }
}

/// The middleware.
pub(in crate::api) async fn limit(
    State((app, limits)): State<(Shared, Limits)>,
    request: Request,
    next: Next,
) -> Response {
    let who = match request.extensions().get::<Caller>() {
        Some(caller) => format!("account {}", caller.principal_id),
        None => match request.extensions().get::<Peer>() {
            Some(peer) => format!("certificate {}", peer.thumbprint),
            None => return Problem::Internal.into_response(),
        },
    };
    match limits.take(app.clock.monotonic(), &who) {
        Ok(()) => next.run(request).await,
        Err(retry_after_s) => Problem::RateLimited { retry_after_s }.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Api, as_admin, as_service};

    #[test]
    fn a_burst_then_a_steady_rate() {
        let limits = Limits::default();
        for _ in 0..BURST {
            assert_eq!(limits.take(Monotonic(0), "a"), Ok(()));
        }
        assert_eq!(limits.take(Monotonic(0), "a"), Err(1));
        assert_eq!(limits.take(Monotonic(0), "b"), Ok(()), "another's");
        let later = Monotonic(0).plus_ms(1_000);
        for _ in 0..PER_SECOND {
            assert_eq!(limits.take(later, "a"), Ok(()));
        }
        assert!(limits.take(later, "a").is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let limits = Limits::default();
        for i in 0..MAX_COUNTED + 5 {
            assert_eq!(limits.take(Monotonic(i as u64), &i.to_string()), Ok(()));
        }
        assert_eq!(limits.0.lock().unwrap().len(), MAX_COUNTED);
    }

    #[tokio::test]
    async fn one_account_in_a_loop_leaves_the_others_alone() {
        let api = Api::new().await;
        for _ in 0..BURST {
            assert_eq!(api.get("/v1/sites", as_admin()).await.status, 200);
        }
        let refused = api.get("/v1/sites", as_admin()).await;
        assert_eq!(refused.problem(), (429, "rate-limited"));
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(api.get("/v1/sites", as_service()).await.status, 200);
        api.clock.advance_ms(1_000);
        assert_eq!(api.get("/v1/sites", as_admin()).await.status, 200);
    }
}
