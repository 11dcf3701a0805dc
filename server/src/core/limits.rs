//! How much one connection or person may ask for, and how many connections one neighbourhood may open.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr, time::Duration};

use visavis_proto::{signal::relay_call::PersonId, time::Timestamp};

/// A token bucket: so many a second, and a burst.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    /// A full one.
    pub const fn new(per_second: u32, burst: u32, now: Timestamp) -> Self {
        Self { per_second: per_second as f64, burst: burst as f64, tokens: burst as f64, filled: now }
    }

    /// A full one for what is rarer than one a second.
    pub fn every(interval: Duration, burst: u32, now: Timestamp) -> Self {
        Self { per_second: interval.as_secs_f64().recip(), ..Self::new(1, burst, now) }
    }

    /// Takes `count` if there are so many.
    pub fn take(&mut self, count: u32, now: Timestamp) -> bool {
        self.fill(now);
        let enough = self.tokens >= f64::from(count);
        if enough {
            self.tokens -= f64::from(count);
        }
        enough
    }

    /// Takes `count` and may go into debt, which [`Self::wait`] then says how long to pay off.
    pub fn charge(&mut self, count: u32, now: Timestamp) {
        self.fill(now);
        self.tokens -= f64::from(count);
    }

    /// How long until the bucket is out of debt.
    pub fn wait(&mut self, now: Timestamp) -> Duration {
        self.fill(now);
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.per_second) }
    }

    /// Puts back what was taken for something that turned out to be fine.
    pub fn give_back(&mut self, count: u32) {
        self.tokens = (self.tokens + f64::from(count)).min(self.burst);
    }

    fn fill(&mut self, now: Timestamp) {
        let passed = now.since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
    }
}

/// New connections of one neighbourhood: an office behind one address must be able to come back at once after a
/// network change, a flood must not keep the relay busy with handshakes (about 1 ms of one core each).
const CONNECTIONS_PER_SECOND: u32 = 20;
const CONNECTION_BURST: u32 = 100;

/// Neighbourhoods that are remembered; when there are more, those that have been quiet longest are forgotten.
const NEIGHBOURHOODS: usize = 4_096;

/// A /24 of IPv4 or a /56 of IPv6: what one household, office or attacker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Neighbourhood([u8; 8]);

impl From<IpAddr> for Neighbourhood {
    fn from(address: IpAddr) -> Self {
        let mut prefix = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(v4) => prefix[5..].copy_from_slice(&v4.octets()[..3]),
            IpAddr::V6(v6) => prefix[..7].copy_from_slice(&v6.octets()[..7]),
        }
        Self(prefix)
    }
}

/// Who may open another connection.
#[derive(Debug, Default)]
pub struct Doors(BTreeMap<Neighbourhood, Bucket>);

impl Doors {
    /// Charges a connection attempt; whether it may go on.
    pub fn admit(&mut self, from: IpAddr, now: Timestamp) -> bool {
        let neighbourhood = Neighbourhood::from(from);
        if self.0.len() >= NEIGHBOURHOODS && !self.0.contains_key(&neighbourhood) {
            let quietest = self.0.iter().min_by_key(|(_, bucket)| bucket.filled).map(|(&key, _)| key);
            quietest.and_then(|key| self.0.remove(&key));
        }
        let fresh = Bucket::new(CONNECTIONS_PER_SECOND, CONNECTION_BURST, now);
        self.0.entry(neighbourhood).or_insert(fresh).take(1, now)
    }
}

/// One neighbourhood may have one in so many of the strangers' places.
const NEIGHBOURHOOD_SHARE: usize = 4;

/// The places of connections of which nobody has logged in yet. Each holds a `T`, by which its connection is ended.
///
/// Everybody is a stranger at first, also an enrolled device between its handshake and its Hello. Who is here already
/// therefore makes room for who comes: within a neighbourhood that has its share, and else where most come from, since
/// addresses are all that costs an attacker something; there who is silent before who has said Hello, and the oldest of
/// these.
#[derive(Debug)]
pub struct Strangers<T> {
    places: BTreeMap<u64, Place<T>>,
    next: u64,
}

#[derive(Debug)]
struct Place<T> {
    neighbourhood: Neighbourhood,
    said_hello: bool,
    handle: T,
}

impl<T> Default for Strangers<T> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), next: 0 }
    }
}

impl<T> Strangers<T> {
    /// Takes one of `most` places: its number, and who lost theirs for it.
    pub fn enter(&mut self, from: IpAddr, most: usize, handle: T) -> (u64, Option<T>) {
        let neighbourhood = Neighbourhood::from(from);
        let near = self.places.values().filter(|place| place.neighbourhood == neighbourhood).count();
        let evicted = if near >= (most / NEIGHBOURHOOD_SHARE).max(1) {
            self.evict(neighbourhood)
        } else if self.places.len() >= most {
            self.most_crowded().and_then(|crowded| self.evict(crowded))
        } else {
            None
        };
        let number = self.next;
        self.next += 1;
        self.places.insert(number, Place { neighbourhood, said_hello: false, handle });
        (number, evicted)
    }

    /// Somebody has said Hello.
    pub fn said_hello(&mut self, number: u64) {
        if let Some(place) = self.places.get_mut(&number) {
            place.said_hello = true;
        }
    }

    /// Somebody has logged in, or gone.
    pub fn leave(&mut self, number: u64) {
        self.places.remove(&number);
    }

    /// Everybody loses their place.
    pub fn evict_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.places).into_values().map(|place| place.handle)
    }

    /// Places that are taken.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no stranger.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The neighbourhood with most places; of several the one that has been here longest.
    fn most_crowded(&self) -> Option<Neighbourhood> {
        let mut crowds: BTreeMap<Neighbourhood, (usize, Reverse<u64>)> = BTreeMap::new();
        for (&number, place) in &self.places {
            crowds.entry(place.neighbourhood).or_insert((0, Reverse(number))).0 += 1;
        }
        crowds.into_iter().max_by_key(|&(_, crowd)| crowd).map(|(neighbourhood, _)| neighbourhood)
    }

    fn evict(&mut self, neighbourhood: Neighbourhood) -> Option<T> {
        let near = self.places.iter().filter(|(_, place)| place.neighbourhood == neighbourhood);
        let number = near.min_by_key(|&(&number, place)| (place.said_hello, number)).map(|(&number, _)| number)?;
        self.places.remove(&number).map(|place| place.handle)
    }
}

/// Passwords that may be tried for one name: whoever has forgotten theirs gives up before ten, and one each 10 s makes
/// 3 million a year, which a password of a few random words outlasts.
const PASSWORD_INTERVAL: Duration = Duration::from_secs(10);
const PASSWORD_BURST: u32 = 10;

/// Calls that one person may try without being answered: whoever dials a whole office down its list is not held back for
/// long, and a program that calls somebody who is not there writes no more than 9,000 lines of history a day.
const CALL_INTERVAL: Duration = Duration::from_secs(10);
const CALL_BURST: u32 = 30;

/// Whoever is remembered, of each kind. When there are more, the one nearest to a full bucket is forgotten, so that
/// nobody can wash out what they owe by trying in other names.
const REMEMBERED: usize = 4_096;

/// How often somebody may try what is given back to them if it comes to something.
#[derive(Debug)]
pub struct Tries<K> {
    interval: Duration,
    burst: u32,
    buckets: BTreeMap<K, Bucket>,
}

/// How often a password may be tried, by SHA-256 of the name: names that nobody has are treated alike, however long.
///
/// Somebody's tries can so be used up by others. Their enrolled devices do not notice: those need no password.
pub type Guesses = Tries<[u8; 32]>;

/// How often a person may call without being answered, from all of their devices.
pub type Attempts = Tries<PersonId>;

impl Default for Guesses {
    fn default() -> Self {
        Self { interval: PASSWORD_INTERVAL, burst: PASSWORD_BURST, buckets: BTreeMap::new() }
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self { interval: CALL_INTERVAL, burst: CALL_BURST, buckets: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> Tries<K> {
    /// Charges a try; whether it may go on.
    pub fn take(&mut self, who: K, now: Timestamp) -> bool {
        if self.buckets.len() >= REMEMBERED && !self.buckets.contains_key(&who) {
            self.buckets.values_mut().for_each(|bucket| bucket.fill(now));
            let fullest =
                self.buckets.iter().max_by(|(_, a), (_, b)| a.tokens.total_cmp(&b.tokens)).map(|(&key, _)| key);
            fullest.and_then(|key| self.buckets.remove(&key));
        }
        let fresh = Bucket::every(self.interval, self.burst, now);
        self.buckets.entry(who).or_insert(fresh).take(1, now)
    }

    /// It came to something: the password was right, the call was accepted.
    pub fn give_back(&mut self, who: K) {
        if let Some(bucket) = self.buckets.get_mut(&who) {
            bucket.give_back(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Timestamp::from_micros(5_000_000);
        let mut bucket = Bucket::new(10, 3, start);
        assert_eq!((0..5).filter(|_| bucket.take(1, start)).count(), 3);
        assert!(bucket.take(1, start + Duration::from_millis(101)));
        assert!(!bucket.take(1, start + Duration::from_millis(102)));
        bucket.charge(10, start + Duration::from_millis(102));
        let wait = bucket.wait(start + Duration::from_millis(102));
        assert!((Duration::from_millis(980)..Duration::from_millis(1_001)).contains(&wait), "{wait:?}");
    }

    #[test]
    fn guessing_is_slow_and_other_names_do_not_make_it_faster() {
        let start = Timestamp::from_micros(1);
        let mut guesses = Guesses::default();
        let tries = |guesses: &mut Guesses, at| (0..100).filter(|_| guesses.take([0xff; 32], at)).count();
        assert_eq!(tries(&mut guesses, start), PASSWORD_BURST as usize);
        for name in 0..10_000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&name.to_be_bytes());
            assert!(guesses.take(key, start));
        }
        assert!(guesses.buckets.len() <= REMEMBERED);
        assert_eq!(tries(&mut guesses, start + Duration::from_secs(9)), 0);
        assert_eq!(tries(&mut guesses, start + Duration::from_secs(61)), 6);
        guesses.give_back([0xff; 32]);
        assert_eq!(tries(&mut guesses, start + Duration::from_secs(61)), 1);
    }

    fn host(net: u8, host: u8) -> IpAddr {
        IpAddr::from([203, 0, net, host])
    }

    #[test]
    fn whoever_calls_in_vain_is_slowed_down_and_an_accepted_call_costs_nothing() {
        let start = Timestamp::from_micros(1);
        let mut attempts = Attempts::default();
        let tries = |attempts: &mut Attempts, at| (0..100).filter(|_| attempts.take(PersonId(1), at)).count();
        assert_eq!(tries(&mut attempts, start), CALL_BURST as usize);
        assert!(attempts.take(PersonId(2), start), "others are others");
        assert_eq!(tries(&mut attempts, start + Duration::from_secs(9)), 0);
        assert_eq!(tries(&mut attempts, start + Duration::from_secs(11)), 1);
        attempts.give_back(PersonId(1));
        assert_eq!(tries(&mut attempts, start + Duration::from_secs(11)), 1);
    }

    #[test]
    fn a_neighbourhood_that_has_its_share_makes_room_for_its_own() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.enter(host(1, 1), 8, 'a'), (0, None));
        assert_eq!(strangers.enter(host(1, 2), 8, 'b'), (1, None));
        // Who is silent goes first, though younger; then the oldest.
        strangers.said_hello(0);
        assert_eq!(strangers.enter(host(1, 3), 8, 'c'), (2, Some('b')));
        strangers.said_hello(2);
        assert_eq!(strangers.enter(host(1, 4), 8, 'd'), (3, Some('a')));
        assert_eq!(strangers.len(), 2);
        strangers.leave(2);
        assert_eq!(strangers.enter(host(1, 5), 8, 'e'), (4, None));
    }

    #[test]
    fn networks_that_fill_the_door_make_room_themselves_whatever_they_say() {
        let mut strangers = Strangers::default();
        // Somebody registers, who came before all of them.
        strangers.enter(host(9, 1), 17, ('m', 0));
        strangers.said_hello(0);
        for net in 1..=4 {
            for number in 0..4 {
                let (place, evicted) = strangers.enter(host(net, number), 17, ('x', net));
                assert_eq!(evicted, None);
                strangers.said_hello(place);
            }
        }
        // Many more come, from there and from elsewhere; each takes the place of one of those four networks.
        for number in 10..110 {
            let (place, evicted) = strangers.enter(host(number % 4 + 1, number), 17, ('x', 0));
            assert!(matches!(evicted, Some(('x', _))));
            strangers.said_hello(place);
            if number % 30 == 0 {
                let (_, evicted) = strangers.enter(host(number, 1), 17, ('n', number));
                assert!(matches!(evicted, Some(('x', _))), "{evicted:?}");
            }
        }
        assert!(strangers.places.contains_key(&0) && strangers.len() == 17);
        assert_eq!(strangers.places.values().filter(|place| place.handle.0 == 'n').count(), 3);
    }

    #[test]
    fn a_flood_from_one_place_leaves_the_door_open_for_others() {
        let now = Timestamp::from_micros(1);
        let mut doors = Doors::default();
        let flood = (0..=255u8).filter(|&host| doors.admit(IpAddr::from([203, 0, 113, host]), now)).count();
        assert_eq!(flood, CONNECTION_BURST as usize);
        assert!(doors.admit(IpAddr::from([198, 51, 100, 7]), now));
        for place in 0..20_000u32 {
            doors.admit(IpAddr::from(place.rotate_left(8).to_be_bytes()), now);
        }
        assert!(doors.0.len() <= NEIGHBOURHOODS);
    }
}
