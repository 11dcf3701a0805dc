//! `visavis-room`: the world around microphones and speakers, for tests with a sound server of their own.
//!
//! It listens beside microphones and speakers on one time scale, on one thread; each device is paced by its own clock.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use clap::Parser;
use visavis::{
    capture::sound::Next,
    chan::latest::latest,
    clock::Clock,
    sound::{
        BLOCK_SAMPLES, Choice, SAMPLE_RATE_HZ, Samples,
        device::{Open, System},
        microphone::Microphone,
    },
    thread::Urgency,
};
use visavis_codec::wav;
use visavis_proto::time::Timestamp;

/// Listens.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how long.
    #[arg(long)]
    seconds: u64,

    /// Record into a wav file that begins with the program; a time without sound is silence there.
    #[arg(long, value_name = "MICROPHONE=FILE.wav", value_parser = pair)]
    record: Vec<(String, String)>,
}

/// Time between callbacks: nobody hears its delay, and PulseAudio throws away what a busy machine takes up later.
const PERIOD_US: u32 = 20_000;

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
