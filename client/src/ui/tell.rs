//! What the window shows, as a line of JSON for programs: tests and demos read it, people do not.

use std::collections::BTreeMap;

use egui::accesskit::{Action, TreeUpdate};
use serde_json::json;

use super::{
    local::Local,
    open::{Open, PARTS},
    screens::{Picture, View},
};
use crate::app::{
    devices::{Device, Use},
    state::{Access, Connection, Phase},
    studio::Check,
};

/// Tells what has changed since `told`, on standard output.
pub fn changes(told: &mut String, view: &View<'_>, local: &Local, open: &Open) {
    let line = line(view, local, open);
    if line != *told {
        println!("{line}");
        *told = line;
    }
}

/// The middle of each button, menu row and switch that can be clicked, in pixels from the window's upper left corner, by
/// the name that a screen reader says; of several with one name it is the uppermost. What is scrolled out of the window is
/// left out; whether something lies over the rest is not known.
pub type Buttons = BTreeMap<String, [u32; 2]>;

/// Finds the [`Buttons`] in what egui tells screen readers, in a window of this size in points.
pub fn buttons(tree: &TreeUpdate, size: egui::Vec2, pixels_per_point: f32) -> Buttons {
    let window = egui::Rect::from_min_size(egui::Pos2::ZERO, size);
    let middle = |node: &egui::accesskit::Node| {
        let bounds = node.bounds().filter(|_| node.supports_action(Action::Click) && !node.is_disabled())?;
        let middle = egui::pos2((bounds.x0 + bounds.x1) as f32 / 2.0, (bounds.y0 + bounds.y1) as f32 / 2.0);
        let [x, y] = [middle.x, middle.y].map(|points| (points * pixels_per_point) as u32);
        window.contains(middle).then(|| (y, x, node.label().map(str::to_owned)))
    };
    let mut found: Vec<_> = tree.nodes.iter().filter_map(|(_, node)| middle(node)).collect();
    // Of equal names the last one stays.
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().filter_map(|(y, x, name)| Some((name?, [x, y]))).collect()
}

fn names(devices: &[Device]) -> Vec<&str> {
    devices.iter().map(|device| device.name.as_str()).collect()
}

fn used(device: &Use) -> serde_json::Value {
    json!({ "name": device.device, "trouble": device.trouble })
}

fn line(view: &View<'_>, local: &Local, open: &Open) -> String {
    let state = view.state;
    let picture = |picture: &Picture<'_>| match picture {
        Picture::Coming => "coming",
        Picture::Here => "here",
        Picture::Absent => "absent",
        Picture::Fault(_) => "fault",
    };
    let call = state.call.as_ref().map(|call| {
        json!({
            "peer": call.peer,
            "phase": match &call.phase {
                Phase::RingingOut { .. } => "ringing_out",
                Phase::RingingIn => "ringing_in",
                Phase::Connecting => "connecting",
                Phase::Live(_) => "live",
                Phase::Over(_) => "over",
            },
            "why": match &call.phase {
                Phase::Over(why) => Some(why),
                _ => None,
            },
            "keys_answer": local.keys_answer(open.context.input(|input| input.time)),
            "muted": call.muted,
            "camera_off": call.camera_off,
            "peer_muted": call.peer_muted,
            "peer_camera_off": call.peer_camera_off,
            "live": call.live,
        })
    });
    let online: Vec<&str> =
        state.people.values().filter(|person| person.online).map(|person| person.name.as_str()).collect();
    let size = open.size();
    let drawing = call.is_some().then(|| {
        let parts = PARTS.into_iter().zip(open.timing.p50_ms());
        parts.map(|(part, ms)| (part.to_owned(), json!(ms))).collect::<serde_json::Map<_, _>>()
    });
    json!({
        "access": match &state.access {
            Access::Welcome => "welcome",
            Access::Joining => "joining",
            Access::Member { .. } => "member",
        },
        "connection": match &state.connection {
            Connection::Connecting => "connecting",
            Connection::Online => "online",
            Connection::Silent => "silent",
            Connection::Lost(_) => "lost",
            Connection::Refused(_) => "refused",
        },
        "online": online,
        "call": call,
        "past_calls": state.history.len(),
        "missed": state.missed,
        "notice": state.notice.as_ref().map(|notice| &notice.text),
        "remote": picture(&view.remote_picture()),
        "own": picture(&view.own),
        "own_fault": match view.own {
            Picture::Fault(sentence) => Some(sentence),
            _ => None,
        },
        "devices": {
            "cameras": names(&view.devices.cameras),
            "microphones": names(&view.devices.microphones),
            "speakers": names(&view.devices.speakers),
            "camera": view.devices.camera,
            "microphone": used(&view.devices.microphone),
            "speaker": used(&view.devices.speaker),
        },
        "check": match view.check {
            Check::Idle => "idle",
            Check::Recording => "recording",
            Check::Playing => "playing",
            Check::NothingHeard => "nothing_heard",
        },
        "settings": local.settings,
        "stats": local.stats,
        "closing": local.closing,
        "buttons": open.buttons,
        "focus": open.context.memory(egui::Memory::focused).map(|widget| widget.value()),
        "full_screen": view.full_screen,
        "window": u64::from(open.window.id()),
        "size": [size.width, size.height],
        "drawing_p50_ms": drawing,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use egui::{Pos2, RawInput, Rect, Vec2, vec2};

    use super::*;

    #[test]
    fn buttons_are_told_by_name_where_they_can_be_clicked() {
        const SIZE: Vec2 = vec2(100.0, 100.0);
        let context = egui::Context::default();
        context.enable_accesskit();
        let place = |y: f32| Rect::from_center_size(egui::pos2(50.0, y), vec2(40.0, 20.0));
        let input = RawInput { screen_rect: Some(Rect::from_min_size(Pos2::ZERO, SIZE)), ..RawInput::default() };
        let output = context.run_ui(input, |ui| {
            for (y, name) in [(80.0, "Stay"), (20.0, "Stay"), (50.0, "Go"), (150.0, "Below")] {
                ui.put(place(y), egui::Button::new(name));
            }
            ui.add_enabled_ui(false, |ui| ui.put(place(50.0), egui::Button::new("Not now")));
            ui.put(place(50.0), egui::Label::new("A word"));
        });
        let tree = output.platform_output.accesskit_update.expect("it was asked for");
        let expected = [("Go", [100, 100]), ("Stay", [100, 40])].map(|(name, place)| (name.to_owned(), place));
        assert_eq!(buttons(&tree, SIZE, 2.0), Buttons::from(expected));
    }
}
