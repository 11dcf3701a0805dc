//! The first screen: an invite link, a name and a password become a place at a relay.

use egui::{Align, Id, Key, Layout, Modifiers, Rect, RichText, ScrollArea, Sense, Ui, Vec2, pos2, vec2};

use super::{Outcome, View, pressed};
use crate::{
    app::{Command, state::Access},
    ui::{
        local::{Field, Form, Local},
        theme,
        widgets::{self, Kind},
    },
};

pub(super) fn show(ui: &mut Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    let palette = theme::palette(ui.style());
    ui.painter().rect_filled(ui.max_rect(), 0, palette.back);
    let joining = view.state.access == Access::Joining;
    let first = !std::mem::replace(&mut local.begun, true);
    let submit = pressed(ui, Modifiers::NONE, Key::Enter);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.add_space(((ui.available_height() - 640.0) / 2.0).max(28.0));
        let width = (ui.available_width() - 2.0 * theme::EDGE).min(400.0);
        widgets::column(ui, width, |ui| {
            ui.spacing_mut().item_spacing.y = 16.0;
            head(ui);
            ui.add_enabled_ui(!joining, |ui| form(ui, &mut local.form, first));
            let top = ui.cursor().top();
            let trouble = trouble(ui, view, &local.form);
            let send = if joining { wait(ui) } else { button(ui, &local.form) } || submit;
            if trouble != local.told {
                // In a small window it lies below the edge, and the button with it.
                let below = Rect::from_min_max(pos2(ui.min_rect().left(), top), ui.min_rect().max);
                ui.scroll_to_rect(below, None);
                local.told = trouble;
            }
            if send && !joining {
                local.form.tried = true;
                match local.form.missing() {
                    None => outcome.push(local.form.join()),
                    Some((field, _)) => {
                        ui.memory_mut(|memory| memory.request_focus(id(field)));
                        // What the relay said before is about what was sent before.
                        if view.state.notice.is_some() {
                            outcome.push(Command::Dismiss);
                        }
                    }
                }
            }
        });
        ui.add_space(28.0);
    });
}

fn head(ui: &mut Ui) {
    let palette = theme::palette(ui.style());
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        let (rect, _) = ui.allocate_exact_size(Vec2::splat(64.0), Sense::hover());
        // Two who face each other.
        ui.painter().rect_filled(rect, 18, palette.accent);
        for (side, alpha) in [(-1.0, 1.0), (1.0, 0.55)] {
            let color = palette.on_accent.gamma_multiply(alpha);
            ui.painter().circle_filled(rect.center() + vec2(side * 9.0, 0.0), 12.0, color);
        }
        ui.add_space(6.0);
        ui.label(RichText::new("Welcome to Visavis").font(theme::strong(theme::TITLE)));
        ui.label(RichText::new("Calls with people you know, over your own relay.").color(palette.weak));
    });
}

fn form(ui: &mut Ui, form: &mut Form, first: bool) {
    let names = [("I am new here", 0), ("I have an account", 0)];
    if let Some(clicked) = widgets::segments(ui, &names, usize::from(form.existing)) {
        form.existing = clicked == 1;
    }
    let link = widgets::field(ui, id(Field::Link), "Invite link", &mut form.link, "visavis://…", false);
    let name = widgets::field(ui, id(Field::Name), "Name", &mut form.name, "How others see you", false);
    let hint = if form.existing { "Your password" } else { "Choose one that you keep" };
    let password = widgets::field(ui, id(Field::Password), "Password", &mut form.password, hint, true);
    if !form.existing {
        widgets::field(ui, id(Field::Again), "Password again", &mut form.again, "The same again", true);
    }
    if first {
        // What is filled in, by a link from the command line or by what was known before, is passed over.
        let fields = [(form.link.is_empty(), &link), (form.name.is_empty(), &name), (true, &password)];
        if let Some((_, field)) = fields.into_iter().find(|(empty, _)| *empty) {
            field.request_focus();
        }
    }
}

/// What is missing, or what the relay said. Answers it.
fn trouble(ui: &mut Ui, view: &View<'_>, form: &Form) -> String {
    let missing = form.missing().filter(|_| form.tried).map(|(_, sentence)| sentence);
    let said = view.state.notice.as_ref().map(|notice| notice.text.as_str());
    let said = missing.or(said).unwrap_or_default();
    if !said.is_empty() {
        let palette = theme::palette(ui.style());
        egui::Frame::new().fill(palette.poor.gamma_multiply(0.12)).corner_radius(theme::ROUND).inner_margin(12).show(
            ui,
            |ui| {
                ui.set_width(ui.available_width());
                ui.label(RichText::new(said).color(palette.poor));
            },
        );
    }
    said.to_owned()
}

fn button(ui: &mut Ui, form: &Form) -> bool {
    let text = if form.existing { "Log in" } else { "Join" };
    let width = Some(ui.available_width());
    widgets::text_button(ui, None, text, Kind::Main, width).on_hover_text("Enter").clicked()
}

fn wait(ui: &mut Ui) -> bool {
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        ui.add(egui::Spinner::new().size(24.0).color(theme::palette(ui.style()).accent_text));
        ui.label("Joining…");
    });
    false
}

fn id(field: Field) -> Id {
    Id::new((
        "welcome",
        match field {
            Field::Link => "link",
            Field::Name => "name",
            Field::Password => "password",
            Field::Again => "again",
        },
    ))
}
