//! The application behind the window, without a window: a whole life of two people over a real relay.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use tokio::sync::watch;
use visavis::{
    app::{
        App, Command, Join, Options,
        media::{Maker, Ring},
        settings::Settings,
        state::{Access, Connection, Phase, State},
    },
    call::{Camera, Microphone},
    capture::{sound, video},
    clock::Clock,
    playback::{Nowhere, PictureSink, Silent, SoundSink},
};
use visavis_proto::units::Bitrate;
use visavis_tests::real::{PASSWORD, PATIENCE, Relay};

/// Small generated scenes, and nobody who looks.
struct Scenes;

impl Maker for Scenes {
    fn camera(&mut self, settings: &Settings) -> anyhow::Result<Option<Camera>> {
        let scene = Box::new(video::Generated::new(160, 120, 1));
        Ok(Some(Camera::h264(scene, 30.0, settings.camera.video_rate())?))
    }

    fn microphone(&mut self, _settings: &Settings) -> anyhow::Result<Option<Microphone>> {
        Ok(Some(Microphone { source: Box::new(sound::Generated::new(1)), rate: Bitrate::from_kbps(48) }))
    }

    fn screen(&mut self) -> Box<dyn PictureSink> {
        Box::new(Nowhere)
    }

    fn speaker(&mut self, _settings: &Settings) -> Box<dyn SoundSink> {
        Box::<Silent>::default()
    }

    fn apply(&mut self, _settings: &Settings) {}

    fn set_camera_off(&mut self, _off: bool) {}

    fn ring(&mut self, _ring: Option<Ring>) {}
}

/// Somebody at their window.
struct Somebody {
    app: App,
    states: watch::Receiver<Arc<State>>,
}

impl Somebody {
    fn sits_down(folder: &Path) -> anyhow::Result<Self> {
        let app = App::start(Options {
            folder: folder.to_owned(),
            settings: Settings::load(folder)?,
            link: None,
            notice: None,
            clock: Clock::system(),
            maker: Box::new(Scenes),
            wake: Arc::new(|| ()),
        })?;
        let states = app.states();
        Ok(Self { app, states })
    }

    async fn joins(&mut self, link: &str, name: &str) -> anyhow::Result<()> {
        self.tries_to_join(link, name);
        self.sees("is online", |state| state.connection == Connection::Online).await?;
        Ok(())
    }

    fn tries_to_join(&self, link: &str, name: &str) {
        let (link, name) = (link.to_owned(), name.to_owned());
        let password = PASSWORD.to_owned().into();
        self.app.command(Command::Join(Join { link, name, password, existing: false }));
    }

    fn does(&self, command: Command) {
        self.app.command(command);
    }

    /// Waits until the state is such.
    async fn sees(&mut self, what: &str, such: impl FnMut(&State) -> bool) -> anyhow::Result<Arc<State>> {
        let mut such = such;
        let waiting = self.states.wait_for(|state| such(state));
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(state) => Ok(state?.clone()),
            Err(_) => anyhow::bail!("never seen: {what}, but {:#?}", self.app.state()),
        }
    }
}

fn is_over(state: &State, sentence: &str) -> bool {
    state.call.as_ref().is_some_and(|call| call.phase == Phase::Over(sentence.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_join_see_each_other_talk_hang_up_and_miss_a_call() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let mut ann = Somebody::sits_down(&folder.path().join("ann"))?;
    let mut bob = Somebody::sits_down(&folder.path().join("bob"))?;

    ann.tries_to_join("visavis://", "ann");
    let told = ann.sees("a wrong link", |state| state.notice.is_some() && state.access == Access::Welcome).await?;
    assert!(told.notice.as_ref().is_some_and(|notice| notice.text.contains("link")), "{:?}", told.notice);
    ann.joins(&relay.link, "ann").await?;
    bob.joins(&relay.link, "bob").await?;
    let there = |name: &'static str, online| {
        move |state: &State| state.people.get(name).is_some_and(|person| person.online == online)
    };
    ann.sees("bob is there", there("bob", true)).await?;
    bob.sees("ann is there", there("ann", true)).await?;

    ann.does(Command::Call("bob".into()));
    ann.sees("it rings there", |state| {
        state.call.as_ref().is_some_and(|call| call.phase == Phase::RingingOut { devices: Some(1) })
    })
    .await?;
    bob.sees("it rings here", |state| state.call.as_ref().is_some_and(|call| call.phase == Phase::RingingIn)).await?;
    ann.does(Command::Mute(true));
    ann.sees("that she is muted", |state| state.call.as_ref().is_some_and(|call| call.muted && !call.is_live()))
        .await?;
    bob.does(Command::Accept { camera: false });
    bob.sees("ann is muted", |state| state.call.as_ref().is_some_and(|call| call.is_live() && call.peer_muted))
        .await?;
    ann.sees("bob without a picture", |state| {
        state.call.as_ref().is_some_and(|call| call.is_live() && call.peer_camera_off && !call.peer_muted)
    })
    .await?;
    bob.sees("ann's picture", |state| {
        state.call.as_ref().and_then(|call| call.live.as_ref()).is_some_and(|live| live.fps > 0.0)
    })
    .await?;
    bob.does(Command::CameraOff(false));
    bob.does(Command::Mute(true));
    ann.sees("bob's picture, and that he is muted", |state| {
        let Some(call) = &state.call else { return false };
        call.peer_muted && !call.peer_camera_off && call.live.as_ref().is_some_and(|live| live.fps > 0.0)
    })
    .await?;
    bob.does(Command::End);
    bob.sees("the end", |state| is_over(state, "You hung up.")).await?;
    ann.sees("the end", |state| is_over(state, "bob hung up.")).await?;
    let past = ann.sees("the call in the history", |state| state.history.len() == 1).await?;
    assert!(past.history[0].outgoing && past.history[0].accepted_ms > 0, "{:?}", past.history);
    ann.does(Command::Dismiss);
    bob.does(Command::Dismiss);
    ann.sees("no call", |state| state.call.is_none()).await?;

    ann.does(Command::Call("bob".into()));
    bob.sees("it rings again", |state| state.call.as_ref().is_some_and(|call| call.phase == Phase::RingingIn))
        .await?;
    ann.does(Command::End);
    bob.sees("a missed call", |state| state.missed == 1 && state.history.first().is_some_and(|call| call.missed()))
        .await?;
    bob.does(Command::SeenMissed);
    bob.sees("none any more", |state| state.missed == 0).await?;

    tokio::task::spawn_blocking(move || ann.app.stop()).await?;
    bob.sees("ann has gone", there("ann", false)).await?;
    tokio::task::spawn_blocking(move || bob.app.stop()).await?;
    // A device that has joined goes straight in.
    let mut ann = Somebody::sits_down(&folder.path().join("ann"))?;
    let first = ann.app.state();
    assert!(matches!(&first.access, Access::Member { name, .. } if name == "ann"), "{:?}", first.access);
    ann.sees("is online", |state| state.connection == Connection::Online).await?;
    tokio::task::spawn_blocking(move || ann.app.stop()).await.context("the engine ends")?;
    relay.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_away_at_the_start_is_told_and_looked_for() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let address = relay.address()?.to_string();
    let mut ann = Somebody::sits_down(&folder.path().join("ann"))?;
    ann.joins(&relay.link, "ann").await?;
    tokio::task::spawn_blocking(move || ann.app.stop()).await?;
    relay.stop()?;
    let mut ann = Somebody::sits_down(&folder.path().join("ann"))?;
    ann.sees("the relay is away", |state| matches!(state.connection, Connection::Lost(_))).await?;
    let relay = Relay::start_at::<&str>(&address, &folder.path().join("relay"), &[])?;
    ann.does(Command::Retry);
    ann.sees("is online", |state| state.connection == Connection::Online).await?;
    tokio::task::spawn_blocking(move || ann.app.stop()).await?;
    relay.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_can_join_again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let address = relay.address()?.to_string();
    let mut ann = Somebody::sits_down(&folder.path().join("ann"))?;
    ann.joins(&relay.link, "ann").await?;
    relay.stop()?;
    // Set up anew: it has another key, and knows nobody.
    let relay = Relay::start_at(&address, &folder.path().join("another"), &["--open-registration"])?;
    ann.sees("she is refused", |state| matches!(state.connection, Connection::Refused(_))).await?;
    ann.does(Command::JoinAgain);
    ann.sees("the first screen", |state| state.access == Access::Welcome).await?;
    ann.joins(&relay.link, "ann").await?;
    tokio::task::spawn_blocking(move || ann.app.stop()).await?;
    relay.stop()
}
