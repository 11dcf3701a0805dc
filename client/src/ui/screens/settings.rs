//! Camera, sound and looks. Every change is in force at once.

use std::time::Duration;

use egui::{Key, Modifiers, RichText, ScrollArea, Sense, Slider, Stroke, StrokeKind, Ui, vec2};

use super::{
    Action, Outcome, Picture, Spot, View,
    controls::{BEST, DEFAULT, pick_device},
    people, pressed,
};
use crate::{
    app::{
        settings::{HEIGHTS, KBPS, RATES, Theme},
        studio::Check,
    },
    sentence::capitalised,
    ui::{
        icons::{self, Icon},
        local::Local,
        theme,
        widgets::{self, Kind},
    },
};

/// Between two looks at how loud it is: the eye sees no more.
const LEVEL_EVERY: Duration = Duration::from_millis(50);

/// Of the cards.
const WIDTH: f32 = 620.0;

pub(super) fn show(ui: &mut Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    ui.painter().rect_filled(ui.max_rect(), 0, theme::palette(ui.style()).back);
    outcome.layout.devices_wanted = true;
    let width = (ui.available_width() - 2.0 * theme::EDGE).min(WIDTH);
    ui.add_space(18.0);
    widgets::column(ui, width, |ui| head(ui, view, local));
    ui.add_space(6.0);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        widgets::column(ui, width, |ui| {
            ui.spacing_mut().item_spacing.y = 16.0;
            section(ui, Icon::Camera, "Camera", |ui| camera(ui, view, outcome));
            section(ui, Icon::Microphone, "Microphone", |ui| microphone(ui, view, outcome));
            section(ui, Icon::Speaker, "Speaker", |ui| speaker(ui, view, outcome));
            section(ui, Icon::Bell, "Ringing", |ui| {
                let chosen = view.settings.sound.ring.as_deref();
                if let Some(id) = pick_device(ui, &view.devices.speakers, chosen, ("Same as the speaker", &None)) {
                    outcome.change(view, |settings| settings.sound.ring = id);
                }
            });
            section(ui, Icon::Look, "Appearance", |ui| looks(ui, view, outcome));
            ui.add_space(16.0);
        });
    });
    people::notice(ui, view, people::NOTICE, outcome);
}

fn head(ui: &mut Ui, view: &View<'_>, local: &mut Local) {
    ui.horizontal(|ui| {
        let back = widgets::icon_button(ui, Icon::Back, "Back", "Back (Esc)", 40.0, Kind::Bare);
        if back.clicked() || pressed(ui, Modifiers::ALT, Key::ArrowLeft) {
            local.settings = false;
        }
        ui.label(RichText::new("Settings").font(theme::strong(theme::TITLE)));
        if let Some(call) = view.state.call.as_ref().filter(|call| call.going()) {
            widgets::weak(ui, format!("The call with {} goes on", call.peer));
        }
    });
}

fn section(ui: &mut Ui, icon: Icon, title: &str, add: impl FnOnce(&mut Ui)) {
    widgets::card(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 8.0;
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(20.0, 24.0), Sense::hover());
            icons::paint(ui.painter(), icon, rect, theme::palette(ui.style()).accent_text);
            widgets::strong(ui, title, theme::LEAD);
        });
        ui.push_id(title, add);
    });
}

fn camera(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    preview(ui, view, outcome);
    let camera = &view.settings.camera;
    let usual = (BEST, &view.devices.camera);
    if let Some(id) = pick_device(ui, &view.devices.cameras, camera.device.as_deref(), usual) {
        outcome.change(view, |settings| settings.camera.device = id);
    }
    let pick = |ui: &mut Ui, title: &str, unit: &str, values: &[u32], chosen: u32| {
        caption(ui, title);
        let names: Vec<_> = values.iter().map(|value| format!("{value}{unit}")).collect();
        let names: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let position = values.iter().position(|&value| value == chosen).unwrap_or(values.len());
        ui.push_id(title, |ui| widgets::segments(ui, &names, position)).inner.map(|index| values[index])
    };
    if let Some(height) = pick(ui, "Largest video that is sent", "p", &HEIGHTS, camera.max_height) {
        outcome.change(view, |settings| settings.camera.max_height = height);
    }
    if let Some(rate) = pick(ui, "Frame rate limit", "", &RATES, camera.max_fps) {
        outcome.change(view, |settings| settings.camera.max_fps = rate);
    }
    bitrate(ui, view, outcome);
}

fn bitrate(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    // What a drag is at is put in force where it ends.
    let id = ui.id().with("bitrate");
    let dragged: Option<u32> = ui.data(|data| data.get_temp(id));
    let mut kbps = dragged.unwrap_or(view.settings.camera.max_kbps);
    let caption = caption(ui, &format!("Video bitrate limit: {kbps} kbit/s"));
    let accent = theme::palette(ui.style()).accent_text;
    let widgets = &mut ui.visuals_mut().widgets;
    for look in [&mut widgets.inactive, &mut widgets.hovered, &mut widgets.active] {
        look.fg_stroke = Stroke::new(2.5, accent);
        look.bg_stroke = Stroke::NONE;
    }
    ui.spacing_mut().slider_width = ui.available_width();
    let slider = Slider::new(&mut kbps, KBPS).logarithmic(true).step_by(50.0).show_value(false);
    let response = ui.add(slider).labelled_by(caption.id);
    if response.dragged() {
        ui.data_mut(|data| data.insert_temp(id, kbps));
    } else if dragged.is_some() || response.changed() {
        ui.data_mut(|data| data.remove::<u32>(id));
        outcome.change(view, |settings| settings.camera.max_kbps = kbps);
    }
}

/// One's own picture as others see it.
fn preview(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    let width = ui.available_width().min(400.0);
    let size = vec2(width, (width * 9.0 / 16.0).round());
    let palette = theme::palette(ui.style());
    ui.vertical_centered(|ui| {
        let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
        let sentence = match view.own {
            Picture::Here => {
                name(&response, "Preview of your camera");
                outcome.layout.self_view = Some(Spot::reserve(ui, rect, 14.0));
                ui.painter().rect_stroke(rect, 14, Stroke::new(1.0, palette.line), StrokeKind::Outside);
                return;
            }
            Picture::Coming if off(view) => "The camera is off in this call.",
            Picture::Coming => "The camera starts …",
            Picture::Absent => "No camera was found: plug one in, and it appears here.",
            Picture::Fault(sentence) => sentence,
        };
        name(&response, sentence);
        ui.painter().rect_filled(rect, 14, palette.field);
        let text = widgets::centered(ui, sentence, theme::regular(14.0), width - 48.0);
        let icon = egui::Rect::from_center_size(rect.center() - vec2(0.0, 22.0), egui::Vec2::splat(34.0));
        icons::paint(ui.painter(), Icon::CameraOff, icon, palette.weak);
        let at = egui::pos2(rect.center().x, icon.bottom() + 10.0);
        ui.painter().galley(at, text, palette.weak);
    });
    ui.add_space(4.0);
}

fn off(view: &View<'_>) -> bool {
    view.state.call.as_ref().is_some_and(|call| call.going() && call.camera_off)
}

fn name(response: &egui::Response, name: &str) {
    response.widget_info(|| egui::WidgetInfo::labeled(egui::WidgetType::Image, true, name));
}

fn microphone(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    let sound = &view.settings.sound;
    widgets::level_meter(ui, "Loudness of the microphone", view.level.unwrap_or_default());
    let usual = (DEFAULT, &view.devices.microphone.device);
    if let Some(id) = pick_device(ui, &view.devices.microphones, sound.microphone.as_deref(), usual) {
        outcome.change(view, |settings| settings.sound.microphone = id);
    }
    if let Some(sentence) = &view.devices.microphone.trouble {
        trouble(ui, &format!("{}.", capitalised(sentence)));
    }
    if view.level.is_some() {
        ui.request_repaint_after(LEVEL_EVERY);
    }
    check(ui, view, outcome);
    ui.add_space(4.0);
    if widgets::switch(
        ui,
        sound.cancel_echo,
        "Cancel echo",
        "Others do not hear themselves; off with headphones only",
    )
    .changed()
    {
        outcome.change(view, |settings| settings.sound.cancel_echo ^= true);
    }
    if widgets::switch(ui, sound.suppress_noise, "Suppress noise", "Fans, keyboards and the street grow quiet")
        .changed()
    {
        outcome.change(view, |settings| settings.sound.suppress_noise ^= true);
    }
    if widgets::switch(ui, sound.control_gain, "Even out loudness", "Near and far from the microphone sound alike")
        .changed()
    {
        outcome.change(view, |settings| settings.sound.control_gain ^= true);
    }
}

fn check(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    let (text, icon, kind, action) = match view.check {
        Check::Idle | Check::NothingHeard => ("Record and play back", Icon::Play, Kind::Quiet, Action::StartCheck),
        Check::Recording => ("Recording: speak now …", Icon::Microphone, Kind::Main, Action::StopCheck),
        Check::Playing => ("Playing back …", Icon::Speaker, Kind::Main, Action::StopCheck),
    };
    let enabled = !view.state.in_call() || matches!(view.check, Check::Recording | Check::Playing);
    ui.add_enabled_ui(enabled, |ui| {
        let tip = if enabled { "Hear yourself as others do" } else { "Not during a call" };
        if widgets::text_button(ui, Some(icon), text, kind, None)
            .on_hover_text(tip)
            .on_disabled_hover_text(tip)
            .clicked()
        {
            outcome.actions.push(action);
        }
    });
    if view.check == Check::NothingHeard {
        trouble(ui, "Nothing was heard. Check that the microphone is not muted, or choose another one.");
    }
}

/// Something is wrong, and what to do.
fn trouble(ui: &mut Ui, sentence: &str) {
    let color = theme::palette(ui.style()).poor;
    ui.add(egui::Label::new(RichText::new(sentence).size(13.5).color(color)).wrap());
}

fn speaker(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    let usual = (DEFAULT, &view.devices.speaker.device);
    if let Some(id) = pick_device(ui, &view.devices.speakers, view.settings.sound.speaker.as_deref(), usual) {
        outcome.change(view, |settings| settings.sound.speaker = id);
    }
    if let Some(sentence) = &view.devices.speaker.trouble {
        trouble(ui, &format!("{}.", capitalised(sentence)));
    }
    let test = widgets::text_button(ui, Some(Icon::Speaker), "Play a test tone", Kind::Quiet, None);
    if test.on_hover_text("A short tone on the chosen speaker").clicked() {
        outcome.actions.push(Action::TestTone);
    }
}

fn looks(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    const THEMES: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];
    let window = &view.settings.window;
    let chosen = THEMES.iter().position(|&theme| theme == window.theme).unwrap_or_default();
    if let Some(index) = widgets::segments(ui, &[("System", 0), ("Light", 0), ("Dark", 0)], chosen) {
        outcome.change(view, |settings| settings.window.theme = THEMES[index]);
    }
    ui.add_space(4.0);
    if widgets::switch(
        ui,
        window.self_view,
        "Show yourself in calls",
        "Your own picture, in a corner that you choose",
    )
    .changed()
    {
        outcome.change(view, |settings| settings.window.self_view ^= true);
    }
    if widgets::switch(ui, window.fill, "Fill the window", "The picture is cut at its edges instead of having bars")
        .changed()
    {
        outcome.change(view, |settings| settings.window.fill ^= true);
    }
}

fn caption(ui: &mut Ui, text: &str) -> egui::Response {
    ui.add_space(2.0);
    let color = theme::palette(ui.style()).weak;
    ui.label(RichText::new(text).size(13.5).color(color))
}
