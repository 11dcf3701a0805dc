//! What the screens are made of. Each widget answers its `Response`, and names itself to screen readers.

mod button;
mod figures;
mod form;
mod person;

pub use button::{Kind, button, icon_button, menu_row, text_button};
pub use figures::{level_meter, plot, stage_bar, stage_color};
pub use form::{choice, field, segments, switch};
pub use person::{Presence, avatar, dot, paint_avatar};

use egui::{Frame, Margin, Response, RichText, Ui};

use super::theme;

/// A line of text that is read second.
pub fn weak(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::palette(ui.style()).weak;
    ui.label(RichText::new(text).color(color))
}

/// A line in the strong weight.
pub fn strong(ui: &mut Ui, text: impl Into<String>, size: f32) -> Response {
    ui.label(RichText::new(text).font(theme::strong(size)))
}

/// Text of several lines around a middle: to be drawn with its upper edge's middle as its position.
pub fn centered(ui: &Ui, text: &str, font: egui::FontId, width: f32) -> std::sync::Arc<egui::Galley> {
    let mut job = egui::text::LayoutJob::simple(text.to_owned(), font, egui::Color32::PLACEHOLDER, width);
    job.halign = egui::Align::Center;
    ui.painter().layout_job(job)
}

/// A surface that lies on the background.
pub fn card(ui: &Ui) -> Frame {
    let palette = theme::palette(ui.style());
    Frame::new()
        .fill(palette.raised)
        .stroke(egui::Stroke::new(1.0, palette.line))
        .corner_radius(theme::ROUND_CARD)
        .inner_margin(Margin::same(20))
}

/// Puts what `add` lays out into the middle of what is left, `width` wide or as wide as there is room.
pub fn column<R>(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    let room = ui.available_rect_before_wrap();
    let width = width.min(room.width());
    let left = (room.center().x - width / 2.0).round();
    let rect = egui::Rect::from_min_max(egui::pos2(left, room.top()), egui::pos2(left + width, room.bottom()));
    let mut child =
        ui.new_child(egui::UiBuilder::new().max_rect(rect).layout(egui::Layout::top_down(egui::Align::Min)));
    let answer = add(&mut child);
    ui.advance_cursor_after_rect(child.min_rect());
    answer
}
