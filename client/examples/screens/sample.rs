//! People, calls and figures that nobody made, for pictures and tests of the screens.

use std::collections::BTreeMap;

use egui::{Color32, Mesh, Rect, Shape, epaint::Vertex, pos2};
use visavis::{
    app::{
        devices::{Device, Devices},
        settings::Settings,
        state::{Access, Call, Connection, Phase, State},
        studio::Check,
    },
    stats::{
        collector::{Live, Sending},
        record::Drop,
    },
    ui::{
        local::Local,
        screens::{self, Action, Layout, Picture, Spot, View},
        theme,
    },
};
use visavis_proto::{
    ids::CallId,
    time::Timestamp,
    wire::control::{EndReason, PastCall, Person, fold_name},
};

/// Tuesday, 3 March 2026, 14:05 UTC.
pub const NOW_MS: u64 = 1_772_546_700_000;

const MINUTE_MS: u64 = 60_000;

/// The call of every sample.
pub const CALL: CallId = CallId([1; 16]);

/// A window without a window: what it shows, and what the person did.
pub struct Stage {
    pub state: State,
    pub settings: Settings,
    pub devices: Devices,
    pub local: Local,
    pub remote: Picture<'static>,
    pub own: Picture<'static>,
    pub level: Option<f32>,
    pub check: Check,
    pub full_screen: bool,
    pub actions: Vec<Action>,
    pub layout: Layout,
    begun: bool,
}

impl Stage {
    pub fn new(state: State) -> Self {
        Self {
            state,
            settings: Settings::default(),
            devices: devices(),
            local: Local::default(),
            remote: Picture::Here,
            own: Picture::Here,
            level: None,
            check: Check::Idle,
            full_screen: false,
            actions: Vec::new(),
            layout: Layout::default(),
            begun: false,
        }
    }

    /// One frame, with painted people where pictures belong.
    pub fn frame(&mut self, ui: &mut egui::Ui) {
        if !std::mem::replace(&mut self.begun, true) {
            theme::apply(ui.ctx(), visavis::ui::fonts::definitions());
            ui.request_repaint();
            return; // fonts are there from the next frame on
        }
        let view = View {
            state: &self.state,
            settings: &self.settings,
            devices: &self.devices,
            now: Timestamp::from_nanos(NOW_MS * 1_000_000),
            zone_s: Some(0),
            full_screen: self.full_screen,
            remote: self.remote,
            own: self.own,
            level: self.level,
            check: self.check,
        };
        let outcome = screens::show(ui, &view, &mut self.local);
        if let Some(spot) = &outcome.layout.remote {
            spot.put(somebody(spot, [0x32, 0x4B, 0x5C], [0xB9, 0x8A, 0x6A]));
        }
        if let Some(spot) = &outcome.layout.self_view {
            spot.put(somebody(spot, [0x6A, 0x5C, 0x52], [0xD8, 0xB4, 0x92]));
        }
        self.actions.extend(outcome.actions);
        self.layout = outcome.layout;
    }
}

/// A room and somebody in it.
fn somebody(spot: &Spot, [red, green, blue]: [u8; 3], skin: [u8; 3]) -> Shape {
    let rect = spot.rect;
    let mut room = Mesh::default();
    let corners =
        [(rect.left_top(), 1.0), (rect.right_top(), 1.7), (rect.right_bottom(), 1.1), (rect.left_bottom(), 0.6)];
    for (pos, light) in corners {
        let lit = |channel: u8| (f32::from(channel) * light).min(255.0) as u8;
        let color = Color32::from_rgb(lit(red), lit(green), lit(blue));
        room.vertices.push(Vertex { pos, uv: egui::epaint::WHITE_UV, color });
    }
    room.indices.extend([0, 1, 2, 0, 2, 3]);
    let unit = rect.height() / 10.0;
    let middle = rect.center();
    let skin = Color32::from_rgb(skin[0], skin[1], skin[2]);
    let shirt = Rect::from_min_max(
        pos2(middle.x - unit * 3.4, rect.bottom() - unit * 2.4),
        pos2(middle.x + unit * 3.4, rect.bottom()),
    );
    Shape::Vec(vec![
        match spot.radius {
            0.0 => Shape::mesh(room),
            radius => Shape::rect_filled(rect, radius, Color32::from_rgb(red, green, blue)),
        },
        Shape::rect_filled(shirt, unit * 1.6, Color32::from_rgb(0x25, 0x2A, 0x38)),
        Shape::circle_filled(pos2(middle.x, middle.y - unit * 0.6), unit * 2.1, Color32::from_rgb(0x3B, 0x2A, 0x22)),
        Shape::circle_filled(pos2(middle.x, middle.y), unit * 1.9, skin),
    ])
}

fn devices() -> Devices {
    Devices {
        cameras: vec![Device::new("usb-1", "Logitech BRIO"), Device::new("droidcam", "DroidCam")],
        microphones: vec![Device::new("mic-1", "Built-in microphone"), Device::new("mic-2", "Jabra Evolve2 65")],
        speakers: vec![Device::new("out-1", "Built-in speakers"), Device::new("mic-2", "Jabra Evolve2 65")],
        ..Devices::default()
    }
}

/// Ada, online, with people and past calls.
pub fn member() -> State {
    let person = |name: &str, online, in_call, last_minutes: u64| Person {
        name: name.to_owned(),
        online,
        in_call,
        last_seen_ms: NOW_MS - last_minutes * MINUTE_MS,
        ..Person::default()
    };
    let people = [
        person("Grace Hopper", true, false, 0),
        person("Alan", true, true, 0),
        person("Katherine Johnson", true, false, 0),
        person("Mary Somerville", false, false, 12),
        person("Emmy Noether", false, false, 190),
        person("Sophie", false, false, 3 * 24 * 60),
        person("Hedy Lamarr", true, false, 0),
    ];
    let past = |peer: &str, outgoing, minutes: u64, talked: u64, reason: EndReason| {
        let began_ms = NOW_MS - minutes * MINUTE_MS;
        PastCall {
            peer: peer.to_owned(),
            outgoing,
            began_ms,
            accepted_ms: if talked > 0 { began_ms + 8_000 } else { 0 },
            ended_ms: began_ms + 8_000 + talked * 1_000,
            reason: reason.into(),
            ..PastCall::default()
        }
    };
    State {
        access: Access::Member {
            name: "Ada Lovelace".into(),
            host: "calls.example.org".into(),
            link: "visavis://calls.example.org:4433".into(),
        },
        connection: Connection::Online,
        people: people.into_iter().map(|person| (fold_name(&person.name), person)).collect::<BTreeMap<_, _>>(),
        history: vec![
            past("Grace Hopper", false, 35, 0, EndReason::TimedOut),
            past("Alan", true, 140, 754, EndReason::HungUp),
            past("Katherine Johnson", false, 60 * 20, 3_900, EndReason::PeerHungUp),
            past("Mary Somerville", true, 60 * 26, 0, EndReason::Declined),
            past("Hedy Lamarr", false, 60 * 24 * 3, 0, EndReason::Cancelled),
            past("Emmy Noether", true, 60 * 24 * 12, 61, EndReason::HungUp),
        ],
        missed: 2,
        ..State::default()
    }
}

/// Ada in a call with Grace, in that phase.
pub fn with_call(phase: Phase) -> State {
    State { call: Some(Call::new(CALL, "Grace Hopper".into(), phase)), missed: 0, ..member() }
}

/// A call that has lasted for some minutes, with figures.
pub fn live() -> State {
    let since = Timestamp::from_nanos((NOW_MS - 247_000) * 1_000_000);
    let mut state = with_call(Phase::Live(since));
    if let Some(call) = &mut state.call {
        call.live = Some(second(247));
    }
    state
}

/// A second's figures.
pub fn second(n: u32) -> Live {
    let wave = (f64::from(n) * 0.7).sin();
    let stages_ms = [6.2, 2.4, 13.6, 21.5 + 6.0 * wave, 3.1, 7.9];
    let mut live = Live {
        seconds: f64::from(n),
        delay_ms: stages_ms.iter().sum(),
        stages_ms,
        fps: 29.7 + 0.4 * wave,
        bitrate_bps: 1_840_000.0 + 260_000.0 * wave,
        age_ms: Some(56.0 + 6.0 * wave),
        round_trip_ms: Some(38.0 + 4.0 * wave),
        bound_ms: Some(17.0),
        size: Some((1_280, 720)),
        codec: Some("H.264".into()),
        dropped: [(Drop::Lost, 3), (Drop::ReferenceMissing, 1)].into(),
        sent: Sending {
            fps: 30.0,
            bitrate_bps: 1_210_000.0 - 180_000.0 * wave,
            skipped: Some(0.0),
            size: Some((960, 540)),
            codec: Some("H.264".into()),
            dropped: [(Drop::Replaced, 14)].into(),
        },
        ..Live::default()
    };
    live.loss = if n.is_multiple_of(17) { 0.012 } else { 0.001 };
    live
}
