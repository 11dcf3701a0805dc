//! Every frame that was captured for the call has one record, whatever stops it on its way to the network thread.

use super::*;
use crate::{
    capture::video::{self, Source as _},
    chan::latest::latest,
    stats::{Item, Queue},
};

fn ends(queue: &mut Queue) -> Vec<(u32, Fate)> {
    let records = std::iter::from_fn(|| queue.try_recv()).filter_map(|item| match item {
        Item::Frame(record) => Some(record),
        Item::Note(_) => None,
    });
    records.map(|record| (record.capture.expect("numbered"), record.fate)).collect()
}

/// Grey pictures.
struct Grey;

impl video::Reel for Grey {
    fn size(&self) -> (u32, u32) {
        (16, 16)
    }

    fn read(&mut self, _number: u32, _out: &mut Picture) -> Result<(), video::Error> {
        Ok(())
    }
}

/// Refuses every third picture.
struct Moody(u32);

impl Encoder for Moody {
    fn codec(&self) -> &'static str {
        "test"
    }

    fn encode(
        &mut self,
        _picture: &Picture,
        _captured: Timestamp,
        _target: Bitrate,
        _keyframe: bool,
        out: &mut Vec<u8>,
    ) -> Result<EncodedPicture, h264::Error> {
        self.0 += 1;
        out.push(0);
        match self.0 % 3 {
            0 => Err(h264::Error::Malformed("not this one")),
            _ => Ok(EncodedPicture {
                key: true,
                discardable: true,
                layer: 0,
                references: References::NONE,
                simulated: Duration::ZERO,
            }),
        }
    }
}

/// A camera of 10 pictures a second behind an encoder, and what a network thread has of them.
fn camera(stats: &stats::Sender) -> (mpsc::Receiver<EncodedFrame>, SendControl, [tokio::task::JoinHandle<()>; 2]) {
    let (queue, encoded) = mpsc::channel(ENCODED_PICTURES);
    let control = SendControl::new(Bitrate::from_kbps(100));
    let (writer, cell) = latest();
    let (pool, clock) = (Pool::default(), Clock::starting_at(Timestamp::ZERO));
    let source = Box::new(video::Paced { reel: Box::new(Grey), frames_per_second: 10.0 });
    let capture = source.run(video::Outlet::new(writer, pool.clone(), clock, control.clone(), stats.clone(), None));
    let stage = PictureStage { cell, pool, encoder: Box::new(Moody(0)), control: control.clone(), clock, queue };
    (encoded, control, [tokio::spawn(capture), tokio::spawn(encode_pictures(stage))])
}

#[tokio::test(start_paused = true)]
async fn every_captured_picture_of_the_call_ends_once_and_the_stages_end_with_it() {
    let (stats, mut records) = stats::channel();
    let (encoded, control, stages) = camera(&stats);
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(ends(&mut records), [], "0 to 4: it rings, nothing was to be sent");
    control.set_live(Some(Timestamp::ZERO));
    tokio::time::sleep(Duration::from_millis(900)).await;
    // The one that waited is the first; the third was refused; the queue is full with two; of the others the newest waits.
    let no_budget = |number| (number, Fate::Dropped(Drop::NoBudget));
    let until_full: Vec<_> = ends(&mut records);
    assert_eq!(until_full, (6..13).map(no_budget).collect::<Vec<_>>());
    control.set_live(None);
    drop(encoded);
    for stage in stages {
        stage.await.expect("no panic");
    }
    let mut rest = ends(&mut records);
    rest.sort_by_key(|(number, _)| *number);
    assert_eq!(rest, [4, 5, 13].map(|number| (number, Fate::InFlight)));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_was_captured_before_the_person_accepted() {
    let (stats, mut records) = stats::channel();
    let (mut encoded, control, _stages) = camera(&stats);
    tokio::time::sleep(Duration::from_millis(450)).await;
    control.set_live(Some(Timestamp::ZERO + Duration::from_millis(450)));
    let first = encoded.recv().await.expect("encoded");
    assert_eq!(first.record.capture, Some(5), "number 4 was waiting, and shows what was before");
    first.record.end(Fate::Sent);
    assert_eq!(ends(&mut records), [(5, Fate::Sent)]);
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_the_encoder_refuses_is_said_to_be() {
    let (stats, mut records) = stats::channel();
    let (mut encoded, control, _stages) = camera(&stats);
    control.set_live(Some(Timestamp::ZERO));
    for _ in 0..3 {
        encoded.recv().await.expect("encoded").record.end(Fate::Sent);
    }
    let refused = Fate::Dropped(Drop::EncodeFailed);
    assert_eq!(ends(&mut records), [(0, Fate::Sent), (1, Fate::Sent), (2, refused), (3, Fate::Sent)]);
}

#[test]
fn the_encoder_follows_the_size_of_the_pictures_by_a_keyframe() {
    let target = Bitrate::from_kbps(500);
    let mut encoder = H264::new((64, 48), 30.0, target).expect("an encoder");
    let mut decoder = h264::Decoder::new().expect("a decoder");
    let (mut out, mut shown) = (Vec::new(), Picture::new(2, 2));
    let sizes = [(64, 48), (64, 48), (160, 120), (160, 120), (120, 160), (64, 48)];
    let mut keys = Vec::new();
    for (number, (width, height)) in (1_u64..).zip(sizes) {
        let captured = Timestamp::from_micros(number * 33_000);
        let mut picture = Picture::new(width, height);
        picture.y.fill(100);
        out.clear();
        let coded = encoder.encode(&picture, captured, target, false, &mut out).expect("coded");
        keys.push(coded.key);
        assert!(decoder.decode(&out, &mut shown).expect("decodes"));
        assert_eq!((shown.width, shown.height), (width, height));
        assert!(shown.y.iter().all(|y| y.abs_diff(100) < 4));
    }
    assert_eq!(keys, [true, false, true, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn sound_that_the_network_thread_does_not_take_is_said_to_be_dropped() {
    let (stats, mut records) = stats::channel();
    let (queue, encoded) = mpsc::channel(ENCODED_SOUND);
    let control = SendControl::new(Bitrate::from_kbps(100));
    let stage = SoundStage {
        source: Box::new(sound::Generated::new(1)),
        encoder: opus::Encoder::new(32_000).expect("libopus"),
        control: control.clone(),
        clock: Clock::system(),
        queue,
        stats: stats.clone(),
    };
    let stage = tokio::spawn(encode_sound(stage));
    tokio::time::sleep(Duration::from_millis(105)).await;
    assert_eq!(ends(&mut records), [], "it rings");
    control.set_live(Some(Timestamp::ZERO));
    tokio::time::sleep(sound::BLOCK * 12).await;
    let dropped = ends(&mut records);
    assert_eq!(dropped.len(), 12 - ENCODED_SOUND, "{dropped:?}");
    assert!(dropped.iter().all(|(_, fate)| *fate == Fate::Dropped(Drop::SendQueueFull)), "{dropped:?}");
    control.set_live(None);
    drop(encoded);
    stage.await.expect("no panic");
    let waited = ends(&mut records);
    assert_eq!(waited.len(), ENCODED_SOUND);
    assert!(waited.iter().all(|(_, fate)| *fate == Fate::InFlight), "{waited:?}");
}
