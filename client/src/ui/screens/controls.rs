//! What lies on a call: who and how well at the top, switches at the bottom.

use egui::{
    Align, Align2, Color32, Layout, Margin, Popup, PopupCloseBehavior, Rect, Response, RichText, ScrollArea, Sense,
    Ui, UiBuilder, Vec2, WidgetInfo, WidgetType, pos2,
    text::{LayoutJob, TextWrapping},
    vec2,
};

use super::{Action, Outcome, View};
use crate::{
    app::{
        Command,
        devices::Device,
        quality::{self, Level, Quality},
        state::{Call, Phase},
    },
    ui::{
        icons::{self, Icon},
        local::Local,
        theme, times,
        widgets::{self, Kind},
    },
};

/// The height that the upper bar takes, with what is around it.
pub(super) const TOP: f32 = 72.0;

/// The height that the lower bar takes, with what is around it.
pub(super) const BOTTOM: f32 = 104.0;

/// Below this width the rarer switches are in a menu.
const NARROW: f32 = 620.0;

/// The diameter of a switch.
const SIDE: f32 = 48.0;

/// The camera that is used while none is chosen.
pub(super) const BEST: &str = "Best available";

/// The microphone or speaker that is.
pub(super) const DEFAULT: &str = "System default";

/// Between two of them.
const GAP: f32 = 10.0;

/// How well the call goes.
pub(super) fn quality(view: &View<'_>, call: &Call) -> Quality {
    let mut quality = quality::of(call, &view.state.connection);
    if !call.is_live() {
        "Setting up the call".clone_into(&mut quality.cause);
    }
    quality
}

/// Who, since when, and how well.
pub(super) fn top(ui: &mut Ui, view: &View<'_>, call: &Call, quality: &Quality, share: f32) {
    let timer = match call.phase {
        Phase::Live(since) => times::timer(view.now.since(since).as_secs()),
        _ => "Connecting …".to_owned(),
    };
    let palette = theme::palette(ui.style());
    let timer = ui.painter().layout_no_wrap(timer, theme::regular(theme::BODY), palette.weak);
    let room = ui.max_rect().width() - 32.0;
    let cause = RichText::new(&quality.cause).size(13.5).color(palette.text);
    let badges: Vec<(Icon, String)> = [
        (call.peer_muted, Icon::MicrophoneOff, "is muted"),
        (call.peer_camera_off, Icon::CameraOff, "has switched the camera off"),
    ]
    .into_iter()
    .filter(|(on, ..)| *on)
    .map(|(_, icon, what)| (icon, format!("{} {what}", call.peer)))
    .collect();
    // A long name leaves room for what is beside it.
    let beside = timer.size().x + 46.0 + badges.len() as f32 * 34.0;
    let mut name = LayoutJob::simple_singleline(call.peer.clone(), theme::strong(theme::LEAD), palette.text);
    name.wrap = TextWrapping::truncate_at_width((room - beside).max(0.0));
    let name = ui.painter().layout_job(name);

    let width = (name.size().x + beside)
        .max(ui.painter().layout_no_wrap(quality.cause.clone(), theme::regular(13.5), palette.text).size().x + 50.0)
        .min(room);
    let rect = Rect::from_min_size(ui.max_rect().min + Vec2::splat(16.0), vec2(width, TOP - 12.0));
    let mut child = ui.new_child(UiBuilder::new().id_salt("top").max_rect(rect).layout(Layout::top_down(Align::Min)));
    let ui = &mut child;
    ui.multiply_opacity(share);
    let spoken = format!("{}, {}", call.peer, timer.text());
    ui.interact(rect, ui.id().with("who"), Sense::hover())
        .widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, &spoken));
    ui.painter().rect_filled(rect, 16, theme::VEIL);
    let line = rect.top() + 21.0;
    let mut left = rect.left() + 16.0;
    for galley in [&name, &timer] {
        ui.painter().galley(pos2(left, line - galley.size().y / 2.0), galley.clone(), palette.text);
        left += galley.size().x + 12.0;
    }
    for (icon, what) in badges {
        badge(ui, pos2(left + 10.0, line), icon, &what);
        left += 30.0;
    }
    let color = level_color(ui, quality.level);
    let dot = pos2(rect.left() + 21.0, rect.top() + 43.0);
    ui.painter().circle_filled(dot, 5.0, color);
    let words = Rect::from_min_max(pos2(dot.x + 13.0, dot.y - 9.0), pos2(rect.right() - 10.0, dot.y + 9.0));
    let mut line = ui.new_child(UiBuilder::new().max_rect(words).layout(Layout::left_to_right(Align::Center)));
    line.add(egui::Label::new(cause).selectable(false).truncate());
}

/// The colour of how it feels.
pub(super) fn level_color(ui: &Ui, level: Level) -> Color32 {
    let palette = theme::palette(ui.style());
    match level {
        Level::Good => palette.good,
        Level::Fair => palette.fair,
        Level::Poor | Level::Gone => palette.poor,
    }
}

/// A sign that something of the other side is off.
fn badge(ui: &Ui, center: egui::Pos2, icon: Icon, what: &str) {
    let rect = Rect::from_center_size(center, Vec2::splat(26.0));
    let response = ui.interact(rect, ui.id().with(what), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, what));
    let palette = theme::palette(ui.style());
    ui.painter().circle_filled(center, 13.0, palette.end);
    icons::paint(ui.painter(), icon, rect.shrink(5.5), palette.on_accent);
    response.on_hover_text(what);
}

/// Where the switches are.
pub(super) fn bar(whole: Rect) -> Rect {
    let buttons = if whole.width() < NARROW { 5.0 } else { 9.0 };
    // Hanging up is wider, and stands apart.
    let size = vec2(buttons * SIDE + (buttons - 1.0) * GAP + 24.0 + 10.0, SIDE + 20.0);
    Align2::CENTER_BOTTOM.align_size_within_rect(size, whole.shrink(18.0))
}

/// The switches.
pub(super) fn bottom(
    ui: &mut Ui,
    view: &View<'_>,
    call: &Call,
    local: &mut Local,
    share: f32,
    outcome: &mut Outcome,
) {
    let narrow = ui.max_rect().width() < NARROW;
    let rect = bar(ui.max_rect());
    let mut child = ui.new_child(
        UiBuilder::new()
            .id_salt("bottom")
            .max_rect(rect.shrink2(vec2(12.0, 10.0)))
            .layout(Layout::left_to_right(Align::Center)),
    );
    let ui = &mut child;
    ui.multiply_opacity(share);
    ui.painter().rect_filled(rect, 22, theme::VEIL);
    // Clicks beside a button are not meant for the picture.
    ui.interact(rect, ui.id().with("bar"), Sense::click());
    ui.spacing_mut().item_spacing.x = GAP;
    let button =
        |ui: &mut Ui, icon, label: &str, tip: &str, kind| widgets::icon_button(ui, icon, label, tip, SIDE, kind);

    let (icon, label, kind) = switched(call.muted, [Icon::Microphone, Icon::MicrophoneOff], ["Mute", "Unmute"]);
    if button(ui, icon, label, &format!("{label} (M)"), kind).clicked() {
        outcome.push(Command::Mute(!call.muted));
    }
    let names = ["Camera off", "Camera on"];
    let (icon, label, kind) = switched(call.camera_off, [Icon::Camera, Icon::CameraOff], names);
    if button(ui, icon, label, &format!("{label} (V)"), kind).clicked() {
        outcome.push(Command::CameraOff(!call.camera_off));
    }
    let menu = button(ui, Icon::Devices, "Devices", "Camera, microphone, speaker", Kind::Quiet);
    devices(ui, &menu, view, outcome);
    if narrow {
        let menu = button(ui, Icon::More, "More", "More", Kind::Quiet);
        more(ui, &menu, view, local, outcome);
    } else {
        for item in items(view, local) {
            let tip =
                if item.key.is_empty() { item.name.to_owned() } else { format!("{} ({})", item.name, item.key) };
            if button(ui, item.icon, item.name, &tip, Kind::Quiet).clicked() {
                item.kind.act(view, local, outcome);
            }
        }
    }
    ui.add_space(GAP);
    if button(ui, Icon::HangUp, "Hang up", "Hang up (Ctrl+H)", Kind::End).clicked() {
        outcome.push(Command::End);
    }
}

/// Icon, name and look of a switch that is `off` or on.
pub(super) const fn switched(off: bool, icons: [Icon; 2], labels: [&str; 2]) -> (Icon, &str, Kind) {
    if off { (icons[1], labels[1], Kind::Switched) } else { (icons[0], labels[0], Kind::Quiet) }
}

/// One of the rarer switches.
struct Item {
    icon: Icon,
    name: &'static str,
    key: &'static str,
    kind: Rare,
}

#[derive(Clone, Copy)]
enum Rare {
    Fill,
    SelfView,
    FullScreen,
    Stats,
    Settings,
}

impl Rare {
    fn act(self, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
        match self {
            Self::Fill => outcome.change(view, |settings| settings.window.fill ^= true),
            Self::SelfView => outcome.change(view, |settings| settings.window.self_view ^= true),
            Self::FullScreen => outcome.actions.push(Action::ToggleFullScreen),
            Self::Stats => local.stats = !local.stats,
            Self::Settings => local.settings = true,
        }
    }
}

fn items(view: &View<'_>, local: &Local) -> [Item; 5] {
    let window = &view.settings.window;
    let item = |icon, name, key, kind| Item { icon, name, key, kind };
    [
        match window.fill {
            true => item(Icon::Fit, "Show the whole picture", "Z", Rare::Fill),
            false => item(Icon::Fill, "Fill the window", "Z", Rare::Fill),
        },
        item(Icon::SelfView, if window.self_view { "Hide yourself" } else { "Show yourself" }, "S", Rare::SelfView),
        match view.full_screen {
            true => item(Icon::LeaveFullScreen, "Leave full screen", "F", Rare::FullScreen),
            false => item(Icon::FullScreen, "Full screen", "F", Rare::FullScreen),
        },
        item(Icon::Chart, if local.stats { "Hide the figures" } else { "Show the figures" }, "F3", Rare::Stats),
        item(Icon::Gear, "Settings", "Ctrl+,", Rare::Settings),
    ]
}

fn more(ui: &Ui, button: &Response, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    let style = ui.style().clone();
    Popup::menu(button).width(280.0).gap(14.0).frame(menu_frame(&style)).show(|ui| {
        ui.set_style(style);
        ui.spacing_mut().item_spacing.y = 2.0;
        for item in items(view, local) {
            if widgets::menu_row(ui, item.icon, item.name, item.key, false).clicked() {
                item.kind.act(view, local, outcome);
            }
        }
    });
}

/// In the colours of the call, whatever those of the window are.
fn menu_frame(style: &egui::Style) -> egui::Frame {
    egui::Frame::menu(style).inner_margin(Margin::same(10))
}

/// Which camera, microphone and speaker, without leaving the call.
fn devices(ui: &Ui, button: &Response, view: &View<'_>, outcome: &mut Outcome) {
    let style = ui.style().clone();
    let palette = theme::palette(&style);
    Popup::menu(button)
        .width(300.0)
        .gap(14.0)
        .frame(menu_frame(&style))
        .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
        .show(|ui| {
            ui.set_style(style);
            ui.spacing_mut().item_spacing.y = 2.0;
            let height = (ui.ctx().content_rect().height() - 160.0).max(120.0);
            ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(ui, |ui| {
                let (settings, devices) = (view.settings, view.devices);
                let mut list =
                    |title, devices: &[Device], chosen: &Option<String>, usual: (&str, &Option<String>)| {
                        ui.add_space(6.0);
                        ui.label(RichText::new(title).font(theme::strong(13.0)).color(palette.weak));
                        ui.push_id(title, |ui| pick_device(ui, devices, chosen.as_deref(), usual)).inner
                    };
                if let Some(id) = list("Camera", &devices.cameras, &settings.camera.device, (BEST, &devices.camera)) {
                    outcome.change(view, |settings| settings.camera.device = id);
                }
                let sound = &settings.sound;
                if let Some(id) =
                    list("Microphone", &devices.microphones, &sound.microphone, (DEFAULT, &devices.microphone.device))
                {
                    outcome.change(view, |settings| settings.sound.microphone = id);
                }
                if let Some(id) =
                    list("Speaker", &devices.speakers, &sound.speaker, (DEFAULT, &devices.speaker.device))
                {
                    outcome.change(view, |settings| settings.sound.speaker = id);
                }
            });
        });
}

/// A list of devices, the usual one first, with the name of the one that it is now, if that is known. Answers the one that
/// was clicked.
pub(super) fn pick_device(
    ui: &mut Ui,
    list: &[Device],
    chosen: Option<&str>,
    (usual, now): (&str, &Option<String>),
) -> Option<Option<String>> {
    let mut picked = None;
    let now = now.as_ref().filter(|_| chosen.is_none());
    let usual = now.map_or_else(|| usual.to_owned(), |now| format!("{usual} ({now})"));
    if widgets::choice(ui, &usual, chosen.is_none()).clicked() {
        picked = Some(None);
    }
    for device in list {
        if widgets::choice(ui, &device.name, chosen == Some(device.id.as_str())).clicked() {
            picked = Some(Some(device.id.clone()));
        }
    }
    // A chosen device that is unplugged is used again as soon as it is back.
    if let Some(chosen) = chosen
        && list.iter().all(|device| device.id != chosen)
    {
        widgets::choice(ui, "Chosen device (not connected)", true);
    }
    picked
}
