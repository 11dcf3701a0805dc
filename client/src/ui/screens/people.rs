//! Everybody at the relay, who is there first; one click calls.

use std::time::Duration;

use egui::{
    Align, Color32, CursorIcon, Id, Key, Layout, Margin, Modifiers, Rect, Response, RichText, ScrollArea, Sense,
    TextEdit, Ui, UiBuilder, Vec2, WidgetInfo, WidgetType, pos2,
    text::{CCursor, CCursorRange},
    text_edit::TextEditState,
    vec2,
};
use visavis_proto::wire::control::Person;

use super::{Outcome, View, dismissable, history, pressed, toast};
use crate::{
    app::{
        Command,
        people::{describe, listed, whereabouts},
        state::{Access, Connection, Tone},
    },
    ui::{
        icons::{self, Icon},
        local::{Local, Tab},
        theme,
        widgets::{self, Kind},
    },
};

/// Of a list: wide enough for a name, narrow enough that the eye finds the button at its end.
const WIDTH: f32 = 620.0;

const SEARCH: &str = "people search";

pub(super) fn show(ui: &mut Ui, view: &View<'_>, me: (&str, &str), local: &mut Local, outcome: &mut Outcome) {
    ui.painter().rect_filled(ui.max_rect(), 0, theme::palette(ui.style()).back);
    let width = (ui.available_width() - 2.0 * theme::EDGE).min(WIDTH);
    ui.add_space(18.0);
    widgets::column(ui, width, |ui| {
        ui.spacing_mut().item_spacing.y = 14.0;
        head(ui, me, local);
        banner(ui, view, local, outcome);
        tabs(ui, view, local, outcome);
        match local.tab {
            Tab::People => people(ui, view, local, outcome),
            Tab::History => history::show(ui, view, local, outcome),
        }
    });
    notice(ui, view, NOTICE, outcome);
}

fn head(ui: &mut Ui, (name, host): (&str, &str), local: &mut Local) {
    ui.horizontal(|ui| {
        widgets::avatar(ui, name, 44.0, None);
        ui.vertical(|ui| {
            ui.set_max_width((ui.available_width() - 100.0).max(60.0));
            ui.spacing_mut().item_spacing.y = 1.0;
            ui.add_space(2.0);
            ui.add(egui::Label::new(RichText::new(name).font(theme::strong(theme::LEAD))).truncate());
            let host = RichText::new(host).size(theme::SMALL).color(theme::palette(ui.style()).weak);
            ui.add(egui::Label::new(host).truncate());
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            if widgets::icon_button(ui, Icon::Gear, "Settings", "Settings (Ctrl+,)", 40.0, Kind::Bare).clicked() {
                local.settings = true;
            }
            if widgets::icon_button(ui, Icon::Question, "Keys", "Keys (?)", 40.0, Kind::Bare).clicked() {
                local.keys = true;
            }
        });
    });
}

/// How things stand with the relay, unless they stand well.
fn banner(ui: &mut Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    let palette = theme::palette(ui.style());
    let (title, reason, color, button) = match &view.state.connection {
        Connection::Online => return,
        Connection::Connecting => ("Connecting …", "", palette.weak, None),
        Connection::Lost(reason) => {
            ("Not connected: trying again …", reason.as_str(), palette.fair, Some("Retry now"))
        }
        Connection::Silent => (
            "The relay is not heard",
            "Check your network. If it does not come back, it is tried anew.",
            palette.fair,
            None,
        ),
        Connection::Refused(reason) => {
            ("The relay refuses this device", reason.as_str(), palette.poor, Some("Join again"))
        }
    };
    let frame =
        egui::Frame::new().fill(palette.field).corner_radius(theme::ROUND).inner_margin(Margin::symmetric(14, 10));
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 12.0;
            let (rect, _) = ui.allocate_exact_size(vec2(10.0, 24.0), Sense::hover());
            ui.painter().circle_filled(rect.center(), 5.0, color);
            let button_room = if button.is_some() { 130.0 } else { 0.0 };
            ui.vertical(|ui| {
                ui.set_width((ui.available_width() - button_room).max(80.0));
                ui.spacing_mut().item_spacing.y = 2.0;
                widgets::strong(ui, title, theme::BODY);
                if !reason.is_empty() {
                    ui.label(RichText::new(reason).size(theme::SMALL).color(palette.text));
                }
            });
            if let Some(text) = button
                && widgets::text_button(ui, None, text, Kind::Main, Some(110.0)).clicked()
            {
                outcome.push(match (&view.state.connection, &view.state.access) {
                    (Connection::Refused(_), Access::Member { name, link, .. }) => {
                        local.form.begin_again(name, link);
                        local.begun = false;
                        Command::JoinAgain
                    }
                    _ => Command::Retry,
                });
            }
        });
    });
}

fn tabs(ui: &mut Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    let missed = view.state.missed;
    let names = [("People", 0), ("Calls", missed)];
    let clicked = widgets::segments(ui, &names, usize::from(local.tab == Tab::History));
    if pressed(ui, Modifiers::COMMAND, Key::Num1) || clicked == Some(0) {
        local.tab = Tab::People;
    }
    if pressed(ui, Modifiers::COMMAND, Key::Num2) || clicked == Some(1) {
        local.tab = Tab::History;
    }
    if pressed(ui, Modifiers::COMMAND, Key::F) {
        local.tab = Tab::People;
        focus_search(ui, &local.search);
    }
    // Told once for each number that appears.
    if missed == 0 {
        local.seen = 0;
    } else if local.tab == Tab::History && local.seen != missed {
        local.seen = missed;
        outcome.push(Command::SeenMissed);
    }
}

fn people(ui: &mut Ui, view: &View<'_>, local: &mut Local, outcome: &mut Outcome) {
    // Taken before the search field does: it would move its cursor.
    let keys = list_keys(ui, local);
    search(ui, local);
    let list = listed(&view.state.people, &local.search);
    keys.choose(&mut local.chosen, list.len());
    if list.iter().any(|person| !person.online) {
        // How long ago somebody was seen is told in minutes.
        ui.request_repaint_after(Duration::from_secs(60));
    }
    if list.is_empty() {
        return empty(ui, view, local);
    }
    let online = view.state.connection == Connection::Online;
    if keys.enter
        && online
        && let Some(person) = local.chosen.and_then(|chosen| list.get(chosen))
    {
        outcome.push(Command::Call(person.name.clone()));
    }
    ui.spacing_mut().item_spacing.y = 2.0;
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        for (index, person) in list.iter().enumerate() {
            let chosen = local.chosen == Some(index);
            let answer = row(ui, person, view, chosen);
            if answer.call {
                outcome.push(Command::Call(person.name.clone()));
            } else if answer.row.clicked() {
                local.chosen = Some(index);
            }
            if chosen && keys.moved() {
                answer.row.scroll_to_me(None);
            }
        }
        ui.add_space(12.0);
    });
}

/// What the keys ask of a list.
#[derive(Clone, Copy)]
pub(super) struct ListKeys {
    down: bool,
    up: bool,
    /// The chosen one is to be called.
    pub enter: bool,
}

/// Takes the keys of the list that is seen. What lies over it has its keys for itself.
pub(super) fn list_keys(ui: &Ui, local: &Local) -> ListKeys {
    let free = !local.is_covered();
    let down = free && pressed(ui, Modifiers::NONE, Key::ArrowDown);
    let up = free && pressed(ui, Modifiers::NONE, Key::ArrowUp);
    let focused = ui.memory(egui::Memory::focused);
    let enter = free && focused.is_none_or(|id| id == Id::new(SEARCH)) && pressed(ui, Modifiers::NONE, Key::Enter);
    ListKeys { down, up, enter }
}

impl ListKeys {
    /// Another one is chosen: it has to be seen.
    pub const fn moved(self) -> bool {
        self.down || self.up
    }

    /// Moves the choice among `count`.
    pub fn choose(self, chosen: &mut Option<usize>, count: usize) {
        let last = count.saturating_sub(1);
        if self.down {
            *chosen = Some(chosen.map_or(0, |chosen| chosen + 1));
        }
        if self.up {
            *chosen = Some(chosen.map_or(0, |chosen| chosen.saturating_sub(1)));
        }
        *chosen = chosen.map(|chosen| chosen.min(last)).filter(|_| count > 0);
    }
}

/// Something is to be searched for: what was searched for before is overwritten by what is typed.
fn focus_search(ui: &Ui, search: &str) {
    let id = Id::new(SEARCH);
    ui.memory_mut(|memory| memory.request_focus(id));
    if let Some(mut state) = TextEditState::load(ui.ctx(), id) {
        let all = CCursorRange::two(CCursor::default(), CCursor::new(search.chars().count()));
        state.cursor.set_char_range(Some(all));
        state.store(ui.ctx(), id);
    }
}

fn search(ui: &mut Ui, local: &mut Local) {
    const CLEAR: f32 = 34.0;
    let palette = theme::palette(ui.style());
    let edit = TextEdit::singleline(&mut local.search)
        .id(Id::new(SEARCH))
        .hint_text(RichText::new("Search").color(palette.weak))
        .font(theme::regular(theme::BODY))
        .margin(Margin { left: 42, right: 44, top: 12, bottom: 12 })
        .desired_width(f32::INFINITY);
    let response = ui.add(edit).on_hover_text("Search people (Ctrl+F)");
    let middle = pos2(response.rect.left() + 22.0, response.rect.center().y);
    icons::paint(ui.painter(), Icon::Search, Rect::from_center_size(middle, Vec2::splat(18.0)), palette.weak);
    if response.changed() {
        // What is searched for is what Enter calls.
        local.chosen = (!local.search.trim().is_empty()).then_some(0);
    }
    // egui has taken the focus away by then.
    let mut clear = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape));
    if !local.search.is_empty() {
        let place = Rect::from_center_size(
            pos2(response.rect.right() - 8.0 - CLEAR / 2.0, response.rect.center().y),
            Vec2::splat(CLEAR),
        );
        let mut corner = ui.new_child(UiBuilder::new().id_salt("clear").max_rect(place));
        let tip = "Clear the search (Esc)";
        if widgets::icon_button(&mut corner, Icon::Close, "Clear the search", tip, CLEAR, Kind::Bare).clicked() {
            clear = true;
            response.request_focus();
        }
    }
    if clear {
        local.search.clear();
        local.chosen = None;
    }
}

fn empty(ui: &mut Ui, view: &View<'_>, local: &Local) {
    let sentence = match (view.state.people.is_empty(), &view.state.connection) {
        (false, _) => format!("Nobody here is called “{}”.", local.search.trim()),
        (true, Connection::Online) => "Nobody else is at this relay yet: send somebody an invite link.".to_owned(),
        (true, _) => "People appear here once you are connected.".to_owned(),
    };
    blank(ui, &sentence);
}

/// A sentence where a list would be.
pub(super) fn blank(ui: &mut Ui, sentence: &str) {
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        ui.add_space(48.0);
        widgets::weak(ui, sentence);
    });
}

/// What was done with a row.
pub(super) struct Row {
    pub row: Response,
    /// They are to be called.
    pub call: bool,
}

fn row(ui: &mut Ui, person: &Person, view: &View<'_>, chosen: bool) -> Row {
    let online = view.state.connection == Connection::Online;
    // Who was there a while ago may have gone meanwhile.
    let presence = online.then(|| whereabouts(person));
    let line = if online { describe(person, view.now.as_millis()) } else { "status unknown".to_owned() };
    let color = theme::palette(ui.style()).weak;
    let reachable = presence == Some(widgets::Presence::Online);
    entry(ui, Entry { name: &person.name, presence, reachable, chosen, online }, |ui| {
        ui.add(egui::Label::new(RichText::new(line).size(13.5).color(color)).selectable(false).truncate());
    })
}

/// A row of a list.
pub(super) struct Entry<'a> {
    pub name: &'a str,
    /// Where they are, if that is shown.
    pub presence: Option<widgets::Presence>,
    /// A call would ring now.
    pub reachable: bool,
    pub chosen: bool,
    /// Somebody can be called at all.
    pub online: bool,
}

/// A row of a list: a person, a line about them, and a button that calls them.
pub(super) fn entry(ui: &mut Ui, entry: Entry<'_>, about: impl FnOnce(&mut Ui)) -> Row {
    let Entry { name, presence, reachable, chosen, online } = entry;
    let palette = theme::palette(ui.style());
    let (rect, row) = ui.allocate_exact_size(vec2(ui.available_width(), 64.0), Sense::click());
    row.widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, chosen, name));
    let fill = match (chosen, row.contains_pointer()) {
        (true, _) => palette.accent.gamma_multiply(0.16),
        (false, true) => palette.field,
        (false, false) => Color32::TRANSPARENT,
    };
    ui.painter().rect_filled(rect, theme::ROUND + 2, fill);
    let inner = rect.shrink2(vec2(10.0, 8.0));
    let mut child = ui.new_child(
        UiBuilder::new()
            .id_salt(("row", name, rect.top() as i32))
            .max_rect(inner)
            .layout(Layout::left_to_right(Align::Center)),
    );
    child.spacing_mut().item_spacing.x = 14.0;
    widgets::avatar(&mut child, name, 44.0, presence);
    child.vertical(|ui| {
        ui.set_max_width((ui.available_width() - 58.0).max(40.0));
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.add_space(3.0);
        let name = RichText::new(name).font(theme::strong(15.5));
        ui.add(egui::Label::new(name).selectable(false).truncate());
        about(ui);
    });
    let call = child
        .with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.add_enabled_ui(online, |ui| {
                let kind = if reachable { Kind::Main } else { Kind::Quiet };
                let tip = if online { format!("Call {name} (Enter)") } else { "You are not connected".to_owned() };
                widgets::icon_button(ui, Icon::Phone, &format!("Call {name}"), &tip, 42.0, kind).clicked()
            })
            .inner
        })
        .inner;
    let call = call || (online && row.double_clicked());
    Row { row: row.on_hover_cursor(CursorIcon::Default), call }
}

/// Where [`notice`] lies when nothing else is down there, in points.
pub(super) const NOTICE: f32 = 24.0;

/// What happened, until it is read; `bottom` points above the window's lower edge. Answers where the next thing belongs.
pub(super) fn notice(ui: &Ui, view: &View<'_>, bottom: f32, outcome: &mut Outcome) -> f32 {
    let Some(notice) = &view.state.notice else { return bottom };
    toast(ui, "notice", bottom, |ui| {
        let palette = theme::palette(ui.style());
        let color = if notice.tone == Tone::Problem { palette.poor } else { palette.text };
        if dismissable(ui, &notice.text, color) {
            outcome.push(Command::Dismiss);
        }
    })
}
