//! What the person does about calls, and what the calls' state machine says about them: ports wait here until media flow.

use visavis_proto::{
    ids::CallId,
    media::gate::RecoveryRequest,
    signal::call::{Connected, Event as CallEvent},
    wire::{
        control::{self, fold_name, peer},
        datagram::Datagram,
    },
};

use super::{Actor, Event};
use crate::{
    net::media::{Media, Ports},
    pipeline::send::CAMERA,
    stats::record::Note,
};

impl Actor {
    pub(super) fn call(&mut self, call: CallId, callee: String, ports: Ports) {
        let ended = |reason, goes_on_as| {
            Event::Call(CallEvent::Ended { call, peer: callee.clone(), reason, missed: false, goes_on_as })
        };
        let wanted = fold_name(&callee);
        let rings_here = self.ringing.iter().find(|(_, caller)| fold_name(caller) == wanted);
        if let Some(theirs) = rings_here.map(|(&theirs, _)| theirs) {
            // Whoever calls somebody who is calling them wants to talk to them: the relay does the same under glare.
            self.tell(ended(control::EndReason::Merged, Some(theirs)));
            return self.accept(theirs, ports);
        }
        match self.calls.call(call, &callee, ports.offers.clone(), Vec::new()) {
            Ok(()) => drop(self.waiting.insert(call, (ports, None))),
            Err(error) => {
                tracing::info!(%error, "not called");
                self.tell(ended(control::EndReason::AlreadyInCall, None));
            }
        }
    }

    pub(super) fn accept(&mut self, call: CallId, ports: Ports) {
        match self.calls.accept(call, ports.offers.clone(), Vec::new()) {
            Ok(()) => drop(self.waiting.insert(call, (ports, Some(self.clock.now())))),
            Err(error) => tracing::info!(%error, "not accepted"),
        }
    }

    /// Acts on the calls' events and passes them on.
    pub(super) fn drain_calls(&mut self) {
        while let Some(event) = self.calls.poll_event() {
            match &event {
                CallEvent::Incoming { call, caller, .. } => drop(self.ringing.insert(*call, caller.clone())),
                CallEvent::Connected(connected) => {
                    self.ringing.remove(&connected.call);
                    self.go_live(connected);
                }
                CallEvent::Ended { call, .. } => {
                    self.ringing.remove(call);
                    self.finish(*call);
                }
                CallEvent::Peer { message: control::PeerMessage { body: Some(peer::Body::Recover(_)) }, .. } => {
                    if let Some(media) = &self.media {
                        media.ports.control.want_keyframe();
                    }
                    continue;
                }
                CallEvent::FramesDropped(dropped) => {
                    // Up to a hundred a second while the other side is silent: for the encoder, not for a person.
                    if let Some(media) = &self.media {
                        media.handle_dropped(dropped);
                    }
                    continue;
                }
                CallEvent::PeerSilent { silent, .. } => {
                    if let Some(media) = &mut self.media {
                        media.handle_silence(*silent);
                    }
                }
                _ => {}
            }
            self.tell(Event::Call(event));
        }
    }

    fn go_live(&mut self, connected: &Connected) {
        let now = self.clock.now();
        if connected.resumed && self.media.is_some() {
            return;
        }
        // After a glare the ports were given for the call that did not survive.
        let waiting =
            self.waiting.remove(&connected.call).or_else(|| self.waiting.pop_first().map(|(_, found)| found));
        let Some((ports, accepted)) = waiting else { return };
        ports.stats.note(Note::Live {
            me: self.name.clone(),
            peer: connected.peer.clone(),
            accepted: accepted.unwrap_or(now),
            at: now,
        });
        let mut media = Media::new(connected, ports, accepted, now);
        for (at, bytes) in std::mem::take(&mut self.early) {
            if let Ok(Datagram::Media(packet)) = Datagram::decode(&bytes) {
                media.handle_packet(&packet, &self.clocks, at);
            }
        }
        self.media = Some(media);
    }

    fn finish(&mut self, call: CallId) {
        self.early.clear();
        if let Some(media) = self.media.take_if(|media| media.call == call) {
            media.finish(std::mem::take(&mut self.malformed), self.clock.now());
        }
        // Under glare the ports of the call that is given up serve the one that survives.
        if self.calls.is_idle() {
            self.waiting.clear();
        }
        if self.media.is_none() && self.silent {
            self.silent = false;
        }
    }

    pub(super) fn end_everything(&mut self) {
        for call in self.calls.ids() {
            self.calls.end(call);
        }
        self.drain_calls();
    }

    pub(super) fn ask_for_recovery(&mut self, request: RecoveryRequest) {
        let Some(media) = &self.media else { return };
        let plea = control::Recover {
            index: u32::from(CAMERA),
            last_decoded: request.last_decoded.map(|number| number.0),
            first_missing: request.first_missing.0,
        };
        self.calls.say(media.call, None, &control::PeerMessage { body: Some(peer::Body::Recover(plea)) });
    }
}
