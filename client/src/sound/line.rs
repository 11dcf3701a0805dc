//! What the manager knows of one role's device, and when that wants to be opened anew.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use visavis_proto::time::Timestamp;

use super::{
    device::{Choice, Open, PERIOD_US, noun},
    manager::{Outlet, Role, Use},
};

/// A stream without a callback for so long is opened again. Above the 200 ms that PulseAudio takes to move a stream.
const STALLED: Duration = Duration::from_millis(400);

/// Likewise for a stream that has only just begun, which is its first callbacks: PulseAudio wakes a sleeping device in
/// its own time, and asks for what fills its buffer before.
const SLOW_START: Duration = Duration::from_secs(2);

/// See [`SLOW_START`].
const BEGINNING: u64 = 4;

/// So many over- and underruns of a device within [`CALM`] ask for a longer period.
const BUSY: u64 = 3;

/// See [`BUSY`].
const CALM: Duration = Duration::from_secs(10);

/// The longest period: what sound servers use for programs that ask for nothing.
const LONGEST_PERIOD_US: u32 = 20_000;

/// What is known of a role's device; see [`Role`].
pub(super) struct Line {
    pub(super) choice: Choice,
    pub(super) outlet: Option<Outlet>,
    pub(super) open: Option<Open>,
    /// It is not the chosen device.
    pub(super) stands_in: bool,
    /// Counts openings, so that a late report of an earlier stream closes nothing.
    pub(super) generation: u64,
    /// Callbacks when they were last seen to come, and when that was.
    pub(super) alive: (u64, Timestamp),
    /// Since when over- and underruns of the device are counted, and how many there had been.
    pub(super) calm: (u64, Timestamp),
    /// Time between callbacks that is asked for; it grows when the machine is too busy for it.
    pub(super) period_us: u32,
    pub(super) failed_since: Option<Timestamp>,
    pub(super) retry_at: Option<Timestamp>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            choice: Choice::Default,
            outlet: None,
            open: None,
            stands_in: false,
            generation: 0,
            alive: (0, Timestamp::ZERO),
            calm: (0, Timestamp::ZERO),
            period_us: PERIOD_US,
            failed_since: None,
            retry_at: None,
        }
    }
}

impl Line {
    /// Uses a device that was opened, perhaps in the place of the chosen one; answers what people are told of it.
    pub(super) fn take(&mut self, role: Role, open: Open, stands_in: bool, now: Timestamp) -> Use {
        tracing::info!(?role, device = open.name, format = open.format, stands_in, "a sound device is open");
        let (device, noun) = (open.name.clone(), noun(role.direction()));
        (self.stands_in, self.alive, self.calm, self.open) = (stands_in, (0, now), (0, now), Some(open));
        let trouble = stands_in
            .then(|| format!("the chosen {noun} cannot be used: {device} stands in until it is there again"));
        Use { device: Some(device), trouble }
    }

    /// Nobody has called for long.
    pub(super) fn is_stalled(&mut self, now: Timestamp) -> bool {
        let Some(open) = &self.open else { return false };
        let callbacks = open.counters.callbacks.load(Relaxed);
        if callbacks != self.alive.0 {
            self.alive = (callbacks, now);
            self.failed_since = None;
        }
        now.since(self.alive.1) > if callbacks <= BEGINNING { SLOW_START } else { STALLED }
    }

    /// The device ran over or under so often that a longer period is the lesser evil; it is set then.
    pub(super) fn wants_longer_period(&mut self, now: Timestamp) -> bool {
        let Some(open) = &self.open else { return false };
        let xruns = open.counters.device_xruns.load(Relaxed);
        if now.since(self.calm.1) > CALM {
            self.calm = (xruns, now);
        }
        let wants = xruns - self.calm.0 >= BUSY && self.period_us < LONGEST_PERIOD_US;
        if wants {
            self.period_us = (self.period_us * 2).min(LONGEST_PERIOD_US);
        }
        wants
    }
}
