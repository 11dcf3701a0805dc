//! A relay and some people in virtual time, and what a scenario can do with them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::Notify;
use visavis::{
    client::{Client, Events},
    clock::Clock,
    identity::Key,
    net::{actor::Event, media::Ports, transport::Network},
    stats::collector::Live,
};
use visavis_proto::{
    ids::CallId,
    signal::call::{Connected, Event as CallEvent},
    time::Timestamp,
    wire::link::Link,
};
use visavis_relay::{Relay, RelayConfig, Snapshot, Socket, db::memory::Memory, identity::Identity};

use super::{
    link::{Conditions, Counts},
    log::{Entry, Log},
    net::{Net, RELAY, Site, VirtualTime, Way},
    stages::{self, Books, Figures, Media, Whose},
    time::Timeline,
};

/// What all clocks show, give or take their error, when a world begins.
const EPOCH: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

/// People's clocks are wrong by up to this much, either way, as those of machines without NTP.
const CLOCK_ERROR: Duration = Duration::from_secs(5);

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// The uplink and the downlink of each person, who is called `person 0`, `person 1` and so on.
    pub sites: Vec<(Conditions, Conditions)>,
    /// What everybody sends.
    pub media: Media,
    /// How long people let it ring before they accept; `None` if they never do.
    pub answer_after: Option<Duration>,
}

impl Plan {
    /// `people` at links that are alike in both directions.
    pub fn alike(seed: u64, people: usize, conditions: Conditions) -> Self {
        Self {
            seed,
            sites: vec![(conditions, conditions); people],
            media: Media::default(),
            answer_after: Some(Duration::from_millis(500)),
        }
    }
}

/// A running world.
pub struct World {
    net: Arc<Net>,
    log: Arc<Log>,
    relay: Relay,
    people: Vec<Arc<Person>>,
    random: Mutex<StdRng>,
}

/// What is left of a world.
#[derive(Debug)]
pub struct Ending<T> {
    /// What the scenario answered.
    pub result: T,
    /// Everything that happened.
    pub log: Arc<Log>,
}

/// Builds a world, plays `scenario` in it, and takes it down.
///
/// # Errors
///
/// The world could not be built, or the scenario failed.
pub fn run<T>(plan: Plan, scenario: impl AsyncFnOnce(&World) -> anyhow::Result<T>) -> anyhow::Result<Ending<T>> {
    let (timeline, runtime) = Timeline::with_runtime()?;
    let log = Arc::new(Log::default());
    let result = runtime.block_on(async {
        let world = World::build(&plan, timeline, log.clone()).await?;
        scenario(&world).await
    });
    Ok(Ending { result: result?, log })
}

impl World {
    /// Starts the relay, and connects everybody, one after the other.
    async fn build(plan: &Plan, timeline: Arc<Timeline<super::net::Arrival>>, log: Arc<Log>) -> anyhow::Result<Self> {
        let mut random = StdRng::seed_from_u64(plan.seed);
        let net = Net::new(timeline.clone(), log.clone());
        for (index, (up, down)) in plan.sites.iter().enumerate() {
            net.add_site(Site(index), *up, *down, random.r#gen());
        }
        tokio::spawn(net.clone().run());

        let keys = (0..plan.sites.len()).map(|index| key_of(index).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = (0..plan.sites.len()).map(name_of).collect();
        let people = names.iter().zip(&keys).map(|(name, key)| (name.as_str(), key.account(), vec![key.device()]));
        let identity = Identity::from_seed([1; 32])?;
        let config = RelayConfig { seed: Some(random.r#gen()), ..RelayConfig::default() };
        let socket = Socket::Abstract(net.bind_relay(), Arc::new(VirtualTime));
        let clock = visavis_relay::Clock::simulated(EPOCH);
        let relay = Relay::start(config, Arc::new(Memory::with_people(people)), &identity, socket, clock).await?;
        let link = Link { host: "relay".into(), port: RELAY.port(), pin: identity.link_pin(), token: None };

        let mut world =
            Self { net: net.clone(), log: log.clone(), relay, people: Vec::new(), random: Mutex::new(random) };
        for (index, key) in keys.into_iter().enumerate() {
            let site = Site(index);
            let bind_net = net.clone();
            let network = Network::Simulated {
                bind: Arc::new(move || Ok(bind_net.bind_at(site))),
                runtime: Arc::new(VirtualTime),
                seed: world.draw(),
                relay: RELAY,
            };
            let error = Duration::from_secs_f64(2.0 * CLOCK_ERROR.as_secs_f64() * world.draw::<f64>());
            let since_start = timeline.now().since(Timestamp::ZERO);
            let clock = Clock::starting_at(EPOCH + since_start + error - CLOCK_ERROR);
            let seed = world.draw();
            let (client, events) = Client::connect_within(network, link.clone(), key, clock)
                .await
                .with_context(|| format!("{} cannot connect", name_of(index)))?;
            let person = Arc::new(Person {
                site,
                client,
                clock,
                media: plan.media,
                seed,
                log: log.clone(),
                timeline: timeline.clone(),
                state: Mutex::default(),
                told: Notify::new(),
            });
            tokio::spawn(person.clone().live(events, plan.answer_after));
            world.people.push(person);
        }
        Ok(world)
    }

    /// Lets time pass.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Since the world's beginning.
    pub fn now(&self) -> Timestamp {
        self.people.first().map_or(Timestamp::ZERO, |person| person.timeline.now())
    }

    /// Somebody rings somebody.
    ///
    /// # Errors
    ///
    /// The stages of the call cannot be started.
    pub async fn call(&self, caller: Site, callee: Site) -> anyhow::Result<CallId> {
        let call = CallId(self.draw());
        self.script(format!("{} calls {}", caller.0, callee.0));
        let person = self.person(caller);
        let ports = person.start_stages()?;
        person.client.call_as(call, &name_of(callee.0), ports).await;
        Ok(call)
    }

    /// Somebody rings somebody; answers once both ends are live.
    ///
    /// # Errors
    ///
    /// It is not live within a minute.
    pub async fn connect(&self, caller: Site, callee: Site) -> anyhow::Result<CallId> {
        let since = self.now();
        let call = self.call(caller, callee).await?;
        for site in [caller, callee] {
            self.wait(site, since, Duration::from_secs(60), is_live).await.context("the call never became live")?;
        }
        Ok(call)
    }

    /// Hangs up, and waits until both ends have settled their books.
    pub async fn hang_up(&self, site: Site, call: CallId) {
        self.script(format!("{} hangs up", site.0));
        self.person(site).client.end(call).await;
        self.sleep(Duration::from_secs(2)).await;
    }

    /// Waits for an event of a person that comes, or came, after `since`; `None` if it does not within `limit` of now.
    pub async fn wait(
        &self,
        site: Site,
        since: Timestamp,
        limit: Duration,
        matches: impl Fn(&Event) -> bool,
    ) -> Option<Timestamp> {
        let person = self.person(site);
        let search = async {
            loop {
                let told = person.told.notified();
                let found = person
                    .state()
                    .events
                    .iter()
                    .find(|(at, event)| *at >= since && matches(event))
                    .map(|(at, _)| *at);
                match found {
                    Some(at) => return at,
                    None => told.await,
                }
            }
        };
        tokio::time::timeout(limit, search).await.ok()
    }

    /// Everything that a person was told.
    pub fn events(&self, site: Site) -> Vec<(Timestamp, Event)> {
        self.person(site).state().events.clone()
    }

    /// The figures of each call for which a person started stages, in that order.
    pub fn figures(&self, site: Site) -> Vec<Figures> {
        let person = self.person(site);
        person.state().books.iter().map(|books| books.figures(person.clock.now())).collect()
    }

    /// Lets a second pass; what a person's newest call told of it, if it is live.
    pub async fn live(&self, site: Site) -> Option<Live> {
        const SECOND: Duration = Duration::from_secs(1);
        let person = self.person(site);
        let books = person.state().books.last()?.clone();
        books.live(person.clock.now(), Duration::ZERO);
        self.sleep(SECOND).await;
        books.live(person.clock.now(), SECOND)
    }

    /// Changes a link from now on.
    pub fn change(&self, site: Site, way: Way, change: impl FnOnce(&mut Conditions)) {
        self.script(format!("the {way}link of {} changes", site.0));
        self.net.change(site, way, change);
    }

    /// Nothing passes between a person and the relay, or everything does again.
    pub fn cut(&self, site: Site, cut: bool) {
        for way in [Way::Up, Way::Down] {
            self.change(site, way, |conditions| conditions.cut = cut);
        }
    }

    /// A person's address translator starts anew: their client knows nothing of it.
    pub fn change_address(&self, site: Site) {
        self.script(format!("the address of {} changes", site.0));
        self.net.change_address(site);
    }

    /// A person's machine changes its network, and their client binds a fresh port.
    pub async fn rebind(&self, site: Site) {
        self.script(format!("{} rebinds", site.0));
        self.person(site).client.rebind().await;
    }

    /// Packets of a link so far.
    pub fn counts(&self, site: Site, way: Way) -> Counts {
        self.net.counts(site, way)
    }

    /// The relay's counters.
    pub fn relay(&self) -> Snapshot {
        self.relay.stats()
    }

    /// Calls that the relay has.
    pub fn calls(&self) -> usize {
        self.relay.calls()
    }

    /// The luck of the scenario.
    pub fn draw<D>(&self) -> D
    where
        rand::distributions::Standard: rand::distributions::Distribution<D>,
    {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).r#gen()
    }

    fn person(&self, site: Site) -> &Arc<Person> {
        &self.people[site.0]
    }

    fn script(&self, what: String) {
        self.log.add(self.now(), Entry::Script(what));
    }
}

/// An event that makes a call live.
pub fn is_live(event: &Event) -> bool {
    matches!(event, Event::Call(CallEvent::Connected(Connected { .. })))
}

/// An event that ends a call for good.
pub fn is_end(event: &Event) -> bool {
    use visavis_proto::wire::control::EndReason;
    matches!(event, Event::Call(CallEvent::Ended { reason, .. }) if *reason != EndReason::Merged)
}

/// Somebody with a client.
struct Person {
    site: Site,
    client: Client,
    clock: Clock,
    media: Media,
    seed: u64,
    log: Arc<Log>,
    timeline: Arc<Timeline<super::net::Arrival>>,
    state: Mutex<State>,
    told: Notify,
}

#[derive(Default)]
struct State {
    events: Vec<(Timestamp, Event)>,
    books: Vec<Books>,
}

impl Person {
    /// Notes every event, and answers calls.
    async fn live(self: Arc<Self>, mut events: Events, answer_after: Option<Duration>) {
        while let Some(event) = events.recv().await {
            let now = self.timeline.now();
            self.log.add(now, Entry::Event(self.site, event.clone()));
            if let (Event::Call(CallEvent::Incoming { call, .. }), Some(wait)) = (&event, answer_after) {
                tokio::spawn(self.clone().answer(*call, wait));
            }
            self.state().events.push((now, event));
            self.told.notify_waiters();
        }
    }

    async fn answer(self: Arc<Self>, call: CallId, wait: Duration) {
        tokio::time::sleep(wait).await;
        match self.start_stages() {
            Ok(ports) => self.client.accept(call, ports).await,
            Err(error) => self.log.add(self.timeline.now(), Entry::Script(format!("not answered: {error}"))),
        }
    }

    fn start_stages(&self) -> anyhow::Result<Ports> {
        let whose = Whose {
            site: self.site,
            clock: self.clock,
            seed: self.seed,
            log: self.log.clone(),
            timeline: self.timeline.clone(),
        };
        let (ports, books) = stages::start(self.media, whose)?;
        self.state().books.push(books);
        Ok(ports)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(index: usize) -> String {
    format!("person {index}")
}

/// A key that belongs to a number.
fn key_of(index: usize) -> anyhow::Result<Key> {
    // RFC 8410 section 7: the fixed head of an Ed25519 private key in PKCS #8.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend_from_slice(&[u8::try_from(index + 10)?; 32]);
    Ok(Key::from_pkcs8(&der)?)
}
