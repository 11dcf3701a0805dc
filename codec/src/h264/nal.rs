//! Annex B byte streams and the few parameter-set fields that must be known before decoding.
//!
//! openh264 allocates by what a parameter set says, so a hostile one is refused here, before it gets there.
//! Everything is read from slices with checked access; no input panics. Syntax: ITU-T H.264 (08/2021) sections
//! 7.3.1 (NAL unit), 7.3.2.1.1 (sequence parameter set), 7.3.2.2 (picture parameter set), Annex B.

use super::{Error, MAX_HEIGHT, MAX_WIDTH};

/// Coded slice of a picture that is no keyframe.
pub const SLICE: u8 = 1;
/// Coded slice of an IDR picture: a keyframe.
pub const IDR_SLICE: u8 = 5;
/// Supplemental information; skipped by the decoder.
pub const SEI: u8 = 6;
/// Sequence parameter set.
pub const SPS: u8 = 7;
/// Picture parameter set.
pub const PPS: u8 = 8;
/// Access unit delimiter.
pub const DELIMITER: u8 = 9;
/// Filler data.
pub const FILLER: u8 = 12;

/// One NAL unit, without its start code.
#[derive(Debug, Clone, Copy)]
pub struct Nal<'a> {
    bytes: &'a [u8],
}

impl<'a> Nal<'a> {
    /// `nal_unit_type`, 0..=31.
    pub fn kind(&self) -> u8 {
        self.bytes.first().map_or(0, |byte| byte & 0x1f)
    }

    /// `nal_ref_idc`, 0..=3; 0 means that no picture refers to this one.
    pub fn reference_idc(&self) -> u8 {
        self.bytes.first().map_or(0, |byte| byte >> 5 & 3)
    }

    /// What follows the header byte, emulation prevention still in it.
    fn payload(&self) -> &'a [u8] {
        self.bytes.get(1..).unwrap_or_default()
    }
}

/// The NAL units of an Annex B byte stream, in order; bytes before the first start code are skipped.
pub fn split(stream: &[u8]) -> impl Iterator<Item = Nal<'_>> {
    let mut rest = find_start_code(stream).map(|at| &stream[at + 3..]);
    std::iter::from_fn(move || {
        let current = rest?;
        let (bytes, next) = match find_start_code(current) {
            Some(at) => (&current[..at], Some(&current[at + 3..])),
            None => (current, None),
        };
        rest = next;
        // The zero byte of a four-byte start code and trailing zeros belong to no NAL unit.
        let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        Some(Nal { bytes: &bytes[..length] })
    })
    .filter(|nal| !nal.bytes.is_empty())
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Looks at every third byte: a start code cannot hide between two bytes greater than one.
    while let Some(&third) = bytes.get(at + 2) {
        match third {
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => return Some(at),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

/// What an access unit is, as far as it matters before decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessUnit {
    /// It has an IDR slice and the parameter sets to decode it alone.
    pub keyframe: bool,
    /// It has a slice at all.
    pub has_slice: bool,
    /// No picture refers to this one: every slice has `nal_ref_idc` 0.
    pub discardable: bool,
}

/// Looks an access unit over and refuses what must not reach the decoder.
///
/// # Errors
///
/// [`Error::Malformed`] for NAL unit types and stream features that no encoder of ours uses (data partitioning,
/// scalable and multi-view extensions, interlace, other than 8-bit 4:2:0, slice groups); [`Error::Size`] for a
/// parameter set that asks for too large a picture.
pub fn inspect(stream: &[u8]) -> Result<AccessUnit, Error> {
    let (mut sps, mut pps, mut idr, mut slice, mut referenced) = (false, false, false, false, false);
    for nal in split(stream) {
        match nal.kind() {
            SLICE | IDR_SLICE => {
                slice = true;
                idr |= nal.kind() == IDR_SLICE;
                referenced |= nal.reference_idc() != 0;
            }
            SPS => {
                check_sps(nal)?;
                sps = true;
            }
            PPS => {
                check_pps(nal)?;
                pps = true;
            }
            SEI | DELIMITER | FILLER => {}
            _ => return Err(Error::Malformed("a NAL unit type that calls do not use")),
        }
    }
    Ok(AccessUnit { keyframe: idr && sps && pps, has_slice: slice, discardable: slice && !referenced })
}

fn check_sps(nal: Nal<'_>) -> Result<(), Error> {
    let mut bits = Bits::new(nal.payload());
    let size = read_sps_size(&mut bits).ok_or(Error::Malformed("sequence parameter set"))?;
    let (width, height) = size?;
    if width == 0 || height == 0 || width > MAX_WIDTH || height > MAX_HEIGHT {
        return Err(Error::Size { width, height });
    }
    Ok(())
}

/// Width and height in luma samples, before cropping. `None` when the bits run out.
fn read_sps_size(bits: &mut Bits<'_>) -> Option<Result<(u32, u32), Error>> {
    const HIGH_PROFILE: u32 = 100;
    let profile = bits.read(8)?;
    bits.read(16)?; // constraint flags and level
    bits.exp_golomb()?; // identifier
    match profile {
        66 | 77 | 88 => {}
        HIGH_PROFILE => {
            let chroma_format = bits.exp_golomb()?;
            let luma_depth = bits.exp_golomb()?;
            let chroma_depth = bits.exp_golomb()?;
            let lossless = bits.read(1)?;
            let scaling_matrix = bits.read(1)?;
            if (chroma_format, luma_depth, chroma_depth, lossless, scaling_matrix) != (1, 0, 0, 0, 0) {
                return Some(Err(Error::Malformed("not 8-bit 4:2:0 without scaling matrices")));
            }
        }
        _ => return Some(Err(Error::Malformed("a profile that calls do not use"))),
    }
    bits.exp_golomb()?; // log2_max_frame_num
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.read(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?;
            }
        }
        2 => {}
        _ => return Some(Err(Error::Malformed("picture order count type"))),
    }
    if bits.exp_golomb()? > 16 {
        return Some(Err(Error::Malformed("more than 16 reference frames")));
    }
    bits.read(1)?; // gaps in frame_num
    let columns = bits.exp_golomb()?;
    let rows = bits.exp_golomb()?;
    if bits.read(1)? == 0 {
        return Some(Err(Error::Malformed("interlaced video")));
    }
    let samples = |macroblocks: u32| macroblocks.saturating_add(1).saturating_mul(16);
    Some(Ok((samples(columns), samples(rows))))
}

fn check_pps(nal: Nal<'_>) -> Result<(), Error> {
    let mut bits = Bits::new(nal.payload());
    let mut slice_groups = || {
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        bits.read(2)?;
        bits.exp_golomb()
    };
    match slice_groups() {
        Some(0) => Ok(()),
        Some(_) => Err(Error::Malformed("slice groups")),
        None => Err(Error::Malformed("picture parameter set")),
    }
}

/// Reads bits of a NAL payload, most significant first, skipping emulation-prevention bytes (section 7.4.1).
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
    zeros: u32,
    bit: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, zeros: 0, bit: 0 }
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            if self.bit == 0 && self.zeros >= 2 && self.bytes.get(self.position) == Some(&3) {
                self.position += 1;
                self.zeros = 0;
            }
            let byte = *self.bytes.get(self.position)?;
            value = value << 1 | u32::from(byte >> (7 - self.bit) & 1);
            self.bit += 1;
            if self.bit == 8 {
                self.bit = 0;
                self.position += 1;
                self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
            }
        }
        Some(value)
    }

    /// `ue(v)`, section 9.1.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let suffix = self.read(zeros)?;
        (1u32 << zeros).checked_sub(1)?.checked_add(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes bits the way a parameter set does, to build hostile ones.
    #[derive(Default)]
    struct Writer {
        bits: Vec<bool>,
    }

    impl Writer {
        fn put(mut self, count: u32, value: u32) -> Self {
            self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        fn ue(self, value: u32) -> Self {
            let width = 32 - (value + 1).leading_zeros();
            self.put(width - 1, 0).put(width, value + 1)
        }

        fn nal(mut self, header: u8) -> Vec<u8> {
            self.bits.push(true);
            let mut out = vec![0, 0, 0, 1, header];
            let mut zeros = 0;
            for chunk in self.bits.chunks(8) {
                let byte = chunk.iter().enumerate().fold(0, |byte, (i, &bit)| byte | u8::from(bit) << (7 - i));
                if zeros >= 2 && byte <= 3 {
                    out.push(3);
                    zeros = 0;
                }
                zeros = if byte == 0 { zeros + 1 } else { 0 };
                out.push(byte);
            }
            out
        }
    }

    fn sps(profile: u32, columns: u32, rows: u32, progressive: u32) -> Vec<u8> {
        let start = Writer::default().put(8, profile).put(16, 0x0028).ue(0);
        start.ue(11).ue(2).ue(1).put(1, 0).ue(columns - 1).ue(rows - 1).put(1, progressive).nal(0x67)
    }

    #[test]
    fn sizes_up_to_the_limit_pass_and_larger_ones_are_refused() {
        assert!(inspect(&sps(66, 120, 68, 1)).is_ok());
        assert_eq!(inspect(&sps(66, 121, 68, 1)), Err(Error::Size { width: 1936, height: 1088 }));
        assert_eq!(inspect(&sps(66, 120, 69, 1)), Err(Error::Size { width: 1920, height: 1104 }));
        assert!(matches!(inspect(&sps(66, 1 << 30, 1 << 30, 1)), Err(Error::Size { .. })));
    }

    #[test]
    fn what_calls_do_not_use_is_refused() {
        assert!(matches!(inspect(&sps(66, 20, 20, 0)), Err(Error::Malformed("interlaced video"))));
        assert!(matches!(inspect(&sps(244, 20, 20, 1)), Err(Error::Malformed(_))));
        assert!(matches!(inspect(&[0, 0, 1, 0x74, 1, 2]), Err(Error::Malformed(_))));
        assert!(matches!(inspect(&[0, 0, 1, 0x67]), Err(Error::Malformed(_))));
        let slice_groups = Writer::default().ue(0).ue(0).put(2, 0).ue(1).nal(0x68);
        assert_eq!(inspect(&slice_groups), Err(Error::Malformed("slice groups")));
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_split_the_stream() {
        let stream = [9, 0, 0, 1, 0x65, 7, 0, 0, 0, 1, 0x41, 0, 5, 0, 0, 0, 1, 0x01, 8, 0, 0];
        let kinds: Vec<_> = split(&stream).map(|nal| (nal.kind(), nal.reference_idc(), nal.bytes.len())).collect();
        assert_eq!(kinds, [(5, 3, 2), (1, 2, 3), (1, 0, 2)]);
        assert_eq!(split(&[]).count(), 0);
        assert_eq!(split(&[0, 0, 1]).count(), 0);
        assert_eq!(split(&[0, 0, 1, 0, 0, 1]).count(), 0);
    }
}
