//! Past calls, newest first; a click calls back.

use egui::{Rect, RichText, ScrollArea, Sense, Ui, Vec2};
use visavis_proto::wire::control::fold_name;

use super::{Outcome, View, people};
use crate::{
    app::{
        Command,
        history::outcome as in_words,
        people::{Whereabouts, whereabouts},
        state::Connection,
    },
    sentence::capitalised,
    ui::{
        icons::{self, Icon},
        local::Local,
        theme, times,
        widgets::{self, Kind},
    },
};

pub(super) fn show(ui: &mut Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    let keys = people::list_keys(ui, local);
    keys.choose(&mut local.past, view.state.history.len());
    if view.state.history.is_empty() {
        return people::blank(ui, "Calls that you make and get appear here.");
    }
    let online = view.state.connection == Connection::Online;
    let now_ms = view.now.as_millis();
    if keys.enter
        && online
        && let Some(call) = local.past.and_then(|chosen| view.state.history.get(chosen))
    {
        outcome.push(Command::Call(call.peer.clone()));
    }
    ui.spacing_mut().item_spacing.y = 2.0;
    ScrollArea::vertical().auto_shrink(false).id_salt("calls").show(ui, |ui| {
        for (index, call) in view.state.history.iter().enumerate() {
            let chosen = local.past == Some(index);
            let person = view.state.people.get(&fold_name(&call.peer));
            let reachable = online && person.is_some_and(|person| whereabouts(person) == Whereabouts::Online);
            let entry = people::Entry { name: &call.peer, presence: None, reachable, chosen, online };
            let answer = people::entry(ui, entry, |ui| {
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
            if answer.call {
                outcome.push(Command::Call(call.peer.clone()));
            } else if answer.row.clicked() {
                local.past = Some(index);
            }
            if chosen && keys.moved() {
                answer.row.scroll_to_me(None);
            }
        }
        if view.state.earlier {
            ui.add_space(8.0);
            if widgets::text_button(ui, None, "Show earlier calls", Kind::Quiet, None).clicked() {
                outcome.push(Command::EarlierCalls);
            }
        }
        ui.add_space(12.0);
    });
}
