//! What the window shows, as a line of JSON for programs: tests and demos read it, people do not.

use serde_json::json;

use super::{
    local::Local,
    open::{Open, PARTS},
    screens::{Check, Picture, View},
};
use crate::app::{
    devices::{Device, Use},
    state::{Access, Connection, Phase},
};

/// Tells what has changed since `told`, on standard output.
pub fn changes(told: &mut String, view: &View<'_>, local: &Local, open: &Open) {
    let line = line(view, local, open);
    if line != *told {
        println!("{line}");
        *told = line;
    }
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
        "focus": open.context.memory(egui::Memory::focused).map(|widget| widget.value()),
        "full_screen": view.full_screen,
        "size": [size.width, size.height],
        "drawing_p50_ms": drawing,
    })
    .to_string()
}
