//! A codec without pictures: frames of the sizes, times and references that H.264 in two layers gives, and a decoder that
//! proves what it is fed.
//!
//! A coded frame says which capture and which frame it is, what it refers to and how long it is, and ends in a checksum
//! over all of that and its filling. The decoder model takes nothing torn, nothing out of order and nothing whose
//! reference it lacks, and remembers every offence: the gate and the reassembler in front of it are there so that there
//! is none.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use visavis::{
    capture::video::{Error as SourceError, Reel},
    pipeline::{
        recv::Decoder,
        send::{EncodedPicture, Encoder},
    },
    playback::{PictureSink, Shown},
    stats::Open,
};
use visavis_codec::{
    Picture,
    h264::{
        self,
        rate::{KEYFRAME_SECONDS, REPAY_FRAMES},
    },
};
use visavis_proto::{time::Timestamp, units::Bitrate, wire::media::References};

/// Encoding a 720p picture takes this long with openh264 (4.6 to 5.4 ms measured); tokio rounds it up to 5 to 6.
const ENCODE_TIME: Duration = Duration::from_millis(5);

/// Decoding it.
const DECODE_TIME: Duration = Duration::from_millis(2);

/// Pictures are this small, for nobody looks at them; the first four samples carry the capture number.
const SIDE: u32 = 16;

/// A keyframe over a picture of the same quality, if the rate allows it.
const KEYFRAME_FACTOR: f64 = 10.0;

/// How far beyond its budget of [`KEYFRAME_SECONDS`] the real model lets a keyframe go.
const KEYFRAME_TOLERANCE: f64 = 1.5;

/// No predicted picture gets below this share of the mean, whatever is to be repaid.
const LEAST_SHARE: f64 = 0.25;

/// A base picture refers twice as far back as an upper one, and so costs more: measured about 1.25 to 0.75.
const LAYER_FACTORS: [f64; 2] = [1.25, 0.75];

/// Spread of the logarithm of sizes around the mean.
const SIZE_SPREAD: f64 = 0.2;

/// Head of a coded frame: kind, capture number, encoder's number, number referred to, length.
const HEAD_BYTES: usize = 17;
const CHECKSUM_BYTES: usize = 8;
const KEY: u8 = 0x4b;
const PREDICTED: u8 = 0x50;

/// Numbered pictures.
#[derive(Debug)]
pub struct ModelSource;

impl Reel for ModelSource {
    fn size(&self) -> (u32, u32) {
        (SIDE, SIDE)
    }

    fn read(&mut self, number: u32, out: &mut Picture) -> Result<(), SourceError> {
        write_number(out, number);
        Ok(())
    }
}

/// The encoder's model.
#[derive(Debug)]
pub struct ModelEncoder {
    random: StdRng,
    frames_per_second: f64,
    number: u32,
    /// Frames since the last keyframe, that one included; 0 means that a keyframe comes next.
    since_keyframe: u32,
    /// Bytes sent beyond the rate, to be repaid as the real model does.
    debt: f64,
}

impl ModelEncoder {
    /// An encoder whose sizes vary as `seed` decides.
    pub fn new(frames_per_second: f64, seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), frames_per_second, number: 0, since_keyframe: 0, debt: 0.0 }
    }

    fn size(&mut self, kind: Kind, target: Bitrate) -> usize {
        let mean = target.as_bps() as f64 / 8.0 / self.frames_per_second;
        // The sum of twelve uniforms is as good as normal here, and needs no transcendental function to agree on.
        let normal = (0..12).map(|_| self.random.r#gen::<f64>()).sum::<f64>() - 6.0;
        let luck = (1.0 + SIZE_SPREAD * normal).clamp(0.4, 2.5);
        let bytes = match kind {
            Kind::Key => {
                let budget = target.as_bps() as f64 / 8.0 * KEYFRAME_SECONDS;
                (mean * KEYFRAME_FACTOR).min(budget * luck.min(KEYFRAME_TOLERANCE))
            }
            Kind::Layer(layer) => {
                let may_take = (mean - self.debt / REPAY_FRAMES).max(mean * LEAST_SHARE);
                may_take * LAYER_FACTORS[layer] * luck
            }
        };
        self.debt += bytes - mean;
        bytes.max((HEAD_BYTES + CHECKSUM_BYTES) as f64) as usize
    }
}

/// What a frame is to the reference structure.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Key,
    Layer(usize),
}

impl Encoder for ModelEncoder {
    fn codec(&self) -> &'static str {
        "model"
    }

    fn encode(
        &mut self,
        picture: &Picture,
        _captured: Timestamp,
        target: Bitrate,
        keyframe: bool,
        out: &mut Vec<u8>,
    ) -> Result<EncodedPicture, h264::Error> {
        let key = keyframe || self.since_keyframe == 0;
        let upper = !key && self.since_keyframe % 2 == 1;
        let distance = if key {
            0
        } else if upper {
            1
        } else {
            2
        };
        let size = self.size(if key { Kind::Key } else { Kind::Layer(usize::from(upper)) }, target);
        write_frame(out, key, read_number(picture), self.number, self.number - distance, size);
        self.number += 1;
        self.since_keyframe = if key { 1 } else { self.since_keyframe + 1 };
        let references =
            if key { References::NONE } else { References::from_distances(&[distance]).unwrap_or_default() };
        Ok(EncodedPicture { key, discardable: upper, layer: u8::from(upper), references, simulated: ENCODE_TIME })
    }
}

/// What a decoder and the eye behind it have to say, shared with the test.
#[derive(Debug, Clone, Default)]
pub struct Proof(Arc<Mutex<Findings>>);

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Frames decoded.
    pub decoded: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Pictures shown.
    pub shown: u64,
    /// What must never happen, in words: torn, wrong, out of order, without its reference.
    pub offences: Vec<String>,
}

impl Proof {
    /// A copy of what was found so far.
    pub fn findings(&self) -> Findings {
        self.lock().clone()
    }

    fn offence(&self, what: String) -> h264::Error {
        self.lock().offences.push(what);
        h264::Error::Malformed("the model refuses it")
    }

    fn lock(&self) -> MutexGuard<'_, Findings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decoder's model.
#[derive(Debug)]
pub struct ModelDecoder {
    proof: Proof,
    last: Option<u32>,
    /// Decoded since the last keyframe.
    references: BTreeSet<u32>,
}

impl ModelDecoder {
    /// A decoder that needs a keyframe first.
    pub fn new(proof: Proof) -> Self {
        Self { proof, last: None, references: BTreeSet::new() }
    }
}

impl Decoder for ModelDecoder {
    fn codec(&self) -> &'static str {
        "model"
    }

    fn decode(&mut self, payload: &[u8], out: &mut Picture) -> Result<Option<Duration>, h264::Error> {
        let frame = match Frame::read(payload) {
            Ok(frame) => frame,
            Err(wrong) => return Err(self.proof.offence(format!("{wrong} after {:?}", self.last))),
        };
        if self.last.is_some_and(|last| frame.number <= last) {
            return Err(self.proof.offence(format!("{} decoded after {:?}", frame.number, self.last)));
        }
        if frame.key {
            self.references.clear();
        } else if !self.references.contains(&frame.reference) {
            return Err(self.proof.offence(format!("{} decoded without {}", frame.number, frame.reference)));
        }
        self.references.insert(frame.number);
        self.last = Some(frame.number);
        let mut findings = self.proof.lock();
        findings.decoded += 1;
        findings.keyframes += u64::from(frame.key);
        drop(findings);
        write_number(out, frame.capture);
        Ok(Some(DECODE_TIME))
    }
}

/// The eye: checks that the picture is the one that it is said to be, and that time goes forward.
#[derive(Debug)]
pub struct ModelEye {
    proof: Proof,
    last: Option<u32>,
}

impl ModelEye {
    /// An eye behind the decoder that writes to the same proof.
    pub fn new(proof: Proof) -> Self {
        Self { proof, last: None }
    }
}

impl PictureSink for ModelEye {
    fn show(&mut self, picture: Picture, about: Shown, record: Open) -> Picture {
        record.shown(about.presented);
        let capture = read_number(&picture);
        if capture != about.capture {
            self.proof.offence(format!("picture {capture} shown as {}", about.capture));
        }
        if self.last.is_some_and(|last| capture <= last) {
            self.proof.offence(format!("picture {capture} shown after {:?}", self.last));
        }
        self.last = Some(capture);
        self.proof.lock().shown += 1;
        picture
    }
}

struct Frame {
    key: bool,
    capture: u32,
    number: u32,
    reference: u32,
}

impl Frame {
    fn read(payload: &[u8]) -> Result<Self, &'static str> {
        if payload.len() < HEAD_BYTES + CHECKSUM_BYTES {
            return Err("a frame shorter than its head");
        }
        let (content, checksum) = payload.split_at(payload.len() - CHECKSUM_BYTES);
        if checksum != sum(content).to_le_bytes() {
            return Err("a torn or changed frame");
        }
        let word = |at: usize| {
            let bytes = &content[at..at + 4];
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        if word(13) as usize != payload.len() {
            return Err("a frame of another length");
        }
        Ok(Self { key: content[0] == KEY, capture: word(1), number: word(5), reference: word(9) })
    }
}

fn write_frame(out: &mut Vec<u8>, key: bool, capture: u32, number: u32, reference: u32, size: usize) {
    out.clear();
    out.push(if key { KEY } else { PREDICTED });
    for word in [capture, number, reference, size as u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    // The filling of every frame differs, so that parts of two frames never fit together.
    let mut filling = u64::from(number) << 32 | u64::from(capture) | 1;
    while out.len() < size - CHECKSUM_BYTES {
        filling ^= filling << 13;
        filling ^= filling >> 7;
        filling ^= filling << 17;
        out.extend_from_slice(&filling.to_le_bytes());
    }
    out.truncate(size - CHECKSUM_BYTES);
    let checksum = sum(out);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// FNV-1a over words of eight bytes: tells any cut or exchanged part.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn write_number(picture: &mut Picture, number: u32) {
    picture.resize(SIDE, SIDE);
    picture.y[..4].copy_from_slice(&number.to_le_bytes());
}

fn read_number(picture: &Picture) -> u32 {
    picture.y.first_chunk().copied().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Bitrate = Bitrate::from_kbps(2_500);

    fn coded(count: u32) -> Vec<Vec<u8>> {
        let mut encoder = ModelEncoder::new(30.0, 1);
        let mut picture = Picture::new(SIDE, SIDE);
        let frames = (0..count).map(|number| {
            write_number(&mut picture, number);
            let mut out = Vec::new();
            encoder.encode(&picture, Timestamp::ZERO, RATE, false, &mut out).expect("never fails");
            out
        });
        frames.collect()
    }

    #[test]
    fn the_rate_is_the_target_and_a_keyframe_is_bounded() {
        let frames = coded(900);
        let mean = RATE.as_bps() as f64 / 8.0 / 30.0;
        let total: usize = frames.iter().map(Vec::len).sum();
        assert!((total as f64 / (900.0 * mean) - 1.0).abs() < 0.02, "{total} bytes");
        assert!((2.0 * mean..4.5 * mean).contains(&(frames[0].len() as f64)), "{}", frames[0].len());
        let largest = frames[1..].iter().map(Vec::len).max().unwrap_or_default();
        assert!((largest as f64) < 3.0 * mean, "{largest}");
    }

    #[test]
    fn whole_frames_with_their_references_decode_and_nothing_else_does() {
        let frames = coded(5);
        let decode = |order: &[&[u8]]| {
            let proof = Proof::default();
            let mut decoder = ModelDecoder::new(proof.clone());
            let mut out = Picture::new(2, 2);
            let results: Vec<_> = order.iter().map(|frame| decoder.decode(frame, &mut out).is_ok()).collect();
            (results, proof.findings().offences.len())
        };
        // The upper frames 1 and 3 may be missing, the base frame 2 may not.
        assert_eq!(decode(&[&frames[0], &frames[2], &frames[4]]), (vec![true; 3], 0));
        assert_eq!(decode(&[&frames[0], &frames[4]]), (vec![true, false], 1));
        assert_eq!(decode(&[&frames[1]]), (vec![false], 1));
        assert_eq!(decode(&[&frames[0], &frames[2], &frames[1]]), (vec![true, true, false], 1));
        let torn = [&frames[0][..1_140], &frames[2][1_140..]].concat();
        assert_eq!(decode(&[&torn]), (vec![false], 1));
        let mut flipped = frames[0].clone();
        flipped[2_000] ^= 1;
        assert_eq!(decode(&[&flipped]), (vec![false], 1));
    }
}
