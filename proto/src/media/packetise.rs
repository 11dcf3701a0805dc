//! A sealed frame to equal slices.
//!
//! The number of slices is part of the frame's header, which is the seal's associated data, so it is fixed first:
//! [`slices`] before sealing, [`packets`] after.

use std::time::Duration;

use crate::{
    time::Timestamp,
    wire::{datagram::MAX_MEDIA_BYTES, media::FrameHeader},
};

/// Most microseconds that a stamp in a header says; longer times are clamped to it. It is the most that a varint
/// carries in four bytes, a quarter of an hour, and what [`MAX_HEADER_BYTES`] counts on.
pub const MAX_STAMP_US: u32 = (1 << 30) - 1;

/// Most bytes of a datagram's headers, given that stamps are clamped by [`stamp_us`]. Streams, frame numbers and
/// reference distances stay below 2^30 as well: a stream of 60 frames per second takes 200 days to get there.
///
/// | part | bytes |
/// |---|---|
/// | kind | 1 |
/// | hop: flags, stream, sequence, index, dropped, sent, relayed | 1 + 4 + 4 + 2 + (4 + 4) + 4 + (4 + 4) |
/// | frame: flags, number, references, capture time and number, encoded, bytes, packets | 2 + 4 + 16 + (8 + 4) + 4 + 4 + 2 |
pub const MAX_HEADER_BYTES: usize = 1 + 31 + 44;

/// Most bytes of one slice.
pub const MAX_SLICE_BYTES: usize = MAX_MEDIA_BYTES - MAX_HEADER_BYTES;

/// How many equal slices a sealed frame of `bytes` is cut into: as few as fit [`MAX_SLICE_BYTES`] each, and 1 for an
/// empty frame. A frame of sound always fits one.
pub const fn slices(bytes: u32) -> u16 {
    let bytes = bytes as usize;
    if bytes == 0 {
        return 1;
    }
    // Equal slices may need one fewer than the largest would suggest, and the last must not be empty.
    let slice = bytes.div_ceil(bytes.div_ceil(MAX_SLICE_BYTES));
    let count = bytes.div_ceil(slice);
    if count > u16::MAX as usize { u16::MAX } else { count as u16 }
}

/// The slices of a sealed frame with their packet index, in order. `sealed` is as long as the header says; what is
/// missing of it is left out.
pub fn packets<'a>(header: &FrameHeader, sealed: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
    debug_assert_eq!(header.bytes as usize, sealed.len(), "the header counts the sealed frame");
    let slice = header.slice_bytes().max(1);
    (0..header.packets).zip(sealed.chunks(slice))
}

/// Microseconds from `since` to `now` as headers carry them: 0 where `since` lies ahead, at most [`MAX_STAMP_US`].
pub fn stamp_us(since: Timestamp, now: Timestamp) -> u32 {
    clamp_us(now.since(since))
}

fn clamp_us(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).map_or(MAX_STAMP_US, |us| us.min(MAX_STAMP_US))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{FrameNumber, StreamId},
        wire::media::{HopHeader, MAX_FRAME_BYTES, MAX_PACKETS, Packet, References, RelayStamp},
    };
    use proptest::prelude::*;

    const LARGEST: u32 = (1 << 30) - 1;

    fn worst_header(bytes: u32) -> FrameHeader {
        FrameHeader {
            stream_index: 15,
            audio: false,
            key: false,
            recovery_point: true,
            discardable: true,
            layer: 3,
            number: FrameNumber(LARGEST),
            references: References::from_distances(&[LARGEST; 4]).expect("four distances"),
            capture_time: Timestamp::from_micros(1_900_000_000_000_000),
            capture_number: LARGEST,
            encoded_after_us: MAX_STAMP_US,
            bytes,
            packets: slices(bytes),
        }
    }

    fn worst_hop(index: u16) -> HopHeader {
        HopHeader {
            stream: StreamId(LARGEST),
            sequence: u32::MAX,
            index,
            retransmission: true,
            dropped: Some((FrameNumber(LARGEST - 1), FrameNumber(LARGEST))),
            sent_after_us: MAX_STAMP_US,
            relayed: Some(RelayStamp { received_after_us: MAX_STAMP_US, held_us: MAX_STAMP_US }),
        }
    }

    proptest! {
        #[test]
        fn every_datagram_fits_and_the_slices_make_the_frame(bytes in prop_oneof![
            1..4_000u32, 1..=MAX_FRAME_BYTES, Just(MAX_FRAME_BYTES), Just(MAX_SLICE_BYTES as u32), Just(MAX_SLICE_BYTES as u32 + 1),
        ]) {
            let header = worst_header(bytes);
            prop_assert!(header.packets <= MAX_PACKETS);
            let sealed: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
            let mut whole = Vec::new();
            let mut count = 0;
            for (index, slice) in packets(&header, &sealed) {
                prop_assert_eq!(index, count);
                let datagram = Packet { hop: worst_hop(index), frame: header.clone(), payload: slice }.encode();
                prop_assert!(datagram.len() <= MAX_MEDIA_BYTES, "{} bytes", datagram.len());
                prop_assert!(Packet::decode(&datagram).is_ok());
                whole.extend_from_slice(slice);
                count += 1;
            }
            prop_assert_eq!(count, header.packets);
            prop_assert_eq!(whole, sealed);
        }
    }

    #[test]
    fn no_more_slices_than_needed() {
        assert_eq!(slices(120), 1);
        assert_eq!(slices(MAX_SLICE_BYTES as u32), 1);
        assert_eq!(slices(MAX_SLICE_BYTES as u32 + 1), 2);
        assert_eq!(slices(40_000), 38);
    }

    #[test]
    fn stamps_are_clamped_at_both_ends() {
        let capture = Timestamp::from_micros(5_000);
        assert_eq!(stamp_us(capture, Timestamp::from_micros(5_700)), 700);
        assert_eq!(stamp_us(capture, Timestamp::ZERO), 0);
        assert_eq!(stamp_us(Timestamp::ZERO, Timestamp::from_nanos(u64::MAX)), MAX_STAMP_US);
    }
}
