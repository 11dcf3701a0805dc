//! Buttons: round ones with an icon, wide ones with a word, rows of a menu.

use egui::{
    Align2, Color32, CursorIcon, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, WidgetType, pos2,
    vec2,
};

use crate::ui::{
    icons::{self, Icon},
    theme::{self, Palette},
};

/// How much a button asks for attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of several.
    Quiet,
    /// Without a background until the pointer is on it.
    Bare,
    /// One of several, switched to what is unusual: muted, camera off.
    Switched,
    /// What one most likely wants.
    Main,
    /// Takes a call.
    Call,
    /// Ends one.
    End,
}

impl Kind {
    /// Fill, fill under the pointer, and what is drawn on it.
    fn colors(self, palette: &Palette) -> [Color32; 3] {
        // A little towards black: text keeps its contrast.
        let darker = |color: Color32| color.lerp_to_gamma(Color32::BLACK, 0.12);
        match self {
            Self::Quiet => [palette.field, palette.hover, palette.text],
            Self::Bare => [Color32::TRANSPARENT, palette.field, palette.text],
            Self::Switched => [palette.text, palette.weak, palette.back],
            Self::Main => [palette.accent, palette.accent_hover, palette.on_accent],
            Self::Call => [palette.call, darker(palette.call), palette.on_accent],
            Self::End => [palette.end, darker(palette.end), palette.on_accent],
        }
    }
}

/// A round button with an icon; `label` is for screen readers, `tip` for the pointer (with the key that does the same).
pub fn icon_button(ui: &mut Ui, icon: Icon, label: &str, tip: &str, diameter: f32, kind: Kind) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(diameter), Sense::click());
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, enabled, label));
    if ui.is_rect_visible(rect) {
        let palette = theme::palette(ui.style());
        let [fill, over, ink] = kind.colors(palette);
        let heat = ui.ctx().animate_bool_responsive(response.id.with("heat"), response.hovered());
        let radius = diameter / 2.0 - if response.is_pointer_button_down_on() { 1.0 } else { 0.0 };
        let painter = ui.painter();
        painter.circle_filled(rect.center(), radius, fill.lerp_to_gamma(over, heat));
        if response.has_focus() {
            painter.circle_stroke(rect.center(), radius + 2.5, Stroke::new(2.0, palette.accent_text));
        }
        let ink = if kind == Kind::Bare && heat < 0.5 { palette.weak } else { ink };
        icons::paint(painter, icon, Rect::from_center_size(rect.center(), Vec2::splat(diameter * 0.46)), ink);
    }
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(tip)
}

/// A button with a word that is as wide as it has to be.
pub fn button(ui: &mut Ui, text: &str, kind: Kind) -> Response {
    text_button(ui, None, text, kind, None)
}

/// A button with a word, and an icon before it; `width` if it is not to be as wide as it has to be.
pub fn text_button(ui: &mut Ui, icon: Option<Icon>, text: &str, kind: Kind, width: Option<f32>) -> Response {
    let palette = theme::palette(ui.style());
    let font = theme::strong(theme::BODY);
    let galley = ui.painter().layout_no_wrap(text.to_owned(), font, Color32::PLACEHOLDER);
    let icon_room = if icon.is_some() { 26.0 } else { 0.0 };
    let natural = galley.size().x + icon_room + 40.0;
    let size = vec2(width.unwrap_or(natural), 44.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, enabled, text));
    if ui.is_rect_visible(rect) {
        let [fill, over, ink] = kind.colors(palette);
        let heat = ui.ctx().animate_bool_responsive(response.id.with("heat"), response.hovered());
        let painter = ui.painter();
        painter.rect_filled(rect, theme::ROUND, fill.lerp_to_gamma(over, heat));
        if response.has_focus() {
            let stroke = Stroke::new(2.0, palette.accent_text);
            painter.rect_stroke(rect.expand(2.0), theme::ROUND + 2, stroke, StrokeKind::Outside);
        }
        let left = rect.center().x - (galley.size().x + icon_room) / 2.0;
        if let Some(icon) = icon {
            let middle = pos2(left + 9.0, rect.center().y);
            icons::paint(painter, icon, Rect::from_center_size(middle, Vec2::splat(18.0)), ink);
        }
        let at = pos2(left + icon_room, rect.center().y - galley.size().y / 2.0);
        painter.galley(at, galley, ink);
    }
    response.on_hover_cursor(CursorIcon::PointingHand)
}

/// A row of a menu: an icon, a line, and the key that does the same.
pub fn menu_row(ui: &mut Ui, icon: Icon, text: &str, key: &str, chosen: bool) -> Response {
    let palette = theme::palette(ui.style());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 40.0), Sense::click());
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(WidgetType::Button, enabled, chosen, text));
    if ui.is_rect_visible(rect) {
        let painter = ui.painter();
        if response.hovered() || response.has_focus() {
            painter.rect_filled(rect, 9, palette.hover);
        }
        let ink = if chosen { palette.accent_text } else { palette.text };
        let middle = pos2(rect.left() + 20.0, rect.center().y);
        icons::paint(painter, icon, Rect::from_center_size(middle, Vec2::splat(18.0)), ink);
        let key = painter.text(
            rect.right_center() - vec2(12.0, 0.0),
            Align2::RIGHT_CENTER,
            key,
            theme::regular(theme::SMALL),
            palette.weak,
        );
        let room = key.left() - rect.left() - 52.0;
        let galley = one_line(ui, text, theme::regular(theme::BODY), room);
        let at = pos2(rect.left() + 42.0, rect.center().y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, ink);
    }
    response.on_hover_cursor(CursorIcon::PointingHand)
}

/// Text that ends in an ellipsis where it has no more room.
pub(super) fn one_line(ui: &Ui, text: &str, font: egui::FontId, room: f32) -> std::sync::Arc<egui::Galley> {
    let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font, Color32::PLACEHOLDER);
    job.wrap = egui::text::TextWrapping::truncate_at_width(room.max(0.0));
    ui.painter().layout_job(job)
}
