//! What a call relies on from the H.264 encoder and decoder: quality, rate, keyframes, layers, refusals.

use visavis_codec::Picture;
use visavis_codec::h264::{Decoder, EncodedInfo, Encoder, EncoderConfig, Error, FrameRequest};
use visavis_codec::measure::ssim_luma;
use visavis_codec::scene::Scene;

const SMALL: (u32, u32) = (320, 192);

fn encoder(size: (u32, u32), bitrate_bps: u32) -> Encoder {
    let config = EncoderConfig { width: size.0, height: size.1, frames_per_second: 30.0, bitrate_bps, threads: 1 };
    Encoder::new(config).expect("the size is legal")
}

/// One encoded frame and what it was made of.
struct Coded {
    source: Picture,
    info: EncodedInfo,
    bytes: Vec<u8>,
}

fn request(frame: u64) -> FrameRequest {
    FrameRequest { timestamp_us: frame * 33_333, ..FrameRequest::default() }
}

fn encode_scene(encoder: &mut Encoder, frames: std::ops::Range<u64>) -> Vec<Coded> {
    let config = *encoder.config();
    let mut scene = Scene::new(config.width, config.height, 1);
    frames
        .map(|frame| {
            let mut source = Picture::new(0, 0);
            scene.render(frame, &mut source);
            let mut bytes = Vec::new();
            let info = encoder.encode(&source, request(frame), &mut bytes).expect("encodes");
            Coded { source, info, bytes }
        })
        .collect()
}

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Picture {
    let mut picture = Picture::new(0, 0);
    assert!(decoder.decode(bytes, &mut picture).expect("decodes"), "a whole frame makes a picture at once");
    picture
}

fn bits(coded: &[Coded]) -> f64 {
    coded.iter().map(|coded| coded.bytes.len() as f64 * 8.0).sum()
}

#[test]
fn every_frame_comes_back_at_once_and_looks_like_its_source() {
    let mut encoder = encoder((640, 360), 1_500_000);
    let mut decoder = Decoder::new().expect("starts");
    for (n, coded) in encode_scene(&mut encoder, 0..60).iter().enumerate() {
        let picture = decode(&mut decoder, &coded.bytes);
        assert_eq!((picture.width, picture.height), (640, 360));
        let ssim = ssim_luma(&coded.source, &picture);
        let least = if n < 10 { 0.6 } else { 0.85 };
        assert!(ssim > least, "frame {n}: {ssim}");
    }
}

#[test]
fn chroma_comes_back_in_the_right_planes() {
    let mut source = Picture::new(64, 64);
    source.u.fill(90);
    source.v.fill(170);
    let mut bytes = Vec::new();
    encoder((64, 64), 500_000).encode(&source, request(0), &mut bytes).expect("encodes");
    let picture = decode(&mut Decoder::new().expect("starts"), &bytes);
    assert!(picture.u.iter().all(|u| u.abs_diff(90) < 4), "{:?}", &picture.u[..8]);
    assert!(picture.v.iter().all(|v| v.abs_diff(170) < 4), "{:?}", &picture.v[..8]);
}

#[test]
fn the_rate_is_held_and_a_new_one_obeyed_without_a_keyframe() {
    let mut encoder = encoder((1280, 720), 2_500_000);
    let first = encode_scene(&mut encoder, 0..90);
    let rate = bits(&first) / 3.0;
    assert!((rate / 2.5e6 - 1.0).abs() < 0.05, "{rate} bit/s");
    assert!(first[0].bytes.len() as f64 * 8.0 < 0.15 * 2.5e6, "keyframe of {} bytes", first[0].bytes.len());
    encoder.set_bitrate(800_000);
    let second = encode_scene(&mut encoder, 90..180);
    let rate = bits(&second) / 3.0;
    assert!((rate / 0.8e6 - 1.0).abs() < 0.05, "{rate} bit/s");
    assert!(second.iter().all(|coded| !coded.info.keyframe));
    assert!(first[1..].iter().all(|coded| !coded.info.keyframe));
}

/// A keyframe is asked for when somebody joins or lost track; it must not cost the others half a second.
#[test]
fn a_keyframe_in_mid_call_stays_near_its_budget_and_is_paid_back() {
    for bitrate_bps in [400_000, 1_500_000] {
        let mut encoder = encoder((640, 360), bitrate_bps);
        encode_scene(&mut encoder, 0..60);
        let mut source = Picture::new(0, 0);
        Scene::new(640, 360, 1).render(60, &mut source);
        let mut bytes = Vec::new();
        let info = encoder.encode(&source, FrameRequest { keyframe: true, ..request(60) }, &mut bytes);
        assert!(info.expect("encodes").keyframe);
        let wire_ms = bytes.len() as f64 * 8e3 / f64::from(bitrate_bps);
        assert!(wire_ms < 150.0, "{} bytes take {wire_ms} ms at {bitrate_bps} bit/s", bytes.len());
        let after = encode_scene(&mut encoder, 61..121);
        let rate = (bits(&after) + bytes.len() as f64 * 8.0) * 30.0 / 61.0;
        assert!((rate / f64::from(bitrate_bps) - 1.0).abs() < 0.06, "{rate} bit/s of {bitrate_bps}");
    }
}

#[test]
fn a_requested_keyframe_decodes_alone_and_starts_the_layers_anew() {
    let mut encoder = encoder(SMALL, 600_000);
    encode_scene(&mut encoder, 0..6);
    let mut source = Picture::new(0, 0);
    Scene::new(SMALL.0, SMALL.1, 1).render(6, &mut source);
    let mut bytes = Vec::new();
    let keyframe = FrameRequest { keyframe: true, ..request(6) };
    let info = encoder.encode(&source, keyframe, &mut bytes).expect("encodes");
    assert!(info.keyframe && !info.discardable && info.references.distances().is_empty());
    let picture = decode(&mut Decoder::new().expect("starts"), &bytes);
    assert!(ssim_luma(&source, &picture) > 0.6);
    let after = encode_scene(&mut encoder, 7..11);
    let layers: Vec<_> = after.iter().map(|coded| coded.info.temporal_layer).collect();
    assert_eq!(layers, [1, 0, 1, 0]);
}

#[test]
fn a_given_qp_is_used_and_reported() {
    let mut encoder = encoder(SMALL, 600_000);
    let mut sizes = Vec::new();
    for qp in [20, 40] {
        let request = FrameRequest { keyframe: true, qp: Some(qp), timestamp_us: 0 };
        let mut source = Picture::new(0, 0);
        Scene::new(SMALL.0, SMALL.1, 1).render(0, &mut source);
        let mut bytes = Vec::new();
        assert_eq!(encoder.encode(&source, request, &mut bytes).expect("encodes").qp, qp);
        sizes.push(bytes.len());
    }
    assert!(sizes[0] > 4 * sizes[1], "{sizes:?}");
}

/// The network drops frames by `references`, so decoding exactly what they promise must give the same samples.
#[test]
fn references_are_true_whatever_upper_frames_are_dropped() {
    let mut encoder = encoder(SMALL, 600_000);
    let coded = encode_scene(&mut encoder, 0..24);
    let mut whole = Decoder::new().expect("starts");
    let pictures: Vec<Picture> = coded.iter().map(|coded| decode(&mut whole, &coded.bytes)).collect();
    for pattern in [0b0000_0000u32, 0b0110_1101, 0b1010_0101] {
        let mut decoder = Decoder::new().expect("starts");
        let mut has = vec![false; coded.len()];
        for (n, coded) in coded.iter().enumerate() {
            let dropped = coded.info.discardable && pattern >> (n / 2 % 8) & 1 == 0;
            if dropped {
                continue;
            }
            for &distance in coded.info.references.distances() {
                assert!(has[n - distance as usize], "frame {n} names a frame that was dropped");
            }
            assert!(decode(&mut decoder, &coded.bytes) == pictures[n], "frame {n} with pattern {pattern:#b}");
            has[n] = true;
        }
    }
}

/// The other direction: a reference that is named is really needed, so nothing is kept for nothing.
#[test]
fn a_frame_without_its_reference_does_not_decode_to_the_same_picture() {
    let mut encoder = encoder(SMALL, 600_000);
    let coded = encode_scene(&mut encoder, 0..5);
    let layers: Vec<_> = coded.iter().map(|c| (c.info.temporal_layer, c.info.discardable)).collect();
    assert_eq!(layers, [(0, false), (1, true), (0, false), (1, true), (0, false)]);
    let mut whole = Decoder::new().expect("starts");
    let pictures: Vec<Picture> = coded.iter().map(|coded| decode(&mut whole, &coded.bytes)).collect();
    for (wanted, reference) in [(3, 2), (4, 2)] {
        let mut decoder = Decoder::new().expect("starts");
        decode(&mut decoder, &coded[0].bytes);
        let mut picture = Picture::new(0, 0);
        let result = decoder.decode(&coded[wanted].bytes, &mut picture);
        assert!(result.is_err() || picture != pictures[wanted], "frame {wanted} does not need frame {reference}");
    }
}

#[test]
fn odd_sizes_lose_their_last_row_and_column() {
    let mut encoder = encoder((321, 181), 600_000);
    let mut decoder = Decoder::new().expect("starts");
    for coded in encode_scene(&mut encoder, 0..4) {
        let picture = decode(&mut decoder, &coded.bytes);
        assert_eq!((picture.width, picture.height), (320, 180));
        let mut cropped = Picture::new(320, 180);
        for (row, line) in cropped.y.chunks_exact_mut(320).enumerate() {
            line.copy_from_slice(&coded.source.y[row * 321..][..320]);
        }
        assert!(ssim_luma(&cropped, &picture) > 0.6);
    }
}

#[test]
fn the_size_may_change_with_a_keyframe_in_mid_stream() {
    let mut decoder = Decoder::new().expect("starts");
    let mut picture = Picture::new(0, 0);
    for size in [(320, 192), (640, 360), (160, 96), (1920, 1080), (322, 182)] {
        for coded in encode_scene(&mut encoder(size, 1_000_000), 0..3) {
            assert!(decoder.decode(&coded.bytes, &mut picture).expect("decodes"));
            assert_eq!((picture.width, picture.height), size);
            assert!(picture.is_consistent());
        }
    }
}

#[test]
fn two_threads_code_frames_that_decode_the_same_way() {
    let config = EncoderConfig { width: 640, height: 360, frames_per_second: 30.0, bitrate_bps: 900_000, threads: 2 };
    let mut encoder = Encoder::new(config).expect("starts");
    let mut decoder = Decoder::new().expect("starts");
    for coded in encode_scene(&mut encoder, 0..10) {
        assert!(ssim_luma(&coded.source, &decode(&mut decoder, &coded.bytes)) > 0.6);
    }
}

#[test]
fn the_encoder_refuses_what_it_cannot_code() {
    let legal = EncoderConfig { width: 64, height: 64, frames_per_second: 30.0, bitrate_bps: 1, threads: 1 };
    for (width, height) in [(0, 0), (15, 64), (64, 15), (1921, 64), (64, 1089), (u32::MAX, u32::MAX)] {
        let result = Encoder::new(EncoderConfig { width, height, ..legal });
        assert!(matches!(result, Err(Error::Size { .. })), "{width}x{height}");
    }
    for frames_per_second in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(Encoder::new(EncoderConfig { frames_per_second, ..legal }), Err(Error::Rate)));
    }
    assert!(matches!(Encoder::new(EncoderConfig { bitrate_bps: 0, ..legal }), Err(Error::Rate)));
    let mut encoder = Encoder::new(legal).expect("legal");
    let mut out = vec![1];
    let result = encoder.encode(&Picture::new(64, 80), request(0), &mut out);
    assert!(matches!(result, Err(Error::SizeChanged { .. })));
    let mut torn = Picture::new(64, 64);
    torn.u.pop();
    assert_eq!(encoder.encode(&torn, request(0), &mut out), Err(Error::Planes));
    assert!(encoder.encode(&Picture::new(64, 64), request(0), &mut out).expect("still usable").keyframe);
}

#[test]
fn after_an_error_the_decoder_goes_on_from_the_next_keyframe_only() {
    let mut encoder = encoder(SMALL, 600_000);
    let coded = encode_scene(&mut encoder, 0..4);
    let mut decoder = Decoder::new().expect("starts");
    let mut picture = Picture::new(0, 0);
    assert_eq!(decoder.decode(&coded[1].bytes, &mut picture), Err(Error::NeedsKeyframe));
    decode(&mut decoder, &coded[0].bytes);
    let torn = &coded[2].bytes[..coded[2].bytes.len() / 2];
    assert!(decoder.decode(torn, &mut picture).is_err(), "half a frame is an error");
    assert_eq!(decoder.decode(&coded[3].bytes, &mut picture), Err(Error::NeedsKeyframe));
    assert!(decoder.decode(&coded[0].bytes, &mut picture).expect("recovers"));
    assert!(decoder.decode(&coded[1].bytes, &mut picture).expect("goes on"));
}

#[test]
fn bytes_that_are_no_access_unit_are_refused() {
    let mut decoder = Decoder::new().expect("starts");
    let mut picture = Picture::new(0, 0);
    assert!(decoder.decode(&[], &mut picture).is_err());
    assert!(decoder.decode(&[0; 64], &mut picture).is_err());
    let long = vec![0xff; visavis_codec::h264::MAX_ACCESS_UNIT_BYTES + 1];
    assert_eq!(decoder.decode(&long, &mut picture), Err(Error::Malformed("too long")));
}

/// `frame_num` has 15 bits and counts base frames, so it wraps after 36 minutes at 30 frames/s: a long call.
#[test]
fn a_call_longer_than_frame_num_needs_no_second_keyframe() {
    let mut encoder = encoder((32, 32), 50_000);
    let mut decoder = Decoder::new().expect("starts");
    let mut scene = Scene::new(32, 32, 1);
    let sources = [0, 1, 2, 3].map(|frame| {
        let mut source = Picture::new(0, 0);
        scene.render(frame, &mut source);
        source
    });
    let (mut bytes, mut picture) = (Vec::new(), Picture::new(0, 0));
    for frame in 0..68_000u64 {
        let source = &sources[frame as usize % sources.len()];
        let info = encoder.encode(source, request(frame), &mut bytes).expect("encodes");
        assert_eq!(info.keyframe, frame == 0, "frame {frame}");
        // Every other upper frame is dropped, as on a bad link.
        if frame % 4 != 1 {
            assert!(decoder.decode(&bytes, &mut picture).expect("decodes"), "frame {frame}");
        }
        if frame % 4 == 0 && frame > 100 {
            assert!(ssim_luma(source, &picture) > 0.8, "frame {frame}");
        }
    }
}
