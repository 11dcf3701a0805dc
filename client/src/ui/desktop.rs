//! Whether the desktop wants light or dark.
//!
//! winit knows it on Windows and macOS, and on Linux nothing at all (`Window::theme` is always `None` under X11, and
//! what one set oneself under Wayland), so there it is asked from the desktop portal over D-Bus, on a thread of its own.
//! No portal, no bus: dark, as a window full of video looks best.

use super::waker::Waker;

/// Watches the desktop's wish until it is dropped.
#[derive(Debug)]
pub struct Watch {
    #[cfg(target_os = "linux")]
    _portal: Option<portal::Portal>,
}

impl Watch {
    /// Tells the wish at once and whenever it changes.
    pub fn start(waker: Waker) -> Self {
        #[cfg(target_os = "linux")]
        return Self { _portal: portal::Portal::start(waker) };
        #[cfg(not(target_os = "linux"))]
        {
            drop(waker); // winit tells
            Self {}
        }
    }
}

#[cfg(target_os = "linux")]
mod portal {
    //! `org.freedesktop.portal.Settings`, which GNOME, KDE and the others serve alike.

    use std::{
        sync::{Arc, Mutex, PoisonError},
        thread::JoinHandle,
    };

    use egui::Theme;
    use zbus::{
        blocking::{Connection, Proxy},
        zvariant::{OwnedValue, Value},
    };

    use crate::ui::waker::{Wake, Waker};

    const NAMESPACE: &str = "org.freedesktop.appearance";
    const KEY: &str = "color-scheme";

    /// A thread that listens.
    #[derive(Debug)]
    pub struct Portal {
        connection: Arc<Mutex<Option<Connection>>>,
        thread: Option<JoinHandle<()>>,
    }

    impl Portal {
        /// Starts it; the bus is looked for on the thread, since a slow one must not hold the window back.
        pub fn start(waker: Waker) -> Option<Self> {
            let connection = Arc::new(Mutex::new(None));
            let shared = connection.clone();
            let listen = move || {
                if let Err(error) = listen(&waker, &shared) {
                    tracing::debug!(%error, "the desktop does not tell whether it is light or dark");
                }
            };
            let thread = std::thread::Builder::new().name("visavis-desktop".into()).spawn(listen).ok()?;
            Some(Self { connection, thread: Some(thread) })
        }
    }

    impl Drop for Portal {
        fn drop(&mut self) {
            // The thread waits for a signal that may never come; without its connection it ends.
            let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(connection) = connection
                && connection.close().is_ok()
                && let Some(thread) = self.thread.take()
            {
                let _ = thread.join();
            }
        }
    }

    fn listen(waker: &Waker, shared: &Mutex<Option<Connection>>) -> zbus::Result<()> {
        let connection = Connection::session()?;
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        let settings = Proxy::new(
            &connection,
            "org.freedesktop.portal.Desktop",
            "/org/freedesktop/portal/desktop",
            "org.freedesktop.portal.Settings",
        )?;
        // The subscription comes first: a change in between is told twice rather than never.
        let changes = settings.receive_signal("SettingChanged")?;
        let value: OwnedValue = settings.call("Read", &(NAMESPACE, KEY))?;
        tell(waker, &value);
        for change in changes {
            let body = change.body();
            let (namespace, key, value): (String, String, Value<'_>) = body.deserialize()?;
            if namespace == NAMESPACE && key == KEY {
                tell(waker, &value);
            }
        }
        Ok(())
    }

    fn tell(waker: &Waker, value: &Value<'_>) {
        if let Some(theme) = theme(value) {
            waker.send(Wake::Theme(theme));
        }
    }

    /// The portal's number, wrapped in as many variants as its version likes.
    fn theme(value: &Value<'_>) -> Option<Theme> {
        match value {
            Value::Value(inner) => theme(inner),
            Value::U32(1) => Some(Theme::Dark),
            Value::U32(2) => Some(Theme::Light),
            _ => None,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_number_is_found_however_it_is_wrapped() {
            let wrapped = Value::Value(Box::new(Value::Value(Box::new(Value::U32(2)))));
            assert_eq!(theme(&wrapped), Some(Theme::Light));
            assert_eq!(theme(&Value::U32(1)), Some(Theme::Dark));
            assert_eq!(theme(&Value::U32(0)), None);
        }
    }
}
