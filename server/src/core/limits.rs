//! How much one connection may ask for, and how many connections one neighbourhood may open.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use visavis_proto::time::Timestamp;

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
