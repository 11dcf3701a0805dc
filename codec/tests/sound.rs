//! What a call relies on from Opus and from time-stretching: the voice comes through, also when packets do not.

use std::collections::VecDeque;

use visavis_codec::opus::{Decoder, Encoder, Error, FRAME_SAMPLES, MAX_PACKET_BYTES};
use visavis_codec::scene::Speech;
use visavis_codec::stretch::{self, MAX_LAG_SAMPLES, MIN_LAG_SAMPLES, NEEDED_SAMPLES};

fn speech(seed: u64, seconds: usize) -> Vec<i16> {
    let mut samples = vec![0; seconds * 48_000];
    Speech::new(seed).fill(&mut samples);
    samples
}

fn tone(hz: f64, samples: usize) -> Vec<i16> {
    (0..samples).map(|n| ((n as f64 * hz * std::f64::consts::TAU / 48_000.0).sin() * 8_000.0) as i16).collect()
}

fn packets(pcm: &[i16], expected_loss: u8) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(32_000).expect("starts");
    encoder.set_expected_loss(expected_loss).expect("accepted");
    let mut packet = [0; MAX_PACKET_BYTES];
    pcm.chunks_exact(FRAME_SAMPLES)
        .map(|frame| {
            let length = encoder.encode(frame, &mut packet).expect("encodes");
            packet[..length].to_vec()
        })
        .collect()
}

/// Log-energy distance between two sounds over 10 ms frames and five bands, in decibels: how different they are
/// to a listener, without minding phase.
fn distance(a: &[i16], b: &[i16]) -> f64 {
    let bands = [300.0, 700.0, 1_500.0, 2_500.0, 4_000.0];
    let level = |frame: &[i16], hz: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, &sample) in frame.iter().enumerate() {
            let angle = n as f64 * hz * std::f64::consts::TAU / 48_000.0;
            let window = (n as f64 * std::f64::consts::PI / frame.len() as f64).sin();
            re += f64::from(sample) * window * angle.cos();
            im += f64::from(sample) * window * angle.sin();
        }
        10.0 * (re * re + im * im + 1e8).log10()
    };
    let frames: Vec<_> = a.chunks_exact(480).zip(b.chunks_exact(480)).collect();
    let total: f64 =
        frames.iter().map(|(a, b)| bands.iter().map(|&hz| (level(a, hz) - level(b, hz)).abs()).sum::<f64>()).sum();
    total / (frames.len() * bands.len()) as f64
}

#[test]
fn a_voice_survives_coding_with_the_documented_delay() {
    let pcm = speech(1, 5);
    let lookahead = Encoder::new(32_000).expect("starts").lookahead_samples().expect("known");
    assert_eq!(lookahead, 312, "6.5 ms, as the documentation says");
    let mut decoder = Decoder::new().expect("starts");
    let mut heard = Vec::new();
    for packet in packets(&pcm, 0) {
        let mut out = [0; FRAME_SAMPLES];
        decoder.decode(&packet, &mut out).expect("decodes");
        heard.extend(out);
    }
    let apart = distance(&pcm[..pcm.len() - lookahead], &heard[lookahead..]);
    assert!(apart < 3.0, "{apart} dB");
    let unrelated = distance(&speech(2, 5), &heard);
    assert!(unrelated > 2.0 * apart, "the measure tells voices apart: {unrelated} dB");
}

#[test]
fn the_copy_in_the_next_packet_beats_concealment() {
    let pcm = speech(3, 20);
    let packets = packets(&pcm, 20);
    let (mut reference, mut concealing, mut recovering) = (Vec::new(), Vec::new(), Vec::new());
    let mut decoders = [(); 3].map(|()| Decoder::new().expect("starts"));
    for (n, packet) in packets.iter().enumerate() {
        let mut out = [0; FRAME_SAMPLES];
        decoders[0].decode(packet, &mut out).expect("decodes");
        reference.extend(out);
        let lost = n % 5 == 3 && n + 1 < packets.len();
        if lost {
            decoders[1].conceal(&mut out).expect("conceals");
            concealing.extend(out);
            decoders[2].decode_fec(&packets[n + 1], &mut out).expect("recovers");
            recovering.extend(out);
        } else {
            decoders[1].decode(packet, &mut out).expect("decodes");
            concealing.extend(out);
            decoders[2].decode(packet, &mut out).expect("decodes");
            recovering.extend(out);
        }
    }
    let (concealed, recovered) = (distance(&reference, &concealing), distance(&reference, &recovering));
    assert!(recovered < 0.8 * concealed, "{recovered} dB with the copy, {concealed} dB without");
}

#[test]
fn a_long_loss_fades_to_the_background() {
    let loudness = |samples: &[i16]| samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>().sqrt();
    let mut decoder = Decoder::new().expect("starts");
    let (mut out, mut loudest) = ([0; FRAME_SAMPLES], 0.0f64);
    for packet in packets(&speech(6, 3), 0) {
        decoder.decode(&packet, &mut out).expect("decodes");
        loudest = loudest.max(loudness(&out));
    }
    for _ in 0..100 {
        decoder.conceal(&mut out).expect("conceals");
    }
    assert!(loudness(&out) < 0.05 * loudest, "{} of {loudest}", loudness(&out));
}

#[test]
fn the_bit_rate_is_followed_and_wrong_lengths_are_refused() {
    let mut encoder = Encoder::new(16_000).expect("starts");
    let mut packet = [0; MAX_PACKET_BYTES];
    let mut rate = |encoder: &mut Encoder| {
        let pcm = speech(4, 5);
        let frames = pcm.chunks_exact(FRAME_SAMPLES);
        let bytes: usize = frames.map(|frame| encoder.encode(frame, &mut packet).expect("encodes")).sum();
        bytes * 8 / 5
    };
    let low = rate(&mut encoder);
    encoder.set_bitrate(64_000).expect("accepted");
    let high = rate(&mut encoder);
    assert!((10_000..20_000).contains(&low), "{low}");
    assert!((45_000..75_000).contains(&high), "{high}");
    assert!(matches!(encoder.encode(&[0; 960], &mut [0; 100]), Err(Error::FrameLength(960))));
    let mut out = [0; FRAME_SAMPLES];
    let mut decoder = Decoder::new().expect("starts");
    assert!(matches!(decoder.decode(&[], &mut out), Err(Error::PacketLength(0))));
    // A well-formed CELT packet of 20 ms (configuration 31, one frame).
    assert!(matches!(decoder.decode(&[31 << 3, 0, 0], &mut out), Err(Error::PacketDuration(960))));
}

fn largest_step(samples: &[i16]) -> u16 {
    samples.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0)
}

fn rising_crossings(samples: &[i16]) -> usize {
    samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count()
}

/// Plays `source` in pieces of 40 ms, each shortened or lengthened if it can be; also says by how much in all.
fn play(source: &[i16], change: fn(&mut VecDeque<i16>) -> usize) -> (Vec<i16>, usize) {
    let (mut played, mut changes) = (Vec::new(), 0);
    for piece in source.chunks(1_920) {
        let mut buffer: VecDeque<i16> = piece.iter().copied().collect();
        let changed = change(&mut buffer);
        assert_eq!(piece.len().abs_diff(buffer.len()), changed, "the count returned is what happened");
        assert!(changed == 0 || (MIN_LAG_SAMPLES..=MAX_LAG_SAMPLES).contains(&changed));
        assert_eq!((buffer.front(), buffer.back()), (piece.first(), piece.last()), "both ends fit on");
        changes += changed;
        played.extend(buffer);
    }
    (played, changes)
}

#[test]
fn a_tone_keeps_its_pitch_and_gets_no_clicks() {
    let source = tone(200.0, 48_000 * 3);
    let steepest = largest_step(&source);
    let (faster, removed) = play(&source, stretch::accelerate);
    let (slower, added) = play(&source, stretch::expand);
    assert!(removed > source.len() / 10 && added > source.len() / 10, "{removed} removed, {added} added");
    assert_eq!(faster.len(), source.len() - removed);
    assert_eq!(slower.len(), source.len() + added);
    for played in [faster, slower] {
        let hz = rising_crossings(&played) as f64 * 48_000.0 / played.len() as f64;
        assert!((hz - 200.0).abs() < 2.0, "{hz} Hz");
        let step = largest_step(&played);
        assert!(step <= steepest + steepest / 2, "a step of {step} where the tone has {steepest}");
    }
}

#[test]
fn a_voice_keeps_its_sound_and_gets_no_clicks() {
    let source = speech(5, 10);
    let steepest = largest_step(&source);
    for change in [stretch::accelerate as fn(&mut VecDeque<i16>) -> usize, stretch::expand] {
        let (played, changed) = play(&source, change);
        assert!(changed > source.len() / 50, "{changed} samples changed in {}", source.len());
        assert!(largest_step(&played) <= steepest + steepest / 2);
        let per_second = |samples: &[i16]| rising_crossings(samples) as f64 / samples.len() as f64;
        let ratio = per_second(&played) / per_second(&source);
        assert!((0.85..1.15).contains(&ratio), "{ratio}");
    }
}

#[test]
fn what_does_not_resemble_itself_is_left_alone_unless_it_is_quiet() {
    let mut noise: VecDeque<i16> = VecDeque::new();
    let mut state = 1u32;
    for _ in 0..NEEDED_SAMPLES {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.push_back((state >> 18) as i16 - 8192);
    }
    let before = noise.clone();
    assert_eq!((stretch::accelerate(&mut noise), stretch::expand(&mut noise)), (0, 0));
    assert_eq!(noise, before);
    noise.iter_mut().for_each(|sample| *sample /= 200);
    assert_eq!(stretch::accelerate(&mut noise), MAX_LAG_SAMPLES);
    let mut silence: VecDeque<i16> = [0; NEEDED_SAMPLES].into();
    assert_eq!(stretch::expand(&mut silence), MAX_LAG_SAMPLES);
    let mut short: VecDeque<i16> = vec![0; NEEDED_SAMPLES - 1].into();
    assert_eq!((stretch::accelerate(&mut short), stretch::expand(&mut short)), (0, 0));
}
