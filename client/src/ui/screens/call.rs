//! A call: the other's picture, one's own in a corner, and what is known about both. [`super::controls`] lie
//! on it and go away when nobody moves.

use std::time::Duration;

use egui::{
    Align2, Color32, CursorIcon, Event, Key, Modifiers, Popup, Rect, RichText, Sense, Stroke, StrokeKind, Ui, Vec2,
    WidgetInfo, WidgetType, pos2, vec2,
};

use super::{Outcome, Picture, Spot, View, controls, people, pressed, stats};
use crate::{
    app::{
        Command,
        quality::Level,
        settings::Corner,
        state::{Call, Phase},
    },
    ui::{
        icons::{self, Icon},
        local::Local,
        theme, widgets,
    },
};

/// Seconds without motion after which the controls go.
const IDLE_S: f64 = 3.0;

/// Between the self view and the window's edge, and around the controls.
const MARGIN: f32 = 16.0;

pub(super) fn show(ui: &mut Ui, view: &View<'_>, call: &Call, local: &mut Local, outcome: &mut Outcome) {
    keys(ui, view, call, local, outcome);
    let whole = ui.max_rect();
    remote(ui, view, call, outcome);
    let shown = awake(ui, view, local);
    let share = ui.ctx().animate_bool_responsive(ui.id().with("controls"), shown);
    let quality = controls::quality(view, call);
    // What one has to know stays when the rest goes.
    let top = if quality.level >= Level::Poor { 1.0 } else { share };
    outcome.layout.hide_pointer = !shown;
    if !shown {
        ui.set_cursor_icon(CursorIcon::None);
    }
    let told = view.settings.window.self_view && self_view(ui, view, call, local, [top, share], outcome);
    if local.stats {
        // Its end must be seen, also where the switches lie beside nothing else.
        let below = if controls::bar(whole).left() < whole.left() + MARGIN + stats::WIDTH { share } else { 0.0 };
        let room = Rect::from_min_max(
            whole.min + vec2(MARGIN, controls::TOP + MARGIN),
            whole.max - vec2(MARGIN, egui::lerp(MARGIN..=controls::BOTTOM, below)),
        );
        stats::show(ui, view, call, local, room, outcome);
    }
    controls::top(ui, view, call, &quality, top);
    controls::bottom(ui, view, call, local, share, outcome);
    let bottom = egui::lerp(20.0..=controls::BOTTOM, share);
    let bottom = people::notice(ui, view, bottom, outcome);
    troubles(ui, view, local, told, bottom);
    if let Phase::Live(since) = call.phase {
        // The timer: one layout a second, at the moment that it changes.
        let beyond = view.now.since(since).subsec_nanos();
        ui.request_repaint_after(Duration::from_secs(1) - Duration::from_nanos(u64::from(beyond)));
    }
}

fn keys(ui: &Ui, view: &View<'_>, call: &Call, local: &mut Local, outcome: &mut Outcome) {
    if local.is_covered() || ui.ctx().egui_wants_keyboard_input() {
        return;
    }
    if pressed(ui, Modifiers::COMMAND, Key::H) {
        outcome.push(Command::End);
    }
    if Popup::is_any_open(ui.ctx()) {
        return; // an open menu has the keys, and Esc closes it
    }
    let key = |key| pressed(ui, Modifiers::NONE, key);
    if key(Key::M) {
        outcome.push(Command::Mute(!call.muted));
    }
    if key(Key::V) {
        outcome.push(Command::CameraOff(!call.camera_off));
    }
    if key(Key::F) {
        outcome.actions.push(super::Action::ToggleFullScreen);
    }
    if key(Key::Z) {
        outcome.change(view, |settings| settings.window.fill ^= true);
    }
    if key(Key::S) {
        outcome.change(view, |settings| settings.window.self_view ^= true);
    }
    if key(Key::F3) || key(Key::I) {
        local.stats = !local.stats;
    }
    if key(Key::Escape) {
        if local.stats {
            local.stats = false;
        } else if view.full_screen {
            outcome.actions.push(super::Action::ToggleFullScreen);
        }
    }
}

/// Whether the controls are seen: while somebody moves, and always where there is no picture to see instead.
fn awake(ui: &Ui, view: &View<'_>, local: &mut Local) -> bool {
    let now = ui.input(|input| input.time);
    let used = ui.input(|input| input.pointer.any_down() || input.events.iter().any(is_use));
    if used || local.active_s == 0.0 {
        local.active_s = now;
    }
    if view.remote != Picture::Here || Popup::is_any_open(ui.ctx()) || local.is_covered() {
        return true;
    }
    let left = IDLE_S - (now - local.active_s);
    if left > 0.0 {
        ui.request_repaint_after(Duration::from_secs_f64(left));
    }
    left > 0.0
}

/// Somebody is there. The pointer's first motion into the window counts, which has no distance.
const fn is_use(event: &Event) -> bool {
    matches!(
        event,
        Event::PointerMoved(_)
            | Event::PointerButton { .. }
            | Event::MouseWheel { .. }
            | Event::Key { .. }
            | Event::Text(_)
    )
}

/// The other's picture, or who they are and why there is none.
fn remote(ui: &mut Ui, view: &View<'_>, call: &Call, outcome: &mut Outcome) {
    let rect = ui.max_rect();
    let response = ui.interact(rect, ui.id().with("remote"), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Image, true, format!("Picture of {}", call.peer)));
    if response.double_clicked() {
        outcome.actions.push(super::Action::ToggleFullScreen);
    }
    let sentence = match view.remote_picture() {
        Picture::Here if !call.peer_camera_off => {
            outcome.layout.remote = Some(Spot::reserve(ui, rect, 0.0));
            return;
        }
        _ if call.phase == Phase::Connecting => "Connecting …".to_owned(),
        _ if call.peer_camera_off => format!("{} has switched the camera off", call.peer),
        Picture::Fault(sentence) => sentence.to_owned(),
        Picture::Coming => "Waiting for the picture …".to_owned(),
        Picture::Absent | Picture::Here => "Only sound comes from the other side".to_owned(),
    };
    let palette = theme::palette(ui.style());
    ui.painter().rect_filled(rect, 0, palette.back);
    let diameter = (rect.height() * 0.24).clamp(84.0, 168.0);
    let center = rect.center() - vec2(0.0, 30.0);
    widgets::paint_avatar(ui.painter(), center, diameter, &call.peer);
    let width = (rect.width() - 2.0 * theme::EDGE).min(420.0);
    let below =
        Rect::from_min_size(pos2(rect.center().x - width / 2.0, center.y + diameter / 2.0 + 22.0), vec2(width, 80.0));
    let label = egui::Label::new(RichText::new(sentence).size(16.0).color(palette.weak)).halign(egui::Align::Center);
    ui.put(below, label);
}

/// One's own picture in its corner; it can be dragged to another. `shares` are how much of the upper and of the lower bar
/// is there. Answers whether what is wrong with the camera was told.
fn self_view(
    ui: &mut Ui,
    view: &View<'_>,
    call: &Call,
    local: &mut Local,
    [top, bottom]: [f32; 2],
    outcome: &mut Outcome,
) -> bool {
    let whole = ui.max_rect();
    let width = (whole.width() * 0.2).clamp(144.0, 264.0);
    if local.stats && whole.width() < stats::WIDTH + width + 3.0 * MARGIN {
        return false; // the figures are in its place
    }
    let size = vec2(width, (width * 9.0 / 16.0).round());
    // The controls push it aside while they are there.
    let room = Rect::from_min_max(
        whole.min + vec2(MARGIN, egui::lerp(MARGIN..=controls::TOP + MARGIN, top)),
        whole.max - vec2(MARGIN, egui::lerp(MARGIN..=controls::BOTTOM + 8.0, bottom)),
    );
    let corner = view.settings.window.self_view_corner;
    let home = align(corner).align_size_within_rect(size, room).min;
    let id = ui.id().with("self view");
    let dragged = local.dragged.unwrap_or_default();
    let time = if local.dragged.is_some() { 0.0 } else { 0.14 };
    let wanted = home + dragged;
    let at = pos2(
        ui.ctx().animate_value_with_time(id.with("x"), wanted.x, time),
        ui.ctx().animate_value_with_time(id.with("y"), wanted.y, time),
    );
    let rect = Rect::from_min_size(at, size);
    let response = ui.interact(rect, id, Sense::click_and_drag());
    if response.dragged() {
        local.dragged = Some(dragged + response.drag_delta());
    }
    if response.drag_stopped() {
        local.dragged = None;
        let nearest = nearest(rect.center(), whole);
        outcome.change(view, |settings| settings.window.self_view_corner = nearest);
    }
    let palette = theme::palette(ui.style());
    let radius = 14.0;
    let missing = match view.own {
        _ if call.camera_off => Some("Your camera is off"),
        Picture::Here => None,
        Picture::Fault(sentence) => Some(sentence),
        Picture::Absent => Some("No camera"),
        Picture::Coming => Some("Your camera starts …"),
    };
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Image, true, missing.unwrap_or("Your own picture")));
    let told = missing.is_none_or(|sentence| {
        ui.painter().rect_filled(rect, radius, palette.field);
        placeholder(ui, rect, sentence)
    });
    if missing.is_none() {
        outcome.layout.self_view = Some(Spot::reserve(ui, rect, radius));
    }
    let edge = Stroke::new(1.0, Color32::from_white_alpha(38));
    ui.painter().rect_stroke(rect, radius, edge, StrokeKind::Inside);
    if call.muted {
        let badge = rect.right_top() + vec2(-18.0, 18.0);
        ui.painter().circle_filled(badge, 13.0, palette.end);
        icons::paint(
            ui.painter(),
            Icon::MicrophoneOff,
            Rect::from_center_size(badge, Vec2::splat(15.0)),
            palette.on_accent,
        );
    }
    response.on_hover_cursor(CursorIcon::Grab).on_hover_text("You. Drag to another corner; S hides");
    told
}

/// Why there is nothing to see in `rect`. Answers whether it had room for that.
pub(super) fn placeholder(ui: &Ui, rect: Rect, sentence: &str) -> bool {
    const ICON: f32 = 22.0;
    const GAP: f32 = 5.0;
    let palette = theme::palette(ui.style());
    let text = widgets::centered(ui, sentence, theme::regular(12.0), rect.width() - 16.0);
    let fits = ICON + GAP + text.size().y <= rect.height() - 12.0;
    let up = if fits { (GAP + text.size().y) / 2.0 } else { 0.0 };
    let icon = Rect::from_center_size(rect.center() - vec2(0.0, up), Vec2::splat(ICON));
    icons::paint(ui.painter(), Icon::CameraOff, icon, palette.weak);
    if fits {
        ui.painter().galley(pos2(rect.center().x, icon.bottom() + GAP), text, palette.weak);
    }
    fits
}

/// What is wrong with one's own devices, `bottom` points above the window's lower edge; with the camera, unless that was
/// told in the self view.
pub(super) fn troubles(ui: &Ui, view: &View<'_>, local: &mut Local, camera_told: bool, bottom: f32) {
    let camera = match view.own {
        Picture::Fault(sentence) if !camera_told => Some(sentence.to_owned()),
        _ => None,
    };
    let mut sentences: Vec<String> = camera.into_iter().chain(view.devices.troubles()).collect();
    local.put_away.retain(|known| sentences.contains(known));
    sentences.retain(|sentence| !local.put_away.contains(sentence));
    if sentences.is_empty() {
        return;
    }
    super::toast(ui, "troubles", bottom, |ui| {
        let color = theme::palette(ui.style()).poor;
        for sentence in sentences {
            if super::dismissable(ui, &sentence, color) {
                local.put_away.push(sentence);
            }
        }
    });
}

const fn align(corner: Corner) -> Align2 {
    match corner {
        Corner::TopLeft => Align2::LEFT_TOP,
        Corner::TopRight => Align2::RIGHT_TOP,
        Corner::BottomLeft => Align2::LEFT_BOTTOM,
        Corner::BottomRight => Align2::RIGHT_BOTTOM,
    }
}

/// The corner of `whole` that `at` is nearest to.
fn nearest(at: egui::Pos2, whole: Rect) -> Corner {
    match (at.x < whole.center().x, at.y < whole.center().y) {
        (true, true) => Corner::TopLeft,
        (false, true) => Corner::TopRight,
        (true, false) => Corner::BottomLeft,
        (false, false) => Corner::BottomRight,
    }
}
