//! What is left of a body when the answer is there: it is read and thrown away first. A client that is still sending would see
//! a broken connection otherwise, and not why it was refused.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};

/// What nobody wants is read and dropped for at most this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The middleware, before everything that may refuse.
pub(in crate::api) async fn finish_reading(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let lent = Lent(Arc::new(Mutex::new(Some(body.into_data_stream()))));
    let rest = Lent(lent.0.clone());
    let response = next.run(Request::from_parts(parts, Body::from_stream(lent))).await;
    // A client slower than this loses the answer; the connection is closed either way.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain(rest)).await;
    response
}

async fn drain(mut body: Lent) {
    while matches!(body.next().await, Some(Ok(_))) {}
}

/// A body that whoever answers reads as far as it likes; nothing once it has come to its end.
struct Lent(Arc<Mutex<Option<BodyDataStream>>>);

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(stream).poll_next(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            *body = None;
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use tower::ServiceExt as _;

    /// Sends three chunks to `router`; how many were read, and the answer.
    async fn read_by(router: Router) -> (usize, u16) {
        let read = Arc::new(Mutex::new(0));
        let counted = read.clone();
        let chunks = (0..3).map(move |_| {
            *counted.lock().unwrap() += 1;
            Ok::<_, std::io::Error>("chunk")
        });
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        let request = Request::post("/").body(body).unwrap();
        let answer = router.layer(from_fn(finish_reading)).oneshot(request).await.unwrap();
        let read = *read.lock().unwrap();
        (read, answer.status().as_u16())
    }

    #[tokio::test]
    async fn whoever_reads_all_some_or_nothing_all_of_it_is_read() {
        let nothing = Router::new().route("/", post(async || "no"));
        assert_eq!(read_by(nothing).await, (3, 200));
        let some = async |request: Request| {
            let first = request.into_body().into_data_stream().next().await;
            assert_eq!(first.unwrap().unwrap(), "chunk");
            "some"
        };
        assert_eq!(read_by(Router::new().route("/", post(some))).await, (3, 200));
        let all = async |body: String| body;
        assert_eq!(read_by(Router::new().route("/", post(all))).await, (3, 200));
        assert_eq!(read_by(Router::new()).await, (3, 404));
    }
}
