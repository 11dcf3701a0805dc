//! Colours, type, spacing and rounding, in light and dark. All lengths are points: egui scales them to the screen.
//!
//! Text on its background keeps a contrast of at least 4.5 (WCAG 2.1 AA); a test holds every pair to it.

use std::sync::Arc;

use egui::{
    Color32, CornerRadius, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke, Style, TextStyle, Theme,
    ThemePreference,
    style::{HandleShape, ScrollStyle, WidgetVisuals},
    vec2,
};

use crate::app::settings;

/// The colours of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// Behind everything.
    pub back: Color32,
    /// Cards, popups and bars that lie on it.
    pub raised: Color32,
    /// Fields and quiet buttons.
    pub field: Color32,
    /// The same under the pointer.
    pub hover: Color32,
    /// Between things.
    pub line: Color32,
    /// What is read first.
    pub text: Color32,
    /// What is read second.
    pub weak: Color32,
    /// The one accent, as a fill.
    pub accent: Color32,
    /// The accent under the pointer.
    pub accent_hover: Color32,
    /// On the accent, and on [`Self::call`] and [`Self::end`].
    pub on_accent: Color32,
    /// The accent as text and as a thin line.
    pub accent_text: Color32,
    /// Something well, as text and as a dot.
    pub good: Color32,
    /// Something to notice.
    pub fair: Color32,
    /// Something wrong.
    pub poor: Color32,
    /// Takes a call, as a fill.
    pub call: Color32,
    /// Ends one, as a fill.
    pub end: Color32,
}

/// The light look.
pub const LIGHT: Palette = Palette {
    back: Color32::from_rgb(0xF7, 0xF7, 0xFA),
    raised: Color32::from_rgb(0xFF, 0xFF, 0xFF),
    field: Color32::from_rgb(0xEC, 0xED, 0xF2),
    hover: Color32::from_rgb(0xE1, 0xE2, 0xEA),
    line: Color32::from_rgb(0xE2, 0xE3, 0xEA),
    text: Color32::from_rgb(0x1A, 0x1B, 0x22),
    weak: Color32::from_rgb(0x5E, 0x61, 0x70),
    accent: Color32::from_rgb(0x52, 0x4F, 0xD6),
    accent_hover: Color32::from_rgb(0x45, 0x42, 0xBD),
    on_accent: Color32::WHITE,
    accent_text: Color32::from_rgb(0x4A, 0x47, 0xC4),
    good: Color32::from_rgb(0x17, 0x7A, 0x4B),
    fair: Color32::from_rgb(0x96, 0x58, 0x00),
    poor: Color32::from_rgb(0xC2, 0x2B, 0x33),
    call: Color32::from_rgb(0x17, 0x7A, 0x4B),
    end: Color32::from_rgb(0xD0, 0x2E, 0x37),
};

/// The dark look; calls are always in it.
pub const DARK: Palette = Palette {
    back: Color32::from_rgb(0x11, 0x12, 0x17),
    raised: Color32::from_rgb(0x1B, 0x1C, 0x23),
    field: Color32::from_rgb(0x27, 0x29, 0x32),
    hover: Color32::from_rgb(0x33, 0x35, 0x40),
    line: Color32::from_rgb(0x2D, 0x2F, 0x39),
    text: Color32::from_rgb(0xF2, 0xF2, 0xF6),
    weak: Color32::from_rgb(0xA6, 0xA9, 0xB8),
    accent: Color32::from_rgb(0x62, 0x5F, 0xE0),
    accent_hover: Color32::from_rgb(0x57, 0x54, 0xD0),
    on_accent: Color32::WHITE,
    accent_text: Color32::from_rgb(0xAE, 0xAC, 0xFF),
    good: Color32::from_rgb(0x4A, 0xD2, 0x95),
    fair: Color32::from_rgb(0xFF, 0xC2, 0x4D),
    poor: Color32::from_rgb(0xFF, 0x8A, 0x8E),
    call: Color32::from_rgb(0x1A, 0x80, 0x51),
    end: Color32::from_rgb(0xD6, 0x35, 0x3E),
};

/// Lies under text and buttons over a picture, whatever the picture shows.
pub const VEIL: Color32 = Color32::from_rgba_premultiplied(0x0D, 0x0D, 0x11, 0xC4);

/// Small print.
pub const SMALL: f32 = 12.5;
/// Everything else.
pub const BODY: f32 = 15.0;
/// The name of a person or a part.
pub const LEAD: f32 = 18.0;
/// The name of a screen.
pub const TITLE: f32 = 27.0;

/// Of fields and buttons.
pub const ROUND: u8 = 12;
/// Of cards.
pub const ROUND_CARD: u8 = 18;
/// Between the window's edge and what is in it.
pub const EDGE: f32 = 24.0;

/// The stronger of the two weights.
pub(super) const STRONG: &str = "strong";

/// Regular type.
pub const fn regular(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// Strong type: for names and titles.
pub fn strong(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name(STRONG.into()))
}

/// The colours of the style that a widget is drawn in.
pub fn palette(style: &Style) -> &'static Palette {
    if style.visuals.dark_mode { &DARK } else { &LIGHT }
}

/// Sets fonts and both looks, once, before the first frame.
pub fn apply(context: &egui::Context, fonts: FontDefinitions) {
    context.set_fonts(fonts);
    for (theme, palette) in [(Theme::Light, &LIGHT), (Theme::Dark, &DARK)] {
        context.set_style_of(theme, style(theme, palette));
    }
    context.options_mut(|options| options.fallback_theme = Theme::Dark);
}

/// Which of the looks is seen.
pub fn prefer(context: &egui::Context, choice: settings::Theme) {
    let wanted = match choice {
        settings::Theme::System => ThemePreference::System,
        settings::Theme::Light => ThemePreference::Light,
        settings::Theme::Dark => ThemePreference::Dark,
    };
    if context.options(|options| options.theme_preference) != wanted {
        context.set_theme(wanted);
    }
}

/// The dark look, for what lies on a picture.
pub fn on_picture(context: &egui::Context) -> Arc<Style> {
    context.style_of(Theme::Dark)
}

fn style(theme: Theme, palette: &Palette) -> Style {
    let mut style = theme.default_style();
    style.text_styles = [
        (TextStyle::Small, regular(SMALL)),
        (TextStyle::Body, regular(BODY)),
        (TextStyle::Button, regular(BODY)),
        (TextStyle::Heading, strong(TITLE)),
        (TextStyle::Monospace, FontId::monospace(13.0)),
    ]
    .into();
    style.animation_time = 0.12;
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(10.0, 10.0);
    spacing.button_padding = vec2(16.0, 9.0);
    spacing.interact_size = vec2(40.0, 38.0);
    spacing.menu_margin = Margin::same(8);
    spacing.window_margin = Margin::same(24);
    spacing.slider_rail_height = 5.0;
    spacing.icon_width = 20.0;
    spacing.tooltip_width = 320.0;
    spacing.scroll = ScrollStyle { bar_width: 8.0, floating: true, ..ScrollStyle::floating() };

    let visuals = &mut style.visuals;
    visuals.override_text_color = None;
    visuals.weak_text_color = Some(palette.weak);
    visuals.hyperlink_color = palette.accent_text;
    visuals.faint_bg_color = palette.field;
    visuals.extreme_bg_color = palette.field;
    visuals.text_edit_bg_color = Some(palette.field);
    visuals.code_bg_color = palette.field;
    visuals.warn_fg_color = palette.fair;
    visuals.error_fg_color = palette.poor;
    visuals.panel_fill = palette.back;
    visuals.window_fill = palette.raised;
    visuals.window_stroke = Stroke::new(1.0, palette.line);
    visuals.window_corner_radius = CornerRadius::same(ROUND_CARD);
    visuals.menu_corner_radius = CornerRadius::same(14);
    visuals.window_shadow = Shadow { offset: [0, 12], blur: 40, spread: 0, color: Color32::from_black_alpha(70) };
    visuals.popup_shadow = Shadow { offset: [0, 6], blur: 24, spread: 0, color: Color32::from_black_alpha(60) };
    visuals.selection.bg_fill = palette.accent.gamma_multiply(0.35);
    visuals.selection.stroke = Stroke::new(2.0, palette.accent_text);
    visuals.text_cursor.stroke = Stroke::new(2.0, palette.accent_text);
    visuals.slider_trailing_fill = true;
    visuals.handle_shape = HandleShape::Circle;
    let widget = |fill: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::NONE,
        corner_radius: CornerRadius::same(ROUND),
        fg_stroke: Stroke::new(1.5, text),
        expansion: 0.0,
    };
    let widgets = &mut visuals.widgets;
    widgets.noninteractive = widget(palette.raised, palette.text);
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, palette.line);
    widgets.inactive = widget(palette.field, palette.text);
    widgets.hovered = widget(palette.hover, palette.text);
    widgets.active = widget(palette.hover, palette.text);
    widgets.active.bg_stroke = Stroke::new(2.0, palette.accent_text);
    widgets.open = widget(palette.hover, palette.text);
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.1.
    fn luminance(color: Color32) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
    }

    fn contrast(one: Color32, other: Color32) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_can_be_read_in_both_looks() {
        for (name, palette) in [("light", &LIGHT), ("dark", &DARK)] {
            for (what, text) in [
                ("text", palette.text),
                ("weak", palette.weak),
                ("accent", palette.accent_text),
                ("good", palette.good),
                ("fair", palette.fair),
                ("poor", palette.poor),
            ] {
                for back in [palette.back, palette.raised, palette.field] {
                    let ratio = contrast(text, back);
                    assert!(ratio >= 4.5, "{name}: {what} on {back:?} has {ratio:.2}");
                }
            }
            for fill in [palette.accent, palette.accent_hover, palette.call, palette.end] {
                let ratio = contrast(palette.on_accent, fill);
                assert!(ratio >= 4.5, "{name}: on {fill:?} it is {ratio:.2}");
            }
        }
    }

    #[test]
    fn white_can_be_read_on_the_veil_over_a_white_picture() {
        let [red, green, blue, alpha] = VEIL.to_array();
        let over = |channel: u8| channel + (255 - alpha);
        let worst = Color32::from_rgb(over(red), over(green), over(blue));
        assert!(contrast(DARK.text, worst) >= 4.5 && contrast(DARK.weak, worst) >= 3.0);
    }
}
