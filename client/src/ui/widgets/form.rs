//! Where something is typed or chosen.

use std::sync::Arc;

use egui::{
    CursorIcon, Id, Margin, Rect, Response, RichText, Sense, Stroke, StrokeKind, TextEdit, Ui, Vec2, WidgetInfo,
    WidgetType, lerp, pos2, vec2,
};

use super::button::one_line;
use crate::ui::{
    icons::{self, Icon},
    theme,
};

/// A line to type into, with its name above it.
pub fn field(ui: &mut Ui, id: Id, label: &str, text: &mut String, hint: &str, password: bool) -> Response {
    let palette = theme::palette(ui.style());
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        let name = ui.label(RichText::new(label).font(theme::strong(13.5)).color(palette.text));
        let edit = TextEdit::singleline(text)
            .id(id)
            .password(password)
            .hint_text(RichText::new(hint).color(palette.weak))
            .font(theme::regular(theme::BODY))
            .margin(Margin::symmetric(14, 12))
            .desired_width(f32::INFINITY);
        ui.add(edit).labelled_by(name.id)
    })
    .inner
}

/// On or off, at the right of its name and of what it means.
pub fn switch(ui: &mut Ui, on: bool, label: &str, meaning: &str) -> Response {
    let palette = theme::palette(ui.style());
    let room = ui.available_width();
    let name = one_line(ui, label, theme::regular(theme::BODY), room - 64.0);
    let meaning = ui.painter().layout(meaning.to_owned(), theme::regular(theme::SMALL), palette.weak, room - 64.0);
    let height = (name.size().y + meaning.size().y + 2.0).max(28.0);
    let (rect, mut response) = ui.allocate_exact_size(vec2(room, height), Sense::click());
    if response.clicked() {
        response.mark_changed();
    }
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(WidgetType::Checkbox, enabled, on, label));
    if ui.is_rect_visible(rect) {
        let painter = ui.painter();
        let below = rect.left_top() + vec2(0.0, name.size().y + 2.0);
        painter.galley(rect.left_top(), name, palette.text);
        painter.galley(below, meaning, palette.weak);
        let share = ui.ctx().animate_bool_responsive(response.id.with("on"), on);
        let track = Rect::from_center_size(pos2(rect.right() - 22.0, rect.center().y), vec2(44.0, 26.0));
        let off = palette.weak.gamma_multiply(0.75);
        painter.rect_filled(track, 13, off.lerp_to_gamma(palette.accent, share));
        let x = lerp(track.left() + 13.0..=track.right() - 13.0, share);
        painter.circle_filled(pos2(x, track.center().y), 10.0, palette.on_accent);
        if response.has_focus() {
            let stroke = Stroke::new(2.0, palette.accent_text);
            painter.rect_stroke(track.expand(2.0), 15, stroke, StrokeKind::Outside);
        }
    }
    response.on_hover_cursor(CursorIcon::PointingHand)
}

/// One of a list of devices and the like: the chosen one has a tick.
pub fn choice(ui: &mut Ui, text: &str, chosen: bool) -> Response {
    let palette = theme::palette(ui.style());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 38.0), Sense::click());
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(WidgetType::RadioButton, enabled, chosen, text));
    if ui.is_rect_visible(rect) {
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, 9, palette.hover);
        }
        let ink = if chosen { palette.accent_text } else { palette.text };
        if chosen {
            let middle = pos2(rect.left() + 20.0, rect.center().y);
            icons::paint(ui.painter(), Icon::Check, Rect::from_center_size(middle, Vec2::splat(16.0)), ink);
        }
        let galley = one_line(ui, text, theme::regular(theme::BODY), rect.width() - 50.0);
        let at = pos2(rect.left() + 40.0, rect.center().y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, ink);
    }
    response.on_hover_cursor(CursorIcon::PointingHand)
}

/// One of a few, side by side. A number beside a name is a badge. Answers the index of the one that was clicked.
pub fn segments(ui: &mut Ui, names: &[(&str, u64)], chosen: usize) -> Option<usize> {
    let palette = theme::palette(ui.style());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 42.0), Sense::hover());
    ui.painter().rect_filled(rect, theme::ROUND, palette.field);
    let width = rect.width() / names.len().max(1) as f32;
    let mut clicked = None;
    for (index, &(name, count)) in names.iter().enumerate() {
        let part = Rect::from_min_size(rect.min + vec2(width * index as f32, 0.0), vec2(width, rect.height()));
        let response = ui.interact(part, ui.id().with(("segment", name)), Sense::click());
        let enabled = ui.is_enabled();
        response.widget_info(|| {
            let label = if count > 0 { format!("{name} ({count} new)") } else { name.to_owned() };
            WidgetInfo::selected(WidgetType::RadioButton, enabled, index == chosen, label)
        });
        let painter = ui.painter();
        if index == chosen {
            // What is chosen is nearer to the eye, and so lighter than what it lies on.
            let fill =
                if ui.visuals().dark_mode { palette.line.lerp_to_gamma(palette.weak, 0.22) } else { palette.raised };
            painter.rect_filled(part.shrink(4.0), theme::ROUND - 3, fill);
        }
        if response.has_focus() {
            let stroke = Stroke::new(2.0, palette.accent_text);
            painter.rect_stroke(part.shrink(3.0), theme::ROUND - 2, stroke, StrokeKind::Inside);
        }
        let font = if index == chosen { theme::strong(14.5) } else { theme::regular(14.5) };
        let ink = if index == chosen || response.hovered() { palette.text } else { palette.weak };
        let galley = painter.layout_no_wrap(name.to_owned(), font, ink);
        let badge = (count > 0)
            .then(|| painter.layout_no_wrap(count.min(99).to_string(), theme::strong(12.0), palette.on_accent));
        let badge_room = badge.as_ref().map_or(0.0, |badge| badge.size().x.max(8.0) + 20.0);
        let left = part.center().x - (galley.size().x + badge_room) / 2.0;
        let after = left + galley.size().x + 8.0;
        painter.galley(pos2(left, part.center().y - galley.size().y / 2.0), galley, ink);
        if let Some(badge) = badge {
            paint_badge(ui, pos2(after, part.center().y), &badge);
        }
        if response.on_hover_cursor(CursorIcon::PointingHand).clicked() {
            clicked = Some(index);
        }
    }
    clicked
}

fn paint_badge(ui: &Ui, left: egui::Pos2, text: &Arc<egui::Galley>) {
    let palette = theme::palette(ui.style());
    let size = vec2(text.size().x.max(8.0) + 12.0, 20.0);
    let rect = Rect::from_min_size(left - vec2(0.0, size.y / 2.0), size);
    ui.painter().rect_filled(rect, 10, palette.end);
    ui.painter().galley(rect.center() - text.size() / 2.0, text.clone(), palette.on_accent);
}
