//! Media of one client: datagrams in, copies with new hop headers out. Nothing here waits for anything but the next
//! datagram, and no lock is held across that.

use bytes::Bytes;
use quinn::Connection;
use visavis_proto::{
    cc::feedback::ArrivalLog,
    time::Timestamp,
    wire::{
        clock::Pong,
        control::{CloseCode, DropCause, RelayMessage, relay::Body},
        datagram::Datagram,
        media::Packet,
    },
};

use super::{
    relay::Shared,
    session::{Outlet, Session, code},
};
use crate::core::{
    forward::{self, Verdict},
    limits::Bucket,
};

/// Datagrams that one client may send: 4,000 a second are 35 Mbit/s of full ones, six times a 1080p call.
const DATAGRAMS_PER_SECOND: u32 = 4_000;
const DATAGRAM_BURST: u32 = 2_000;

/// Datagrams beyond that until the connection is closed: a client that is this far off is no client.
const MAX_OVER_LIMIT: u32 = 10_000;

/// The same before anybody has logged in, when there is nothing to send at all.
const MAX_FROM_STRANGER: u32 = 1_000;

/// Throws away what comes before anybody has logged in. Ends never, or with the connection.
pub(super) async fn ignore(shared: &Shared, connection: &Connection) {
    for _ in 0..MAX_FROM_STRANGER {
        if connection.read_datagram().await.is_err() {
            return;
        }
        shared.stats.from_strangers.add(1);
    }
    connection.close(code(CloseCode::Protocol), b"log in first");
}

/// Reads a client's datagrams until its connection ends.
pub(super) async fn forward(shared: &Shared, connection: &Connection, session: &Session) {
    let mut limit = Bucket::new(DATAGRAMS_PER_SECOND, DATAGRAM_BURST, shared.clock.now());
    let mut over_limit = 0;
    let mut uplink = Uplink { shared, connection, session, arrivals: ArrivalLog::new() };
    loop {
        let report = async {
            match uplink.arrivals.poll_timeout() {
                Some(at) => tokio::time::sleep_until(shared.clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        // Datagrams go first: each of them looks whether a report is due anyway.
        let datagram = tokio::select! {
            biased;
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => Some(datagram),
                Err(_) => return,
            },
            () = report => None,
        };
        let now = shared.clock.now();
        if let Some(datagram) = datagram {
            shared.stats.datagrams.add(1);
            if limit.take(1, now) {
                uplink.take(&datagram, now);
            } else {
                shared.stats.over_limit.add(1);
                over_limit += 1;
            }
            if over_limit > MAX_OVER_LIMIT {
                return connection.close(code(CloseCode::Protocol), b"too many datagrams");
            }
        }
        if let Some(feedback) = uplink.arrivals.poll_feedback(now) {
            let _ = connection.send_datagram(feedback.encode().into());
        }
        // A flood must not keep this thread from the other clients.
        tokio::task::coop::consume_budget().await;
    }
}

struct Uplink<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    session: &'a Session,
    arrivals: ArrivalLog,
}

impl Uplink<'_> {
    fn take(&mut self, bytes: &Bytes, now: Timestamp) {
        let stats = &self.shared.stats;
        let Ok(datagram) = Datagram::decode(bytes) else { return stats.malformed.add(1) };
        if self.session.heard(now) {
            let device = self.session.device;
            self.shared.hub(|hub, now| hub.switchboard.heard(device, now));
        }
        match datagram {
            Datagram::Media(packet) => {
                self.arrivals.record(packet.hop.sequence, now);
                self.pass_on(packet, bytes.len(), now);
            }
            Datagram::Feedback(feedback) => {
                let lost = self.session.outlet.downlink().books.handle_feedback(&feedback, now);
                stats.downlink_lost.add(lost);
            }
            Datagram::ClockPing(ping) => {
                let pong = Pong { id: ping.id, received: now, sent: self.shared.clock.now() };
                let _ = self.connection.send_datagram(pong.encode().into());
            }
            Datagram::ClockPong(_) => stats.malformed.add(1),
            Datagram::Padding(_) => stats.padding.add(1),
        }
    }

    fn pass_on(&self, packet: Packet<'_>, bytes: usize, received: Timestamp) {
        let routes = self.session.routes();
        let published = routes.publishes.iter().find(|published| published.stream == packet.hop.stream);
        let Some(published) = published else { return self.shared.stats.unroutable.add(1) };
        if !published.agrees_with(&packet.frame) {
            return self.shared.stats.mislabelled.add(1);
        }
        for outlet in &routes.subscribers {
            self.pass_to(outlet, &packet, bytes, received);
        }
    }

    fn pass_to(&self, outlet: &Outlet, packet: &Packet<'_>, bytes: usize, received: Timestamp) {
        let stats = &self.shared.stats;
        let stamp = forward::stamp(packet.frame.capture_time, received, self.shared.clock.now());
        // The lock also keeps the order of sequence numbers and of sending the same.
        let mut downlink = outlet.downlink();
        match downlink.forward.decide(&packet.hop, &packet.frame, bytes, outlet.room(), stamp) {
            Verdict::Forward(hop) => {
                let copy = Packet { hop, frame: packet.frame.clone(), payload: packet.payload };
                let copy = copy.encode();
                downlink.books.sent(hop.sequence, copy.len(), received);
                let sent = outlet.connection.send_datagram(copy.into());
                if sent.is_ok() {
                    stats.forwarded.add(1);
                } else {
                    stats.packets_unsendable.add(1);
                }
            }
            Verdict::Drop(given_up) => {
                stats.packets_dropped.add(1);
                if let Some(given_up) = given_up {
                    match given_up.cause {
                        DropCause::ReferenceMissing => stats.frames_reference_missing.add(1),
                        DropCause::DownlinkFull | DropCause::Unspecified => stats.frames_downlink_full.add(1),
                    }
                    if !downlink.news.add(given_up) {
                        stats.drop_news_lost.add(1);
                    }
                }
            }
        }
        while let Some(dropped) = downlink.news.poll(received) {
            self.session.tell(RelayMessage::news(Body::FramesDropped(dropped)), stats);
        }
    }
}
