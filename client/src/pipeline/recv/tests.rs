//! Every frame that came has one record, whatever stops it, and the ear hears nothing before the call is live.

use std::sync::Mutex;

use visavis_proto::{units::Bitrate, wire::media::References};

use super::*;
use crate::{
    capture::sound::BLOCK,
    playback::{Nowhere, Pace, Silent},
    stats::{
        Item, Queue,
        record::{FrameRecord, Media, Side},
    },
};

fn incoming(number: u32, media: Media, captured: Timestamp, stats: &stats::Sender) -> IncomingFrame {
    let header = FrameHeader {
        stream_index: 0,
        audio: media == Media::Audio,
        key: true,
        recovery_point: true,
        discardable: true,
        layer: 0,
        number: FrameNumber(number),
        references: References::NONE,
        capture_time: captured,
        capture_number: number,
        encoded_after_us: 0,
        bytes: 1,
        packets: 1,
    };
    let record = FrameRecord {
        frame: Some(number),
        capture: Some(number),
        captured_ns: Some(captured.as_nanos()),
        ..FrameRecord::new(Side::Receiver, media, Fate::InFlight)
    };
    IncomingFrame { header, payload: vec![0xff], record: Open::new(record, stats) }
}

fn ends(queue: &mut Queue) -> Vec<(u32, Fate)> {
    let records = std::iter::from_fn(|| queue.try_recv()).filter_map(|item| match item {
        Item::Frame(record) => Some(record),
        Item::Note(_) => None,
    });
    records.map(|record| (record.frame.expect("numbered"), record.fate)).collect()
}

/// A sound stage, where its frames go in, and the switch that makes the call live.
fn sound_stage(
    sink: Box<dyn SoundSink>,
    stats: &stats::Sender,
) -> (SoundStage, mpsc::Sender<IncomingFrame>, SendControl) {
    let (queue, receiver) = mpsc::channel(SOUND_TO_DECODE);
    let control = SendControl::new(Bitrate::from_kbps(100));
    let stage = SoundStage {
        queue: receiver,
        decoder: opus::Decoder::new().expect("libopus"),
        sink,
        sound_delay: SoundDelay::default(),
        control: control.clone(),
        clock: Clock::system(),
        stats: stats.clone(),
    };
    (stage, queue, control)
}

#[test]
fn sound_that_finds_no_room_to_wait_displaces_the_oldest() {
    let (stats, mut records) = stats::channel();
    let mut decoded = Decoded::default();
    let mut expect = |number| {
        decoded.expect(FrameNumber(number), incoming(number, Media::Audio, Timestamp::ZERO, &stats).record);
    };
    (0..SOUND_TO_DECODE as u32).for_each(&mut expect);
    assert_eq!(ends(&mut records), []);
    expect(1_000);
    assert_eq!(ends(&mut records), [(0, Fate::Dropped(Drop::Overflow))]);
    drop(decoded);
    let rest = ends(&mut records);
    assert_eq!(rest.len(), SOUND_TO_DECODE);
    assert!(rest.iter().all(|(_, fate)| *fate == Fate::InFlight), "{rest:?}");
}

#[test]
fn sound_that_was_passed_by_is_late_whether_it_had_come_or_comes_yet() {
    let (stats, mut records) = stats::channel();
    let mut decoded = Decoded::default();
    let record = |number| incoming(number, Media::Audio, Timestamp::ZERO, &stats).record;
    for number in [3, 5] {
        decoded.expect(FrameNumber(number), record(number));
    }
    let taken = decoded.take(FrameNumber(5)).expect("it waited");
    decoded.expect(FrameNumber(4), record(4));
    let late = Fate::Dropped(Drop::Late);
    assert_eq!(ends(&mut records), [(3, late), (4, late)]);
    taken.end(Fate::Shown);
    assert_eq!(ends(&mut records), [(5, Fate::Shown)]);
}

#[tokio::test(start_paused = true)]
async fn sound_that_the_decoder_refuses_is_said_to_be() {
    let (stats, mut records) = stats::channel();
    let (stage, queue, _) = sound_stage(Box::<Silent>::default(), &stats);
    // 120 ms of sound in a packet (RFC 6716 section 3.2.5), where 10 ms are due.
    let mut frame = incoming(0, Media::Audio, stage.clock.now(), &stats);
    frame.payload = vec![0x1b, 0x02];
    queue.try_send(frame).expect("room");
    let playing = tokio::spawn(play_sound(stage));
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(queue);
    playing.await.expect("no panic");
    assert_eq!(ends(&mut records), [(0, Fate::Dropped(Drop::DecodeFailed))]);
}

#[tokio::test(start_paused = true)]
async fn sound_that_waits_for_its_turn_when_the_call_ends_was_on_its_way() {
    let (stats, mut records) = stats::channel();
    let (stage, queue, _) = sound_stage(Box::<Silent>::default(), &stats);
    for number in 0..20 {
        queue.try_send(incoming(number, Media::Audio, stage.clock.now(), &stats)).expect("room");
    }
    drop(queue);
    play_sound(stage).await;
    let mut ends = ends(&mut records);
    ends.sort_by_key(|(number, _)| *number);
    assert_eq!(ends, (0..20).map(|number| (number, Fate::InFlight)).collect::<Vec<_>>());
}

/// Notes when each block is due.
struct Ear(Arc<Mutex<Vec<Timestamp>>>, Pace);

impl SoundSink for Ear {
    fn poll(&mut self, now: Timestamp) -> Want {
        self.1.poll(now)
    }

    fn play(&mut self, block: Option<&Block>, now: Timestamp) -> Timestamp {
        let due = self.1.advance(now);
        if block.is_some() {
            self.0.lock().expect("nobody panics").push(due);
        }
        now
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_played_before_the_call_is_live_and_then_a_block_every_10_ms() {
    let (stats, _records) = stats::channel();
    let heard = Arc::new(Mutex::default());
    let (stage, queue, control) = sound_stage(Box::new(Ear(Arc::clone(&heard), Pace::default())), &stats);
    let clock = stage.clock;
    let playing = tokio::spawn(play_sound(stage));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(heard.lock().expect("nobody panics").len(), 0, "it rings");
    control.set_live(Some(Timestamp::ZERO));
    let live = clock.now();
    tokio::time::sleep(Duration::from_millis(205)).await;
    drop(queue);
    playing.await.expect("no panic");
    let heard = heard.lock().expect("nobody panics");
    assert!((19..=21).contains(&heard.len()), "{heard:?}");
    assert!(heard[0].since(live) <= BLOCK && heard.windows(2).all(|pair| pair[1] == pair[0] + BLOCK), "{heard:?}");
}

/// Takes everything.
struct Any;

impl Decoder for Any {
    fn codec(&self) -> &'static str {
        "test"
    }

    fn decode(&mut self, _payload: &[u8], _out: &mut Picture) -> Result<Option<Duration>, h264::Error> {
        Ok(Some(Duration::ZERO))
    }
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_waits_for_its_sound_when_the_call_ends_was_on_its_way() {
    let (stats, mut records) = stats::channel();
    let clock = Clock::system();
    let (queue, receiver) = mpsc::channel(PICTURES_TO_DECODE);
    let sound_delay = SoundDelay::default();
    // Sound is a second late, so that pictures are held as long as they may be.
    sound_delay.set(Some(1_000_000_000));
    let stage = PictureStage {
        queue: receiver,
        decoder: Box::new(Any),
        sink: Box::new(Nowhere),
        sound_delay,
        recover: mpsc::channel(PLEAS).0,
        clock,
    };
    queue.try_send(ToDecode::Frame(incoming(0, Media::Video, clock.now(), &stats))).expect("room");
    drop(queue);
    decode_pictures(stage).await;
    assert_eq!(ends(&mut records), [(0, Fate::InFlight)]);
}
