//! Idle clients and concurrent calls on one relay: its memory a client, and its processor time a forwarded packet.
//!
//! The relay is a process of its own; the clients live together in this one, which also shows that they can.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use tokio::task::JoinHandle;
use visavis::{
    call::{Camera, Microphone, Options, Stages},
    capture::{sound, video},
    client::{Client, Events},
    clock::Clock,
    identity::Key,
    net::{
        actor::Event,
        session::{self, Credentials},
        transport::Network,
    },
    playback::{Nowhere, PictureSink, Silent},
    stats::{self, Item, Queue, record::Note},
};
use visavis_codec::h264;
use visavis_proto::{signal::call::Event as CallEvent, units::Bitrate, wire::link::Link};

use crate::real::{PASSWORD, PATIENCE, Relay};

/// What to load the relay with.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Clients that are online and do nothing.
    pub idle: usize,
    /// Concurrent calls.
    pub calls: usize,
    /// How long the calls last.
    pub seconds: u64,
}

/// What it cost.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Resident memory of the relay before anybody has come.
    pub memory_fresh_bytes: u64,
    /// After everybody has registered, one after the other, and gone again: what registering leaves behind.
    pub memory_registered_bytes: u64,
    /// With everybody connected and no call.
    pub memory_idle_bytes: u64,
    /// With all calls live.
    pub memory_calls_bytes: u64,
    /// Media packets that arrived at clients.
    pub packets: u64,
    /// Media packets that did not.
    pub lost: u64,
    /// Processor seconds of the relay during the calls.
    pub cpu_seconds: f64,
}

/// Pictures of a headless call that is meant to load the relay rather than the encoders.
const SIZE: (u32, u32) = (160, 120);

/// Runs the plan with the relay's data in `folder`.
///
/// # Errors
///
/// Whatever failed first.
pub async fn run(plan: Plan, folder: &Path, mut tell: impl FnMut(&str)) -> anyhow::Result<Outcome> {
    let relay = Relay::start(&folder.join("relay"))?;
    let link: Link = relay.link.parse()?;
    let pid = relay.process.id();
    let memory_fresh_bytes = resident(pid)?;
    let people = plan.idle + 2 * plan.calls;
    tell(&format!("registering {people} people"));
    let mut keys = Vec::new();
    for number in 0..people {
        keys.push(Arc::new(register(&link, &format!("person {number}")).await?));
    }
    let memory_registered_bytes = resident(pid)?;
    tell("connecting them");
    let clock = Clock::system();
    let mut clients: Vec<(Client, Events)> = Vec::new();
    // A relay lets one neighbourhood in twenty times a second.
    let mut turn = tokio::time::interval(Duration::from_millis(60));
    for key in keys {
        turn.tick().await;
        clients.push(Client::connect(link.clone(), key, clock).await?);
    }
    let memory_idle_bytes = resident(pid)?;

    tell(&format!("{} calls for {} s", plan.calls, plan.seconds));
    let idle = clients.split_off(2 * plan.calls);
    let mut pairs = clients.into_iter();
    let mut talking: Vec<JoinHandle<anyhow::Result<Packets>>> = Vec::new();
    let cpu_before = processor_seconds(pid)?;
    for number in 0..plan.calls {
        let (caller, callee) = pairs.next().zip(pairs.next()).context("too few clients")?;
        let duration = Duration::from_secs(plan.seconds);
        talking.push(tokio::spawn(answer(callee, clock)));
        talking.push(tokio::spawn(call(caller, format!("person {}", 2 * number + 1), duration, clock)));
    }
    tokio::time::sleep(Duration::from_secs(plan.seconds / 2)).await;
    let memory_calls_bytes = resident(pid)?;
    let mut packets = Packets::default();
    for side in talking {
        let counted = side.await??;
        packets.received += counted.received;
        packets.lost += counted.lost;
    }
    let cpu_seconds = processor_seconds(pid)? - cpu_before;
    for (client, _) in idle {
        client.stop().await;
    }
    relay.stop()?;
    ensure!(packets.received > 0, "no packet came");
    Ok(Outcome {
        memory_fresh_bytes,
        memory_registered_bytes,
        memory_idle_bytes,
        memory_calls_bytes,
        packets: packets.received,
        lost: packets.lost,
        cpu_seconds,
    })
}

/// Media packets of one client's downlink.
#[derive(Debug, Clone, Copy, Default)]
struct Packets {
    received: u64,
    lost: u64,
}

/// Registers somebody and answers their device's key.
///
/// # Errors
///
/// What the relay says.
pub async fn register(link: &Link, name: &str) -> anyhow::Result<Key> {
    let key = Key::generate()?;
    let who = Credentials {
        name: name.to_owned(),
        password: PASSWORD.to_owned().into(),
        device_name: "test".into(),
        now_ms: 0,
    };
    session::register(&Network::System, link, &key, &who).await?.leave().await;
    Ok(key)
}

async fn answer((client, mut events): (Client, Events), clock: Clock) -> anyhow::Result<Packets> {
    let (stages, ports, queue) = media(clock, 2)?;
    let counting = tokio::spawn(count(queue));
    loop {
        if let Event::Call(CallEvent::Incoming { call, .. }) = next(&mut events).await? {
            client.accept(call, ports).await;
            break;
        }
    }
    wait_for_end(&mut events).await?;
    client.stop().await;
    stages.finish();
    Ok(counting.await?)
}

async fn call(
    (client, mut events): (Client, Events),
    callee: String,
    duration: Duration,
    clock: Clock,
) -> anyhow::Result<Packets> {
    let (stages, ports, queue) = media(clock, 1)?;
    let counting = tokio::spawn(count(queue));
    let call = client.call(&callee, ports).await;
    loop {
        match next(&mut events).await? {
            Event::Call(CallEvent::Connected(_)) => break,
            Event::Call(CallEvent::Ended { reason, .. }) => anyhow::bail!("not connected: {reason:?}"),
            _ => {}
        }
    }
    tokio::time::sleep(duration).await;
    client.end(call).await;
    wait_for_end(&mut events).await?;
    client.stop().await;
    stages.finish();
    Ok(counting.await?)
}

fn media(clock: Clock, seed: u64) -> anyhow::Result<(Stages, visavis::net::media::Ports, Queue)> {
    let (sender, queue) = stats::channel();
    let (stages, ports) =
        Stages::start(generated(SIZE, seed, Bitrate::from_kbps(300), Box::new(Nowhere))?, clock, &sender)?;
    Ok((stages, ports, queue))
}

/// A generated scene and voice, real codecs, and a picture sink of the caller's.
///
/// # Errors
///
/// If a codec refuses.
pub fn generated(
    size: (u32, u32),
    seed: u64,
    video_rate: Bitrate,
    picture_sink: Box<dyn PictureSink>,
) -> anyhow::Result<Options> {
    let source = Box::new(video::Generated::new(size.0, size.1, seed));
    Ok(Options {
        camera: Some(Camera::h264(source, 30.0, video_rate)?),
        microphone: Some(Microphone { source: Box::new(sound::Generated::new(seed)), rate: Bitrate::from_kbps(32) }),
        video_rate,
        decoder: Box::new(h264::Decoder::new()?),
        picture_sink,
        sound_sink: Box::<Silent>::default(),
    })
}

/// Adds up the packets until every stage is gone.
async fn count(mut queue: Queue) -> Packets {
    let mut packets = Packets::default();
    while let Some(item) = queue.recv().await {
        if let Item::Note(Note::Packets { received, lost }) = item {
            packets.received += received;
            packets.lost += lost;
        }
    }
    packets
}

async fn wait_for_end(events: &mut Events) -> anyhow::Result<()> {
    loop {
        if let Event::Call(CallEvent::Ended { .. }) = next(events).await? {
            return Ok(());
        }
    }
}

async fn next(events: &mut Events) -> anyhow::Result<Event> {
    tokio::time::timeout(PATIENCE, events.recv()).await.context("nothing happens")?.context("the client ended")
}

/// Resident memory of a process.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1_024)
}

fn processor_seconds(pid: u32) -> anyhow::Result<f64> {
    Ok(crate::demo::cost_of("relay", pid).context("the relay is gone")?.cpu_seconds)
}
