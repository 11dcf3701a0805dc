//! The two headers of a media datagram.
//!
//! ```text
//! kind | hop part: rewritten at each hop | end-to-end part: immutable, the seal's associated data | slice of the frame
//! ```
//!
//! The end-to-end part is the same in every packet of a frame, so a relay needs no memory to forward a packet, and
//! a receiver can start a frame with any of its packets. Numbers are QUIC varints in shortest form, which makes the
//! encoding canonical: what was decoded encodes to the same bytes, so it can be authenticated after re-encoding.

use bytes::{Buf, BufMut};

use super::{
    DecodeError,
    datagram::{MAX_MEDIA_BYTES, kind},
    timestamp, varint,
};
use crate::{
    ids::{FrameNumber, StreamId},
    time::Timestamp,
};

/// Most bytes of one sealed frame. A 1080p keyframe at the finest quantiser stays below it.
pub const MAX_FRAME_BYTES: u32 = 1 << 20;

/// Most packets that one frame may be cut into.
pub const MAX_PACKETS: u16 = 1_024;

/// Most frames that one frame may refer to.
pub const MAX_REFERENCES: usize = 4;

/// One media datagram, with a view of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the relay rewrites.
    pub hop: HopHeader,
    /// What it may only read.
    pub frame: FrameHeader,
    /// The slice of the sealed frame, or parity.
    pub payload: &'a [u8],
}

/// The part that is rewritten at each hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopHeader {
    /// The relay's number for the stream.
    pub stream: StreamId,
    /// Counts every media packet of this hop, over all streams; wraps.
    pub sequence: u32,
    /// Which packet of the frame: below [`FrameHeader::packets`] a slice of it, from there on parity.
    pub index: u16,
    /// Sent again after a loss on this hop.
    pub retransmission: bool,
    /// Frames of this stream, first and last, that this hop's sender dropped on purpose just before this one.
    pub dropped: Option<(FrameNumber, FrameNumber)>,
    /// Microseconds from capture to the moment the first sender handed this packet to its socket.
    pub sent_after_us: u32,
    /// Microseconds from capture to the relay's receipt and to its forwarding; absent before the relay.
    pub relayed: Option<RelayStamp>,
}

/// When a packet passed the relay, in microseconds after capture by the relay's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayStamp {
    /// Taken from the relay's socket.
    pub received_after_us: u32,
    /// Microseconds that it stayed in the relay.
    pub held_us: u32,
}

/// The end-to-end part: written once by the sender's encoder side, covered by the seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// The sender's own index of the stream (0 to 15).
    pub stream_index: u8,
    /// Sound rather than picture.
    pub audio: bool,
    /// Decodes on its own.
    pub key: bool,
    /// From here on the stream decodes, given the frames in `references`.
    pub recovery_point: bool,
    /// No later frame refers to this one.
    pub discardable: bool,
    /// Temporal layer, 0 the base (0 to 3).
    pub layer: u8,
    /// Count of encoded frames.
    pub number: FrameNumber,
    /// The frames this one refers to, as distances back from it (1 the one before).
    pub references: References,
    /// When the picture or sound was captured, in the relay's time as the sender estimates it; whole microseconds.
    pub capture_time: Timestamp,
    /// Count of captured pictures or sound blocks, with gaps where one was not encoded.
    pub capture_number: u32,
    /// Microseconds from capture to the end of encoding.
    pub encoded_after_us: u32,
    /// Bytes of the whole sealed frame (1 to [`MAX_FRAME_BYTES`]).
    pub bytes: u32,
    /// Slices it is cut into (1 to [`MAX_PACKETS`]), all equal but a shorter last one.
    pub packets: u16,
}

/// Up to [`MAX_REFERENCES`] distances back to frames that a frame needs.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct References {
    distances: [u32; MAX_REFERENCES],
    count: u8,
}

impl References {
    /// A frame that needs no other.
    pub const NONE: Self = Self { distances: [0; MAX_REFERENCES], count: 0 };

    /// From distances back (each 1 or more); `None` if there are too many or one is 0.
    pub fn from_distances(distances: &[u32]) -> Option<Self> {
        let mut references = Self::NONE;
        if distances.len() > MAX_REFERENCES || distances.contains(&0) {
            return None;
        }
        references.distances[..distances.len()].copy_from_slice(distances);
        references.count = distances.len() as u8;
        Some(references)
    }

    /// The distances back.
    pub fn distances(&self) -> &[u32] {
        &self.distances[..usize::from(self.count)]
    }
}

impl std::fmt::Debug for References {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.distances()).finish()
    }
}

/// Bits of the hop flags byte.
mod hop_flag {
    pub const RETRANSMISSION: u8 = 0x01;
    pub const DROPPED: u8 = 0x02;
    pub const RELAYED: u8 = 0x04;
    pub const ALL: u8 = RETRANSMISSION | DROPPED | RELAYED;
}

/// Bits of the two end-to-end flag bytes.
mod frame_flag {
    pub const AUDIO: u8 = 0x10;
    pub const KEY: u8 = 0x20;
    pub const RECOVERY_POINT: u8 = 0x40;
    pub const DISCARDABLE: u8 = 0x80;
    pub const STREAM_INDEX: u8 = 0x0f;
    pub const LAYER: u8 = 0x03;
    pub const REFERENCES_SHIFT: u8 = 2;
}

impl FrameHeader {
    /// Bytes of every slice but the last, which may be shorter.
    pub fn slice_bytes(&self) -> usize {
        (self.bytes as usize).div_ceil(usize::from(self.packets.max(1)))
    }

    /// Where slice `index` lies in the frame; `None` from [`Self::packets`] on.
    pub fn slice_range(&self, index: u16) -> Option<std::ops::Range<usize>> {
        if index >= self.packets {
            return None;
        }
        let size = self.slice_bytes();
        let start = (usize::from(index) * size).min(self.bytes as usize);
        Some(start..(start + size).min(self.bytes as usize))
    }

    /// The numbers of the frames this one refers to. A reference before frame 0 is `None`.
    pub fn referred(&self) -> impl Iterator<Item = Option<FrameNumber>> + '_ {
        self.references.distances().iter().map(|&distance| self.number.back(distance))
    }

    /// Appends the canonical bytes, which are also the seal's associated data.
    pub fn encode(&self, out: &mut impl BufMut) {
        let mut first = self.stream_index & frame_flag::STREAM_INDEX;
        for (set, bit) in [
            (self.audio, frame_flag::AUDIO),
            (self.key, frame_flag::KEY),
            (self.recovery_point, frame_flag::RECOVERY_POINT),
            (self.discardable, frame_flag::DISCARDABLE),
        ] {
            first |= if set { bit } else { 0 };
        }
        out.put_u8(first);
        out.put_u8(self.layer & frame_flag::LAYER | self.references.count << frame_flag::REFERENCES_SHIFT);
        varint::write(out, u64::from(self.number.0));
        for &distance in self.references.distances() {
            varint::write(out, u64::from(distance));
        }
        varint::write(out, self.capture_time.as_micros());
        varint::write(out, u64::from(self.capture_number));
        varint::write(out, u64::from(self.encoded_after_us));
        varint::write(out, u64::from(self.bytes));
        varint::write(out, u64::from(self.packets));
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        if input.remaining() < 2 {
            return Err(DecodeError::Truncated);
        }
        let first = input.get_u8();
        let second = input.get_u8();
        let reference_count = usize::from(second >> frame_flag::REFERENCES_SHIFT);
        if reference_count > MAX_REFERENCES {
            return Err(DecodeError::OutOfRange("reference count"));
        }
        let number = FrameNumber(varint::read_u32(input, "frame number")?);
        let mut distances = [0; MAX_REFERENCES];
        for distance in &mut distances[..reference_count] {
            *distance = varint::read_u32(input, "reference")?;
        }
        let header = Self {
            stream_index: first & frame_flag::STREAM_INDEX,
            audio: first & frame_flag::AUDIO != 0,
            key: first & frame_flag::KEY != 0,
            recovery_point: first & frame_flag::RECOVERY_POINT != 0,
            discardable: first & frame_flag::DISCARDABLE != 0,
            layer: second & frame_flag::LAYER,
            number,
            references: References::from_distances(&distances[..reference_count])
                .ok_or(DecodeError::OutOfRange("reference"))?,
            capture_time: timestamp(varint::read(input)?)?,
            capture_number: varint::read_u32(input, "capture number")?,
            encoded_after_us: varint::read_u32(input, "encode time")?,
            bytes: varint::read_u32(input, "frame bytes")?,
            packets: u16::try_from(varint::read(input)?).map_err(|_| DecodeError::OutOfRange("packets"))?,
        };
        header.check()?;
        Ok(header)
    }

    /// Bounds that keep a receiver's memory small and its arithmetic safe.
    fn check(&self) -> Result<(), DecodeError> {
        if self.bytes == 0 || self.bytes > MAX_FRAME_BYTES {
            return Err(DecodeError::OutOfRange("frame bytes"));
        }
        // Every slice holds at least one byte, also the last.
        let slices = u32::from(self.packets);
        if slices == 0 || self.packets > MAX_PACKETS || (slices - 1) * self.slice_bytes() as u32 >= self.bytes {
            return Err(DecodeError::OutOfRange("packets"));
        }
        if self.slice_bytes() > MAX_MEDIA_BYTES {
            return Err(DecodeError::OutOfRange("slice bytes"));
        }
        if self.key && self.references.count != 0 {
            return Err(DecodeError::OutOfRange("references of a keyframe"));
        }
        Ok(())
    }
}

impl HopHeader {
    fn encode(&self, out: &mut impl BufMut) {
        let mut flags = 0;
        flags |= if self.retransmission { hop_flag::RETRANSMISSION } else { 0 };
        flags |= if self.dropped.is_some() { hop_flag::DROPPED } else { 0 };
        flags |= if self.relayed.is_some() { hop_flag::RELAYED } else { 0 };
        out.put_u8(flags);
        varint::write(out, u64::from(self.stream.0));
        out.put_u32(self.sequence);
        varint::write(out, u64::from(self.index));
        if let Some((first, last)) = self.dropped {
            varint::write(out, u64::from(first.0));
            varint::write(out, u64::from(last.0.saturating_sub(first.0)));
        }
        varint::write(out, u64::from(self.sent_after_us));
        if let Some(stamp) = self.relayed {
            varint::write(out, u64::from(stamp.received_after_us));
            varint::write(out, u64::from(stamp.held_us));
        }
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        if !input.has_remaining() {
            return Err(DecodeError::Truncated);
        }
        let flags = input.get_u8();
        if flags & !hop_flag::ALL != 0 {
            return Err(DecodeError::Unknown(flags));
        }
        let stream = StreamId(varint::read_u32(input, "stream")?);
        if input.remaining() < 4 {
            return Err(DecodeError::Truncated);
        }
        let sequence = input.get_u32();
        let index = u16::try_from(varint::read(input)?).map_err(|_| DecodeError::OutOfRange("packet index"))?;
        let dropped = if flags & hop_flag::DROPPED != 0 {
            let first = varint::read_u32(input, "dropped frames")?;
            let more = varint::read_u32(input, "dropped frames")?;
            let last = first.checked_add(more).ok_or(DecodeError::OutOfRange("dropped frames"))?;
            Some((FrameNumber(first), FrameNumber(last)))
        } else {
            None
        };
        let sent_after_us = varint::read_u32(input, "send time")?;
        let relayed = if flags & hop_flag::RELAYED != 0 {
            Some(RelayStamp {
                received_after_us: varint::read_u32(input, "relay time")?,
                held_us: varint::read_u32(input, "relay time")?,
            })
        } else {
            None
        };
        let retransmission = flags & hop_flag::RETRANSMISSION != 0;
        Ok(Self { stream, sequence, index, retransmission, dropped, sent_after_us, relayed })
    }
}

impl<'a> Packet<'a> {
    /// The whole datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_MEDIA_BYTES.max(64 + self.payload.len()));
        out.put_u8(kind::MEDIA);
        self.hop.encode(&mut out);
        self.frame.encode(&mut out);
        out.put_slice(self.payload);
        out
    }

    /// Decodes a datagram whose first byte says media.
    ///
    /// # Errors
    ///
    /// Any [`DecodeError`]; in particular a payload that is not exactly the slice that the headers promise. Parity
    /// is as long as a full slice.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = match bytes.split_first() {
            Some((&kind::MEDIA, rest)) => rest,
            Some((&other, _)) => return Err(DecodeError::Unknown(other)),
            None => return Err(DecodeError::Truncated),
        };
        let hop = HopHeader::decode(&mut input)?;
        let frame = FrameHeader::decode(&mut input)?;
        let expected = frame.slice_range(hop.index).map_or(frame.slice_bytes(), |range| range.len());
        match input.len() {
            length if length < expected => Err(DecodeError::Truncated),
            length if length > expected => Err(DecodeError::Trailing(length - expected)),
            _ => Ok(Self { hop, frame, payload: input }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> (HopHeader, FrameHeader) {
        let hop = HopHeader {
            stream: StreamId(5),
            sequence: 0x0102_0304,
            index: 1,
            retransmission: false,
            dropped: Some((FrameNumber(3), FrameNumber(4))),
            sent_after_us: 9_000,
            relayed: Some(RelayStamp { received_after_us: 10_000, held_us: 40 }),
        };
        let frame = FrameHeader {
            stream_index: 1,
            audio: false,
            key: false,
            recovery_point: true,
            discardable: false,
            layer: 1,
            number: FrameNumber(6),
            references: References::from_distances(&[1, 2]).expect("two distances"),
            capture_time: Timestamp::from_micros(1_700_000_000_000_000),
            capture_number: 8,
            encoded_after_us: 6_000,
            bytes: 5,
            packets: 2,
        };
        (hop, frame)
    }

    #[test]
    fn golden_bytes() {
        let (hop, frame) = example();
        let packet = Packet { hop, frame, payload: &[0xaa, 0xbb] };
        let bytes = packet.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0106050102030401030163286710284109060102c0060a24181e40000857700502aabb");
        assert_eq!(Packet::decode(&bytes), Ok(packet));
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        let (hop, frame) = example();
        let encode = |hop: HopHeader, frame: FrameHeader, payload: &[u8]| Packet { hop, frame, payload }.encode();
        let good = encode(hop, frame.clone(), &[1, 2]);
        for length in 0..good.len() {
            assert!(Packet::decode(&good[..length]).is_err(), "cut to {length}");
        }
        let long = encode(hop, frame.clone(), &[1, 2, 3]);
        assert_eq!(Packet::decode(&long), Err(DecodeError::Trailing(1)));
        for (bytes, packets) in [(0, 1), (5, 0), (5, 6), (MAX_FRAME_BYTES + 1, 1), (3_000, 1)] {
            let frame = FrameHeader { bytes, packets, ..frame.clone() };
            assert!(Packet::decode(&encode(hop, frame, &[1, 2])).is_err(), "{bytes} bytes in {packets}");
        }
        let key = FrameHeader { key: true, ..frame };
        assert_eq!(
            Packet::decode(&encode(hop, key, &[1, 2])),
            Err(DecodeError::OutOfRange("references of a keyframe"))
        );
    }

    #[test]
    fn a_capture_time_beyond_what_is_kept_is_refused() {
        let (hop, frame) = example();
        let bytes = Packet { hop, frame, payload: &[1, 2] }.encode();
        let at = bytes.windows(8).position(|window| window == [0xc0, 0x06, 0x0a, 0x24, 0x18, 0x1e, 0x40, 0x00]);
        let mut late = bytes.clone();
        late[at.expect("the capture time")] = 0xff;
        assert_eq!(Packet::decode(&late), Err(DecodeError::OutOfRange("time")));
    }

    prop_compose! {
        fn any_packet()(
            stream in any::<u32>(), sequence in any::<u32>(), retransmission in any::<bool>(),
            dropped in proptest::option::of((0..u32::MAX / 2, 0..1000u32)), sent_after_us in 0..u32::MAX,
            relayed in proptest::option::of((any::<u32>(), any::<u32>())), flags in any::<[bool; 4]>(),
            stream_index in 0..16u8, layer in 0..4u8, number in any::<u32>(),
            distances in proptest::collection::vec(1..u32::MAX, 0..=MAX_REFERENCES),
            capture_us in 0..=varint::MAX / 1000, capture_number in any::<u32>(), encoded_after_us in any::<u32>(),
            bytes in 1..200_000u32, parity in any::<bool>(), pick in any::<proptest::sample::Index>(),
        ) -> (HopHeader, FrameHeader) {
            let packets = (bytes as usize).div_ceil(1_000);
            let packets = (bytes as usize).div_ceil((bytes as usize).div_ceil(packets)) as u16;
            let index = if parity { packets } else { pick.index(usize::from(packets)) as u16 };
            let key = flags[1];
            let hop = HopHeader {
                stream: StreamId(stream), sequence, index, retransmission,
                dropped: dropped.map(|(first, more)| (FrameNumber(first), FrameNumber(first + more))),
                sent_after_us,
                relayed: relayed.map(|(received_after_us, held_us)| RelayStamp { received_after_us, held_us }),
            };
            let frame = FrameHeader {
                stream_index, audio: flags[0], key, recovery_point: flags[2], discardable: flags[3], layer,
                number: FrameNumber(number),
                references: if key { References::NONE } else { References::from_distances(&distances).unwrap() },
                capture_time: Timestamp::from_micros(capture_us), capture_number, encoded_after_us, bytes, packets,
            };
            (hop, frame)
        }
    }

    proptest! {
        #[test]
        fn round_trip((hop, frame) in any_packet()) {
            let length = frame.slice_range(hop.index).map_or(frame.slice_bytes(), |range| range.len());
            let payload = vec![0x5a; length];
            let packet = Packet { hop, frame, payload: &payload };
            let bytes = packet.encode();
            prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_decode_canonically(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() { *first = kind::MEDIA; }
            if let Ok(packet) = Packet::decode(&bytes) {
                prop_assert_eq!(packet.encode(), bytes);
            }
        }
    }
}
