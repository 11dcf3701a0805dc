//! A person as a picture: initials in a colour of their own, and whether they are there.

use egui::{Align2, Color32, Painter, Pos2, Response, Sense, Stroke, Ui, Vec2, WidgetInfo, WidgetType, vec2};

use crate::{app::people::Whereabouts, ui::theme};

/// Whether somebody is there.
pub type Presence = Whereabouts;

/// White initials have a contrast of at least 4.5 on each.
const COLORS: [Color32; 8] = [
    Color32::from_rgb(0x5B, 0x58, 0xD6),
    Color32::from_rgb(0x0B, 0x78, 0x8C),
    Color32::from_rgb(0xB4, 0x3E, 0x8A),
    Color32::from_rgb(0x1F, 0x7A, 0x4D),
    Color32::from_rgb(0xB3, 0x4C, 0x1E),
    Color32::from_rgb(0x2B, 0x6C, 0xC4),
    Color32::from_rgb(0x8A, 0x4F, 0xC9),
    Color32::from_rgb(0x8C, 0x62, 0x0F),
];

/// The colour of a name, the same on every device and for ever (FNV-1a over the name in small letters).
pub fn color(name: &str) -> Color32 {
    let name = name.to_lowercase();
    let hash = name.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // FNV's low bits of short words lie close together: mixed once more, as MurmurHash3 ends.
    let mixed = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    COLORS[(mixed >> 16) as usize % COLORS.len()]
}

/// One or two letters: of the first and the last word.
pub fn initials(name: &str) -> String {
    let first = |word: &str| word.chars().find(|letter| letter.is_alphanumeric());
    let mut words = name.split(|letter: char| letter.is_whitespace() || matches!(letter, '.' | '_' | '-'));
    let letters = words.by_ref().find_map(first).into_iter().chain(words.filter_map(first).next_back());
    letters.flat_map(char::to_uppercase).collect()
}

/// Draws a person around `center`.
pub fn paint_avatar(painter: &Painter, center: Pos2, diameter: f32, name: &str) {
    painter.circle_filled(center, diameter / 2.0, color(name));
    let size = (diameter * 0.38).round();
    painter.text(center, Align2::CENTER_CENTER, initials(name), theme::strong(size), Color32::WHITE);
}

/// A person of that diameter, with their presence at the lower right if it is given.
pub fn avatar(ui: &mut Ui, name: &str, diameter: f32, presence: Option<Presence>) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(diameter), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Image, true, format!("Picture of {name}")));
    paint_avatar(ui.painter(), rect.center(), diameter, name);
    if let Some(presence) = presence {
        let at = rect.center() + Vec2::splat(diameter * 0.36);
        dot(ui, at, diameter * 0.14, presence, theme::palette(ui.style()).back);
    }
    response
}

/// A presence dot with a rim in the colour that it lies on: filled where somebody is there, a ring where not.
pub fn dot(ui: &Ui, center: Pos2, radius: f32, presence: Presence, rim: Color32) {
    let (painter, palette) = (ui.painter(), theme::palette(ui.style()));
    painter.circle_filled(center, radius + 2.5, rim);
    match presence {
        Whereabouts::Online => {
            painter.circle_filled(center, radius, palette.good);
        }
        Whereabouts::InCall => {
            painter.circle_filled(center, radius, palette.fair);
            let half = vec2(radius * 0.5, 0.0);
            painter.line_segment([center - half, center + half], Stroke::new(radius * 0.4, rim));
        }
        Whereabouts::Offline => {
            painter.circle_stroke(center, radius - 0.8, Stroke::new(1.6, palette.weak));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        let of = |name| initials(name);
        assert_eq!([of("bob"), of("Ada Lovelace"), of("anna-maria de souza")], ["B", "AL", "AS"]);
        assert_eq!([of(""), of("(zoe)"), of("j.r.r. tolkien"), of("élodie")], ["", "Z", "JT", "É"]);
    }

    #[test]
    fn a_name_keeps_its_colour_whatever_its_case() {
        assert_eq!(color("Bob"), color("bOB"));
        let kinds: std::collections::BTreeSet<_> =
            ["ada", "bob", "carol", "dan", "eve", "frank"].iter().map(|name| color(name).to_array()).collect();
        assert!(kinds.len() >= 4, "{kinds:?}");
    }
}
