//! Encoded frames to datagrams: `number -> seal -> cut -> pace`. Sans-IO, but for the records that frames end here; the actor
//! moves the bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use visavis_proto::{
    cc::{feedback::SentLog, fixed::FixedRate, pacer::Pacer},
    e2ee::{self, Sealer},
    ids::StreamId,
    media::packetise,
    signal::clock::ClockSync,
    time::Timestamp,
    units::{Bitrate, DataSize},
    wire::{
        feedback::Feedback,
        media::{FrameHeader, HopHeader, Packet},
    },
};

use crate::{
    pipeline::send::EncodedFrame,
    stats::{
        Open,
        record::{Drop, Fate, Media},
    },
};

/// Most frames of sound that wait for the pacer; beyond it the oldest is dropped. 160 ms: older sound is useless.
const SOUND_FRAMES: usize = 16;

/// Most pictures that wait for the pacer; the encode gate keeps it below.
const PICTURES: usize = 8;

/// What one device sends in one call.
#[derive(Debug)]
pub struct Uplink {
    streams: Vec<(u8, StreamId)>,
    sealer: Sealer,
    rate: FixedRate,
    pacer: Pacer,
    sequence: u32,
    sound: VecDeque<Outgoing>,
    pictures: VecDeque<Outgoing>,
    queued: u64,
    log: SentLog,
}

/// A sealed frame on its way out.
#[derive(Debug)]
struct Outgoing {
    stream: StreamId,
    header: FrameHeader,
    captured: Timestamp,
    sealed: Vec<u8>,
    next_packet: u16,
    record: Open,
}

impl Uplink {
    /// Sends these streams (the sender's index and the relay's number), pictures and sound together at `target`.
    pub fn new(streams: Vec<(u8, StreamId)>, target: Bitrate) -> Self {
        let rate = FixedRate::new(target);
        Self {
            streams,
            sealer: Sealer::default(),
            pacer: Pacer::new(rate.pacing_rate()),
            rate,
            sequence: 0,
            sound: VecDeque::new(),
            pictures: VecDeque::new(),
            queued: 0,
            log: SentLog::default(),
        }
    }

    /// Takes a frame from the encoder, seals it and queues its packets. A frame of a stream that the call does
    /// not have is dropped.
    pub fn handle_frame(&mut self, frame: EncodedFrame, clocks: &ClockSync) {
        let mut record = frame.record;
        let Some(&(_, stream)) = self.streams.iter().find(|(index, _)| *index == frame.stream_index) else {
            return record.end(Fate::Dropped(Drop::NotPublished));
        };
        let mut sealed = frame.payload;
        let bytes = (sealed.len() + e2ee::OVERHEAD_BYTES) as u32;
        let header = FrameHeader {
            stream_index: frame.stream_index,
            audio: frame.media == Media::Audio,
            key: frame.key,
            recovery_point: frame.key,
            discardable: frame.discardable,
            layer: frame.layer,
            number: frame.number,
            references: frame.references,
            capture_time: relay_time(clocks, frame.captured),
            capture_number: frame.capture_number,
            encoded_after_us: packetise::stamp_us(frame.captured, frame.encoded),
            bytes,
            packets: packetise::slices(bytes),
        };
        self.sealer.seal(&header, &mut sealed);
        (record.bytes, record.packets) = (bytes, header.packets);
        self.queued += u64::from(bytes);
        let outgoing = Outgoing { stream, header, captured: frame.captured, sealed, next_packet: 0, record };
        let (queue, capacity) = match frame.media {
            Media::Audio => (&mut self.sound, SOUND_FRAMES),
            Media::Video => (&mut self.pictures, PICTURES),
        };
        queue.push_back(outgoing);
        if queue.len() > capacity {
            // The oldest that has not begun to leave; the one that has is finished, or it was sent for nothing.
            let position = usize::from(queue[0].next_packet > 0);
            if let Some(dropped) = queue.remove(position) {
                self.forget(dropped, Drop::SendBufferFull);
            }
        }
    }

    /// The next datagram, if the pacer lets one go. Sound is not held back by pictures.
    pub fn poll_datagram(&mut self, now: Timestamp) -> Option<Bytes> {
        let queue = if !self.sound.is_empty() {
            &mut self.sound
        } else if self.pacer.ready(now) {
            &mut self.pictures
        } else {
            return None;
        };
        let outgoing = queue.front_mut()?;
        let range = outgoing.header.slice_range(outgoing.next_packet)?;
        let packet = Packet {
            hop: HopHeader {
                stream: outgoing.stream,
                sequence: self.sequence,
                index: outgoing.next_packet,
                retransmission: false,
                dropped: None,
                sent_after_us: packetise::stamp_us(outgoing.captured, now),
                relayed: None,
            },
            frame: outgoing.header.clone(),
            payload: &outgoing.sealed[range.clone()],
        };
        let datagram = Bytes::from(packet.encode());
        let size = DataSize::of(&datagram);
        self.queued = self.queued.saturating_sub(range.len() as u64);
        self.pacer.sent(size, now);
        self.log.sent(self.sequence, size, now);
        self.sequence = self.sequence.wrapping_add(1);
        outgoing.next_packet += 1;
        if outgoing.next_packet == outgoing.header.packets
            && let Some(mut done) = queue.pop_front()
        {
            done.record.sent_ns = Some(now.as_nanos());
            done.record.end(Fate::Sent);
        }
        Some(datagram)
    }

    /// When [`Self::poll_datagram`] next has something, if anything waits.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let waiting = !self.pictures.is_empty() || !self.sound.is_empty();
        waiting.then(|| if self.sound.is_empty() { self.pacer.next_send() } else { Timestamp::ZERO })
    }

    /// Whether another picture may be encoded now.
    pub fn may_encode(&mut self, now: Timestamp) -> bool {
        self.rate.may_encode(now, DataSize::from_bytes(self.queued))
    }

    /// Whether `stream` is the relay's number for this device's stream `index`.
    pub fn sends(&self, index: u8, stream: StreamId) -> bool {
        self.streams.contains(&(index, stream))
    }

    /// The relay tells what arrived.
    pub fn handle_feedback(&mut self, feedback: &Feedback, now: Timestamp) {
        self.log.handle_feedback(feedback, now);
    }

    fn forget(&mut self, frame: Outgoing, cause: Drop) {
        let sent = frame.header.slice_range(frame.next_packet).map_or(frame.sealed.len(), |range| range.start);
        self.queued = self.queued.saturating_sub((frame.sealed.len() - sent) as u64);
        frame.record.end(Fate::Dropped(cause));
    }
}

/// A local time in the relay's, cut to the whole microseconds that travel. Before the first clock answer, which comes
/// long before anybody can have accepted a call, local time stands in.
fn relay_time(clocks: &ClockSync, local: Timestamp) -> Timestamp {
    Timestamp::from_micros(clocks.to_relay(local).unwrap_or(local).as_micros())
}
