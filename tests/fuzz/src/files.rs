//! Coded media and files that a person names.

use std::io::Cursor;

use visavis_codec::{
    Picture, h264,
    opus::{self, FRAME_SAMPLES},
    wav, y4m,
};

/// Access units in a row, through the look that is taken at each and through openh264 itself, which is built without
/// coverage: of its code only what it answers is seen. Each unit makes a whole picture or an error.
pub fn h264(data: &[u8]) {
    let mut decoder = h264::Decoder::new().expect("memory");
    let mut picture = Picture::new(0, 0);
    let mut script = super::Script(data);
    let mut fed = false;
    while let Some(operation) = script.operation() {
        let unit = match operation {
            // A long one, to the end.
            0xff => std::mem::take(&mut script.0),
            _ => script.bytes(),
        };
        match decoder.decode(unit, &mut picture) {
            Ok(true) => fed = true,
            Ok(false) => {}
            Err(h264::Error::NeedsKeyframe) => assert!(!fed, "it had one"),
            Err(_) => fed = false,
        }
        assert!(picture.is_consistent());
        assert!(picture.width <= h264::MAX_WIDTH && picture.height <= h264::MAX_HEIGHT);
    }
}

/// A decoder of sound that is given anything goes on working.
pub fn opus_packet(data: &[u8]) {
    let mut decoder = opus::Decoder::new().expect("memory");
    let mut out = [0; FRAME_SAMPLES];
    let mut script = super::Script(data);
    while let Some(operation) = script.operation() {
        let packet = script.bytes();
        let taken = match operation % 3 {
            0 => decoder.decode(packet, &mut out).is_ok(),
            1 => decoder.decode_fec(packet, &mut out).is_ok(),
            _ => true,
        };
        if !taken || operation % 3 == 2 {
            decoder.conceal(&mut out).expect("concealing always works");
        }
    }
}

/// A clip that opens can be read to its last frame, and what is written of it reads as the same.
pub fn y4m(data: &[u8]) {
    let Ok(mut reader) = y4m::Reader::new(Cursor::new(data)) else { return };
    let header = reader.header();
    assert!(header.width <= 1920 && header.height <= 1080);
    assert!(header.frames_per_second().is_none_or(|rate| (0.1..=1000.0).contains(&rate)));
    let mut picture = Picture::new(0, 0);
    let mut writer = y4m::Writer::new(Vec::new(), header).expect("memory");
    for index in 0..reader.frames() {
        reader.read(index, &mut picture).expect("found when it was opened");
        assert!(picture.is_consistent() && (picture.width, picture.height) == (header.width, header.height));
        writer.write(&picture).expect("memory");
    }
    assert!(matches!(reader.read(reader.frames(), &mut picture), Err(y4m::Error::NoSuchFrame { .. })));
    let written = writer.finish().expect("memory");
    let again = y4m::Reader::new(Cursor::new(written)).expect("own file");
    assert_eq!((again.header(), again.frames()), (header, reader.frames()));
}

/// A recording that opens has as much sound as its bytes can hold, and its own copy reads as the same.
pub fn wav(data: &[u8]) {
    let Ok(samples) = wav::read_mono_48k_from(Cursor::new(data)) else { return };
    // 2 bytes a sample at 4,000 Hz, the least of both.
    assert!(samples.len() <= data.len() * 12 / 2, "{} samples of {} bytes", samples.len(), data.len());
    let mut file = Cursor::new(Vec::new());
    let mut writer = wav::Writer::new(&mut file).expect("memory");
    writer.write(&samples).expect("memory");
    writer.finish().expect("memory");
    if !samples.is_empty() {
        assert_eq!(wav::read_mono_48k_from(Cursor::new(file.into_inner())).expect("own file"), samples);
    }
}
