//! The window's screens without a window: what a person sees, clicks and types, and what comes of it.

#[path = "../examples/screens/sample.rs"]
mod sample;

use egui::{Key, Modifiers, Pos2, Vec2, accesskit::Role, vec2};
use egui_kittest::{
    Harness,
    kittest::{By, NodeT, Queryable},
};
use sample::{Stage, live, member, second, with_call};
use visavis::{
    app::{
        Command, Join,
        settings::{Corner, Settings, Theme},
        state::{Access, Connection, Notice, Phase, State},
    },
    stats::collector::Live,
    ui::{
        local::Local,
        screens::{Action, Picture},
    },
};

type Window = Harness<'static, Stage>;

fn window(stage: Stage) -> Window {
    sized(stage, vec2(1280.0, 800.0))
}

fn sized(stage: Stage, size: Vec2) -> Window {
    let mut window = Harness::builder()
        .with_size(size)
        .with_step_dt(0.05)
        .build_ui_state(|ui, stage: &mut Stage| stage.frame(ui), stage);
    window.run_steps(4);
    window
}

/// What the person did since this was asked last.
fn done(window: &mut Window) -> Vec<Action> {
    window.run_steps(4);
    std::mem::take(&mut window.state_mut().actions)
}

fn click(window: &mut Window, label: &str) -> Vec<Action> {
    window.get_by_role_and_label(Role::Button, label).click();
    done(window)
}

fn press(window: &mut Window, modifiers: Modifiers, key: Key) -> Vec<Action> {
    window.key_press_modifiers(modifiers, key);
    done(window)
}

fn key(window: &mut Window, key: Key) -> Vec<Action> {
    press(window, Modifiers::NONE, key)
}

fn kept(actions: &[Action]) -> &Settings {
    match actions {
        [Action::Do(Command::Settings(settings))] => settings,
        other => panic!("no settings were kept: {other:?}"),
    }
}

fn is_call(actions: &[Action], name: &str) -> bool {
    matches!(actions, [Action::Do(Command::Call(called))] if called == name)
}

fn type_into(window: &mut Window, role: Role, label: &str, text: &str) {
    window.get_by_role_and_label(role, label).focus();
    window.run_steps(2);
    window.event(egui::Event::Text(text.into()));
    window.run_steps(2);
}

#[test]
fn a_link_a_name_and_a_password_are_sent_once_nothing_is_missing() {
    let mut window = window(Stage::new(State::default()));
    assert!(key(&mut window, Key::Enter).is_empty());
    window.get_by_label_contains("Paste the invite link");
    type_into(&mut window, Role::TextInput, "Invite link", " visavis://x ");
    type_into(&mut window, Role::TextInput, "Name", "ada");
    type_into(&mut window, Role::PasswordInput, "Password", "secret");
    type_into(&mut window, Role::PasswordInput, "Password again", "secrets");
    assert!(key(&mut window, Key::Enter).is_empty());
    window.get_by_label_contains("not the same");
    window.get_by_label("I have an account").click();
    window.run_steps(2);
    let actions = click(&mut window, "Log in");
    let [Action::Do(Command::Join(Join { link, name, password, existing }))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!((link.as_str(), name.as_str(), password.as_str(), *existing), ("visavis://x", "ada", "secret", true));
}

#[test]
fn a_link_from_the_command_line_leaves_the_name_to_be_typed() {
    let mut stage = Stage::new(State { notice: Some(Notice::problem("That name is taken.")), ..State::default() });
    stage.local = Local::new(Some("visavis://y".into()));
    let mut window = window(stage);
    window.event(egui::Event::Text("bob".into()));
    window.run_steps(2);
    assert_eq!(window.state().local.form.name, "bob");
    window.get_by_label("That name is taken.");
    window.state_mut().state.access = Access::Joining;
    window.run_steps(2);
    window.get_by_label("Joining…");
    assert!(key(&mut window, Key::Enter).is_empty(), "it is on its way");
}

#[test]
fn one_click_calls() {
    let mut window = window(Stage::new(member()));
    assert!(is_call(&click(&mut window, "Call Katherine Johnson"), "Katherine Johnson"));
}

#[test]
fn a_search_and_enter_call_the_first_that_is_found() {
    let mut window = window(Stage::new(member()));
    assert!(press(&mut window, Modifiers::COMMAND, Key::F).is_empty());
    window.event(egui::Event::Text("ma".into()));
    window.run_steps(2);
    assert!(window.query_by_label("Call Alan").is_none());
    assert!(is_call(&key(&mut window, Key::Enter), "Hedy Lamarr"));
}

#[test]
fn a_search_is_overwritten_by_the_next_one_and_cleared() {
    let mut window = window(Stage::new(member()));
    let search = |window: &mut Window, text: &str| {
        assert!(press(window, Modifiers::COMMAND, Key::F).is_empty());
        window.event(egui::Event::Text(text.into()));
        window.run_steps(2);
    };
    search(&mut window, "ma");
    search(&mut window, "al");
    assert_eq!(window.state().local.search, "al");
    assert!(click(&mut window, "Clear the search").is_empty());
    window.get_by_label("Call Grace Hopper");
    window.state_mut().full_screen = true;
    search(&mut window, "ma");
    assert!(key(&mut window, Key::Escape).is_empty(), "the search is left first");
    assert_eq!(window.state().local.search, "");
    assert!(matches!(key(&mut window, Key::Escape).as_slice(), [Action::ToggleFullScreen]));
}

#[test]
fn past_calls_are_chosen_by_arrows_and_called_back() {
    let mut window = window(Stage::new(member()));
    assert!(matches!(
        press(&mut window, Modifiers::COMMAND, Key::Num2).as_slice(),
        [Action::Do(Command::SeenMissed)]
    ));
    assert!(key(&mut window, Key::Enter).is_empty(), "nobody is chosen yet");
    assert!(key(&mut window, Key::ArrowDown).is_empty());
    let newest = window.state().state.history[0].peer.clone();
    assert!(is_call(&key(&mut window, Key::Enter), &newest));
}

#[test]
fn earlier_calls_are_asked_for_where_there_may_be_some() {
    let mut window = sized(Stage::new(State { earlier: true, ..member() }), vec2(800.0, 2_400.0));
    press(&mut window, Modifiers::COMMAND, Key::Num2);
    assert!(matches!(click(&mut window, "Show earlier calls").as_slice(), [Action::Do(Command::EarlierCalls)]));
    window.state_mut().state.earlier = false;
    window.run_steps(2);
    assert!(window.query_by_label("Show earlier calls").is_none());
}

#[test]
fn arrows_choose_and_nothing_is_called_before_somebody_is_chosen() {
    let mut window = window(Stage::new(member()));
    assert!(key(&mut window, Key::Enter).is_empty());
    assert!(key(&mut window, Key::ArrowDown).is_empty());
    assert!(key(&mut window, Key::ArrowDown).is_empty());
    assert!(is_call(&key(&mut window, Key::Enter), "Grace Hopper"));
}

#[test]
fn without_the_relay_nobody_can_be_called_and_a_retry_is_offered() {
    let connection = Connection::Lost("the relay did not answer".into());
    let mut window = window(Stage::new(State { connection, ..member() }));
    assert!(click(&mut window, "Call Hedy Lamarr").is_empty());
    assert!(matches!(click(&mut window, "Retry now").as_slice(), [Action::Do(Command::Retry)]));
    window.get_all_by_label("status unknown").next().expect("nobody's presence is made up");
    assert!(window.query_by_label("online").is_none());
    window.state_mut().state.connection = Connection::Silent;
    window.run_steps(2);
    window.get_by_label("The relay is not heard");
    assert!(click(&mut window, "Call Hedy Lamarr").is_empty());
    let over = with_call(Phase::Over("Grace Hopper hung up.".into()));
    window.state_mut().state = State { connection: Connection::Lost("gone".into()), ..over };
    window.run_steps(2);
    assert!(key(&mut window, Key::C).is_empty() && click(&mut window, "Call again").is_empty());
}

#[test]
fn a_long_refusal_in_a_small_window_leaves_the_button_in_sight() {
    let mut window = sized(Stage::new(State::default()), vec2(480.0, 560.0));
    let hidden = window.get_by_role_and_label(Role::Button, "Join").rect().bottom();
    assert!(hidden > 560.0, "{hidden}");
    window.state_mut().state.notice = Some(Notice::problem("This relay registers people by invite only. ".repeat(6)));
    window.run_steps(30);
    let button = window.get_by_role_and_label(Role::Button, "Join").rect();
    let told = window.get_by_label_contains("by invite only").rect();
    assert!(told.top() > 0.0 && told.bottom() < button.top() && button.bottom() <= 560.0, "{told} {button}");
}

#[test]
fn missed_calls_are_seen_once_and_called_back() {
    let mut window = window(Stage::new(member()));
    window.get_by_label("Calls (2 new)").click();
    assert!(matches!(done(&mut window).as_slice(), [Action::Do(Command::SeenMissed)]));
    assert!(done(&mut window).is_empty());
    window.get_by_label_contains("Missed · today 13:30");
    assert!(is_call(&click(&mut window, "Call Emmy Noether"), "Emmy Noether"));
}

#[test]
fn a_call_is_taken_with_or_without_camera_or_declined() {
    let ringing = || window(Stage::new(with_call(Phase::RingingIn)));
    let accept = |actions: Vec<Action>| match actions.as_slice() {
        [Action::Do(Command::Accept { camera })] => *camera,
        other => panic!("{other:?}"),
    };
    assert!(accept(click(&mut ringing(), "Accept")));
    assert!(!accept(click(&mut ringing(), "Accept without camera")));
    assert!(matches!(click(&mut ringing(), "Decline").as_slice(), [Action::Do(Command::End)]));
    let mut window = ringing();
    assert!(window.state().layout.self_view.is_some(), "one sees oneself before one is seen");
    window.run_steps(20);
    assert!(accept(key(&mut window, Key::Enter)));
    assert!(!accept(press(&mut window, Modifiers::SHIFT, Key::Enter)));
    assert!(matches!(key(&mut window, Key::Escape).as_slice(), [Action::Do(Command::End)]));
}

#[test]
fn while_it_rings_there_one_can_already_mute_and_switch_the_camera_off() {
    let mut window = window(Stage::new(with_call(Phase::RingingOut { devices: Some(1) })));
    assert!(window.state().layout.self_view.is_some());
    assert!(matches!(click(&mut window, "Mute").as_slice(), [Action::Do(Command::Mute(true))]));
    assert!(matches!(key(&mut window, Key::M).as_slice(), [Action::Do(Command::Mute(true))]));
    assert!(matches!(click(&mut window, "Camera off").as_slice(), [Action::Do(Command::CameraOff(true))]));
    assert!(matches!(key(&mut window, Key::V).as_slice(), [Action::Do(Command::CameraOff(true))]));
    if let Some(call) = &mut window.state_mut().state.call {
        (call.muted, call.camera_off) = (true, true);
    }
    window.run_steps(2);
    assert!(window.state().layout.self_view.is_none());
    window.get_by_label("Your camera is off");
    assert!(matches!(click(&mut window, "Unmute").as_slice(), [Action::Do(Command::Mute(false))]));
    assert!(matches!(click(&mut window, "Camera on").as_slice(), [Action::Do(Command::CameraOff(false))]));
    assert!(matches!(click(&mut window, "Cancel").as_slice(), [Action::Do(Command::End)]));
}

#[test]
fn nobody_waits_for_the_picture_of_somebody_who_sends_none() {
    let mut stage = Stage::new(live());
    stage.remote = Picture::Coming;
    let mut window = window(stage);
    window.get_by_label("Waiting for the picture …");
    if let Some(call) = &mut window.state_mut().state.call {
        call.peer_sends_pictures = false;
    }
    window.run_steps(2);
    window.get_by_label("Only sound comes from the other side");
    assert!(window.query_by_label("Waiting for the picture …").is_none());
}

#[test]
fn a_key_that_was_meant_for_something_else_takes_no_call() {
    let mut busy = window(Stage::new(member()));
    busy.state_mut().state = with_call(Phase::RingingIn);
    assert!(key(&mut busy, Key::Enter).is_empty(), "somebody was typing as it began to ring");
    let mut over = window(Stage::new(with_call(Phase::Over("Grace Hopper hung up.".into()))));
    assert!(key(&mut over, Key::Enter).is_empty(), "somebody was about to take a call that ended");
    assert!(is_call(&key(&mut over, Key::C), "Grace Hopper"));
    assert!(matches!(key(&mut over, Key::Escape).as_slice(), [Action::Do(Command::Dismiss)]));
}

#[test]
fn settings_give_way_to_a_call_that_rings() {
    let mut stage = Stage::new(member());
    stage.local.settings = true;
    let mut window = window(stage);
    window.get_by_label("Settings");
    window.state_mut().state = with_call(Phase::RingingIn);
    window.run_steps(2);
    window.get_by_role_and_label(Role::Button, "Accept");
}

#[test]
fn the_switches_of_a_call_have_buttons_and_keys() {
    let mut window = window(Stage::new(live()));
    assert!(matches!(click(&mut window, "Mute").as_slice(), [Action::Do(Command::Mute(true))]));
    assert!(matches!(key(&mut window, Key::M).as_slice(), [Action::Do(Command::Mute(true))]));
    assert!(matches!(click(&mut window, "Camera off").as_slice(), [Action::Do(Command::CameraOff(true))]));
    assert!(matches!(key(&mut window, Key::V).as_slice(), [Action::Do(Command::CameraOff(true))]));
    assert!(matches!(click(&mut window, "Full screen").as_slice(), [Action::ToggleFullScreen]));
    assert!(matches!(key(&mut window, Key::F).as_slice(), [Action::ToggleFullScreen]));
    assert!(kept(&click(&mut window, "Fill the window")).window.fill);
    assert!(!kept(&key(&mut window, Key::S)).window.self_view);
    assert!(matches!(click(&mut window, "Hang up").as_slice(), [Action::Do(Command::End)]));
    assert!(matches!(press(&mut window, Modifiers::COMMAND, Key::H).as_slice(), [Action::Do(Command::End)]));
    if let Some(call) = &mut window.state_mut().state.call {
        (call.muted, call.peer_muted) = (true, true);
    }
    window.run_steps(2);
    window.get_by_label("Grace Hopper is muted");
    assert!(matches!(click(&mut window, "Unmute").as_slice(), [Action::Do(Command::Mute(false))]));
}

#[test]
fn a_narrow_window_keeps_every_switch() {
    let mut window = sized(Stage::new(live()), vec2(420.0, 700.0));
    assert!(window.query_by_label("Full screen").is_none());
    assert!(click(&mut window, "More").is_empty());
    assert!(matches!(click(&mut window, "Full screen").as_slice(), [Action::ToggleFullScreen]));
}

#[test]
fn an_open_menu_has_the_keys_and_escape_closes_it_alone() {
    let mut stage = Stage::new(live());
    stage.full_screen = true;
    let mut window = window(stage);
    assert!(click(&mut window, "Devices").is_empty());
    window.run_steps(80);
    assert!(!window.state().layout.hide_pointer, "the bar stays under its menu");
    assert!(key(&mut window, Key::M).is_empty());
    window.get_by_label("DroidCam");
    assert!(key(&mut window, Key::Escape).is_empty());
    assert!(window.query_by_label("DroidCam").is_none());
    assert!(matches!(key(&mut window, Key::Escape).as_slice(), [Action::ToggleFullScreen]));
    assert!(click(&mut window, "Devices").is_empty());
    let stage = window.state_mut();
    stage.local.may_close(&stage.state);
    window.run_steps(4);
    assert!(window.query_by_label("DroidCam").is_none(), "the question has the window to itself");
}

#[test]
fn what_happened_lies_above_what_is_wrong_and_both_can_be_put_away() {
    let mut stage = Stage::new(live());
    stage.state.notice = Some(Notice::info("Alan called while you were in a call."));
    stage.devices.microphone.trouble = Some("the microphone cannot be used: EBUSY".into());
    stage.devices.speaker.trouble = Some("the speaker cannot be used: EBUSY".into());
    let mut window = window(stage);
    let trouble = "The microphone and the speaker cannot be used: EBUSY.";
    let told = window.get_by_label(trouble).rect();
    let notice = window.get_by_label_contains("Alan called").rect();
    let switch = window.get_by_role_and_label(Role::Button, "Mute").rect();
    assert!(told.bottom() < notice.top() && notice.bottom() < switch.top(), "{told} {notice} {switch}");
    let dismiss = |window: &mut Window, beside: egui::Rect| {
        let buttons: Vec<_> = window.get_all_by_label("Dismiss").collect();
        let near = buttons.iter().find(|button| button.rect().y_range().contains(beside.center().y));
        near.expect("a button").click();
    };
    dismiss(&mut window, told);
    assert!(done(&mut window).is_empty());
    assert!(window.query_by_label(trouble).is_none());
    let notice = window.get_by_label_contains("Alan called").rect();
    dismiss(&mut window, notice);
    assert!(matches!(done(&mut window).as_slice(), [Action::Do(Command::Dismiss)]));
    // What comes back is told again.
    for wrong in [None, Some("the microphone cannot be used: EBUSY")] {
        window.state_mut().devices.microphone.trouble = wrong.map(str::to_owned);
        window.run_steps(4);
    }
    window.get_by_label(trouble);
}

#[test]
fn what_is_wrong_with_a_device_is_told_while_it_rings() {
    for phase in [Phase::RingingIn, Phase::RingingOut { devices: Some(1) }] {
        let mut stage = Stage::new(with_call(phase));
        stage.devices.microphone.trouble = Some("the microphone is gone".into());
        let mut window = window(stage);
        window.get_by_label("The microphone is gone.");
        assert!(click(&mut window, "Dismiss").is_empty());
        assert!(window.query_by_label("The microphone is gone.").is_none());
    }
}

#[test]
fn whoever_joins_again_types_the_password_first() {
    let mut stage = Stage::new(State::default());
    stage.local.form.begin_again("ada", "visavis://y");
    let mut window = window(stage);
    window.event(egui::Event::Text("secret".into()));
    window.run_steps(2);
    assert_eq!(*window.state().local.form.password, "secret");
}

#[test]
fn what_has_no_room_in_the_self_view_is_told_below() {
    const FAULT: &str = "There is no camera: plug one in, or start the program behind it, and your picture comes.";
    let told = |width: f32, figures: bool| {
        let mut stage = Stage::new(live());
        (stage.own, stage.local.stats) = (Picture::Fault(FAULT), figures);
        let window = sized(stage, vec2(width, 700.0));
        let below = |node: egui_kittest::Node<'_>| node.accesskit_node().role() == Role::Label;
        window.query_all_by_label(FAULT).any(below)
    };
    assert!(!told(1_280.0, false));
    assert!(told(480.0, false));
    assert!(told(480.0, true), "the figures are in the self view's place");
}

#[test]
fn another_device_is_chosen_without_leaving_the_call() {
    let mut window = window(Stage::new(live()));
    assert!(click(&mut window, "Devices").is_empty());
    window.get_by_label("DroidCam").click();
    assert_eq!(kept(&done(&mut window)).camera.device.as_deref(), Some("droidcam"));
    // Which one the usual choice is now stands beside it.
    window.state_mut().devices.camera = Some("Logitech BRIO".into());
    window.run_steps(2);
    window.get_by_label("Best available (Logitech BRIO)");
}

#[test]
fn the_picture_has_the_window_and_the_controls_go_when_nobody_moves() {
    let mut window = window(Stage::new(live()));
    let remote = window.state().layout.remote.as_ref().map(|spot| spot.rect);
    assert_eq!(remote, Some(egui::Rect::from_min_size(Pos2::ZERO, vec2(1280.0, 800.0))));
    assert!(window.state().layout.self_view.is_some() && !window.state().layout.hide_pointer);
    window.run_steps(70);
    assert!(window.state().layout.hide_pointer);
    window.hover_at(Pos2::new(300.0, 300.0));
    window.run_steps(2);
    assert!(!window.state().layout.hide_pointer);
    window.state_mut().remote = Picture::Fault("The picture is frozen.");
    window.run_steps(80);
    assert!(!window.state().layout.hide_pointer, "there is nothing to see instead");
    assert!(window.state().layout.remote.is_none());
    window.get_by_label("The picture is frozen.");
}

#[test]
fn the_self_view_is_dragged_to_another_corner() {
    let mut window = window(Stage::new(live()));
    let from = window.get_by_label("Your own picture").rect().center();
    let to = Pos2::new(200.0, 650.0);
    window.drag_at(from);
    window.run_steps(2);
    for share in [0.3, 0.7, 1.0] {
        window.hover_at(from.lerp(to, share));
        window.run_steps(2);
    }
    window.drop_at(to);
    assert_eq!(kept(&done(&mut window)).window.self_view_corner, Corner::BottomLeft);
}

#[test]
fn the_figures_name_the_slowest_stage() {
    let mut window = window(Stage::new(live()));
    assert!(window.query_by_label_contains("Slowest").is_none());
    assert!(key(&mut window, Key::F3).is_empty());
    window.get_by_label_contains("Slowest: receive");
    window.get_by_label_contains("Delay by stage: encode 6 ms");
    assert!(key(&mut window, Key::Escape).is_empty());
    assert!(window.query_by_label_contains("Slowest").is_none());
}

#[test]
fn the_figures_tell_both_directions_and_are_copied_in_words() {
    let mut window = window(Stage::new(live()));
    assert!(key(&mut window, Key::I).is_empty());
    let said = [
        "Age: 5",
        "Round trip: 3",
        "Loss: 0.1 %",
        "Clock: ± 17 ms",
        "Pictures, received: ",
        "Pictures, sent: 30.0 / s",
        "Rate, received: 1.",
        "Rate, sent: 1.",
        "Size, received: 1280 × 720",
        "Size, sent: 960 × 540",
        "Codec, received: H.264",
        "Codec, sent: H.264",
        "Not shown, received: 3 lost, 1 after a loss",
        "Not shown, sent: 14 encoder busy",
    ];
    for figure in said {
        let said = |text: Option<String>| text.is_some_and(|text| text.contains(figure));
        window.get(By::new().predicate(|node| said(node.value())));
    }
    for plot in ["Delay", "Round trip", "Pictures", "Loss", "Received", "Sent"] {
        let title = format!("{plot}: ");
        let is_it = |label: String| label.starts_with(&title) && label.ends_with("the last minute");
        window.get(By::new().predicate(|node| node.label().is_some_and(&is_it)));
    }
    let copied = click(&mut window, "Copy figures");
    let [Action::CopyText(text)] = copied.as_slice() else { panic!("{copied:?}") };
    for figure in said.into_iter().chain(["Camera to screen: ", "encode: 6.2 ms"]) {
        assert!(text.contains(figure), "{figure} in {text}");
    }
}

#[test]
fn what_is_not_known_is_not_among_the_figures() {
    let mut stage = Stage::new(live());
    if let Some(call) = &mut stage.state.call {
        call.live = Some(Live { seconds: 3.0, ..Live::default() });
    }
    let mut window = window(stage);
    assert!(key(&mut window, Key::F3).is_empty());
    window.get_by_label("no picture comes");
    let copied = click(&mut window, "Copy figures");
    let [Action::CopyText(text)] = copied.as_slice() else { panic!("{copied:?}") };
    for unknown in ["Camera to screen", "Age", "Round trip", "Clock", "Size", "Codec"] {
        assert!(!text.contains(unknown), "{unknown} in {text}");
    }
    if let Some(call) = &mut window.state_mut().state.call {
        (call.live, call.peer_camera_off) = (Some(second(9)), true);
    }
    window.run_steps(2);
    assert!(window.query_by_label_contains("Age: ").is_none(), "what is switched off is not on the screen");
}

#[test]
fn figures_fit_into_a_small_window_and_scroll() {
    for size in [vec2(360.0, 480.0), vec2(420.0, 700.0), vec2(1120.0, 720.0)] {
        let mut window = sized(Stage::new(live()), size);
        assert!(key(&mut window, Key::F3).is_empty());
        let switch = window.get_by_role_and_label(Role::Button, "Mute").rect();
        let copy = window.get_by_label("Copy figures").rect();
        assert!(copy.right() <= size.x && copy.bottom() < switch.top(), "{size}: {copy}");
        window.get_by_label_contains("Sent: ").scroll_to_me();
        window.run_steps(20);
        let last = window.get_by_label_contains("Sent: ").rect();
        assert!(last.bottom() < switch.top(), "{size}: {last} is below {switch}");
    }
}

#[test]
fn closing_asks_only_in_a_call_and_its_keys_are_its_own() {
    let mut idle = Stage::new(member());
    assert!(idle.local.may_close(&idle.state));
    let mut window = window(Stage::new(with_call(Phase::RingingIn)));
    window.run_steps(20);
    let stage = window.state_mut();
    assert!(!stage.local.may_close(&stage.state));
    window.run_steps(4);
    assert!(click(&mut window, "Stay").is_empty());
    assert!(window.query_by_label("Stay").is_none());
    let stage = window.state_mut();
    stage.local.may_close(&stage.state);
    assert!(matches!(key(&mut window, Key::Enter).as_slice(), [Action::Close]), "and the call is not taken");
}

#[test]
fn settings_are_in_force_as_they_are_chosen() {
    let mut window = sized(Stage::new(member()), vec2(800.0, 2_400.0));
    assert!(press(&mut window, Modifiers::COMMAND, Key::Comma).is_empty());
    assert!(window.state().layout.devices_wanted && window.state().layout.self_view.is_some());
    window.get_by_label("480p").click();
    assert_eq!(kept(&done(&mut window)).camera.max_height, 480);
    window.get_by_label("Cancel echo").click();
    assert!(!kept(&done(&mut window)).sound.cancel_echo);
    window.get_by_label("Built-in microphone").click();
    assert_eq!(kept(&done(&mut window)).sound.microphone.as_deref(), Some("mic-1"));
    window.get_by_label("Light").click();
    assert_eq!(kept(&done(&mut window)).window.theme, Theme::Light);
    assert!(matches!(click(&mut window, "Play a test tone").as_slice(), [Action::TestTone]));
    // A drag of the slider is one change, where it ends.
    let slider = window.get_by_role(Role::Slider).rect();
    window.drag_at(slider.left_center());
    window.run_steps(2);
    for share in [0.2, 0.5, 0.8] {
        window.hover_at(slider.left_center().lerp(slider.right_center(), share));
        assert!(done(&mut window).is_empty());
    }
    window.drop_at(slider.left_center().lerp(slider.right_center(), 0.8));
    assert!(kept(&done(&mut window)).camera.max_kbps > 2_500);
    assert!(matches!(click(&mut window, "Record and play back").as_slice(), [Action::StartCheck]));
    assert!(key(&mut window, Key::Escape).is_empty());
    window.get_by_label("Call Grace Hopper");
}

#[test]
fn the_keys_are_listed() {
    let mut window = window(Stage::new(member()));
    window.event(egui::Event::Text("?".into()));
    window.run_steps(4);
    window.get_by_label("Accept without camera");
    assert!(key(&mut window, Key::Escape).is_empty());
    assert!(window.query_by_label("Accept without camera").is_none());
    assert!(key(&mut window, Key::F1).is_empty());
    assert!(click(&mut window, "Close").is_empty());
    assert!(window.query_by_label("Accept without camera").is_none());
}

#[test]
fn two_changes_at_once_are_both_kept() {
    let mut window = window(Stage::new(live()));
    let pressed =
        |key| egui::Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers: Modifiers::NONE };
    window.input_mut().events.extend([Key::Z, Key::S].map(pressed));
    let actions = done(&mut window);
    let settings = kept(&actions);
    assert!(settings.window.fill && !settings.window.self_view);
}

#[test]
fn everything_that_can_be_clicked_has_a_name() {
    let settings = || {
        let mut stage = Stage::new(member());
        stage.local.settings = true;
        stage
    };
    let states = [State::default(), member(), with_call(Phase::RingingIn), live()];
    for stage in states.map(Stage::new).into_iter().chain([settings()]) {
        let window = window(stage);
        let clickable = |role| matches!(role, Role::Button | Role::CheckBox | Role::RadioButton);
        let mut seen = 0;
        for node in window.root().get_all(By::new().predicate(|node| clickable(node.role()))) {
            let label = node.accesskit_node().label();
            assert!(label.is_some_and(|label| !label.is_empty()), "{node:?}");
            seen += 1;
        }
        assert!(seen > 2, "{seen}");
    }
}
