//! Wakes the event loop from other threads. The one way in: nothing in the window polls.
//!
//! ```text
//! decode thread:   cell.put(picture) -> waker.picture() --+
//! engine's thread: newer state -------> waker.state() ----+-> EventLoopProxy -> user_event on the main thread
//! desktop thread:  theme changed -------------------------+
//! ```
//!
//! The proxy's queue has no bound, so what comes at a rate must not fill it while the main thread is busy (a modal
//! resize, a blocked driver): one event of a kind is under way at most, whatever number of pictures and states come.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use winit::event_loop::EventLoopProxy;

/// What wakes the event loop.
#[derive(Debug)]
pub enum Wake {
    /// A cell has a newer picture, or a writer came or went.
    Picture,
    /// The engine has a newer state, or something about the devices changed.
    State,
    /// The desktop changed between light and dark.
    Theme(egui::Theme),
    /// A screen reader came, went, or acts.
    Accessibility(egui_winit::accesskit_winit::Event),
    /// The program was started again on the same profile, with this link or an empty one.
    Knock(String),
    /// The program is to end.
    Quit,
}

impl From<egui_winit::accesskit_winit::Event> for Wake {
    fn from(event: egui_winit::accesskit_winit::Event) -> Self {
        Self::Accessibility(event)
    }
}

/// A handle that any thread may hold. Never blocks, and does nothing once the window is gone.
#[derive(Debug, Clone)]
pub struct Waker {
    proxy: EventLoopProxy<Wake>,
    under_way: Arc<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    picture: AtomicBool,
    state: AtomicBool,
}

impl Waker {
    /// Wakes the loop behind `proxy`.
    pub fn new(proxy: EventLoopProxy<Wake>) -> Self {
        Self { proxy, under_way: Arc::default() }
    }

    /// There is a newer picture. Put it into its cell first.
    pub fn picture(&self) {
        if !self.under_way.picture.swap(true, Ordering::AcqRel) {
            self.send(Wake::Picture);
        }
    }

    /// [`Wake::Picture`] has arrived. Call it before the cell is looked at, or a picture put in between sleeps there.
    pub fn picture_arrived(&self) {
        self.under_way.picture.store(false, Ordering::Release);
    }

    /// There is a newer state.
    pub fn state(&self) {
        if !self.under_way.state.swap(true, Ordering::AcqRel) {
            self.send(Wake::State);
        }
    }

    /// [`Wake::State`] has arrived. Call it before the state is looked at.
    pub fn state_arrived(&self) {
        self.under_way.state.store(false, Ordering::Release);
    }

    /// Sends an event that is rare.
    pub fn send(&self, wake: Wake) {
        // An error means that the event loop has ended, and so has the need to wake it.
        let _ = self.proxy.send_event(wake);
    }
}
