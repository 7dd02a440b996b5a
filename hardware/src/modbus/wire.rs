//! One exchange on a byte stream, by tokio-modbus, with the bytes of the exchange remembered.
//!
//! They are remembered because tokio-modbus knows two values of a coil only: the echo of a timed pulse (function 05 with a
//! count of time units) is an error to it. An answer to such a write is right when it repeats the request byte for byte.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio_modbus::{
    ExceptionResponse, ProtocolError,
    client::{Client as _, Context},
    prelude::{ExceptionCode, Request, Response},
};

/// No frame is larger (Modbus Messaging on TCP/IP V1.0b, section 3.1.3); more than that need not be remembered.
const MAX_FRAME_BYTES: usize = 260;

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// An answer to the request's function.
    Response(Response),
    /// The request itself, byte for byte; only for requests that are not the standard's.
    Echo,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) enum CallError {
    /// The stream broke, or cannot be opened.
    Lost {
        reason: String,
        /// Whether the request may have left.
        sent: bool,
    },
    /// Nothing came in time.
    Silent { after: Duration },
    /// Something came that is no answer.
    Nonsense(String),
    /// The board refuses.
    Exception(ExceptionCode),
}

#[derive(Debug)]
struct Tape<S> {
    stream: S,
    sent: Vec<u8>,
    heard: Vec<u8>,
}

/// A handle on a stream; the others see the same stream.
#[derive(Debug)]
pub(super) struct Wire<S>(Arc<Mutex<Tape<S>>>);

impl<S> Clone for Wire<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Tape { stream, sent: Vec::new(), heard: Vec::new() })))
    }

    fn tape(&self) -> MutexGuard<'_, Tape<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rewind(&self) {
        let mut tape = self.tape();
        tape.sent.clear();
        tape.heard.clear();
    }

    /// How many bytes came in this exchange.
    pub(super) fn heard(&self) -> usize {
        self.tape().heard.len()
    }

    fn echoed(&self) -> bool {
        let tape = self.tape();
        !tape.sent.is_empty() && tape.sent == tape.heard
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Throws away what came unasked, without waiting. An error says that the stream has ended.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let mut unasked = [0; MAX_FRAME_BYTES];
        while let Some(read) = self.read(&mut unasked).now_or_never() {
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

/// One exchange through `context`, which must be attached to `wire`. After [`Answer::Echo`] and after an error that is no
/// exception the context is of no further use.
pub(super) async fn call<S>(
    wire: &Wire<S>,
    context: &mut Context,
    request: Request<'static>,
) -> Result<Answer, CallError> {
    let custom = matches!(request, Request::Custom(..));
    wire.rewind();
    let called = context.call(request).await;
    if custom && wire.echoed() {
        return Ok(Answer::Echo);
    }
    match called {
        Ok(Ok(response)) => Ok(Answer::Response(response)),
        Ok(Err(exception)) => Err(CallError::Exception(exception)),
        Err(tokio_modbus::Error::Transport(error)) => Err(broken(&error)),
        Err(tokio_modbus::Error::Protocol(mismatch)) => Err(match mismatch {
            // A request that is not the standard's is refused under the standard's name of its function.
            ProtocolError::FunctionCodeMismatch { request, result: Err(ExceptionResponse { function, exception }) }
                if request.value() == function.value() =>
            {
                CallError::Exception(exception)
            }
            ProtocolError::FunctionCodeMismatch { .. } | ProtocolError::HeaderMismatch { .. } => {
                CallError::Nonsense("the answer belongs to another request or comes from another unit".into())
            }
        }),
    }
}

fn broken(error: &io::Error) -> CallError {
    match error.kind() {
        io::ErrorKind::InvalidData => CallError::Nonsense(error.to_string()),
        // A frame that is shorter than it must be.
        io::ErrorKind::UnexpectedEof => CallError::Nonsense("the answer is cut off".into()),
        io::ErrorKind::BrokenPipe => CallError::Lost { reason: "the connection was closed".into(), sent: true },
        // At the end of a stream tokio-modbus reports the last OS error, which may well be "success".
        _ if error.raw_os_error().is_none_or(|code| code == 0) => {
            CallError::Lost { reason: "it closed the connection".into(), sent: true }
        }
        _ => CallError::Lost { reason: error.to_string(), sent: true },
    }
}

fn remember(tape: &mut Vec<u8>, bytes: &[u8]) {
    // One byte more than a frame may have, so that a longer answer is never taken for an echo.
    let room = (MAX_FRAME_BYTES + 1).saturating_sub(tape.len());
    tape.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut tape = self.tape();
        let Tape { stream, heard, .. } = &mut *tape;
        let before = buf.filled().len();
        let read = Pin::new(stream).poll_read(cx, buf);
        remember(heard, &buf.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut tape = self.tape();
        let Tape { stream, sent, .. } = &mut *tape;
        let written = Pin::new(stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            remember(sent, &bytes[..*count]);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tape().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tape().stream).poll_shutdown(cx)
    }
}
