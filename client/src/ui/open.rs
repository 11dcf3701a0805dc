//! What exists while the window does, and one drawing of it. Main thread.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use egui_winit::accesskit_winit;
use visavis_proto::time::Timestamp;
use winit::{
    dpi::{LogicalSize, PhysicalPosition, PhysicalSize, Size},
    event::WindowEvent,
    event_loop::ActiveEventLoop,
    window::{Fullscreen, Icon, UserAttentionType, Window},
};

use super::{
    desktop, fonts,
    gpu::{self, Gpu, Layout},
    logo,
    schedule::{Next, Schedule},
    tell, theme,
    video::Slot,
    window::{Error, Surroundings},
};
use crate::{
    app::pictures::{Arrived, Cell},
    clock::Clock,
    stats::Open as Record,
};

/// The name that desktops know the program by.
const APP_ID: &str = "visavis";

/// Drawings that [`Timing`] remembers: four seconds of a call.
const TIMED: usize = 120;

/// How long the drawings of the last new pictures took, in milliseconds.
#[derive(Debug, Default)]
pub struct Timing {
    drawings: VecDeque<[f32; PARTS.len()]>,
    /// When the driver was last done with a drawing.
    free: Timestamp,
}

/// Where the time of a drawing went.
pub const PARTS: [&str; 4] = ["display", "woken", "recorded", "driver"];

impl Timing {
    fn add(&mut self, moments: &Moments) {
        if self.drawings.len() == TIMED {
            self.drawings.pop_front();
        }
        let ms = |from: Timestamp, to: Timestamp| to.since(from).as_secs_f32() * 1e3;
        let Moments { decoded, begun, taken, submitted, presented } = *moments;
        let free = self.free.max(decoded);
        self.drawings.push_back([
            ms(decoded, free) + ms(begun, taken),
            ms(free, begun),
            ms(taken, submitted),
            ms(submitted, presented),
        ]);
    }

    /// The middle of each of [`PARTS`]: what a decoded picture waited for the display, which still had the one before or
    /// had no image to draw on; until drawing began, with the widgets laid out if need be; until everything was recorded;
    /// and within the submit and present calls, where a software driver draws.
    pub fn p50_ms(&self) -> [f32; PARTS.len()] {
        std::array::from_fn(|part| {
            let mut times: Vec<f32> = self.drawings.iter().map(|drawing| drawing[part]).collect();
            times.sort_by(f32::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or_default()
        })
    }
}

/// The way of a picture through a drawing.
struct Moments {
    decoded: Timestamp,
    /// Drawing began.
    begun: Timestamp,
    /// The driver had an image to draw on.
    taken: Timestamp,
    /// Everything was recorded.
    submitted: Timestamp,
    presented: Timestamp,
}

/// An open window.
pub struct Open {
    /// The system's window.
    pub window: Arc<Window>,
    /// egui's memory.
    pub context: egui::Context,
    /// How long drawing takes.
    pub timing: Timing,
    /// What can be clicked, if that is to be told.
    pub buttons: Option<tell::Buttons>,
    gpu: Gpu,
    input: egui_winit::State,
    schedule: Schedule,
    layout: Layout,
    size: PhysicalSize<u32>,
    clock: Clock,
    cells: [Cell; Slot::COUNT],
    /// Whether there was a picture when the widgets were last laid out.
    here: [bool; Slot::COUNT],
    _desktop: desktop::Watch,
}

/// Where a window is on the screen.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    size: Size,
    /// `None` leaves it to the desktop, as Wayland always does.
    position: Option<PhysicalPosition<i32>>,
    maximized: bool,
    full_screen: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { size: LogicalSize::new(1_120, 720).into(), position: None, maximized: false, full_screen: false }
    }
}

impl Open {
    /// Opens a window with the desk's pictures.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but that there is no display.
    pub(super) fn new(event_loop: &ActiveEventLoop, around: &Surroundings, place: Place) -> Result<Self, Error> {
        let fonts = fonts::Coming::start()?;
        let attributes = named(Window::default_attributes())
            .with_title("Visavis")
            .with_window_icon(Icon::from_rgba(logo::rgba(), logo::SIDE, logo::SIDE).ok())
            .with_inner_size(place.size)
            .with_maximized(place.maximized)
            .with_fullscreen(place.full_screen.then_some(Fullscreen::Borderless(None)))
            .with_min_inner_size(LogicalSize::new(360, 480))
            .with_visible(false); // a screen reader's adapter has to be there before the window is seen
        let attributes = match place.position {
            Some(position) => attributes.with_position(position),
            None => attributes,
        };
        let window = Arc::new(event_loop.create_window(attributes)?);
        let gpu = Gpu::new(&window, &event_loop.owned_display_handle())?;
        let context = egui::Context::default();
        theme::apply(&context, fonts.here());
        let mut input = egui_winit::State::new(
            context.clone(),
            egui::ViewportId::ROOT,
            event_loop,
            Some(window.scale_factor() as f32),
            window.theme(),
            Some(gpu.max_texture_side()),
        );
        input.init_accesskit(event_loop, &window, around.proxy.clone());
        window.set_visible(true);
        let mut schedule = Schedule::default();
        schedule.widgets(now());
        Ok(Self {
            window,
            context,
            timing: Timing::default(),
            buttons: None,
            gpu,
            input,
            schedule,
            layout: Layout::default(),
            size: PhysicalSize::default(),
            clock: around.desk.clock,
            cells: [around.desk.remote.clone(), around.desk.own.clone()],
            here: [false; Slot::COUNT],
            _desktop: desktop::Watch::start(around.waker.clone()),
        })
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place {
            size: self.window.inner_size().into(),
            position: self.window.outer_position().ok(),
            maximized: self.window.is_maximized(),
            full_screen: self.is_full_screen(),
        }
    }

    /// Whether there is a picture in `slot`.
    pub const fn here(&self, slot: Slot) -> bool {
        self.here[slot as usize]
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        self.schedule.next(now())
    }

    /// The widgets are to be laid out and drawn anew.
    pub fn wants_layout(&mut self) {
        self.schedule.widgets(now());
    }

    /// A cell has changed.
    pub fn look_at_pictures(&mut self) {
        self.schedule.picture();
        for slot in Slot::ALL {
            let here = self.cells[slot as usize].here();
            if std::mem::replace(&mut self.here[slot as usize], here) != here {
                self.schedule.widgets(now());
                if !here {
                    self.gpu.clear(slot);
                }
            }
        }
    }

    /// The desktop's wish.
    pub fn set_theme(&mut self, theme: egui::Theme) {
        self.input.egui_input_mut().system_theme = Some(theme);
        self.wants_layout();
    }

    /// From now on, [`Self::buttons`] are known.
    pub fn find_buttons(&mut self) {
        self.buttons = Some(tell::Buttons::default());
        self.context.enable_accesskit();
    }

    /// A screen reader asks for the tree of widgets, or acts on one.
    pub fn assist(&mut self, event: accesskit_winit::WindowEvent) {
        match event {
            accesskit_winit::WindowEvent::InitialTreeRequested => self.context.enable_accesskit(),
            accesskit_winit::WindowEvent::ActionRequested(request) => self.input.on_accesskit_action_request(request),
            accesskit_winit::WindowEvent::AccessibilityDeactivated if self.buttons.is_some() => {}
            accesskit_winit::WindowEvent::AccessibilityDeactivated => self.context.disable_accesskit(),
        }
        self.wants_layout();
    }

    /// An event of the window, but for those to draw and to close.
    pub fn handle(&mut self, event: &WindowEvent) {
        if let WindowEvent::Resized(size) = event {
            self.gpu.resize(*size);
        }
        if self.input.on_window_event(&self.window, event).repaint {
            self.wants_layout();
        }
    }

    /// Into full screen, or out of it.
    pub fn toggle_full_screen(&self) {
        let wanted = if self.is_full_screen() { None } else { Some(Fullscreen::Borderless(None)) };
        self.window.set_fullscreen(wanted);
    }

    /// The window covers the screen.
    pub fn is_full_screen(&self) -> bool {
        self.window.fullscreen().is_some()
    }

    /// Width and height that the widgets were last laid out for, in pixels.
    pub const fn size(&self) -> PhysicalSize<u32> {
        self.size
    }

    /// Asks the desktop to put the window before all others; one that does not, points at it.
    pub fn come_to_front(&self) {
        self.window.set_minimized(false);
        self.window.focus_window();
        self.window.request_user_attention(Some(UserAttentionType::Informational));
    }

    /// Asks the desktop to point at the window, or no longer.
    pub fn call_attention(&self, wanted: bool) {
        self.window.request_user_attention(wanted.then_some(UserAttentionType::Critical));
    }

    /// Whether the widgets are to be laid out before [`Self::draw`], which has to follow.
    pub fn begin(&mut self) -> bool {
        self.schedule.draw(now())
    }

    /// Runs the widgets of `show`. Answers what changed in egui's textures.
    pub fn lay_out(&mut self, show: impl FnMut(&mut egui::Ui)) -> egui::TexturesDelta {
        self.size = self.window.inner_size();
        let input = self.input.take_egui_input(&self.window);
        let output = self.context.run_ui(input, show);
        if let (Some(buttons), Some(tree)) = (&mut self.buttons, &output.platform_output.accesskit_update) {
            *buttons =
                tell::buttons(tree, self.context.input(|input| input.content_rect().size()), output.pixels_per_point);
        }
        self.input.handle_platform_output(&self.window, output.platform_output);
        if let Some(viewport) = output.viewport_output.get(&egui::ViewportId::ROOT)
            && let Some(at) = now().checked_add(viewport.repaint_delay)
        {
            self.schedule.widgets(at);
        }
        self.layout.pixels_per_point = output.pixels_per_point;
        self.layout.primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        output.textures_delta
    }

    /// Draws the last layout with the newest pictures.
    ///
    /// # Errors
    ///
    /// [`gpu::Error::Draw`].
    pub fn draw(&mut self, textures: &egui::TexturesDelta) -> Result<(), gpu::Error> {
        let begun = self.clock.now();
        self.gpu.update_textures(textures);
        let Self { gpu, layout, clock, cells, window, .. } = self;
        let mut drawn: Option<(Record, Timestamp)> = None;
        let mut submitted = clock.now();
        let done = gpu.draw(
            layout,
            |show| {
                for slot in Slot::ALL {
                    let Some(Arrived { picture, record }) = cells[slot as usize].take() else { continue };
                    let taken = clock.now();
                    show(slot, &picture);
                    if let Some(record) = record {
                        drawn = Some((record, taken));
                    }
                    cells[slot as usize].give_back(picture);
                }
            },
            || {
                // Under Wayland, a covered window is then not asked to draw, instead of blocking in the driver.
                window.pre_present_notify();
                submitted = clock.now();
            },
        );
        if let (Ok(true), Some((record, taken))) = (&done, drawn) {
            let presented = clock.now();
            let decoded = Timestamp::from_nanos(record.decoded_ns.unwrap_or_default());
            self.timing.add(&Moments { decoded, begun, taken, submitted, presented });
            record.shown(presented);
        }
        self.timing.free = self.clock.now();
        self.gpu.free_textures(textures);
        done.map(drop)
    }
}

/// The driver's clock: here, and nowhere else in the window.
#[expect(clippy::disallowed_methods, reason = "the event loop sleeps by the system's clock")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(target_os = "linux")]
fn named(attributes: winit::window::WindowAttributes) -> winit::window::WindowAttributes {
    use winit::platform::{wayland::WindowAttributesExtWayland, x11::WindowAttributesExtX11};
    let attributes = WindowAttributesExtWayland::with_name(attributes, APP_ID, APP_ID);
    WindowAttributesExtX11::with_name(attributes, APP_ID, APP_ID)
}

#[cfg(not(target_os = "linux"))]
fn named(attributes: winit::window::WindowAttributes) -> winit::window::WindowAttributes {
    attributes
}
