//! What the network side tells the encoding side: latest values, never a queue.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use visavis_proto::{time::Timestamp, units::Bitrate};

/// Least time between two keyframes that receivers ask for: one costs about ten other frames.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

/// Shared by a call's stages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SendControl(Arc<watch::Sender<State>>);

/// The latest values.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Media may flow: what was captured since then.
    live: Option<Timestamp>,
    muted: bool,
    camera_off: bool,
    target: Bitrate,
    may_encode: bool,
    keyframe_wanted: bool,
    last_keyframe: Option<Timestamp>,
}

impl SendControl {
    /// Nothing is sent yet; once it is, pictures get `target`.
    pub fn new(target: Bitrate) -> Self {
        Self(Arc::new(watch::Sender::new(State {
            live: None,
            muted: false,
            camera_off: false,
            target,
            may_encode: true,
            keyframe_wanted: true,
            last_keyframe: None,
        })))
    }

    /// Media may flow that was captured `since` this person accepted, or no longer may.
    pub fn set_live(&self, since: Option<Timestamp>) {
        self.0.send_modify(|state| {
            state.live = since;
            state.keyframe_wanted |= since.is_some();
        });
    }

    /// What was captured `at` this time may be sent: the call was accepted by then.
    pub fn accepted(&self, at: Timestamp) -> bool {
        self.0.borrow().live.is_some_and(|since| since <= at)
    }

    /// Silence instead of the microphone.
    pub fn set_muted(&self, muted: bool) {
        self.0.send_modify(|state| state.muted = muted);
    }

    /// No pictures.
    pub fn set_camera_off(&self, off: bool) {
        self.0.send_modify(|state| {
            state.camera_off = off;
            state.keyframe_wanted |= !off;
        });
    }

    /// Changes the rate of pictures from the next one on.
    pub fn set_target(&self, target: Bitrate) {
        self.0.send_modify(|state| state.target = target);
    }

    /// The network side says whether another picture fits.
    pub fn set_may_encode(&self, may_encode: bool) {
        self.0.send_if_modified(|state| std::mem::replace(&mut state.may_encode, may_encode) != may_encode);
    }

    /// A receiver needs a picture that decodes by itself.
    pub fn want_keyframe(&self) {
        self.0.send_modify(|state| state.keyframe_wanted = true);
    }

    /// Media may flow.
    pub fn is_live(&self) -> bool {
        self.0.borrow().live.is_some()
    }

    /// Sound may be sent now.
    pub fn sending_sound(&self) -> bool {
        let state = self.0.borrow();
        state.live.is_some() && !state.muted
    }

    /// Pictures may be sent now, budget aside.
    pub fn sending_video(&self) -> bool {
        let state = self.0.borrow();
        state.live.is_some() && !state.camera_off
    }

    /// The encode gate: waits until a picture may be encoded.
    pub async fn gate(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = receiver.wait_for(|state| state.live.is_some() && !state.camera_off && state.may_encode).await;
    }

    /// What the next picture should be; a wanted keyframe is granted at most every 300 ms.
    pub fn next_picture(&self, now: Timestamp) -> (Bitrate, bool) {
        let state = *self.0.borrow();
        let allowed = state.last_keyframe.is_none_or(|last| now.since(last) >= KEYFRAME_INTERVAL);
        (state.target, state.keyframe_wanted && allowed)
    }

    /// A keyframe was coded.
    pub fn keyframe_coded(&self, now: Timestamp) {
        self.0.send_modify(|state| {
            state.keyframe_wanted = false;
            state.last_keyframe = Some(now);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_are_granted_once_and_not_too_often() {
        let control = SendControl::new(Bitrate::from_kbps(500));
        let start = Timestamp::from_micros(1);
        assert!(control.next_picture(start).1, "the first picture decodes by itself");
        control.keyframe_coded(start);
        assert!(!control.next_picture(start + KEYFRAME_INTERVAL).1);
        control.want_keyframe();
        assert!(!control.next_picture(start + KEYFRAME_INTERVAL / 2).1);
        assert!(control.next_picture(start + KEYFRAME_INTERVAL).1);
    }

    #[tokio::test]
    async fn the_gate_opens_when_the_call_is_live_and_there_is_budget() {
        let control = SendControl::new(Bitrate::from_kbps(500));
        let waiting = tokio::spawn({
            let control = control.clone();
            async move { control.gate().await }
        });
        control.set_may_encode(false);
        control.set_live(Some(Timestamp::ZERO));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        control.set_may_encode(true);
        waiting.await.expect("no panic");
    }
}
