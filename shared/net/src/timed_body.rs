//! A request's body that has to be there in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Sleep;
use tower::BoxError;

/// A body that fails when it has not come to its end in time, however steadily its bytes arrive.
pub(crate) struct TimedBody<B> {
    body: B,
    /// None for a body without bytes, which every request for a WebSocket has.
    late: Option<Pin<Box<Sleep>>>,
}

impl<B: Body> TimedBody<B> {
    pub(crate) fn new(body: B, time: Duration) -> Self {
        let late = (!body.is_end_stream()).then(|| Box::pin(tokio::time::sleep(time)));
        Self { body, late }
    }
}

/// The error of a body that did not come to its end in time; half of a body is no body.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come to its end in time")]
pub struct BodyLate;

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for TimedBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match &mut self.late {
            Some(late) => late.as_mut().poll(context).map(|()| Some(Err(BodyLate.into()))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
