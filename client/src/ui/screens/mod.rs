//! Every screen, as a function of what is known: [`show`] draws it and answers what the person did.
//!
//! ```text
//! nobody yet ---> welcome        member ---> people, history      a call ---> ringing ---> call ---> over
//!                                                +--- settings, keys and the question at closing lie over any ---+
//! ```

mod call;
mod controls;
mod dialogs;
mod history;
mod people;
mod ringing;
mod settings;
mod stats;
mod welcome;

use egui::{
    Key, KeyboardShortcut, Modifiers, Order, Painter, Rect, RichText, Shape, Ui, UiBuilder, layers::ShapeIdx,
};
use visavis_proto::time::Timestamp;

use super::{icons::Icon, local::Local, theme, widgets};
use crate::app::{
    Command,
    devices::Devices,
    settings::Settings,
    state::{Access, Phase, State},
    studio::Check,
};

/// All that the screens show.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The engine's newest state.
    pub state: &'a State,
    /// What is chosen.
    pub settings: &'a Settings,
    /// What can be chosen.
    pub devices: &'a Devices,
    /// The present.
    pub now: Timestamp,
    /// The local time's distance from UTC, eastward in seconds, if the system tells it.
    pub zone_s: Option<i32>,
    /// The window covers the screen.
    pub full_screen: bool,
    /// The other's picture, as far as the window knows.
    pub remote: Picture<'a>,
    /// One's own picture.
    pub own: Picture<'a>,
    /// How loud the microphone is, 0 to 1, while it is open.
    pub level: Option<f32>,
    /// How the sound check goes.
    pub check: Check,
}

impl<'a> View<'a> {
    /// The other's picture, as far as it is known: nobody waits for one that will never be sent.
    pub fn remote_picture(&self) -> Picture<'a> {
        let sends = self.state.call.as_ref().is_none_or(|call| call.peer_sends_pictures);
        if self.remote == Picture::Coming && !sends { Picture::Absent } else { self.remote }
    }
}

/// How things are with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Picture<'a> {
    /// There is none yet.
    #[default]
    Coming,
    /// There is one.
    Here,
    /// There is none to come: no camera, only sound.
    Absent,
    /// Something keeps it from coming: one sentence says what, and what to do.
    Fault(&'a str),
}

/// What a person did.
#[derive(Debug)]
pub enum Action {
    /// Something for the engine.
    Do(Command),
    /// The window covers the screen, or no longer does.
    ToggleFullScreen,
    /// The window is closed, whatever goes on.
    Close,
    /// Text for the clipboard.
    CopyText(String),
    /// A tone on the chosen speaker.
    TestTone,
    /// Records a few seconds and plays them back.
    StartCheck,
    /// Ends that.
    StopCheck,
}

/// Where pictures belong. Pictures lie below everything else, which leaves their places free.
#[derive(Default)]
pub struct Layout {
    /// The other's picture.
    pub remote: Option<Spot>,
    /// One's own: the self view, or the preview in the settings.
    pub self_view: Option<Spot>,
    /// The other's picture covers its place and is cut, instead of being whole between bars.
    pub fill: bool,
    /// Camera and microphone are wanted although nobody is in a call: for the preview and the level.
    pub devices_wanted: bool,
    /// The pointer rests over a call: it is to be hidden.
    pub hide_pointer: bool,
}

/// A place for a picture.
pub struct Spot {
    /// Where, in points.
    pub rect: Rect,
    /// How round its corners are, in points.
    pub radius: f32,
    painter: Painter,
    shape: ShapeIdx,
}

/// What [`show`] answers.
#[derive(Default)]
pub struct Outcome {
    /// What the person did, in order.
    pub actions: Vec<Action>,
    /// Where pictures belong.
    pub layout: Layout,
    /// The settings with all that was changed.
    settings: Option<Settings>,
}

impl Spot {
    /// Reserves a place: what is drawn later lies on it.
    fn reserve(ui: &Ui, rect: Rect, radius: f32) -> Self {
        let painter = ui.painter().clone();
        let shape = painter.add(Shape::Noop);
        Self { rect, radius, painter, shape }
    }

    /// Draws `shape` (a paint callback, as a rule) in the place, below what lies on it. In the same frame only.
    pub fn put(&self, shape: impl Into<Shape>) {
        self.painter.set(self.shape, shape);
    }
}

impl Outcome {
    fn push(&mut self, command: Command) {
        self.actions.push(Action::Do(command));
    }

    /// Changes settings, beside what else was changed.
    fn change(&mut self, view: &View<'_>, change: impl FnOnce(&mut Settings)) {
        change(self.settings.get_or_insert_with(|| view.settings.clone()));
    }

    /// Puts what was changed in force.
    fn settle(&mut self, view: &View<'_>) {
        if let Some(settings) = self.settings.take().filter(|settings| settings != view.settings) {
            self.push(Command::Settings(Box::new(settings)));
        }
    }
}

/// Draws the window's content over all of its area.
pub fn show(ui: &mut Ui, view: &View<'_>, local: &mut Local) -> Outcome {
    let mut outcome =
        Outcome { layout: Layout { fill: view.settings.window.fill, ..Layout::default() }, ..Outcome::default() };
    theme::prefer(ui.ctx(), view.settings.window.theme);
    local.follow(view.state, ui.input(|input| input.time));
    let whole = ui.ctx().content_rect();
    let mut root = ui.new_child(UiBuilder::new().max_rect(whole).layout(egui::Layout::top_down(egui::Align::Min)));
    root.set_clip_rect(whole);
    let ui = &mut root;

    window_keys(ui, view, local, &mut outcome);
    match (&view.state.call, &view.state.access) {
        _ if local.settings => settings::show(ui, view, local, &mut outcome),
        (Some(call), _) => {
            // Calls are dark, whatever the rest is: pictures look best so, and faces are not lit by the window.
            ui.set_style(theme::on_picture(ui.ctx()));
            match &call.phase {
                Phase::RingingOut { .. } | Phase::RingingIn | Phase::Over(_) => {
                    ringing::show(ui, view, call, local, &mut outcome);
                }
                Phase::Connecting | Phase::Live(_) => call::show(ui, view, call, local, &mut outcome),
            }
        }
        (None, Access::Member { name, host, .. }) => people::show(ui, view, (name, host), local, &mut outcome),
        (None, Access::Welcome | Access::Joining) => welcome::show(ui, view, local, &mut outcome),
    }
    dialogs::show(ui, view, local, &mut outcome);
    outcome.settle(view);
    outcome
}

/// Keys that mean the same everywhere.
fn window_keys(ui: &Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    let typing = ui.ctx().egui_wants_keyboard_input();
    let over = local.is_covered();
    let enter = matches!(view.state.access, Access::Member { .. });
    if enter && pressed(ui, Modifiers::COMMAND, Key::Comma) {
        local.settings = !local.settings;
    }
    if pressed(ui, Modifiers::NONE, Key::F11) {
        outcome.actions.push(Action::ToggleFullScreen);
    }
    let question =
        ui.input(|input| input.events.iter().any(|event| matches!(event, egui::Event::Text(text) if text == "?")));
    if pressed(ui, Modifiers::NONE, Key::F1) || (question && !typing) {
        local.keys = !local.keys;
    }
    if over {
        return; // their own Esc
    }
    if local.settings && pressed(ui, Modifiers::NONE, Key::Escape) {
        local.settings = false;
    }
    // A call has an order of its own of what Esc leaves first.
    let free = view.state.call.is_none() && !typing && local.search.is_empty();
    if view.full_screen && free && pressed(ui, Modifiers::NONE, Key::Escape) {
        outcome.actions.push(Action::ToggleFullScreen);
    }
}

/// `key` was pressed, and nobody else has taken it.
fn pressed(ui: &Ui, modifiers: Modifiers, key: Key) -> bool {
    ui.input_mut(|input| input.consume_shortcut(&KeyboardShortcut::new(modifiers, key)))
}

/// A line over the screen, below menus, `bottom` points above the window's lower edge: something happened. Answers where
/// the next one belongs.
fn toast(ui: &Ui, id: &str, bottom: f32, add: impl FnOnce(&mut Ui)) -> f32 {
    let style = ui.style().clone();
    let area = egui::Area::new(egui::Id::new(id))
        .order(Order::Middle)
        .anchor(egui::Align2::CENTER_BOTTOM, egui::vec2(0.0, -bottom))
        .show(ui.ctx(), |ui| {
            ui.set_style(style);
            ui.set_max_width((ui.ctx().content_rect().width() - 2.0 * theme::EDGE).min(560.0));
            widgets::card(ui)
                .inner_margin(egui::Margin { left: 18, right: 10, top: 10, bottom: 10 })
                .shadow(ui.visuals().popup_shadow)
                .show(ui, add);
        });
    bottom + area.response.rect.height() + 8.0
}

/// A sentence of a [`toast`], with a button that takes it away. Answers whether that was clicked.
fn dismissable(ui: &mut Ui, sentence: &str, color: egui::Color32) -> bool {
    ui.horizontal(|ui| {
        ui.scope(|ui| {
            ui.set_max_width(ui.available_width() - 50.0);
            ui.add(egui::Label::new(RichText::new(sentence).color(color)).wrap());
        });
        widgets::icon_button(ui, Icon::Close, "Dismiss", "Dismiss", 34.0, widgets::Kind::Bare).clicked()
    })
    .inner
}
