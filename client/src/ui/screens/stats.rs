//! The figures of a call: where the delay comes from, both directions side by side, and a minute of what changed.

use egui::{
    Align, Grid, Label, Layout, Margin, Rect, RichText, ScrollArea, Ui, UiBuilder, WidgetInfo, WidgetType, vec2,
};

use super::{Action, Outcome, View, controls};
use crate::{
    app::{quality, state::Call},
    stats::{
        collector::{Live, STAGES},
        record::Drop,
    },
    ui::{
        icons::Icon,
        local::{Local, TREND, Trend},
        theme,
        widgets::{self, Kind},
    },
};

/// Of the panel, at most.
pub(super) const WIDTH: f32 = 340.0;

/// Around what the panel holds.
const PADDING: f32 = 16.0;

/// Between the lines.
const GAP: f32 = 8.0;

/// The directions, in the order of the table's columns.
const DIRECTIONS: [&str; 2] = ["Received", "Sent"];

/// Draws the panel in the upper left corner of `room`, no larger than that.
pub(super) fn show(ui: &mut Ui, view: &View<'_>, call: &Call, local: &Local, room: Rect, outcome: &mut Outcome) {
    let size = vec2(WIDTH.min(room.width()), room.height().max(60.0));
    let mut child = ui.new_child(
        UiBuilder::new()
            .id_salt("stats")
            .max_rect(Rect::from_min_size(room.min, size))
            .layout(Layout::top_down(Align::Min)),
    );
    let frame = egui::Frame::new().fill(theme::VEIL).corner_radius(16).inner_margin(Margin::same(PADDING as i8));
    frame.show(&mut child, |ui| {
        ui.spacing_mut().item_spacing = vec2(12.0, GAP);
        ui.spacing_mut().interact_size = egui::Vec2::ZERO;
        ui.set_width(ui.available_width());
        ScrollArea::vertical().max_height(size.y - 2.0 * PADDING).show(ui, |ui| match &call.live {
            None => {
                ui.label("Figures come a second after the call has begun.");
            }
            Some(live) => {
                if figures(ui, view, call, live, &local.trend) {
                    outcome.actions.push(Action::CopyText(in_words(call, live)));
                }
            }
        });
    });
}

/// Answers whether they are to be copied.
fn figures(ui: &mut Ui, view: &View<'_>, call: &Call, live: &Live, trend: &Trend) -> bool {
    let copy = head(ui, live);
    if live.fps > 0.0 {
        stages(ui, live);
    }
    let quality = quality::of(call, &view.state.connection);
    ui.label(RichText::new(quality.cause).size(theme::SMALL).color(controls::level_color(ui, quality.level)));
    facts(ui, call, live);
    table(ui, live);
    ui.add_space(2.0);
    history(ui, live, trend);
    copy
}

/// The delay as a number. Answers whether all is to be copied.
fn head(ui: &mut Ui, live: &Live) -> bool {
    let palette = theme::palette(ui.style());
    let (number, what) = match live.fps > 0.0 {
        true => (format!("{:.0} ms", live.delay_ms), "camera to screen"),
        false => ("–".to_owned(), "no picture comes"),
    };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 7.0;
        ui.label(RichText::new(number).font(theme::strong(24.0)).color(palette.text));
        ui.label(RichText::new(what).size(theme::SMALL).color(palette.weak));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            widgets::icon_button(ui, Icon::Copy, "Copy figures", "Copy the figures as text", 30.0, Kind::Bare)
                .clicked()
        })
        .inner
    })
    .inner
}

/// The delay as a bar by stage, and the slowest stage by name.
fn stages(ui: &mut Ui, live: &Live) {
    let palette = theme::palette(ui.style());
    widgets::stage_bar(ui, &STAGES.into_iter().zip(live.stages_ms).collect::<Vec<_>>());
    let slowest = quality::slowest(live);
    ui.spacing_mut().item_spacing.y = 4.0;
    for row in 0..2 {
        ui.columns(3, |columns| {
            for (column, ui) in columns.iter_mut().enumerate() {
                let index = 3 * row + column;
                stage(ui, index, live.stages_ms[index], index == slowest);
            }
        });
    }
    ui.spacing_mut().item_spacing.y = GAP;
    let who = format!("Slowest: {} ({:.0} ms)", STAGES[slowest], live.stages_ms[slowest]);
    ui.label(RichText::new(who).font(theme::strong(13.5)).color(palette.text));
}

/// One stage in the legend of the bar.
fn stage(ui: &mut Ui, index: usize, ms: f64, slowest: bool) {
    let palette = theme::palette(ui.style());
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 7.0;
        // As high as the words beside it.
        let (rect, _) = ui.allocate_exact_size(vec2(9.0, 16.0), egui::Sense::hover());
        ui.painter().circle_filled(rect.center(), 4.5, widgets::stage_color(index));
        let name = RichText::new(STAGES[index]).size(theme::SMALL);
        ui.label(if slowest { name.color(palette.text).strong() } else { name.color(palette.weak) });
        ui.label(RichText::new(format!("{ms:.1}")).size(theme::SMALL).color(palette.text));
    });
}

/// What is of the call as a whole: names, and values below them.
fn facts(ui: &mut Ui, call: &Call, live: &Live) {
    let palette = theme::palette(ui.style());
    ui.columns(4, |columns| {
        for (ui, (name, value, what)) in columns.iter_mut().zip(known(call, live)) {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.label(RichText::new(name).size(theme::SMALL).color(palette.weak)).on_hover_text(what);
            cell(ui, &value, &format!("{name}: {value}"));
        }
    });
}

/// What comes beside what is sent.
fn table(ui: &mut Ui, live: &Live) {
    let palette = theme::palette(ui.style());
    let width = ui.available_width();
    Grid::new("table").num_columns(3).min_col_width(width * 0.28).spacing(vec2(12.0, 5.0)).show(ui, |ui| {
        ui.label("");
        for direction in DIRECTIONS {
            ui.label(RichText::new(direction).font(theme::strong(theme::SMALL)).color(palette.text));
        }
        ui.end_row();
        for (name, values) in both_ways(live) {
            ui.vertical(|ui| ui.label(RichText::new(name).size(theme::SMALL).color(palette.weak)));
            for (direction, value) in DIRECTIONS.into_iter().zip(values) {
                // Causes are counted from the top, also where the other direction has more.
                ui.vertical(|ui| match value {
                    Some(value) => cell(ui, &value, &said(name, direction, &value)),
                    None => drop(ui.label(RichText::new("–").size(theme::SMALL).color(palette.weak))),
                });
            }
            ui.end_row();
        }
    });
}

/// A value, which a screen reader calls by what it is.
fn cell(ui: &mut Ui, value: &str, spoken: &str) {
    let text = RichText::new(value).size(theme::SMALL).color(theme::palette(ui.style()).text);
    ui.add(Label::new(text)).widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, spoken));
}

/// A figure as it is plotted, where it is known.
type Figure = fn(&Live) -> Option<f32>;

/// The last minute, two plots in a row.
fn history(ui: &mut Ui, live: &Live, trend: &Trend) {
    let ms = |value: f64| format!("{value:.0} ms");
    let delay = if live.fps > 0.0 { ms(live.delay_ms) } else { String::new() };
    let round_trip = live.round_trip_ms.map_or_else(String::new, ms);
    // Title, newest value, all values, and what the plot shows at least.
    let plots: [(&str, String, Figure, f32); 6] = [
        ("Delay", delay, |live| (live.fps > 0.0).then_some(live.delay_ms as f32), 60.0),
        ("Round trip", round_trip, |live| live.round_trip_ms.map(|ms| ms as f32), 40.0),
        ("Pictures", format!("{:.0} / s", live.fps), |live| Some(live.fps as f32), 30.0),
        ("Loss", format!("{:.1} %", live.loss * 100.0), |live| Some((live.loss * 100.0) as f32), 5.0),
        ("Received", bitrate(live.bitrate_bps), |live| Some((live.bitrate_bps / 1e3) as f32), 500.0),
        ("Sent", bitrate(live.sent.bitrate_bps), |live| Some((live.sent.bitrate_bps / 1e3) as f32), 500.0),
    ];
    for pair in plots.chunks(2) {
        ui.columns(2, |columns| {
            for (ui, (title, now, figure, least_top)) in columns.iter_mut().zip(pair) {
                widgets::plot(ui, title, now, &trend.values(figure), TREND, *least_top);
            }
        });
    }
}

/// For a message to whoever looks into it.
fn in_words(call: &Call, live: &Live) -> String {
    let mut lines = Vec::new();
    if live.fps > 0.0 {
        lines.push(format!("Camera to screen: {:.1} ms", live.delay_ms));
        lines.extend(STAGES.iter().zip(live.stages_ms).map(|(name, ms)| format!("  {name}: {ms:.1} ms")));
    }
    lines.extend(known(call, live).into_iter().map(|(name, value, _)| format!("{name}: {value}")));
    let table = both_ways(live);
    for (column, direction) in DIRECTIONS.into_iter().enumerate() {
        let known = table.iter().filter_map(|(name, values)| Some((name, values[column].as_ref()?)));
        lines.extend(known.map(|(name, value)| said(name, direction, value)));
    }
    lines.join("\n") + "\n"
}

/// A figure of one direction, in a line.
fn said(name: &str, direction: &str, value: &str) -> String {
    format!("{name}, {}: {}", direction.to_lowercase(), value.replace('\n', ", "))
}

/// Figures that have no direction, as far as they are known: name, value, and what it means.
fn known(call: &Call, live: &Live) -> Vec<(&'static str, String, &'static str)> {
    let ms = |value: f64| format!("{value:.0} ms");
    // A picture that was switched off is not on the screen.
    let seen = call.peer_sends_pictures && !call.peer_camera_off;
    let known = [
        ("Age", live.age_ms.filter(|_| seen).map(ms), "How old what the screen shows is, from the camera on"),
        ("Round trip", live.round_trip_ms.map(ms), "From this computer to the relay and back"),
        (
            "Loss",
            Some(format!("{:.1} %", live.loss * 100.0)),
            "Packets that were lost between the relay and this computer",
        ),
        (
            "Clock",
            live.bound_ms.map(|bound| format!("± {bound:.0} ms")),
            "How far the relay's clock may be off as this computer knows it. The delay may be off by as much, and by as \
             much as the other computer is off",
        ),
    ];
    known.into_iter().filter_map(|(name, value, what)| Some((name, value?, what))).collect()
}

/// Figures of both directions; what is known of neither is left out.
fn both_ways(live: &Live) -> Vec<(&'static str, [Option<String>; 2])> {
    let sent = &live.sent;
    let fps = |fps: f64| Some(format!("{fps:.1} / s"));
    let size = |size: Option<(u32, u32)>| size.map(|(width, height)| format!("{width} × {height}"));
    let dropped = |dropped: &std::collections::BTreeMap<Drop, u64>| {
        let causes: Vec<_> = dropped.iter().map(|(&cause, count)| format!("{count} {}", words(cause))).collect();
        Some(if causes.is_empty() { "none".to_owned() } else { causes.join("\n") })
    };
    let rows = [
        ("Pictures", [fps(live.fps), fps(sent.fps)]),
        ("Rate", [Some(bitrate(live.bitrate_bps)), Some(bitrate(sent.bitrate_bps))]),
        ("Size", [size(live.size), size(sent.size)]),
        ("Codec", [live.codec.clone(), sent.codec.clone()]),
        ("Not shown", [dropped(&live.dropped), dropped(&sent.dropped)]),
    ];
    rows.into_iter().filter(|(_, values)| values.iter().any(Option::is_some)).collect()
}

/// Why pictures were dropped, behind their number.
const fn words(cause: Drop) -> &'static str {
    match cause {
        Drop::Replaced => "encoder busy",
        Drop::NoBudget => "network busy",
        Drop::EncodeFailed => "not encoded",
        Drop::SendQueueFull => "not taken up",
        Drop::NotPublished => "not published",
        Drop::SendBufferFull => "no room to send",
        Drop::Lost => "lost",
        Drop::DroppedByHop => "dropped by relay",
        Drop::Late => "late",
        Drop::ReferenceMissing => "after a loss",
        Drop::Overflow => "too many at once",
        Drop::Forged => "not authentic",
        Drop::DecodeFailed => "not decoded",
        Drop::DecodeQueueFull => "decoder busy",
        Drop::Superseded => "too late to show",
    }
}

fn bitrate(bps: f64) -> String {
    if bps >= 1e6 { format!("{:.1} Mbit/s", bps / 1e6) } else { format!("{:.0} kbit/s", bps / 1e3) }
}
