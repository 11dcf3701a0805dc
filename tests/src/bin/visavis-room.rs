//! `visavis-room`: the world around microphones and speakers, for tests with a sound server of their own.
//!
//! It listens beside microphones and speakers on one time scale, and is the room that carries what a speaker plays to a
//! microphone. All on one thread; each device is paced by its own clock.

use std::{cell::RefCell, collections::VecDeque, path::PathBuf, rc::Rc, time::Duration};

use clap::Parser;
use rand::{Rng, SeedableRng, rngs::StdRng};
use visavis::{
    capture::sound::Next,
    chan::latest::latest,
    clock::Clock,
    playback::Want,
    sound::{
        BLOCK_SAMPLES, Choice, SAMPLE_RATE_HZ, Samples,
        device::{Open, System},
        microphone::Microphone,
        speaker::Speaker,
    },
    thread::Urgency,
};
use visavis_codec::wav;
use visavis_proto::time::Timestamp;

/// Listens, and carries sound from speakers to microphones.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how long.
    #[arg(long)]
    seconds: u64,

    /// Record into a wav file that begins with the program; a time without sound is silence there.
    #[arg(long, value_name = "MICROPHONE=FILE.wav", value_parser = pair)]
    record: Vec<(String, String)>,

    /// Carry what the microphone beside a speaker hears into another one: 12 dB weaker, 8 ms and 60 ms of buffers
    /// later, with a reverberation of 250 ms.
    #[arg(long, value_name = "MICROPHONE=SPEAKER", value_parser = pair)]
    room: Option<(String, String)>,
}

/// Time between callbacks: nobody hears its delay, and PulseAudio throws away what a busy machine takes up later.
const PERIOD_US: u32 = 20_000;

/// The same of the room, which answers sooner.
const ROOM_PERIOD_US: u32 = 10_000;

/// A sample above this is no noise: -34 dB below full scale.
const LOUD: f32 = 0.02;

/// After so many blocks with loud samples, a second's, it is said that there is sound.
const LONG: u32 = 100;

fn pair(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("two names with = between them")?;
    Ok((from.to_owned(), to.to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // As the clients: what is measured is theirs, not how busy the machine is. Sound servers' threads inherit it.
    Urgency::Prompt.apply();
    let clock = Clock::system();
    let system = System::connect(clock);
    let started = clock.now();
    let mut open = Vec::new();
    let tasks = tokio::task::LocalSet::new();
    let mut recordings = Vec::new();
    for (microphone, file) in &arguments.record {
        let recording = Rc::new(RefCell::new(Recording { samples: Vec::new(), started }));
        recordings.push((PathBuf::from(file), Rc::clone(&recording)));
        let (name, mut loud) = (microphone.clone(), 0);
        let microphone = listen(&system, microphone, PERIOD_US, &mut open)?;
        tasks.spawn_local(record(clock, microphone, move |block, captured| {
            recording.borrow_mut().add(block, captured);
            loud += u32::from(block.iter().any(|sample| sample.abs() > LOUD));
            if loud == LONG {
                println!("{name} sounds");
                loud += 1;
            }
        }));
    }
    if let Some((microphone, speaker)) = &arguments.room {
        let air = Rc::new(RefCell::new(Air::new()));
        let there = Rc::clone(&air);
        let speaker = hear(&system, speaker, &mut open)?;
        let microphone = listen(&system, microphone, ROOM_PERIOD_US, &mut open)?;
        tasks.spawn_local(record(clock, microphone, move |block, _| there.borrow_mut().carry(block)));
        tasks.spawn_local(play(clock, speaker, move |block| air.borrow_mut().arrive(block)));
    }
    println!("the room is ready since {}", started.as_nanos());
    tasks.run_until(tokio::time::sleep(Duration::from_secs(arguments.seconds))).await;
    for (file, recording) in recordings {
        let mut writer = wav::Writer::create(&file)?;
        writer.write(&recording.borrow().samples)?;
        writer.finish()?;
    }
    Ok(())
}

fn listen(system: &System, name: &str, period_us: u32, open: &mut Vec<Open>) -> anyhow::Result<Microphone> {
    let (devices, cell) = latest();
    let (opened, reader) = system.open_input(&Choice::Device(name.to_owned()), period_us, |_| {})?;
    devices.put(reader);
    open.push(opened);
    Ok(Microphone::new(cell))
}

fn hear(system: &System, name: &str, open: &mut Vec<Open>) -> anyhow::Result<Speaker> {
    let (devices, cell) = latest();
    let (opened, writer) = system.open_output(&Choice::Device(name.to_owned()), ROOM_PERIOD_US, |_| {})?;
    devices.put(writer);
    open.push(opened);
    Ok(Speaker::new(cell))
}

async fn play(clock: Clock, mut speaker: Speaker, mut fill: impl FnMut(&mut Samples)) {
    let mut block = [0.0; BLOCK_SAMPLES];
    loop {
        let now = clock.now();
        match speaker.poll(now) {
            Want::Wait(at) => tokio::time::sleep_until(clock.instant(at)).await,
            Want::Block => {
                fill(&mut block);
                speaker.play(&block, now);
            }
        }
    }
}

async fn record(clock: Clock, mut microphone: Microphone, mut take: impl FnMut(&Samples, Timestamp)) {
    let mut block = [0.0; BLOCK_SAMPLES];
    loop {
        match microphone.poll(clock.now(), &mut block) {
            Next::Wait(at) => tokio::time::sleep_until(clock.instant(at)).await,
            Next::Block(captured) => take(&block, captured),
        }
    }
}

/// Samples since the program began, by their time.
struct Recording {
    samples: Vec<i16>,
    started: Timestamp,
}

/// A block that is off by more than this, 10 ms, comes after a gap.
const GAP: usize = 480;

impl Recording {
    fn add(&mut self, block: &Samples, captured: Timestamp) {
        let at = (captured.since(self.started).as_nanos() * u128::from(SAMPLE_RATE_HZ) / 1_000_000_000) as usize;
        if at > self.samples.len() + GAP {
            self.samples.resize(at, 0);
        }
        self.samples.extend(block.map(|sample| (sample * 32_768.0) as i16));
    }
}

/// Sound on its way from a speaker to a microphone.
struct Air {
    /// Delay and gain of each way that the sound takes.
    ways: Vec<(usize, f32)>,
    /// What was played, the newest last.
    played: VecDeque<f32>,
    on_the_way: VecDeque<f32>,
}

/// The direct way: 2.7 m.
const WAY: usize = 384;

/// Reflections come until here: 150 ms, by when they are 36 dB weaker.
const LONGEST_WAY: usize = WAY + 7_200;

impl Air {
    fn new() -> Self {
        let mut random = StdRng::seed_from_u64(1);
        let mut ways = vec![(WAY, 1.0)];
        ways.extend((0..300).map(|_| {
            let later = random.gen_range(96..LONGEST_WAY - WAY);
            (WAY + later, random.gen_range(-0.12..0.12) * 10_f32.powf(-3.0 * later as f32 / 12_000.0))
        }));
        let power: f32 = ways.iter().map(|(_, gain)| gain * gain).sum();
        let whole = 10_f32.powf(-12.0 / 20.0) / power.sqrt();
        ways.iter_mut().for_each(|(_, gain)| *gain *= whole);
        // 60 ms: what the buffers of both devices may hold, so that it never runs dry.
        Self { ways, played: vec![0.0; LONGEST_WAY + 1].into(), on_the_way: vec![0.0; 2_880].into() }
    }

    fn carry(&mut self, block: &Samples) {
        for &sample in block {
            self.played.pop_front();
            self.played.push_back(sample);
            let heard = self.ways.iter().map(|&(way, gain)| self.played[LONGEST_WAY - way] * gain).sum();
            self.on_the_way.push_back(heard);
        }
    }

    fn arrive(&mut self, block: &mut Samples) {
        for out in block {
            *out = self.on_the_way.pop_front().unwrap_or(0.0);
        }
    }
}
