//! The application's window: winit's events on the one side, the engine and its newest state on the other. Main thread.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use visavis_proto::time::Timestamp;
use winit::{
    application::ApplicationHandler,
    error::{EventLoopError, OsError},
    event::WindowEvent,
    event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy},
    window::WindowId,
};

use super::{
    door, gpu,
    local::Local,
    open::{Open, Place},
    pilot::{Pilot, Step},
    schedule::Next,
    screens::{self, Action, Picture, View},
    tell,
    video::{self, Look, Matrix, Scale, Slot},
    waker::{Wake, Waker},
};
use crate::{
    app::{
        self, App, Command,
        pictures::Cell,
        settings::{self, Settings},
        state::{Access, Notice, Phase, State},
        studio::{Own, Studio},
    },
    clock::Clock,
    equipment::{Desk, Equipment},
    thread::{Stage, Urgency},
};

/// How the application is opened.
#[derive(Debug)]
pub struct Options {
    /// The profile's folder.
    pub folder: PathBuf,
    /// The invite link to begin with.
    pub link: Option<String>,
    /// What is done without anybody clicking.
    pub pilot: Pilot,
    /// Tell every change on standard output, a JSON object a line, for programs.
    pub tell: bool,
}

/// What the window is joined to.
pub(super) struct Surroundings {
    /// Where pictures come.
    pub desk: Desk,
    /// Wakes the window.
    pub waker: Waker,
    pub proxy: EventLoopProxy<Wake>,
}

/// Why there is no window, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No display, or none that answers.
    #[error(
        "no window can be opened: {}. Start visavis on a desktop, or use it without a window: visavis --help tells how",
        no_display(.0)
    )]
    Display(EventLoopError),
    /// The display gives no window.
    #[error("the desktop opens no window: {0}. Close some others, or log out of the desktop and in again")]
    Window(#[from] OsError),
    /// The graphics fail.
    #[error(transparent)]
    Gpu(#[from] gpu::Error),
    /// The system gives no threads.
    #[error("the system gives no more threads: {0}. Close other programs")]
    Thread(#[from] io::Error),
}

fn no_display(error: &EventLoopError) -> String {
    let variables =
        ["WAYLAND_DISPLAY", "DISPLAY"].map(|name| std::env::var_os(name).is_some_and(|set| !set.is_empty()));
    match (cfg!(target_os = "linux"), variables) {
        (true, [false, false]) => "there is no display (neither WAYLAND_DISPLAY nor DISPLAY is set)".to_owned(),
        // winit puts the place in its own source before the cause.
        _ => {
            let told = error.to_string();
            let cause = told.split_once(".rs:").and_then(|(_, told)| told.split_once(": "));
            format!("the display does not answer ({})", cause.map_or(told.as_str(), |(_, cause)| cause))
        }
    }
}

/// Opens the window and stays until it is closed. On the main thread only. `equip` joins devices to the desk; `ended`
/// completes when the system asks the process to end.
///
/// # Errors
///
/// Any [`Error`].
pub fn run<F: Future<Output = ()>>(
    options: Options,
    equip: impl FnOnce(&Settings, &Desk) -> io::Result<Equipment>,
    ended: impl FnOnce() -> F + Send + 'static,
) -> Result<(), Error> {
    let mut notice = None;
    let settings = Settings::load(&options.folder).unwrap_or_else(|error| {
        let aside = matches!(error, settings::Error::Damaged { .. }).then(|| Settings::put_aside(&options.folder));
        notice = Some(Notice::problem(match aside {
            Some(Ok(old)) => {
                format!("{error}. The defaults hold; the file is kept as {}, to be mended.", old.display())
            }
            Some(Err(error)) => format!("{error}. The defaults hold, and a change replaces the settings."),
            None => format!("{error}. The defaults hold."),
        }));
        Settings::default()
    });
    let event_loop = EventLoop::<Wake>::with_user_event().build().map_err(Error::Display)?;
    let proxy = event_loop.create_proxy();
    let waker = Waker::new(proxy.clone());
    let (pictures, state) = (waker.clone(), waker.clone());
    let pictures: app::Wake = Arc::new(move || pictures.picture());
    let wake: app::Wake = Arc::new(move || state.state());
    let (remote, own) = (Cell::new(pictures.clone()), Cell::new(pictures));
    let desk = Desk { remote, own, wake: wake.clone(), clock: Clock::system() };
    let Equipment { maker, studio } = equip(&settings, &desk)?;
    let quit = waker.clone();
    let _ended = Stage::spawn("visavis-signals", Urgency::Usual, move || async move {
        ended().await;
        quit.send(Wake::Quit);
    })?;
    let _door = door::open(&options.folder, waker.clone());
    let app = App::start(app::Options {
        folder: options.folder,
        settings: settings.clone(),
        link: options.link.clone(),
        notice,
        clock: desk.clock,
        maker,
        wake,
    })?;
    let mut window = Shell {
        state: app.state(),
        app,
        around: Surroundings { desk, waker, proxy },
        studio,
        settings,
        local: Local::new(options.link),
        pilot: options.pilot,
        told: options.tell.then(String::new),
        title: String::new(),
        wish: Wish::default(),
        zone: jiff::tz::TimeZone::try_system().ok(),
        open: None,
        shown_anew: None,
        failure: None,
    };
    let result = event_loop.run_app(&mut window);
    let Shell { app, open, failure, .. } = window;
    // The window is gone at once; saying goodbye may take a moment longer.
    drop(open);
    app.stop();
    result.map_err(Error::Display)?;
    failure.map_or(Ok(()), Err)
}

/// The window with all that it knows.
struct Shell {
    app: App,
    state: Arc<State>,
    around: Surroundings,
    studio: Box<dyn Studio>,
    settings: Settings,
    local: Local,
    pilot: Pilot,
    /// The last line that was told, if telling is wanted.
    told: Option<String>,
    /// What the window is called now.
    title: String,
    /// For devices outside of calls.
    wish: Wish,
    /// Where local time comes from, if the system tells.
    zone: Option<jiff::tz::TimeZone>,
    open: Option<Open>,
    /// When the driver failed last.
    shown_anew: Option<Timestamp>,
    failure: Option<Error>,
}

/// A driver that fails twice within this time will fail again.
const BETWEEN_WINDOWS: Duration = Duration::from_secs(10);

impl ApplicationHandler<Wake> for Shell {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.open.is_none() {
            self.show(event_loop, Place::default());
        }
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, wake: Wake) {
        match (wake, &mut self.open) {
            (Wake::Quit, _) => event_loop.exit(),
            (Wake::State, _) => {
                self.around.waker.state_arrived();
                self.follow(event_loop);
            }
            (Wake::Picture, open) => {
                self.around.waker.picture_arrived();
                if let Some(open) = open {
                    open.look_at_pictures();
                }
            }
            (Wake::Theme(theme), Some(open)) => open.set_theme(theme),
            (Wake::Knock(link), Some(open)) => {
                open.come_to_front();
                match self.state.access {
                    _ if link.is_empty() => {}
                    Access::Member { .. } => self.app.command(Command::OpenLink(link)),
                    Access::Welcome | Access::Joining => {
                        self.local.form.link = link;
                        open.wants_layout();
                    }
                }
            }
            (Wake::Accessibility(event), Some(open)) => open.assist(event.window_event),
            (Wake::Theme(_) | Wake::Knock(_) | Wake::Accessibility(_), None) => {}
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _window: WindowId, event: WindowEvent) {
        let Some(open) = &mut self.open else { return };
        match event {
            // Not for egui-winit: it would answer that a drawing is wanted, and so for ever.
            WindowEvent::RedrawRequested => {
                if let Err(error) = self.draw(event_loop) {
                    self.show_anew(event_loop, error);
                }
            }
            WindowEvent::CloseRequested if self.local.may_close(&self.state) => event_loop.exit(),
            WindowEvent::CloseRequested => open.wants_layout(),
            // Nobody sees the settings then: their camera and microphone are closed. Media of a call go on.
            WindowEvent::Occluded(hidden) => {
                self.wish.hidden = hidden;
                self.wish.follow(&mut *self.studio, &self.state);
                open.handle(&event);
            }
            event => open.handle(&event),
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let Some(open) = &self.open else { return };
        event_loop.set_control_flow(match open.next() {
            Next::Draw => {
                open.window.request_redraw();
                ControlFlow::Wait
            }
            Next::Until(at) => ControlFlow::WaitUntil(at),
            Next::Sleep => ControlFlow::Wait,
        });
    }
}

impl Shell {
    /// Opens the window.
    fn show(&mut self, event_loop: &ActiveEventLoop, place: Place) {
        match Open::new(event_loop, &self.around, place) {
            Ok(mut open) => {
                if self.told.is_some() {
                    open.find_buttons();
                }
                self.open = Some(open);
                self.title.clear();
                self.wish.hidden = false;
            }
            Err(error) => self.fail(event_loop, error),
        }
        self.follow(event_loop);
    }

    /// The driver has failed: opens another window in the place of this one, unless that was tried a moment ago. A call
    /// goes on meanwhile; its pictures wait in their cells.
    fn show_anew(&mut self, event_loop: &ActiveEventLoop, error: gpu::Error) {
        let now = self.around.desk.clock.now();
        let before = self.shown_anew.replace(now);
        let Some(open) = self.open.take() else { return };
        let place = open.place();
        drop(open);
        if before.is_some_and(|before| now.since(before) < BETWEEN_WINDOWS) {
            return self.fail(event_loop, error);
        }
        tracing::warn!("the graphics driver failed: the window is opened anew");
        let Desk { remote, own, .. } = &self.around.desk;
        [remote, own].into_iter().for_each(Cell::lost);
        self.show(event_loop, place);
    }

    fn fail(&mut self, event_loop: &ActiveEventLoop, error: impl Into<Error>) {
        self.failure = Some(error.into());
        event_loop.exit();
    }

    /// Takes the engine's newest state.
    fn follow(&mut self, event_loop: &ActiveEventLoop) {
        let before = std::mem::replace(&mut self.state, self.app.state());
        match self.pilot.follow(&self.state, self.around.desk.clock.now()) {
            Some(Step::Do(command)) => self.app.command(command),
            Some(Step::Close) => event_loop.exit(),
            None => {}
        }
        let Some(open) = &mut self.open else { return };
        open.wants_layout();
        let rings = |state: &State| state.call.as_ref().is_some_and(|call| call.phase == Phase::RingingIn);
        if rings(&before) != rings(&self.state) {
            open.call_attention(rings(&self.state));
        }
        let title = match self.state.call.as_ref().filter(|call| call.going()) {
            Some(call) => format!("{} – Visavis", call.peer),
            None => "Visavis".to_owned(),
        };
        if title != self.title {
            open.window.set_title(&title);
            self.title = title;
        }
    }

    fn draw(&mut self, event_loop: &ActiveEventLoop) -> Result<(), gpu::Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if !open.begin() {
            return open.draw(&egui::TexturesDelta::default());
        }
        let now = self.around.desk.clock.now();
        // A call's devices are its own from the moment that it is known of.
        self.wish.follow(&mut *self.studio, &self.state);
        let seen = self.studio.look();
        let view = View {
            state: &self.state,
            settings: &self.settings,
            devices: &seen.devices,
            now,
            zone_s: self.zone.as_ref().map(|zone| zone.to_offset(jiff::Timestamp::now()).seconds()),
            full_screen: open.is_full_screen(),
            remote: if open.here(Slot::Remote) { Picture::Here } else { Picture::Coming },
            own: own(&seen.own, open.here(Slot::Own)),
            level: seen.level,
            check: seen.check,
        };
        let mut actions = Vec::new();
        let mut wanted = false;
        let local = &mut self.local;
        let textures = open.lay_out(|ui| {
            let outcome = screens::show(ui, &view, local);
            // egui may lay out twice; what a person did is told the first time.
            actions.extend(outcome.actions);
            wanted = outcome.layout.devices_wanted;
            put_pictures(ui, &outcome.layout);
        });
        open.draw(&textures)?;
        if let Some(told) = &mut self.told {
            tell::changes(told, &view, local, open);
        }
        self.wish.shown = wanted;
        self.wish.follow(&mut *self.studio, &self.state);
        for action in actions {
            self.act(event_loop, action);
        }
        Ok(())
    }

    fn act(&mut self, event_loop: &ActiveEventLoop, action: Action) {
        let Some(open) = &mut self.open else { return };
        match action {
            Action::Do(Command::Settings(settings)) => {
                self.settings = (*settings).clone();
                self.app.command(Command::Settings(settings));
            }
            Action::Do(command) => self.app.command(command),
            Action::ToggleFullScreen => open.toggle_full_screen(),
            Action::Close => event_loop.exit(),
            Action::CopyText(text) => open.context.copy_text(text),
            Action::TestTone => self.studio.test_tone(),
            Action::StartCheck => self.studio.start_check(),
            Action::StopCheck => self.studio.stop_check(),
        }
        open.wants_layout();
    }
}

/// Draws the pictures where the screens left room for them.
fn put_pictures(ui: &egui::Ui, layout: &screens::Layout) {
    // Webcams deliver BT.601, and a stream without a colour description is taken to be of it.
    let matrix = Matrix::Bt601;
    if let Some(spot) = &layout.remote {
        let scale = if layout.fill { Scale::Fill } else { Scale::Fit };
        let look = Look { scale, mirrored: false, radius: spot.radius, matrix };
        spot.put(video::shape(spot.rect, Slot::Remote, look));
    }
    if let Some(spot) = &layout.self_view {
        let look = Look { scale: Scale::Fill, mirrored: true, radius: spot.radius, matrix };
        spot.put(video::shape(spot.rect, Slot::Own, look));
    }
    if layout.hide_pointer {
        ui.ctx().set_cursor_icon(egui::CursorIcon::None);
    }
}

/// Whether the settings are seen, which show what camera and microphone give.
#[derive(Debug, Default)]
struct Wish {
    /// They were laid out last.
    shown: bool,
    /// Nothing of the window is seen.
    hidden: bool,
    /// They have devices.
    granted: bool,
}

impl Wish {
    /// Lets them have devices as long as they are seen and no call needs them.
    fn follow(&mut self, studio: &mut dyn Studio, state: &State) {
        let wanted = self.shown && !self.hidden && !state.in_call();
        if std::mem::replace(&mut self.granted, wanted) != wanted {
            studio.want(wanted);
        }
    }
}

/// How things are with one's own picture, of which one is `here` or not.
fn own(own: &Own, here: bool) -> Picture<'_> {
    match own {
        Own::Live | Own::StandIn if here => Picture::Here,
        Own::Live | Own::Starting => Picture::Coming,
        Own::Fault(sentence) => Picture::Fault(sentence),
        Own::StandIn => Picture::Fault("In calls, a file or a generated scene is shown instead of a camera."),
    }
}
