//! A call that rings, here or there, and one that is over.

use std::time::Duration;

use egui::{
    Align, Align2, Color32, Key, Layout, Modifiers, RichText, Sense, Stroke, Ui, Vec2, WidgetInfo, WidgetType, vec2,
};

use super::{
    Outcome, Picture, Spot, View,
    call::{placeholder, troubles},
    controls::switched,
    people, pressed,
};
use crate::{
    app::{
        Command,
        state::{Call, Connection, Phase},
    },
    ui::{
        icons::Icon,
        local::Local,
        theme,
        widgets::{self, Kind},
    },
};

/// Between two drawings of the rings: motion enough for the eye, and little work while it rings.
const PULSE: Duration = Duration::from_millis(50);

const AVATAR: f32 = 132.0;

pub(super) fn show(ui: &mut Ui, view: &View<'_>, call: &Call, local: &mut Local, outcome: &mut Outcome) {
    let palette = theme::palette(ui.style());
    ui.painter().rect_filled(ui.max_rect(), 0, palette.back);
    if call.going() && view.settings.window.self_view && view.own == Picture::Here {
        own(ui, call, outcome);
    }
    let height = ui.available_height();
    ui.add_space((height * 0.5 - 230.0).max(36.0));
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        let ringing = call.going();
        person(ui, &call.peer, ringing);
        ui.add_space(40.0);
        let name = RichText::new(&call.peer).font(theme::strong(theme::TITLE));
        ui.add(egui::Label::new(name).truncate());
        let line = line(call, &view.state.connection);
        ui.scope(|ui| {
            ui.set_max_width((ui.available_width() - 2.0 * theme::EDGE).min(440.0));
            ui.label(RichText::new(line).size(16.0).color(palette.weak));
        });
        ui.add_space(((height - ui.min_rect().height()) * 0.22).clamp(20.0, 84.0));
        match &call.phase {
            Phase::RingingIn => incoming(ui, local, outcome),
            Phase::RingingOut { .. } => outgoing(ui, call, local, outcome),
            _ => over(ui, view, call, local, outcome),
        }
    });
    let bottom = people::notice(ui, view, people::NOTICE, outcome);
    if call.going() {
        troubles(ui, view, local, call.camera_off, bottom);
    }
}

fn line(call: &Call, connection: &Connection) -> String {
    match &call.phase {
        phase if *phase != Phase::RingingIn && call.going() && *connection == Connection::Silent => {
            "The relay is not heard: waiting for your network …".to_owned()
        }
        Phase::RingingIn => "is calling you".to_owned(),
        Phase::RingingOut { devices: None } => "Calling …".to_owned(),
        Phase::RingingOut { devices: Some(0) } => "Waiting for a device of theirs …".to_owned(),
        Phase::RingingOut { devices: Some(1) } => "Ringing …".to_owned(),
        Phase::RingingOut { devices: Some(devices) } => format!("Ringing on {devices} devices …"),
        Phase::Over(sentence) => sentence.clone(),
        Phase::Connecting | Phase::Live(_) => String::new(),
    }
}

/// How one will be seen, where there is room for it.
fn own(ui: &Ui, call: &Call, outcome: &mut Outcome) {
    const SIZE: Vec2 = vec2(232.0, 130.0);
    const RADIUS: f32 = 14.0;
    let room = ui.max_rect().shrink(20.0);
    if room.width() < 3.0 * SIZE.x {
        return;
    }
    let rect = Align2::RIGHT_BOTTOM.align_size_within_rect(SIZE, room);
    let response = ui.interact(rect, ui.id().with("own"), Sense::hover());
    let label = if call.camera_off { "Your camera is off" } else { "Your own picture" };
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Image, true, label));
    if call.camera_off {
        ui.painter().rect_filled(rect, RADIUS, theme::palette(ui.style()).field);
        placeholder(ui, rect, label);
    } else {
        outcome.layout.self_view = Some(Spot::reserve(ui, rect, RADIUS));
    }
}

/// The other person, with rings around them while it rings.
fn person(ui: &mut Ui, name: &str, ringing: bool) {
    const RINGS: u8 = 3;
    const PERIOD_S: f64 = 2.4;
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(AVATAR), Sense::hover());
    if ringing {
        let now = ui.input(|input| input.time);
        let color = theme::palette(ui.style()).accent_text;
        for ring in 0..RINGS {
            let phase = (now / PERIOD_S + f64::from(ring) / f64::from(RINGS)).fract() as f32;
            let radius = AVATAR / 2.0 + 4.0 + phase * 34.0;
            let stroke = Stroke::new(2.0, color.gamma_multiply((1.0 - phase) * 0.8));
            ui.painter().circle_stroke(rect.center(), radius, stroke);
        }
        ui.request_repaint_after(PULSE);
    }
    widgets::paint_avatar(ui.painter(), rect.center(), AVATAR, name);
}

fn incoming(ui: &mut Ui, local: &Local, outcome: &mut Outcome) {
    let awake = !local.is_covered() && local.keys_answer(ui.input(|input| input.time));
    let [decline, voice, take] = buttons(
        ui,
        [
            (Icon::HangUp, "Decline", "Decline (Esc)", Kind::End),
            (Icon::CameraOff, "Accept without camera", "Accept without camera (Shift+Enter)", Kind::Call),
            (Icon::Camera, "Accept", "Accept (Enter)", Kind::Call),
        ],
    );
    let voice = voice || awake && pressed(ui, Modifiers::SHIFT, Key::Enter);
    let take = take || awake && pressed(ui, Modifiers::NONE, Key::Enter);
    if decline || awake && (pressed(ui, Modifiers::NONE, Key::Escape) || pressed(ui, Modifiers::COMMAND, Key::H)) {
        outcome.push(Command::End);
    } else if voice || take {
        outcome.push(Command::Accept { camera: !voice });
    }
}

/// What is switched now is in force from the first moment of the call.
fn outgoing(ui: &mut Ui, call: &Call, local: &Local, outcome: &mut Outcome) {
    let (mic, mute_name, mute_kind) =
        switched(call.muted, [Icon::Microphone, Icon::MicrophoneOff], ["Mute", "Unmute"]);
    let (eye, camera_name, camera_kind) =
        switched(call.camera_off, [Icon::Camera, Icon::CameraOff], ["Camera off", "Camera on"]);
    let [mute, camera, cancel] = buttons(
        ui,
        [
            (mic, mute_name, &format!("{mute_name} (M)"), mute_kind),
            (eye, camera_name, &format!("{camera_name} (V)"), camera_kind),
            (Icon::HangUp, "Cancel", "Cancel the call (Esc)", Kind::End),
        ],
    );
    let key = |modifiers, key| !local.is_covered() && pressed(ui, modifiers, key);
    if mute || key(Modifiers::NONE, Key::M) {
        outcome.push(Command::Mute(!call.muted));
    }
    if camera || key(Modifiers::NONE, Key::V) {
        outcome.push(Command::CameraOff(!call.camera_off));
    }
    if cancel || key(Modifiers::NONE, Key::Escape) || key(Modifiers::COMMAND, Key::H) {
        outcome.push(Command::End);
    }
}

fn over(ui: &mut Ui, view: &View<'_>, call: &Call, local: &Local, outcome: &mut Outcome) {
    let online = view.state.connection == Connection::Online;
    let (tip, kind) = if online { ("Call again (C)", Kind::Call) } else { ("You are not connected", Kind::Quiet) };
    let [close, again] = buttons(
        ui,
        [
            (Icon::Close, "Close", "Close (Esc)", Kind::Quiet),
            // Not Enter: whoever is about to take a call that just ended must not call back.
            (Icon::Phone, "Call again", tip, kind),
        ],
    );
    let key = |key| !local.is_covered() && pressed(ui, Modifiers::NONE, key);
    if online && (again || key(Key::C)) {
        outcome.push(Command::Call(call.peer.clone()));
    } else if close || key(Key::Escape) {
        outcome.push(Command::Dismiss);
    }
}

/// Large round buttons in a row, each with its name below. Answers which were clicked.
fn buttons<const N: usize>(ui: &mut Ui, buttons: [(Icon, &str, &str, Kind); N]) -> [bool; N] {
    const DIAMETER: f32 = 68.0;
    let cell = ((ui.available_width() - 24.0) / N as f32).min(128.0);
    let mut clicked = [false; N];
    ui.allocate_ui_with_layout(vec2(cell * N as f32, 118.0), Layout::left_to_right(Align::Min), |ui| {
        ui.spacing_mut().item_spacing = Vec2::ZERO;
        for (index, (icon, name, tip, kind)) in buttons.into_iter().enumerate() {
            ui.allocate_ui_with_layout(vec2(cell, 118.0), Layout::top_down(Align::Center), |ui| {
                ui.set_width(cell);
                ui.spacing_mut().item_spacing.y = 10.0;
                clicked[index] = widgets::icon_button(ui, icon, name, tip, DIAMETER, kind).clicked();
                let color: Color32 = theme::palette(ui.style()).weak;
                ui.add(
                    egui::Label::new(RichText::new(name).size(13.5).color(color))
                        .selectable(false)
                        .halign(Align::Center),
                );
            });
        }
    });
    clicked
}
