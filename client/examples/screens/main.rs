//! Draws every screen into PNG files, to be looked at:
//! `cargo run -p visavis --example screens --features screenshots -- FOLDER [PART OF A NAME]`.
//! Needs a Vulkan driver; Mesa's software one (`mesa-vulkan-drivers`) is enough.

mod sample;

use std::{error::Error, fs::File, io::BufWriter, path::Path};

use egui::{Theme, Vec2, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use sample::{Stage, live, member, second, with_call};
use visavis::{
    app::{
        settings,
        state::{Access, Connection, Notice, Phase, State},
        studio::Check,
    },
    ui::{
        local::{Local, Tab},
        screens::Picture,
    },
};

type Scene = (&'static str, fn() -> Stage, fn(&mut Harness<'_, Stage>));

const SIZES: [(&str, Vec2); 2] = [("wide", vec2(1280.0, 800.0)), ("narrow", vec2(420.0, 700.0))];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("into which folder?")?;
    let part = arguments.next().unwrap_or_default();
    std::fs::create_dir_all(&folder)?;
    for (name, stage, act) in SCENES {
        for (size_name, size) in SIZES {
            for (theme_name, theme) in [("dark", Theme::Dark), ("light", Theme::Light)] {
                for scale in [1.0, 2.0] {
                    let name = format!("{name}-{size_name}-{theme_name}-{scale}x");
                    if !name.contains(&part) {
                        continue;
                    }
                    let mut stage = stage();
                    stage.settings.window.theme =
                        if theme == Theme::Dark { settings::Theme::Dark } else { settings::Theme::Light };
                    let mut harness = Harness::builder()
                        .with_size(size)
                        .with_pixels_per_point(scale)
                        .with_step_dt(0.05)
                        .wgpu()
                        .build_ui_state(|ui, stage: &mut Stage| stage.frame(ui), stage);
                    harness.run_steps(8);
                    act(&mut harness);
                    harness.run_steps(12);
                    save(&mut harness, &Path::new(&folder).join(format!("{name}.png")))?;
                    println!("{name}");
                }
            }
        }
    }
    Ok(())
}

fn save(harness: &mut Harness<'_, Stage>, path: &Path) -> Result<(), Box<dyn Error>> {
    let image = harness.render()?;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), image.width(), image.height());
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header()?.write_image_data(image.as_raw())?;
    Ok(())
}

const NOTHING: fn(&mut Harness<'_, Stage>) = |_| ();

const SCENES: [Scene; 25] = [
    ("welcome", || Stage::new(State::default()), NOTHING),
    (
        "welcome-error",
        || {
            let notice = Notice::problem("The link has been used up: ask the relay's operator for a new one.");
            let mut stage = Stage::new(State { notice: Some(notice), ..State::default() });
            stage.local = Local::new(Some("visavis://calls.example.org/#kq3v9".into()));
            stage.local.form.name = "Ada Lovelace".into();
            "correct horse".clone_into(&mut stage.local.form.password);
            "correct horse".clone_into(&mut stage.local.form.again);
            stage
        },
        NOTHING,
    ),
    ("welcome-joining", || Stage::new(State { access: Access::Joining, ..State::default() }), NOTHING),
    ("people", || Stage::new(member()), NOTHING),
    (
        "people-search",
        || Stage::new(member()),
        |harness| {
            harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::F);
            harness.run_steps(2);
            harness.event(egui::Event::Text("ma".into()));
        },
    ),
    ("people-empty", || Stage::new(State { people: [].into(), ..member() }), NOTHING),
    (
        "people-lost",
        || {
            let reason = "the relay did not answer for 15 s: check your network".to_owned();
            let mut stage = Stage::new(State { connection: Connection::Lost(reason), ..member() });
            stage.state.notice = Some(Notice::info("Grace Hopper called while you were in a call."));
            stage
        },
        NOTHING,
    ),
    (
        "history",
        || {
            let mut stage = Stage::new(member());
            stage.local.tab = Tab::History;
            stage
        },
        NOTHING,
    ),
    ("ringing-in", || Stage::new(with_call(Phase::RingingIn)), NOTHING),
    ("ringing-out", || Stage::new(with_call(Phase::RingingOut { devices: Some(2) })), NOTHING),
    ("over", || Stage::new(with_call(Phase::Over("Grace Hopper hung up.".into()))), NOTHING),
    ("call", || Stage::new(live()), NOTHING),
    ("call-hover", || Stage::new(live()), |harness| harness.get_by_label("Hang up").hover()),
    ("call-devices", || Stage::new(live()), |harness| harness.get_by_label("Devices").click()),
    (
        "call-more",
        || Stage::new(live()),
        |harness| {
            if let Some(more) = harness.query_by_label("More") {
                more.click();
            }
        },
    ),
    (
        "call-stats",
        || {
            let mut stage = Stage::new(live());
            stage.local.stats = true;
            stage
        },
        |harness| {
            for n in 248..320 {
                if let Some(call) = &mut harness.state_mut().state.call {
                    call.live = Some(second(n));
                }
                harness.step();
            }
        },
    ),
    (
        "call-idle",
        || Stage::new(live()),
        |harness| {
            harness.run_steps(90);
        },
    ),
    (
        "call-muted-missed",
        || {
            let mut stage = Stage::new(live());
            stage.state.notice = Some(Notice::info("Hedy Lamarr called while you were in a call."));
            if let Some(call) = &mut stage.state.call {
                (call.muted, call.camera_off, call.peer_muted) = (true, true, true);
                call.live = Some(visavis::stats::collector::Live { loss: 0.08, ..second(3) });
            }
            stage
        },
        NOTHING,
    ),
    (
        "call-peer-camera-off",
        || {
            let mut stage = Stage::new(live());
            stage.own = Picture::Fault("DroidCam is used by another program: close it there.");
            if let Some(call) = &mut stage.state.call {
                (call.peer_camera_off, call.peer_muted) = (true, true);
            }
            stage
        },
        NOTHING,
    ),
    (
        "call-connecting",
        || {
            let mut stage = Stage::new(with_call(Phase::Connecting));
            (stage.remote, stage.own) = (Picture::Coming, Picture::Coming);
            stage
        },
        NOTHING,
    ),
    (
        "closing",
        || {
            let mut stage = Stage::new(live());
            stage.local.may_close(&stage.state);
            stage
        },
        NOTHING,
    ),
    (
        "keys",
        || {
            let mut stage = Stage::new(member());
            stage.local.keys = true;
            stage
        },
        NOTHING,
    ),
    ("settings", || settings(), NOTHING),
    (
        "settings-middle",
        || {
            let mut stage = settings();
            (stage.own, stage.check) = (Picture::Absent, Check::Recording);
            stage
        },
        |harness| harness.get_by_label("Cancel echo").scroll_to_me(),
    ),
    ("settings-end", || settings(), |harness| harness.get_by_label("Fill the window").scroll_to_me()),
];

fn settings() -> Stage {
    let mut stage = Stage::new(member());
    stage.local.settings = true;
    stage.settings.camera.device = Some("usb-1".into());
    stage.settings.sound.speaker = Some("unplugged".into());
    stage.level = Some(0.42);
    stage
}
