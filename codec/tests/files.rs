//! Clips and recordings: what is written is what is read, bad files are refused with a reason, and the bytes of
//! the headers do not change by accident.

use std::io::Cursor;

use visavis_codec::{Picture, scene::Scene, wav, y4m};

fn read_clip(bytes: &[u8]) -> Result<y4m::Reader<Cursor<&[u8]>>, y4m::Error> {
    y4m::Reader::new(Cursor::new(bytes))
}

fn clip(header: &str, frames: &[&str], picture_bytes: usize) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    for frame in frames {
        bytes.extend(frame.as_bytes());
        bytes.extend(vec![7; picture_bytes]);
    }
    bytes
}

#[test]
fn a_clip_written_is_read_back_frame_by_frame_in_any_order() {
    for (width, height) in [(16, 16), (33, 17), (1920, 1080)] {
        let header = y4m::Header { width, height, rate: (30_000, 1_001) };
        let mut scene = Scene::new(width, height, 1);
        let mut pictures = vec![Picture::new(0, 0); 3];
        let mut writer = y4m::Writer::new(Vec::new(), header).expect("memory");
        for (frame, picture) in (0..).zip(&mut pictures) {
            scene.render(frame, picture);
            writer.write(picture).expect("memory");
        }
        let bytes = writer.finish().expect("memory");
        let mut reader = read_clip(&bytes).expect("valid");
        assert_eq!((reader.header(), reader.frames()), (header, 3));
        let mut picture = Picture::new(0, 0);
        for index in [2, 0, 1, 1] {
            reader.read(index, &mut picture).expect("there");
            assert!(picture == pictures[index as usize]);
        }
        assert!(matches!(reader.read(3, &mut picture), Err(y4m::Error::NoSuchFrame { index: 3, frames: 3 })));
    }
}

#[test]
fn the_bytes_of_a_y4m_file() {
    let header = y4m::Header { width: 16, height: 16, rate: (30, 1) };
    let mut writer = y4m::Writer::new(Vec::new(), header).expect("memory");
    writer.write(&Picture::new(16, 16)).expect("memory");
    let result = writer.write(&Picture::new(16, 18));
    assert!(matches!(result, Err(y4m::Error::WrongSize { width: 16, height: 18 })));
    let bytes = writer.finish().expect("memory");
    let start = b"YUV4MPEG2 W16 H16 F30:1         Ip A1:1 C420jpeg\nFRAME\n\x10\x10";
    assert_eq!(&bytes[..start.len()], start);
    assert_eq!(bytes.len(), start.len() - 2 + 16 * 16 * 3 / 2);
    assert_eq!(bytes.last(), Some(&128));
}

#[test]
fn headers_that_other_programs_write_are_read() {
    for header in [
        "YUV4MPEG2 W16 H16 F30:1\n",
        "YUV4MPEG2 H16 W16 F30000:1001 Ip A0:0 C420mpeg2 XYSCSS=420MPEG2\n",
        "YUV4MPEG2 W16  H16 F25:1 I? C420 Xanything\n",
        "YUV4MPEG2 W16 H16 F25:1 C420paldv XCOLORRANGE=LIMITED\n",
    ] {
        let bytes = clip(header, &["FRAME\n", "FRAME Ip Xcomment\n"], 384);
        assert_eq!(read_clip(&bytes).expect(header).frames(), 2);
    }
}

#[test]
fn clips_that_cannot_be_used_are_refused_with_the_reason() {
    let good = "YUV4MPEG2 W16 H16 F30:1\n";
    let frame = |header: &str| clip(header, &["FRAME\n"], 384);
    let mut truncated = clip(good, &["FRAME\n", "FRAME\n"], 384);
    truncated.pop();
    let cases: [(Vec<u8>, &str); 26] = [
        (Vec::new(), "does not begin with YUV4MPEG2"),
        (b"RIFF1234WAVE\n".to_vec(), "does not begin with YUV4MPEG2"),
        (b"YUV4MPEG2 W16 H16 F30:1".to_vec(), "does not end"),
        ([&b"YUV4MPEG2"[..], &[b' '; 5000]].concat(), "does not end"),
        (vec![b'Y'; 5000], "does not begin with YUV4MPEG2"),
        (b"a few words".to_vec(), "does not begin with YUV4MPEG2"),
        (frame("YUV4MPEG2 H16 F30:1\n"), "width"),
        (frame("YUV4MPEG2 W16 F30:1\n"), "height"),
        (frame("YUV4MPEG2 W16 H16\n"), "frame rate"),
        (frame("YUV4MPEG2 Wx H16 F30:1\n"), "\"Wx\" is not valid"),
        (frame("YUV4MPEG2 W-16 H16 F30:1\n"), "\"W-16\" is not valid"),
        (frame("YUV4MPEG2 W99999999999 H16 F30:1\n"), "is not valid"),
        (frame("YUV4MPEG2 W16 H16 F30\n"), "\"F30\" is not valid"),
        (frame("YUV4MPEG2 W16 H16 F0:1\n"), "\"F0:1\" is not valid"),
        (frame("YUV4MPEG2 W16 H16 F30:0\n"), "\"F30:0\" is not valid"),
        (frame("YUV4MPEG2 W15 H16 F30:1\n"), "15x16 pictures are not supported"),
        (frame("YUV4MPEG2 W16 H0 F30:1\n"), "16x0 pictures are not supported"),
        (frame("YUV4MPEG2 W1921 H1080 F30:1\n"), "1921x1080 pictures are not supported"),
        (frame("YUV4MPEG2 W16 H16 F30:1 C444\n"), "C444 is not supported"),
        (frame("YUV4MPEG2 W16 H16 F30:1 C420p10\n"), "C420p10 is not supported"),
        (frame("YUV4MPEG2 W16 H16 F30:1 Cmono\n"), "Cmono is not supported"),
        (frame("YUV4MPEG2 W16 H16 F30:1 It\n"), "interlaced clips (It)"),
        (good.as_bytes().to_vec(), "has no frames"),
        (clip(good, &["FRAME\n", "frame\n"], 384), "frame 1 does not begin with FRAME"),
        (clip(good, &["FRAMES\n"], 384), "frame 0 does not begin with FRAME"),
        (truncated, "inside frame 1"),
    ];
    for (bytes, reason) in cases {
        let error = read_clip(&bytes).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error:?} should say {reason:?}");
    }
}

#[test]
fn ping_pong_plays_forwards_and_backwards_without_a_repeat() {
    let order: Vec<u64> = y4m::PingPong::new(4).take(13).collect();
    assert_eq!(order, [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
    assert_eq!(y4m::PingPong::new(2).take(5).collect::<Vec<_>>(), [0, 1, 0, 1, 0]);
    assert_eq!(y4m::PingPong::new(1).take(3).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(y4m::PingPong::new(0).take(2).collect::<Vec<_>>(), [0, 0]);
}

/// A WAV file from its parts; the format chunk is the plain one of 16 bytes.
fn sound(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let align = channels.wrapping_mul(bits / 8);
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(u32::from(align)).to_le_bytes());
    bytes.extend(align.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn read_sound(bytes: &[u8]) -> Result<Vec<i16>, wav::Error> {
    wav::read_mono_48k_from(Cursor::new(bytes))
}

#[test]
fn the_bytes_of_a_wav_file_and_its_sizes_even_when_nobody_finishes_it() {
    let golden = b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data\x04\0\0\0\x01\0\xff\xff";
    let mut file = Cursor::new(Vec::new());
    let mut writer = wav::Writer::new(&mut file).expect("memory");
    writer.write(&[1]).expect("memory");
    writer.write(&[-1]).expect("memory");
    drop(writer);
    assert_eq!(file.get_ref(), golden);
    let folder = tempfile::tempdir().expect("a place for files");
    let path = folder.path().join("call.wav");
    let mut writer = wav::Writer::create(&path).expect("writable");
    writer.write(&[1, -1]).expect("writable");
    writer.finish().expect("writable");
    assert_eq!(std::fs::read(&path).expect("readable"), golden);
    assert_eq!(wav::read_mono_48k(&path).expect("valid"), [1, -1]);
    assert!(matches!(wav::read_mono_48k(folder.path().join("none.wav")), Err(wav::Error::Io(_))));
}

#[test]
fn all_sample_formats_and_any_number_of_channels_are_read() {
    let f32s = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let i32s = |values: &[i32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(read_sound(&sound(1, 1, 48_000, 16, &[0, 0x40, 0, 0x80])).expect("valid"), [16_384, -32_768]);
    assert_eq!(read_sound(&sound(1, 1, 48_000, 24, &[9, 0, 0x40, 0, 0, 0x80])).expect("valid"), [16_384, -32_768]);
    assert_eq!(read_sound(&sound(1, 1, 48_000, 32, &i32s(&[1 << 30, -1 << 31]))).expect("valid"), [16_384, -32_768]);
    let floats = f32s(&[0.5, -2.0, f32::NAN, f32::INFINITY]);
    assert_eq!(read_sound(&sound(3, 1, 48_000, 32, &floats)).expect("valid"), [16_384, -32_768, 0, 32_767]);
    let stereo = sound(1, 2, 48_000, 16, &[0, 1, 0, 3, 0, 0, 0, 2, 5]);
    assert_eq!(read_sound(&stereo).expect("a torn last frame is left out"), [0x200, 0x100]);
    // Chunks before the data, of odd length, and a header that was never patched.
    let mut streamed = sound(1, 1, 48_000, 16, &[1, 0, 2, 0]);
    streamed.splice(12..12, *b"LIST\x03\0\0\0abc\0");
    let size_at = streamed.len() - 8;
    streamed[size_at..size_at + 4].fill(0xff);
    assert_eq!(read_sound(&streamed).expect("valid"), [1, 2]);
}

#[test]
fn the_extensible_format_is_looked_through() {
    let mut bytes = sound(0xfffe, 1, 48_000, 16, &[5, 0]);
    bytes[16] = 40;
    let mut extension = vec![22, 0, 16, 0, 4, 0, 0, 0, 1, 0];
    extension.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    bytes.splice(36..36, extension);
    assert_eq!(read_sound(&bytes).expect("valid"), [5]);
    bytes[50] ^= 1;
    assert!(matches!(read_sound(&bytes), Err(wav::Error::Format)));
}

#[test]
fn sounds_that_cannot_be_used_are_refused_with_the_reason() {
    let good = sound(1, 1, 48_000, 16, &[1, 0]);
    let mut misaligned = good.clone();
    misaligned[32] = 3;
    let mut short_format = good.clone();
    short_format[16] = 8;
    let cases: [(Vec<u8>, &str); 16] = [
        (Vec::new(), "does not begin with RIFF"),
        (good[..11].to_vec(), "does not begin with RIFF"),
        (b"RIFX\0\0\0\0WAVE".to_vec(), "does not begin with RIFF"),
        (good[..12].to_vec(), "no \"fmt \" chunk"),
        (good[..36].to_vec(), "no \"data\" chunk"),
        (good[..30].to_vec(), "format chunk is damaged"),
        (short_format, "format chunk is damaged"),
        (misaligned, "format chunk is damaged"),
        ([&good[..12], &good[36..]].concat(), "no \"fmt \" chunk"),
        (sound(1, 1, 48_000, 8, &[1]), "8-bit samples of format 0x0001"),
        (sound(6, 1, 48_000, 8, &[1]), "8-bit samples of format 0x0006"),
        (sound(3, 1, 48_000, 64, &[1]), "64-bit samples of format 0x0003"),
        (sound(1, 0, 48_000, 16, &[1, 0]), "0 channels"),
        (sound(1, 1, 3_999, 16, &[1, 0]), "3999 Hz"),
        (sound(1, 1, 48_000, 16, &[1]), "no samples"),
        (good[..45].to_vec(), "ends 1 bytes before"),
    ];
    for (bytes, reason) in cases {
        let error = read_sound(&bytes).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error:?} should say {reason:?}");
    }
    let long = sound(1, 1, 4_000, 16, &vec![0; 2 * 4_000 * 3_601]);
    assert!(matches!(read_sound(&long), Err(wav::Error::TooLong)));
}

#[test]
fn resampling_keeps_length_pitch_and_level() {
    for rate in [4_000u32, 8_000, 11_025, 44_100, 44_101, 96_000, 384_000] {
        let hz = 440.0;
        let data: Vec<u8> = (0..rate)
            .map(|n| ((f64::from(n) * hz * std::f64::consts::TAU / f64::from(rate)).sin() * 10_000.0) as i16)
            .flat_map(i16::to_le_bytes)
            .collect();
        let samples = read_sound(&sound(1, 1, rate, 16, &data)).expect("valid");
        assert!(samples.len().abs_diff(48_000) <= 1, "{rate} Hz: {} samples", samples.len());
        let middle = &samples[4_800..43_200];
        let crossings = middle.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!(crossings.abs_diff(352) <= 1, "{rate} Hz: {crossings} periods");
        let power = middle.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / middle.len() as f64;
        assert!((power.sqrt() / 7_071.0 - 1.0).abs() < 0.02, "{rate} Hz: level {}", power.sqrt());
    }
}
