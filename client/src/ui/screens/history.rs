//! Past calls, newest first; a click calls back.

use egui::{Rect, RichText, ScrollArea, Sense, Ui, Vec2};

use super::{Outcome, View, people};
use crate::{
    app::{Command, history::outcome as in_words, state::Connection},
    sentence::capitalised,
    ui::{
        icons::{self, Icon},
        theme, times,
    },
};

pub(super) fn show(ui: &mut Ui, view: &View<'_>, outcome: &mut Outcome) {
    if view.state.history.is_empty() {
        return people::blank(ui, "Calls that you make and get appear here.");
    }
    let online = view.state.connection == Connection::Online;
    let now_ms = view.now.as_millis();
    ui.spacing_mut().item_spacing.y = 2.0;
    ScrollArea::vertical().auto_shrink(false).id_salt("calls").show(ui, |ui| {
        for call in &view.state.history {
            let again = people::past(ui, &call.peer, online, |ui| {
                let palette = theme::palette(ui.style());
                ui.spacing_mut().interact_size.y = 0.0;
                ui.horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = 6.0;
                    let color = if call.missed() { palette.poor } else { palette.weak };
                    let icon = if call.outgoing { Icon::Outgoing } else { Icon::Incoming };
                    let (rect, _) = ui.allocate_exact_size(Vec2::splat(14.0), Sense::hover());
                    icons::paint(ui.painter(), icon, Rect::from_center_size(rect.center(), Vec2::splat(14.0)), color);
                    let said = times::said(call.began_ms, now_ms, view.zone_s);
                    let line =
                        RichText::new(format!("{} · {said}", capitalised(&in_words(call)))).size(13.5).color(color);
                    ui.add(egui::Label::new(line).selectable(false).truncate());
                });
            });
            if again {
                outcome.push(Command::Call(call.peer.clone()));
            }
        }
        ui.add_space(12.0);
    });
}
