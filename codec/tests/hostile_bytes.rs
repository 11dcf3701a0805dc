//! Bytes from the network may be anything: no decoder panics on them, and each is usable afterwards.
//!
//! Case counts are modest: openh264 and libopus are fuzzed by their own projects; what is tested here is that
//! our side of the boundary holds.

use proptest::prelude::*;
use visavis_codec::h264::{Decoder, Encoder, EncoderConfig, FrameRequest};
use visavis_codec::opus::{self, FRAME_SAMPLES};
use visavis_codec::scene::{Scene, Speech};
use visavis_codec::{Picture, wav, y4m};

/// A short stream: a keyframe and three frames after it.
fn stream() -> Vec<Vec<u8>> {
    let config = EncoderConfig { width: 96, height: 80, frames_per_second: 30.0, bitrate_bps: 300_000, threads: 1 };
    let mut encoder = Encoder::new(config).expect("starts");
    let mut scene = Scene::new(96, 80, 1);
    let mut picture = Picture::new(0, 0);
    (0..4)
        .map(|frame| {
            scene.render(frame, &mut picture);
            let mut bytes = Vec::new();
            let request = FrameRequest { timestamp_us: frame * 33_333, ..FrameRequest::default() };
            encoder.encode(&picture, request, &mut bytes).expect("encodes");
            bytes
        })
        .collect()
}

fn voice_packet() -> Vec<u8> {
    let mut encoder = opus::Encoder::new(32_000).expect("starts");
    let (mut pcm, mut packet) = ([0; FRAME_SAMPLES], [0; opus::MAX_PACKET_BYTES]);
    let mut speech = Speech::new(1);
    let mut length = 0;
    for _ in 0..40 {
        speech.fill(&mut pcm);
        length = encoder.encode(&pcm, &mut packet).expect("encodes");
    }
    packet[..length].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn video_of_random_bytes(units in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..6)) {
        let mut decoder = Decoder::new().expect("starts");
        let mut picture = Picture::new(0, 0);
        for unit in units {
            let _ = decoder.decode(&unit, &mut picture);
            let with_start_code: Vec<u8> = [0, 0, 1, 0x65].into_iter().chain(unit).collect();
            let _ = decoder.decode(&with_start_code, &mut picture);
        }
        prop_assert!(decoder.decode(&stream()[0], &mut picture).expect("usable from the next keyframe"));
    }

    #[test]
    fn video_with_bytes_changed(
        frame in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut units = stream();
        for (index, value) in changes {
            let at = index.index(units[frame].len());
            units[frame][at] = value;
        }
        if is_cut {
            let length = cut.index(units[frame].len());
            units[frame].truncate(length);
        }
        let mut decoder = Decoder::new().expect("starts");
        let mut picture = Picture::new(0, 0);
        for unit in &units {
            let _ = decoder.decode(unit, &mut picture);
            prop_assert!(picture.is_consistent());
        }
        prop_assert!(decoder.decode(&stream()[0], &mut picture).expect("usable from the next keyframe"));
    }

    #[test]
    fn sound_of_random_bytes(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let mut decoder = opus::Decoder::new().expect("starts");
        let mut out = [0; FRAME_SAMPLES];
        for packet in packets {
            let _ = decoder.decode_fec(&packet, &mut out);
            let _ = decoder.decode(&packet, &mut out);
            decoder.conceal(&mut out).expect("concealing always works");
        }
        decoder.decode(&voice_packet(), &mut out).expect("still usable");
    }

    #[test]
    fn files_of_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), offset in 0usize..44) {
        let _ = y4m::Reader::new(std::io::Cursor::new(&bytes));
        let _ = wav::read_mono_48k_from(std::io::Cursor::new(&bytes));
        let mut file = std::io::Cursor::new(Vec::new());
        let mut writer = wav::Writer::new(&mut file).expect("memory");
        writer.write(&[1; 100]).expect("memory");
        writer.finish().expect("memory");
        let mut file = file.into_inner();
        let end = (offset + bytes.len()).min(file.len());
        file[offset..end].copy_from_slice(&bytes[..end - offset]);
        let _ = wav::read_mono_48k_from(std::io::Cursor::new(&file));
    }
}
