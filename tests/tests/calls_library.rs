//! The library has no global state: ten clients in one process, five calls at once, one relay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use tokio::sync::watch;
use visavis::{
    call::Stages,
    chan::failures::failures,
    client::{Client, Events},
    clock::Clock,
    identity::Key,
    net::{
        actor::Event,
        media::Ports,
        session::{self, Credentials},
        transport::Network,
    },
    playback::{PictureSink, Shown},
    stats::{self, Open, run::Running},
};
use visavis_codec::Picture;
use visavis_proto::{
    signal::call::Event as CallEvent,
    units::Bitrate,
    wire::{control::EndReason, link::Link},
};
use visavis_tests::{
    claims::load::generated,
    real::{PASSWORD, PATIENCE, Relay},
};

/// Pictures that everybody is to see.
const ENOUGH: u32 = 30;

/// Counts the pictures of one call.
struct Counter {
    shown: watch::Sender<u32>,
    size: Arc<AtomicU32>,
}

impl PictureSink for Counter {
    fn show(&mut self, picture: Picture, about: Shown, record: Open) -> Picture {
        self.size.store(picture.width, Relaxed);
        self.shown.send_modify(|shown| *shown += 1);
        record.shown(about.presented);
        picture
    }
}

/// A client with the stages of one call.
struct Caller {
    name: String,
    client: Client,
    events: Events,
    stages: Stages,
    ports: Option<Ports>,
    shown: watch::Receiver<u32>,
    size: Arc<AtomicU32>,
    collector: Running,
}

impl Caller {
    async fn join(link: &Link, number: u32) -> anyhow::Result<Self> {
        let name = format!("person {number}");
        let clock = Clock::system();
        let device = Key::generate()?;
        let who = Credentials {
            name: name.clone(),
            password: PASSWORD.to_owned().into(),
            device_name: "test".into(),
            now_ms: clock.now().as_millis(),
        };
        session::register(&Network::System, link, &device, &who).await?.leave().await;
        let (client, events) = Client::connect(link.clone(), Arc::new(device), clock).await?;
        let (sender, queue) = stats::channel();
        let collector = stats::run::start(queue, clock, None, failures().0)?;
        let (shown_sender, shown) = watch::channel(0);
        let size = Arc::new(AtomicU32::new(0));
        // Everybody's pictures have a width of their own, so that a mix-up shows.
        let sink = Box::new(Counter { shown: shown_sender, size: size.clone() });
        let options = generated((width(number), 96), u64::from(number), Bitrate::from_kbps(80), sink)?;
        let (stages, ports) = Stages::start(options, clock, &sender)?;
        Ok(Self { name, client, events, stages, ports: Some(ports), shown, size, collector })
    }

    async fn event<T>(&mut self, mut look: impl FnMut(&Event) -> Option<T>) -> anyhow::Result<T> {
        let search = async {
            loop {
                let event = self.events.recv().await.context("the client's loop ended")?;
                if let Some(found) = look(&event) {
                    return Ok(found);
                }
                if let Event::Refused(_) | Event::Disconnected(_) = event {
                    bail!("{}: {event:?}", self.name);
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.with_context(|| format!("{} waits for ever", self.name))?
    }

    async fn connected(&mut self) -> anyhow::Result<String> {
        self.event(|event| match event {
            Event::Call(CallEvent::Connected(connected)) => Some(connected.peer.clone()),
            _ => None,
        })
        .await
    }

    async fn ended(&mut self) -> anyhow::Result<EndReason> {
        self.event(|event| match event {
            Event::Call(CallEvent::Ended { reason, .. }) if *reason != EndReason::Merged => Some(*reason),
            _ => None,
        })
        .await
    }

    async fn sees_enough(&mut self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.shown.wait_for(|&shown| shown >= ENOUGH))
            .await
            .with_context(|| format!("{} sees too little", self.name))??;
        Ok(())
    }

    async fn leave(self) -> anyhow::Result<()> {
        self.client.stop().await;
        self.stages.finish();
        self.collector.finish()?.1?;
        Ok(())
    }
}

const fn width(number: u32) -> u32 {
    96 + 16 * number
}

#[tokio::test]
async fn ten_clients_in_one_process_hold_five_calls() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(folder.path())?;
    let link: Link = relay.link.parse()?;
    let mut pairs = Vec::new();
    for pair in 0..5 {
        pairs.push((Caller::join(&link, 2 * pair).await?, Caller::join(&link, 2 * pair + 1).await?));
    }
    for (caller, callee) in &mut pairs {
        let ports = caller.ports.take().context("ports")?;
        caller.client.call(&callee.name, ports).await;
    }
    for (caller, callee) in &mut pairs {
        let incoming = |event: &Event| match event {
            Event::Call(CallEvent::Incoming { call, caller, .. }) => Some((*call, caller.clone())),
            _ => None,
        };
        let (call, from) = callee.event(incoming).await?;
        ensure!(from == caller.name, "{from} calls instead of {}", caller.name);
        callee.client.accept(call, callee.ports.take().context("ports")?).await;
    }
    for (number, (caller, callee)) in (0..).zip(&mut pairs) {
        ensure!(caller.connected().await? == callee.name && callee.connected().await? == caller.name);
        caller.sees_enough().await?;
        callee.sees_enough().await?;
        let sizes = (caller.size.load(Relaxed), callee.size.load(Relaxed));
        ensure!(sizes == (width(2 * number + 1), width(2 * number)), "somebody else's pictures: {sizes:?}");
    }
    let shown: Vec<_> = pairs.iter().map(|(one, other)| (*one.shown.borrow(), *other.shown.borrow())).collect();
    println!("pictures shown by the time that everybody had seen {ENOUGH}: {shown:?}");
    for (caller, mut callee) in pairs {
        caller.leave().await?;
        ensure!(callee.ended().await? == EndReason::PeerHungUp, "the other side left");
        callee.leave().await?;
    }
    relay.stop()
}

#[tokio::test]
async fn two_clients_that_call_each_other_at_once_share_one_call() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(folder.path())?;
    let link: Link = relay.link.parse()?;
    for round in 0..10 {
        let (mut one, mut other) = (Caller::join(&link, 2 * round).await?, Caller::join(&link, 2 * round + 1).await?);
        let (ports, other_ports) = (one.ports.take().context("ports")?, other.ports.take().context("ports")?);
        tokio::join!(one.client.call(&other.name, ports), other.client.call(&one.name, other_ports));
        let call = |event: &Event| match event {
            Event::Call(CallEvent::Connected(connected)) => Some(connected.call),
            _ => None,
        };
        let (mine, theirs) = tokio::join!(one.event(call), other.event(call));
        let call = mine?;
        ensure!(call == theirs?, "two calls instead of one");
        tokio::time::timeout(Duration::from_secs(10), one.shown.wait_for(|&shown| shown > 0)).await??;
        tokio::time::timeout(Duration::from_secs(10), other.shown.wait_for(|&shown| shown > 0)).await??;
        one.client.end(call).await;
        ensure!(one.ended().await? == EndReason::HungUp && other.ended().await? == EndReason::PeerHungUp);
        one.leave().await?;
        other.leave().await?;
    }
    relay.stop()
}
