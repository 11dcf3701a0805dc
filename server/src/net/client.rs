//! One client: a task that says what is queued, answers what is asked, and forwards what is sent.

use std::{sync::Arc, time::Duration};

use quinn::{Connection, RecvStream, SendStream};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::{debug, info};
use visavis_proto::{
    ids::DeviceKey,
    wire::{
        control::{ClientMessage, CloseCode},
        framing,
    },
};

use super::{
    media,
    relay::{Shared, Stranger},
    requests::Requests,
    session::{CONTROL_QUEUE, Outgoing, Session, code},
};
use crate::core::limits::Bucket;

/// How long somebody may take to open the control stream and say Hello, which every client does at once.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// How long they may take from their handshake until they are logged in. Clients ask for the password before they
/// connect; what is left are a few round trips, and the hashing of a password on a slow machine.
const LOGIN_TIME: Duration = Duration::from_secs(60);

/// How long the last words of a connection may take.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// Control messages of one client: a call needs about ten, and typing a password two.
const MESSAGES_PER_SECOND: u32 = 50;
const MESSAGE_BURST: u32 = 400;

/// Their bytes: the largest thing is a handshake's flight of 16 KiB.
const BYTES_PER_SECOND: u32 = 256 * 1024;
const BYTE_BURST: u32 = 1024 * 1024;

/// Most bytes taken from the stream at once.
const READ_BYTES: usize = 16 * 1024;

/// A connection's task, from its handshake to its end.
pub(super) async fn serve(shared: Arc<Shared>, connection: Connection, device: DeviceKey, stranger: Stranger) {
    let (queue, queued) = mpsc::channel(CONTROL_QUEUE);
    let (joined, mut joins) = watch::channel(None);
    let address = connection.remote_address();
    debug!(%address, %device, "connected");
    let conversation = async {
        // Of a connection that has ended no stream is wanted any more, even if one was opened.
        let opened = tokio::select! {
            biased;
            _ = connection.closed() => return,
            opened = timeout(HELLO_TIME, connection.accept_bi()) => opened,
        };
        let Ok(Ok((send, receive))) = opened else {
            shared.stats.never_logged_in.add(1);
            return connection.close(code(CloseCode::NotLoggedIn), b"no control stream was opened");
        };
        let requests = Requests::new(shared.clone(), connection.clone(), device, queue, joined, stranger);
        // Words first, since they are few; then requests, which are rationed; media takes all that is left. Each part
        // waits by itself, so that none waits for a store or a slow stream of another.
        tokio::select! {
            biased;
            () = say(&connection, send, queued) => {}
            () = listen(&shared, &connection, receive, requests) => {}
            () = forward(&shared, &connection, joins.clone()) => {}
            _ = connection.closed() => {}
        }
    };
    conversation.await;
    let session: Option<Arc<Session>> = joins.borrow_and_update().clone();
    if let Some(session) = session {
        let reason = connection.close_reason().map(|reason| reason.to_string()).unwrap_or_default();
        info!(%device, %reason, "left");
        if let Some(person) = shared.hub(|hub, now| hub.leave(&session, now)) {
            shared.note_last_seen(person);
        }
    }
    connection.close(code(CloseCode::Done), b"");
}

/// Writes what is queued, until the connection ends or is to be closed.
async fn say(connection: &Connection, mut send: SendStream, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = queue.recv().await {
        match outgoing {
            Outgoing::Message(message) => {
                if send.write_all(&framing::encode(&message)).await.is_err() {
                    return;
                }
            }
            Outgoing::Close(reason) => {
                // Closing a connection throws away what has not arrived: wait until it has.
                if send.finish().is_ok() {
                    let _ = timeout(FAREWELL_TIME, send.stopped()).await;
                }
                return connection.close(code(reason), format!("{reason:?}").as_bytes());
            }
        }
    }
}

/// Reads requests and has them answered, one after the other, no faster than they may come.
async fn listen(shared: &Shared, connection: &Connection, mut receive: RecvStream, mut requests: Requests) {
    let started = shared.clock.now();
    let mut messages = Bucket::new(MESSAGES_PER_SECOND, MESSAGE_BURST, started);
    let mut bytes = Bucket::new(BYTES_PER_SECOND, BYTE_BURST, started);
    let mut reader = framing::Reader::default();
    loop {
        let chunk = if requests.is_logged_in() {
            receive.read_chunk(READ_BYTES, true).await
        } else {
            let time = if requests.is_silent() { HELLO_TIME } else { LOGIN_TIME };
            match timeout(
                time.saturating_sub(shared.clock.now().since(started)),
                receive.read_chunk(READ_BYTES, true),
            )
            .await
            {
                Ok(chunk) => chunk,
                Err(_) => {
                    shared.stats.never_logged_in.add(1);
                    return connection.close(code(CloseCode::NotLoggedIn), b"nobody logged in");
                }
            }
        };
        let Ok(Some(chunk)) = chunk else { return };
        reader.push(&chunk.bytes);
        // Who asks too much is not read for a while: flow control then holds them back.
        bytes.charge(chunk.bytes.len() as u32, shared.clock.now());
        pause(bytes.wait(shared.clock.now())).await;
        loop {
            let message = match reader.next::<ClientMessage>() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    debug!(%error, "protocol error");
                    return connection.close(code(CloseCode::Protocol), error.to_string().as_bytes());
                }
            };
            shared.stats.requests.add(1);
            messages.charge(1, shared.clock.now());
            pause(messages.wait(shared.clock.now())).await;
            if !requests.handle(message).await {
                // The farewell is queued; the writer closes the connection behind it.
                return std::future::pending().await;
            }
        }
    }
}

/// Forwards media once somebody is logged in.
async fn forward(shared: &Shared, connection: &Connection, mut joins: watch::Receiver<Option<Arc<Session>>>) {
    // Logging in goes first, or its first datagrams would count as a stranger's.
    let session = tokio::select! {
        biased;
        joined = joins.wait_for(Option::is_some) => joined.ok().and_then(|session| session.clone()),
        () = media::ignore(shared, connection) => None,
    };
    match session {
        Some(session) => media::forward(shared, connection, &session).await,
        None => std::future::pending().await,
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
