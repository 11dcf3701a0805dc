//! Slices to frames of one incoming stream, each frame number with exactly one fate: delivered, or given up with a cause.
//!
//! ```text
//! packet -> its frame's slot -> whole and all references delivered? -> poll_frame
//!                            -> overtaken and past its hold, or announced as dropped, or what it needs is gone -> poll_loss
//! ```
//!
//! Pictures are delivered in order but never wait for a frame that they do not need: a whole frame whose references
//! were delivered goes out at once, and what lies before it and is not whole is given up, since it could only be shown
//! late. A frame that needs an earlier one is held until that one is whole or given up. Sound has no references and is
//! delivered as it comes; the playout buffer puts it in order.
//!
//! Drain [`Reassembler::poll_frame`] and [`Reassembler::poll_loss`] after every input.

mod loss;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use self::loss::{Reports, frame_number};
use crate::{
    time::Timestamp,
    wire::media::{FrameHeader, MAX_FRAME_BYTES, MAX_PACKETS, Packet, RelayStamp},
};

pub use self::loss::{LossCause, LostFrames};

/// How far behind the newest frame one may still be undecided, in frame numbers. More than a second of video.
const WINDOW: u64 = 64;

/// How many fates are remembered, to resolve references: 34 s at 30 frames per second, longer than a sender keeps a
/// long-term reference without marking a new one.
const HISTORY: usize = 1_024;

/// Limits and patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How long an overtaken frame may take to become whole: from the first packet of a later frame, or from its own
    /// last packet if that is later.
    pub hold: Duration,
    /// Deliver in ascending order only.
    pub ordered: bool,
    /// Most frames in flight, whole ones that are held among them. Beyond it the oldest is given up.
    pub max_frames: usize,
    /// Most bytes of frames in flight. Beyond it the oldest is given up.
    pub max_bytes: usize,
}

impl Config {
    /// For pictures. The hold is two frames at 30 per second: it covers reordering, and a retransmission on a hop of
    /// up to about 50 ms; waiting longer freezes the picture for longer than recovery would take. 32 frames are a
    /// second; 4 MiB are a hundred keyframes of 40 kB.
    pub const VIDEO: Self =
        Self { hold: Duration::from_millis(66), ordered: true, max_frames: 32, max_bytes: 4 << 20 };

    /// For sound: whole in one packet, so there is nothing to hold; a frame that has not come after the longest delay
    /// that playout ever grows to is lost. 64 frames are 640 ms, and a frame of Opus has at most 1,275 bytes.
    pub const AUDIO: Self =
        Self { hold: Duration::from_millis(500), ordered: false, max_frames: 64, max_bytes: 256 << 10 };
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Kept.
    Stored,
    /// Came before.
    Duplicate,
    /// Its frame has been given up.
    Late,
    /// Disagrees with the packets of its frame that came before, or with itself.
    Refused,
    /// Its frame was given up just now: it needs one that is gone, or there is no room for it.
    Unusable,
    /// Parity, which this version cannot use.
    Parity,
}

/// A whole frame, still sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedFrame {
    /// The immutable header.
    pub header: FrameHeader,
    /// The sealed frame, [`FrameHeader::bytes`] long.
    pub payload: Vec<u8>,
    /// When its first packet came.
    pub first_received: Timestamp,
    /// When the packet came that made it whole.
    pub received: Timestamp,
    /// The largest of its packets' microseconds from capture to the first sender's socket.
    pub sent_after_us: u32,
    /// When the packet that made it whole passed the relay.
    pub relayed: Option<RelayStamp>,
    /// Packets of it that came more than once before it was whole.
    pub duplicates: u32,
    /// Packets of it that came as retransmissions.
    pub retransmitted: u32,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Packets kept.
    pub stored: u64,
    /// Packets that came before.
    pub duplicates: u64,
    /// Packets of frames that had been given up.
    pub late: u64,
    /// Packets that disagree with others or with themselves.
    pub refused: u64,
    /// Packets of parity.
    pub parity: u64,
    /// Frames delivered.
    pub delivered: u64,
    /// Frames of which too little came in time, or which were overtaken.
    pub lost: u64,
    /// Frames that the hop's sender dropped on purpose.
    pub dropped_by_hop: u64,
    /// Frames that needed one that is gone.
    pub reference_missing: u64,
    /// Frames given up for want of room.
    pub overflow: u64,
    /// Loss reports that nobody fetched in time.
    pub reports_dropped: u64,
}

/// Puts one incoming stream together.
#[derive(Debug)]
pub struct Reassembler {
    config: Config,
    /// Number of the first slot. Frame numbers are widened so that arithmetic cannot overflow.
    base: u64,
    /// Fates from `base` on; at most [`HISTORY`].
    slots: VecDeque<Slot>,
    /// No slot below this number is undecided.
    floor: u64,
    /// Frames whose slot is in flight.
    frames: BTreeMap<u64, Partial>,
    bytes: usize,
    losses: Reports,
    stats: Stats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Nothing of it came, and a later frame's packet did at this time.
    Missing(Timestamp),
    InFlight,
    Delivered,
    /// Given up, because of the frame named.
    Gone(u64),
}

#[derive(Debug)]
struct Partial {
    header: FrameHeader,
    payload: Vec<u8>,
    arrived: Vec<bool>,
    missing: u16,
    first_received: Timestamp,
    last_received: Timestamp,
    /// When the first packet of a later frame came.
    overtaken: Option<Timestamp>,
    sent_after_us: u32,
    relayed: Option<RelayStamp>,
    duplicates: u32,
    retransmitted: u32,
}

impl Reassembler {
    /// An empty one.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            base: 0,
            slots: VecDeque::new(),
            floor: 0,
            frames: BTreeMap::new(),
            bytes: 0,
            losses: Reports::default(),
            stats: Stats::default(),
        }
    }

    /// Changes the patience, for instance with the hop's round trip.
    pub const fn set_hold(&mut self, hold: Duration) {
        self.config.hold = hold;
    }

    /// A packet of this stream came.
    pub fn handle_packet(&mut self, packet: &Packet<'_>, now: Timestamp) -> Outcome {
        let outcome = self.place(packet, now);
        let counter = match outcome {
            Outcome::Stored => &mut self.stats.stored,
            Outcome::Duplicate => &mut self.stats.duplicates,
            Outcome::Late | Outcome::Unusable => &mut self.stats.late,
            Outcome::Refused => &mut self.stats.refused,
            Outcome::Parity => &mut self.stats.parity,
        };
        *counter += 1;
        outcome
    }

    /// Gives up what is past its hold.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        for number in self.floor..self.end() {
            if self.deadline(number).is_some_and(|deadline| deadline <= now) {
                self.give_up(number, LossCause::Lost, true);
            }
        }
        self.settle();
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        (self.floor..self.end()).filter_map(|number| self.deadline(number)).min()
    }

    /// The next frame that can go out.
    pub fn poll_frame(&mut self) -> Option<ReceivedFrame> {
        let deliverable = |frame: &Partial| {
            frame.missing == 0 && needs(&frame.header).all(|number| self.slot(number) == Slot::Delivered)
        };
        let number = *self.frames.iter().find(|(_, frame)| deliverable(frame))?.0;
        let frame = self.frames.remove(&number)?;
        self.bytes -= frame.payload.len();
        self.set(number, Slot::Delivered);
        self.stats.delivered += 1;
        if self.config.ordered {
            for earlier in self.floor..number {
                let cause = if self.frames.contains_key(&earlier) { LossCause::Late } else { LossCause::Lost };
                self.give_up(earlier, cause, false);
            }
        }
        self.settle();
        Some(ReceivedFrame {
            header: frame.header,
            payload: frame.payload,
            first_received: frame.first_received,
            received: frame.last_received,
            sent_after_us: frame.sent_after_us,
            relayed: frame.relayed,
            duplicates: frame.duplicates,
            retransmitted: frame.retransmitted,
        })
    }

    /// The next frames that were given up. Ranges come in the order of giving up, and do not overlap.
    pub fn poll_loss(&mut self) -> Option<LostFrames> {
        self.losses.pop()
    }

    /// Counts since the start.
    pub const fn stats(&self) -> Stats {
        Stats { reports_dropped: self.losses.dropped(), ..self.stats }
    }

    /// Frames in flight and their bytes.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.frames.len(), self.bytes)
    }

    fn place(&mut self, packet: &Packet<'_>, now: Timestamp) -> Outcome {
        let header = &packet.frame;
        let number = u64::from(header.number.0);
        let sound = (1..=MAX_FRAME_BYTES).contains(&header.bytes) && (1..=MAX_PACKETS).contains(&header.packets);
        if !sound || self.frames.get(&number).is_some_and(|frame| frame.header != *header) {
            return Outcome::Refused;
        }
        self.extend_to(number, now);
        self.announce(packet);
        self.frames.range_mut(..number).for_each(|(_, frame)| {
            frame.overtaken.get_or_insert(now);
        });
        let outcome = self.store(packet, number, now);
        self.settle();
        outcome
    }

    fn store(&mut self, packet: &Packet<'_>, number: u64, now: Timestamp) -> Outcome {
        let header = &packet.frame;
        match self.slot(number) {
            Slot::Delivered => return Outcome::Duplicate,
            Slot::Gone(_) => return Outcome::Late,
            Slot::Missing(_) | Slot::InFlight => {}
        }
        let Some(range) = header.slice_range(packet.hop.index) else {
            return Outcome::Parity;
        };
        if range.len() != packet.payload.len() {
            return Outcome::Refused;
        }
        if !self.frames.contains_key(&number) && !self.open(header, number, now) {
            return Outcome::Unusable;
        }
        let Some(frame) = self.frames.get_mut(&number) else {
            return Outcome::Unusable;
        };
        let arrived = &mut frame.arrived[usize::from(packet.hop.index)];
        if std::mem::replace(arrived, true) {
            frame.duplicates += 1;
            return Outcome::Duplicate;
        }
        frame.payload[range].copy_from_slice(packet.payload);
        frame.missing -= 1;
        frame.last_received = now;
        frame.sent_after_us = frame.sent_after_us.max(packet.hop.sent_after_us);
        frame.relayed = packet.hop.relayed;
        frame.retransmitted += u32::from(packet.hop.retransmission);
        Outcome::Stored
    }

    /// Makes room for a frame and puts it in flight; false if it was given up instead.
    fn open(&mut self, header: &FrameHeader, number: u64, now: Timestamp) -> bool {
        if let Some(root) = self.missing_root(header) {
            self.give_up(number, LossCause::ReferenceMissing(frame_number(root)), true);
            return false;
        }
        let bytes = header.bytes as usize;
        while self.frames.len() >= self.config.max_frames || self.bytes + bytes > self.config.max_bytes {
            match self.frames.first_key_value() {
                Some((&oldest, _)) if oldest < number => self.give_up(oldest, LossCause::Overflow, true),
                _ => {
                    self.give_up(number, LossCause::Overflow, !header.discardable);
                    return false;
                }
            }
        }
        let overtaken = (number + 1 < self.end()).then_some(now);
        self.bytes += bytes;
        self.set(number, Slot::InFlight);
        self.frames.insert(
            number,
            Partial {
                header: header.clone(),
                payload: vec![0; bytes],
                arrived: vec![false; usize::from(header.packets)],
                missing: header.packets,
                first_received: now,
                last_received: now,
                overtaken,
                sent_after_us: 0,
                relayed: None,
                duplicates: 0,
                retransmitted: 0,
            },
        );
        true
    }

    /// Takes note that every frame up to `number` exists.
    fn extend_to(&mut self, number: u64, now: Timestamp) {
        if self.slots.is_empty() {
            // Streams start at 0 and the first packets may come out of order; of a stream that is joined later nothing
            // before its first packet is owed.
            self.base = if number < WINDOW { 0 } else { number };
            self.floor = self.base;
        }
        let end = self.end();
        if number < end {
            return;
        }
        let settled = number.saturating_sub(WINDOW);
        (self.floor..end.min(settled)).for_each(|earlier| self.give_up(earlier, LossCause::Lost, true));
        if end < settled {
            self.losses.add(end, settled - 1, LossCause::Lost, false);
            self.stats.lost += settled - end;
            if settled - end >= HISTORY as u64 {
                self.slots.clear();
                self.base = settled;
            } else {
                self.slots.extend((end..settled).map(Slot::Gone));
            }
        }
        self.floor = self.floor.max(settled);
        let end = self.end();
        self.slots.extend((end..=number).map(|_| Slot::Missing(now)));
        while self.slots.len() > HISTORY {
            self.slots.pop_front();
            self.base += 1;
        }
    }

    /// Gives up what the hop's sender says it dropped before this packet; what is whole all the same is kept.
    fn announce(&mut self, packet: &Packet<'_>) {
        let Some((first, last)) = packet.hop.dropped else {
            return;
        };
        let end = (u64::from(last.0) + 1).min(u64::from(packet.frame.number.0));
        for number in u64::from(first.0).max(self.floor)..end {
            if self.frames.get(&number).is_none_or(|frame| frame.missing > 0) {
                self.give_up(number, LossCause::DroppedByHop, true);
            }
        }
    }

    /// Gives up every frame in flight that needs one that is gone, and moves the floor.
    fn settle(&mut self) {
        // Ascending, and references point back, so that one pass follows every chain.
        let mut from = 0;
        loop {
            let broken = self
                .frames
                .range(from..)
                .find_map(|(&number, frame)| self.missing_root(&frame.header).map(|root| (number, root)));
            let Some((number, root)) = broken else { break };
            self.give_up(number, LossCause::ReferenceMissing(frame_number(root)), true);
            from = number + 1;
        }
        while self.floor < self.end() && matches!(self.slot(self.floor), Slot::Delivered | Slot::Gone(_)) {
            self.floor += 1;
        }
    }

    /// Decides an undecided frame against it. `needed` counts only for frames known not to be discardable.
    fn give_up(&mut self, number: u64, cause: LossCause, needed: bool) {
        if !matches!(self.slot(number), Slot::Missing(_) | Slot::InFlight) {
            return;
        }
        let reference_missing = matches!(cause, LossCause::ReferenceMissing(_));
        let frame = self.frames.remove(&number);
        let needed = needed && (reference_missing || frame.as_ref().is_some_and(|frame| !frame.header.discardable));
        self.bytes -= frame.map_or(0, |frame| frame.payload.len());
        let (root, counter) = match cause {
            LossCause::Lost | LossCause::Late => (number, &mut self.stats.lost),
            LossCause::DroppedByHop => (number, &mut self.stats.dropped_by_hop),
            LossCause::ReferenceMissing(root) => (u64::from(root.0), &mut self.stats.reference_missing),
            LossCause::Overflow => (number, &mut self.stats.overflow),
        };
        *counter += 1;
        self.set(number, Slot::Gone(root));
        self.losses.add(number, number, cause, needed);
    }

    /// When an undecided frame is given up.
    fn deadline(&self, number: u64) -> Option<Timestamp> {
        match self.slot(number) {
            Slot::Missing(since) => Some(since + self.config.hold),
            Slot::InFlight => {
                let frame = self.frames.get(&number).filter(|frame| frame.missing > 0)?;
                Some(frame.overtaken?.max(frame.last_received) + self.config.hold)
            }
            Slot::Delivered | Slot::Gone(_) => None,
        }
    }

    /// The frame because of which a frame with this header can never be decoded.
    fn missing_root(&self, header: &FrameHeader) -> Option<u64> {
        let own = u64::from(header.number.0);
        needs(header).find_map(|number| match self.slot(number) {
            Slot::Gone(root) => Some(root),
            _ => (number == own).then_some(own),
        })
    }

    fn slot(&self, number: u64) -> Slot {
        match number.checked_sub(self.base) {
            None => Slot::Gone(number),
            Some(index) => self.slots.get(index as usize).copied().unwrap_or(Slot::Gone(number)),
        }
    }

    fn set(&mut self, number: u64, slot: Slot) {
        if let Some(entry) = number.checked_sub(self.base).and_then(|index| self.slots.get_mut(index as usize)) {
            *entry = slot;
        }
    }

    /// One beyond the newest frame known to exist.
    fn end(&self) -> u64 {
        self.base + self.slots.len() as u64
    }
}

/// The frames that a frame refers to; itself for one before the stream's beginning, which can never be had.
fn needs(header: &FrameHeader) -> impl Iterator<Item = u64> + '_ {
    let referred = (!header.key).then(|| header.referred());
    referred.into_iter().flatten().map(|number| u64::from(number.unwrap_or(header.number).0))
}

#[cfg(test)]
mod tests;
