//! What lies over any screen: the question at closing, and the list of keys.

use egui::{Align, Grid, Id, Key, Layout, Margin, Modal, Modifiers, Popup, RichText, Ui, vec2};

use super::{Action, Outcome, View, pressed};
use crate::ui::{
    icons::Icon,
    local::Local,
    theme,
    widgets::{self, Kind},
};

/// What keys do, by where they do it.
const KEYS: [(&str, &[(&str, &str)]); 3] = [
    (
        "In a call",
        &[
            ("M", "Mute, unmute"),
            ("V", "Camera off, on"),
            ("F", "Full screen"),
            ("Z", "Fill the window, or show the whole picture"),
            ("S", "Hide or show yourself"),
            ("F3  I", "Figures"),
            ("Ctrl+H", "Hang up"),
        ],
    ),
    (
        "When it rings",
        &[
            ("Enter", "Accept"),
            ("Shift+Enter", "Accept without camera"),
            ("M  V", "Mute; camera off, while you call"),
            ("Esc", "Decline, cancel"),
            ("C", "Call again, once it is over"),
        ],
    ),
    (
        "Anywhere",
        &[
            ("Ctrl+F", "Search people"),
            ("Ctrl+1  Ctrl+2", "People, calls"),
            ("↑ ↓ Enter", "Choose somebody, and call"),
            ("Ctrl+,", "Settings"),
            ("F11", "Full screen"),
            ("?  F1", "This list"),
            ("Esc", "Leave, close"),
        ],
    ),
];

pub(super) fn show(ui: &Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    if local.is_covered() {
        Popup::close_all(ui.ctx());
    }
    if local.closing {
        closing(ui, view, local, outcome);
    } else if local.keys {
        keys(ui, local);
    }
}

fn frame(ui: &Ui) -> egui::Frame {
    widgets::card(ui).inner_margin(Margin::same(24)).shadow(ui.visuals().window_shadow)
}

fn closing(ui: &Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    let peer = view.state.call.as_ref().map_or("somebody", |call| call.peer.as_str());
    let style = ui.style().clone();
    let close = pressed(ui, Modifiers::NONE, Key::Enter);
    let modal = Modal::new(Id::new("closing")).frame(frame(ui)).show(ui.ctx(), |ui| {
        ui.set_style(style);
        ui.set_width((ui.ctx().content_rect().width() - 100.0).min(380.0));
        ui.spacing_mut().item_spacing.y = 10.0;
        widgets::strong(ui, "Hang up and close?", 20.0);
        widgets::weak(ui, format!("You are in a call with {peer}. Closing the window ends it."));
        ui.add_space(10.0);
        ui.horizontal(|ui| {
            let half = Some((ui.available_width() - ui.spacing().item_spacing.x) / 2.0);
            let stay = widgets::text_button(ui, None, "Stay", Kind::Quiet, half).on_hover_text("Esc");
            let close = widgets::text_button(ui, None, "Hang up", Kind::End, half).on_hover_text("Enter");
            (stay.clicked(), close.clicked())
        })
        .inner
    });
    let (stay, clicked) = modal.inner;
    if clicked || close {
        outcome.actions.push(Action::Close);
        local.closing = false;
    } else if stay || modal.should_close() {
        local.closing = false;
    }
}

fn keys(ui: &Ui, local: &mut Local) {
    let style = ui.style().clone();
    let palette = theme::palette(&style);
    let modal = Modal::new(Id::new("keys")).frame(frame(ui)).show(ui.ctx(), |ui| {
        ui.set_style(style);
        let room = ui.ctx().content_rect().size();
        ui.set_width((room.x - 90.0).min(420.0));
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.spacing_mut().interact_size.y = 0.0;
        let close = ui
            .horizontal(|ui| {
                widgets::strong(ui, "Keys", theme::TITLE);
                let right = Layout::right_to_left(Align::Center);
                ui.with_layout(right, |ui| {
                    widgets::icon_button(ui, Icon::Close, "Close", "Close (Esc)", 34.0, Kind::Bare)
                })
                .inner
                .clicked()
            })
            .inner;
        let height = (room.y - 180.0).max(80.0);
        egui::ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(ui, |ui| {
            for (title, keys) in KEYS {
                widgets::strong(ui, title, theme::LEAD);
                Grid::new(title).num_columns(2).spacing(vec2(18.0, 7.0)).min_col_width(96.0).show(ui, |ui| {
                    for (key, what) in keys {
                        ui.label(RichText::new(*key).font(theme::strong(13.5)).color(palette.accent_text));
                        ui.add(egui::Label::new(RichText::new(*what).size(14.0)).wrap());
                        ui.end_row();
                    }
                });
                ui.add_space(10.0);
            }
        });
        close
    });
    if modal.inner || modal.should_close() {
        local.keys = false;
    }
}
