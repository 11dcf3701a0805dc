//! One live call's media on the network thread: its uplink, its downlink, and the queues to and from the stages.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};
use visavis_proto::{
    ids::{CallId, StreamId},
    media::gate::RecoveryRequest,
    signal::{call::Connected, clock::ClockSync},
    time::Timestamp,
    units::Bitrate,
    wire::{
        control::{DropCause, FramesDropped, StreamOffer},
        media::Packet,
    },
};

use super::{
    downlink::{Downlink, Output},
    uplink::Uplink,
};
use crate::{
    pipeline::{
        control::SendControl,
        recv::{IncomingFrame, ToDecode},
        send::{CAMERA, EncodedFrame},
    },
    stats::{
        self, Open,
        record::{Counter, Drop, Fate, Media as Kind, Note},
    },
};

/// Where a call's media comes from and goes to: the network's ends of the stages' queues.
#[derive(Debug)]
pub struct Ports {
    /// What this device will publish.
    pub offers: Vec<StreamOffer>,
    /// Encoded sound.
    pub sound: mpsc::Receiver<EncodedFrame>,
    /// Encoded pictures.
    pub pictures: mpsc::Receiver<EncodedFrame>,
    /// Sound to decode.
    pub sound_out: mpsc::Sender<IncomingFrame>,
    /// Pictures to decode.
    pub pictures_out: mpsc::Sender<ToDecode>,
    /// Pleas of the picture stage, as soon as there is a call to send them in.
    pub recover: mpsc::Receiver<RecoveryRequest>,
    /// Tells the encoders when and how much.
    pub control: SendControl,
    /// Pictures and sound together.
    pub target: Bitrate,
    /// Where fates are told.
    pub stats: stats::Sender,
}

/// A live call's media.
#[derive(Debug)]
pub struct Media {
    /// Which call.
    pub call: CallId,
    /// The queues.
    pub ports: Ports,
    /// Out.
    pub uplink: Uplink,
    downlink: Downlink,
    noted: Timestamp,
    feedback: Option<Bytes>,
    /// The other side is not heard, and the relay sends it nothing.
    peer_silent: bool,
}

impl Media {
    /// The call went live: the encoders may begin, with what was captured since this person `accepted` (a caller did so by
    /// calling).
    pub fn new(connected: &Connected, ports: Ports, accepted: Option<Timestamp>, now: Timestamp) -> Self {
        let published = connected.published.iter().map(|stream| (stream.index, stream.id)).collect();
        let received = connected.received.iter().map(|stream| (stream.id, stream.index, stream.kind));
        ports.control.set_live(Some(accepted.unwrap_or_default()));
        Self {
            call: connected.call,
            uplink: Uplink::new(published, ports.target),
            downlink: Downlink::new(received),
            ports,
            noted: now,
            feedback: None,
            peer_silent: false,
        }
    }

    /// Takes a media packet.
    pub fn handle_packet(&mut self, packet: &Packet<'_>, clocks: &ClockSync, now: Timestamp) {
        self.downlink.handle_packet(packet, clocks, now);
        self.pass_on();
    }

    /// Gives up what waited too long, and makes the reports that are due. `round_trip` is the connection's now.
    pub fn handle_timeout(&mut self, clocks: &ClockSync, round_trip: Duration, now: Timestamp) {
        self.downlink.handle_timeout(clocks, now);
        self.pass_on();
        if let Some(feedback) = self.downlink.poll_feedback(now) {
            self.feedback = Some(feedback.encode().into());
        }
        if now.since(self.noted) >= NOTE_INTERVAL {
            self.noted = now;
            let loss = self.downlink.take_loss();
            self.ports.stats.note(Note::Packets { received: loss.received, lost: loss.lost });
            self.ports.stats.note(Note::Path { round_trip, bound: clocks.bound() });
        }
    }

    /// The relay gave up a frame that this device sent. Where that breaks the chain of pictures, only one that decodes by
    /// itself mends it, and nobody else asks for it: a receiver that gets nothing does not know that something is missing.
    pub fn handle_dropped(&self, dropped: &FramesDropped) {
        if !self.uplink.sends(CAMERA, StreamId(dropped.stream)) {
            return;
        }
        let pictures = u64::from(dropped.last.saturating_sub(dropped.first)) + 1;
        self.ports.stats.note(Note::DroppedByRelay(pictures));
        if dropped.cause() == DropCause::ReferenceMissing && !self.peer_silent {
            self.ports.control.want_keyframe();
        }
    }

    /// The other side has gone silent, or is heard again: then its picture begins anew.
    pub fn handle_silence(&mut self, silent: bool) {
        self.peer_silent = silent;
        if !silent {
            self.ports.control.want_keyframe();
        }
    }

    /// The next datagram that may leave: feedback, then sound, then pictures.
    pub fn poll_datagram(&mut self, now: Timestamp) -> Option<Bytes> {
        self.feedback.take().or_else(|| self.uplink.poll_datagram(now))
    }

    /// Tells the encoders whether another picture fits.
    pub fn update_gate(&mut self, now: Timestamp) {
        let may_encode = self.uplink.may_encode(now);
        self.ports.control.set_may_encode(may_encode);
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let times = [self.uplink.poll_timeout(), self.downlink.poll_timeout(), Some(self.noted + NOTE_INTERVAL)];
        times.into_iter().flatten().min()
    }

    /// The call is over: the encoders stop, and the stages end as their queues close. `unusable` datagrams could not be
    /// read, or belonged to no call.
    pub fn finish(mut self, unusable: u64, now: Timestamp) {
        self.ports.control.set_live(None);
        let unusable = (Counter::UnusableDatagrams, unusable);
        for (what, count) in self.downlink.take_counts().into_iter().chain([unusable]).filter(|(_, count)| *count > 0)
        {
            self.ports.stats.note(Note::Counted(what, count));
        }
        let loss = self.downlink.take_loss();
        self.ports.stats.note(Note::Packets { received: loss.received, lost: loss.lost });
        self.ports.stats.note(Note::Over { at: now });
    }

    /// Frames to the decoders, fates to the collector.
    fn pass_on(&mut self) {
        while let Some(output) = self.downlink.poll_output() {
            match output {
                Output::Record(record) => self.ports.stats.record(record),
                Output::LostPictures(lost) => {
                    // A full queue loses the news, and the gate finds the hole by the next frame's references.
                    let _ = self.ports.pictures_out.try_send(ToDecode::Lost(lost));
                }
                Output::Frame(header, payload, record) => {
                    let frame = IncomingFrame { header, payload, record: Open::new(record, &self.ports.stats) };
                    let refused = match frame.record.media {
                        Kind::Video => match self.ports.pictures_out.try_send(ToDecode::Frame(frame)) {
                            Err(TrySendError::Full(ToDecode::Frame(frame))) => Some(frame),
                            _ => None,
                        },
                        Kind::Audio => match self.ports.sound_out.try_send(frame) {
                            Err(TrySendError::Full(frame)) => Some(frame),
                            _ => None,
                        },
                    };
                    if let Some(frame) = refused {
                        frame.record.end(Fate::Dropped(Drop::DecodeQueueFull));
                    }
                }
            }
        }
    }
}

/// How often the share of lost packets and the state of the path are told to the collector.
const NOTE_INTERVAL: Duration = Duration::from_millis(500);
