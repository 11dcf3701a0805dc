//! A live connection to the relay, as the actor holds it: what goes out, how it ends, and why the relay ended it.

use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, Endpoint};
use tokio::sync::mpsc;
use visavis_proto::wire::{
    control::{ClientMessage, CloseCode, EndReason, client},
    datagram::MAX_MEDIA_BYTES,
    framing,
};

use super::{
    control::{Reader, Writer},
    session::Session,
    transport::IDLE,
};

/// Control messages on their way to the relay. Full means that the relay stopped reading: the connection is given up.
const OUTGOING: usize = 64;

/// A live connection.
pub(super) struct Online {
    /// Keeps the socket open; rebound when the network changes.
    pub endpoint: Endpoint,
    pub connection: Connection,
    pub reader: Reader,
    outgoing: mpsc::Sender<Bytes>,
}

impl Online {
    /// Takes over a session; its messages are written by a task of their own.
    pub fn new(session: Session) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        tokio::spawn(write_messages(session.control.writer, queue));
        Self { endpoint: session.endpoint, connection: session.connection, reader: session.control.reader, outgoing }
    }

    /// Queues one message. `false` if there is no room.
    pub fn put(&self, request: u32, body: client::Body) -> bool {
        self.outgoing.try_send(framing::encode(&ClientMessage::new(request, body))).is_ok()
    }

    /// Ends the stream, waits until the relay has it all or 1 s has passed, and closes.
    pub async fn say_goodbye(self) {
        let Self { endpoint, connection, reader: _reader, outgoing } = self;
        drop(outgoing);
        // The relay closes its side once it has read the end of ours.
        if tokio::time::timeout(Duration::from_secs(1), connection.closed()).await.is_err() {
            connection.close(0u32.into(), b"bye");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
    }
}

/// Writes what is queued, so that a relay that does not read holds up nothing but this task.
async fn write_messages(mut writer: Writer, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = queue.recv().await {
        if writer.write(&bytes).await.is_err() {
            return;
        }
    }
    writer.finish().await;
}

/// One media datagram finds room.
pub(super) fn has_room(connection: &Connection) -> bool {
    connection.datagram_send_buffer_space() > MAX_MEDIA_BYTES
}

/// Hands one datagram to quinn. An error means a connection that is ending, which its reader tells.
pub(super) fn send(connection: &Connection, datagram: Bytes) {
    if let Err(error) = connection.send_datagram(datagram) {
        tracing::trace!(%error, "a datagram was not sent");
    }
}

/// Why the relay sent this device away for good, if it did: what became of its calls, and a sentence.
pub(super) async fn dismissed(connection: &Connection) -> Option<(EndReason, &'static str)> {
    match closed_with(connection).await? {
        CloseCode::Replaced => Some((
            EndReason::RelayLost,
            "this device has connected a second time, and the first connection has ended: end the other program that \
             uses this profile, or join with a profile of its own (visavis join LINK --name YOU --existing --profile \
             FOLDER)",
        )),
        CloseCode::Revoked => Some((
            EndReason::Revoked,
            "this device was removed from its account, on another one or by a reset of the password: if it is still \
             yours, join again (visavis join LINK --name YOU --existing)",
        )),
        CloseCode::Disabled => Some((EndReason::Revoked, "this account has been disabled: ask the relay's operator")),
        _ => None,
    }
}

/// Why a connection ended, as a person says it.
pub(super) fn ended(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => {
            format!("nothing was heard of the relay for {} s: check your network", IDLE.as_secs())
        }
        ConnectionError::Reset => "the relay was started anew".to_owned(),
        ConnectionError::ApplicationClosed(_) | ConnectionError::ConnectionClosed(_) => {
            "the relay closed the connection".to_owned()
        }
        error => error.to_string(),
    }
}

/// The code with which the relay closed the connection, if it did.
pub(super) async fn closed_with(connection: &Connection) -> Option<CloseCode> {
    // The control stream may end a moment before the connection, which says why.
    let closed = tokio::time::timeout(Duration::from_secs(1), connection.closed()).await;
    let Ok(ConnectionError::ApplicationClosed(close)) = closed else { return None };
    let code = i32::try_from(close.error_code.into_inner()).ok()?;
    CloseCode::try_from(code).ok()
}
