//! The figures of a call: where the delay comes from, and a minute of what changed.

use egui::{Align, Grid, Layout, Margin, Pos2, Rect, RichText, ScrollArea, Ui, UiBuilder, vec2};

use super::{Action, Outcome, View, controls::level_color};
use crate::{
    app::{quality, state::Call},
    stats::collector::{Live, STAGES},
    ui::{
        icons::Icon,
        local::{Local, TREND},
        theme,
        widgets::{self, Kind},
    },
};

/// What is known of a call beyond [`Live`]; what is not known is not shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Age of the picture on screen.
    pub age_ms: Option<f64>,
    /// There and back between this device and the relay.
    pub round_trip_ms: Option<f64>,
    /// How far the delay may be off, since clocks are kept in step over the network.
    pub bound_ms: Option<f64>,
    /// As people call it: "H.264".
    pub codec: Option<String>,
    /// Width and height of the pictures that come.
    pub size: Option<(u32, u32)>,
    /// What is sent, in bits per second.
    pub sent_bps: Option<f64>,
    /// Pictures that were not shown, by cause, since the call began.
    pub drops: Vec<(String, u64)>,
}

const WIDTH: f32 = 340.0;

/// Draws the panel with its upper left corner at `at`.
pub(super) fn show(ui: &mut Ui, view: &View<'_>, call: &Call, local: &Local, at: Pos2, outcome: &mut Outcome) {
    let whole = ui.max_rect();
    let size = vec2(WIDTH.min(whole.width() - 2.0 * at.x), (whole.bottom() - at.y - 16.0).max(60.0));
    let mut child = ui.new_child(
        UiBuilder::new()
            .id_salt("stats")
            .max_rect(Rect::from_min_size(at, size))
            .layout(Layout::top_down(Align::Min)),
    );
    let frame = egui::Frame::new().fill(theme::VEIL).corner_radius(16).inner_margin(Margin::same(16));
    frame.show(&mut child, |ui| {
        ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
        ui.spacing_mut().interact_size = egui::Vec2::ZERO;
        ui.set_width(ui.available_width());
        ScrollArea::vertical().max_height(size.y - 32.0).show(ui, |ui| match &call.live {
            None => {
                ui.label("Figures come a second after the call has begun.");
            }
            Some(live) => {
                if figures(ui, view, call, live, local) {
                    outcome.actions.push(Action::CopyText(in_words(live, view.figures)));
                }
            }
        });
    });
}

/// Answers whether they are to be copied.
fn figures(ui: &mut Ui, view: &View<'_>, call: &Call, live: &Live, local: &Local) -> bool {
    let palette = theme::palette(ui.style());
    let copy = delay(ui, live, view.figures);
    ui.add_space(2.0);
    Grid::new("figures").num_columns(4).spacing(vec2(12.0, 5.0)).show(ui, |ui| {
        for (index, (name, value)) in rows(live, view.figures).into_iter().enumerate() {
            ui.label(RichText::new(name).size(theme::SMALL).color(palette.weak));
            ui.label(RichText::new(value).size(theme::SMALL).color(palette.text));
            if index % 2 == 1 {
                ui.end_row();
            }
        }
    });
    drops(ui, &view.figures.drops);
    ui.add_space(2.0);
    let trend = &local.trend;
    let kbps = |live: &Live| Some((live.bitrate_bps / 1e3) as f32);
    let pictures = |live: &Live| live.fps > 0.0;
    let delays = trend.values(|live| pictures(live).then_some(live.delay_ms as f32));
    widgets::plot(ui, "Delay", &format!("{:.0} ms", live.delay_ms), &delays, TREND, 60.0);
    let rates = trend.values(|live| Some(live.fps as f32));
    widgets::plot(ui, "Frames per second", &format!("{:.0}", live.fps), &rates, TREND, 30.0);
    widgets::plot(ui, "Received", &bitrate(live.bitrate_bps), &trend.values(kbps), TREND, 500.0);
    let losses = trend.values(|live| Some((live.loss * 100.0) as f32));
    widgets::plot(ui, "Loss", &format!("{:.1} %", live.loss * 100.0), &losses, TREND, 5.0);
    let quality = quality::of(call, &view.state.connection);
    ui.label(RichText::new(quality.cause).size(theme::SMALL).color(level_color(ui, quality.level)));
    copy
}

/// The delay as a number, as a bar by stage, and the slowest stage by name. Answers whether all is to be copied.
fn delay(ui: &mut Ui, live: &Live, more: &Figures) -> bool {
    let palette = theme::palette(ui.style());
    let row = ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.label(RichText::new(format!("{:.0} ms", live.delay_ms)).font(theme::strong(24.0)).color(palette.text));
        let bound = more.bound_ms.map_or_else(String::new, |bound| format!(" ± {bound:.0}"));
        ui.label(RichText::new(format!("{bound} camera to screen")).size(theme::SMALL).color(palette.weak));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            widgets::icon_button(ui, Icon::Copy, "Copy figures", "Copy the figures as text", 30.0, Kind::Bare)
                .clicked()
        })
        .inner
    });
    let stages: Vec<_> = STAGES.into_iter().zip(live.stages_ms).collect();
    widgets::stage_bar(ui, &stages);
    let slowest = quality::slowest(live);
    Grid::new("stages").num_columns(6).spacing(vec2(8.0, 4.0)).show(ui, |ui| {
        for (index, (name, ms)) in stages.iter().enumerate() {
            let (rect, _) = ui.allocate_exact_size(vec2(10.0, 12.0), egui::Sense::hover());
            ui.painter().circle_filled(rect.center(), 4.5, widgets::stage_color(index));
            let name = RichText::new(*name).size(theme::SMALL);
            ui.label(if index == slowest { name.color(palette.text).strong() } else { name.color(palette.weak) });
            ui.label(RichText::new(format!("{ms:.1}")).size(theme::SMALL).color(palette.text));
            if index % 2 == 1 {
                ui.end_row();
            }
        }
    });
    let who = format!("Slowest: {} ({:.0} ms)", STAGES[slowest], live.stages_ms[slowest]);
    ui.label(RichText::new(who).font(theme::strong(13.5)).color(palette.text));
    row.inner
}

/// For a message to whoever looks into it.
fn in_words(live: &Live, more: &Figures) -> String {
    let stages = STAGES.iter().zip(live.stages_ms).map(|(name, ms)| format!("  {name}: {ms:.1} ms\n"));
    let rows = rows(live, more).into_iter().map(|(name, value)| format!("{name}: {value}\n"));
    let drops = more.drops.iter().map(|(cause, count)| format!("Not shown, {cause}: {count}\n"));
    let head = format!("Camera to screen: {:.1} ms\n", live.delay_ms);
    std::iter::once(head).chain(stages).chain(rows).chain(drops).collect()
}

fn rows(live: &Live, more: &Figures) -> Vec<(&'static str, String)> {
    let ms = |value: f64| format!("{value:.0} ms");
    let known = [
        ("Age", more.age_ms.map(ms)),
        ("Round trip", more.round_trip_ms.map(ms)),
        ("Frames", Some(format!("{:.1} / s", live.fps))),
        ("Loss", Some(format!("{:.1} %", live.loss * 100.0))),
        ("Received", Some(bitrate(live.bitrate_bps))),
        ("Sent", more.sent_bps.map(bitrate)),
        ("Codec", more.codec.clone()),
        ("Size", more.size.map(|(width, height)| format!("{width} × {height}"))),
    ];
    known.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}

fn drops(ui: &mut Ui, drops: &[(String, u64)]) {
    if drops.is_empty() {
        return;
    }
    let palette = theme::palette(ui.style());
    let sum: u64 = drops.iter().map(|(_, count)| count).sum();
    let causes: Vec<_> = drops.iter().map(|(cause, count)| format!("{} {count}", cause.replace('_', " "))).collect();
    let line = format!("Not shown: {sum} ({})", causes.join(", "));
    ui.label(RichText::new(line).size(theme::SMALL).color(palette.weak));
}

fn bitrate(bps: f64) -> String {
    if bps >= 1e6 { format!("{:.1} Mbit/s", bps / 1e6) } else { format!("{:.0} kbit/s", bps / 1e3) }
}
