//! Every sequence of events up to some depth, with what must hold after each of them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::wire::control::StreamKind;

const ANN: PersonId = PersonId(1);
const BO: PersonId = PersonId(2);
const CY: PersonId = PersonId(3);

const A1: DeviceKey = DeviceKey([0xa1; 32]);
const A2: DeviceKey = DeviceKey([0xa2; 32]);
const B1: DeviceKey = DeviceKey([0xb1; 32]);
const B2: DeviceKey = DeviceKey([0xb2; 32]);
const C1: DeviceKey = DeviceKey([0xc1; 32]);

const START: Timestamp = Timestamp::from_micros(1_000_000_000);

/// Ids in the order that decides glare.
const fn id(number: u8) -> CallId {
    CallId([number; 16])
}

fn owner(device: DeviceKey) -> PersonId {
    match device {
        A1 | A2 => ANN,
        B1 | B2 => BO,
        _ => CY,
    }
}

fn opening(kind: StreamKind) -> Opening {
    Opening { streams: vec![Offer { index: 0, kind }], payload: vec![kind as u8] }
}

/// A board with these devices connected.
fn board(devices: &[DeviceKey]) -> Switchboard {
    let mut board = Switchboard::default();
    for &device in devices {
        board.attach(device, owner(device), START);
    }
    assert_eq!(drain(&mut board), []);
    board
}

fn drain(board: &mut Switchboard) -> Vec<Output> {
    std::iter::from_fn(|| board.poll_output()).collect()
}

/// The ends among what was said, with whom they were said to.
fn ends(outputs: &[Output]) -> Vec<(DeviceKey, CallId, EndReason)> {
    let end = |output: &Output| match output {
        Output::Ended { to, call, reason, .. } => Some((*to, *call, *reason)),
        _ => None,
    };
    outputs.iter().filter_map(end).collect()
}

fn records(outputs: &[Output]) -> Vec<Record> {
    let record = |output: &Output| match output {
        Output::Record(record) => Some(*record),
        _ => None,
    };
    outputs.iter().filter_map(record).collect()
}

fn ring(board: &mut Switchboard, from: DeviceKey, call: CallId, callee: PersonId) {
    board.call(from, call, Some(callee), opening(StreamKind::Microphone), START).expect("may call");
}

fn live(board: &mut Switchboard) {
    ring(board, A1, id(1), BO);
    board.accept(B1, id(1), opening(StreamKind::Camera), START).expect("rings here");
    drain(board);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Attach(DeviceKey),
    Detach(DeviceKey),
    Revoke(DeviceKey),
    Call(DeviceKey, u8, PersonId),
    Accept(DeviceKey, u8),
    End(DeviceKey, u8),
    Data(DeviceKey, u8),
    Resume(DeviceKey, u8),
    /// Everybody who is connected is heard, and so much time passes.
    Quiet(u64),
    /// So much time passes and nobody is heard.
    Silence(u64),
    Drain,
}

fn apply(board: &mut Switchboard, event: Event, now: &mut Timestamp) -> Result<(), Refusal> {
    match event {
        Event::Attach(device) => board.attach(device, owner(device), *now),
        Event::Detach(device) => board.detach(device, *now),
        Event::Revoke(device) => board.revoke(device, *now),
        Event::Call(device, call, callee) => {
            return board.call(device, id(call), Some(callee), opening(StreamKind::Microphone), *now);
        }
        Event::Accept(device, call) => return board.accept(device, id(call), opening(StreamKind::Camera), *now),
        Event::End(device, call) => return board.end(device, id(call), *now),
        Event::Data(device, call) => return board.data(device, id(call), None, vec![1]),
        Event::Resume(device, call) => return board.resume(device, id(call), *now),
        Event::Quiet(seconds) => {
            for _ in 0..seconds {
                *now += Duration::from_secs(1);
                for device in board.watched().collect::<Vec<_>>() {
                    board.heard(device, *now);
                }
                board.handle_timeout(*now);
            }
        }
        Event::Silence(seconds) => {
            *now += Duration::from_secs(seconds);
            board.handle_timeout(*now);
        }
        Event::Drain => board.drain(*now),
    }
    Ok(())
}

/// Which devices take part in which calls, and in which of these as rung ones.
fn involved(board: &Switchboard) -> BTreeSet<(CallId, DeviceKey)> {
    let mut all = BTreeSet::new();
    for (&id, call) in &board.calls {
        all.insert((id, call.caller.device));
        all.extend(call.rung().iter().map(|&device| (id, device)));
        all.extend(call.answered().map(|answered| (id, answered.device)));
    }
    all
}

/// What must hold after any event.
fn check(before: &Switchboard, after: &Switchboard, event: Event, refused: bool, outputs: &[Output]) {
    // Nobody is in two calls, and everybody who is in one is known to be.
    let mut engaged = BTreeMap::new();
    for (&id, call) in &after.calls {
        for person in [call.caller.person, call.callee] {
            assert_eq!(engaged.insert(person, id), None, "{person:?} is in two calls");
        }
    }
    assert_eq!(engaged, after.engaged);

    // Media flows both ways or not at all, between a device that called and one that accepted, both connected.
    for &device in after.online.keys() {
        let Some(route) = after.live(device) else { continue };
        assert_eq!(after.live(route.peer).map(|back| back.peer), Some(device));
        let call = &after.calls[&route.call];
        let answered = call.answered().expect("accepted").device;
        assert!([call.caller.device, answered].contains(&device) && device != route.peer);
        assert!(after.online.contains_key(&route.peer) && !route.publishes.is_empty());
    }

    // Whoever leaves a call is told once, and nobody else is but a caller whose call never was one, and who missed it.
    let (was, is) = (involved(before), involved(after));
    let mut expected: Vec<_> = was.difference(&is).map(|&(call, device)| (device, call)).collect();
    if let (Event::Call(device, call, _), false) = (event, refused)
        && !is.contains(&(id(call), device))
    {
        expected.push((device, id(call)));
    }
    expected.extend(outputs.iter().filter_map(|output| match output {
        Output::Incoming { to, call, .. } if !is.contains(&(*call, *to)) => Some((*to, *call)),
        _ => None,
    }));
    expected.sort();
    let mut told: Vec<_> = ends(outputs).into_iter().map(|(device, call, _)| (device, call)).collect();
    told.sort();
    assert_eq!(told, expected);
    assert!(ends(outputs).iter().all(|(.., reason)| *reason != EndReason::Unspecified));

    // Exactly the calls that are over are in the history, but for merged ones, whose survivor will be.
    let mut over: Vec<_> = before.calls.keys().filter(|id| !after.calls.contains_key(id)).copied().collect();
    if let (Event::Call(_, call, _), false) = (event, refused)
        && !after.calls.contains_key(&id(call))
    {
        over.push(id(call));
    }
    let unrecorded = |call: &CallId| {
        ends(outputs).iter().any(|(_, ended, reason)| {
            ended == call && matches!(reason, EndReason::Merged | EndReason::AlreadyInCall | EndReason::Yourself)
        })
    };
    over.retain(|call| !unrecorded(call));
    over.sort();
    let mut recorded: Vec<_> = records(outputs).iter().map(|record| record.call).collect();
    recorded.sort();
    assert_eq!(recorded, over);

    // Presence follows.
    let mut presence: BTreeSet<_> = before.engaged.keys().copied().collect();
    for output in outputs {
        match output {
            Output::Engaged { person, engaged: true } => assert!(presence.insert(*person)),
            Output::Engaged { person, engaged: false } => assert!(presence.remove(person)),
            _ => {}
        }
    }
    assert_eq!(presence, after.engaged.keys().copied().collect());

    // Every call ends some day.
    assert_eq!(after.poll_timeout().is_some(), !after.calls.is_empty());
}

/// Tries every sequence of `events` of `depth`; states that look the same are tried once.
fn explore(start: &[DeviceKey], events: &[Event], depth: usize) -> usize {
    let mut seen = BTreeSet::new();
    let mut frontier = vec![(board(start), START, Vec::<Event>::new())];
    let mut steps = 0;
    for _ in 0..depth {
        let mut next_frontier = Vec::new();
        for (state, now, path) in frontier {
            for &event in events {
                steps += 1;
                let (mut next, mut now) = (state.clone(), now);
                let refused = apply(&mut next, event, &mut now).is_err();
                let outputs = drain(&mut next);
                let mut path = path.clone();
                path.push(event);
                let checked = std::panic::AssertUnwindSafe(|| check(&state, &next, event, refused, &outputs));
                if std::panic::catch_unwind(checked).is_err() {
                    panic!("after {path:?}: {outputs:#?}");
                }
                if seen.insert(format!("{next:?}{now:?}")) {
                    next_frontier.push((next, now, path));
                }
            }
        }
        frontier = next_frontier;
    }
    // From wherever it got: if everybody falls silent, everything ends.
    for (state, now, path) in frontier {
        let mut last = state.clone();
        let (mut end, event) = (now, Event::Silence(120));
        apply(&mut last, event, &mut end).expect("time passes");
        let outputs = drain(&mut last);
        check(&state, &last, event, false, &outputs);
        assert!(last.is_empty(), "{path:?} never ends");
    }
    steps
}

#[test]
fn two_people_whatever_they_do() {
    use Event::*;
    let events = [
        Call(A1, 1, BO),
        Call(B1, 2, ANN),
        Accept(A1, 2),
        Accept(B1, 1),
        End(A1, 1),
        End(B1, 1),
        End(A1, 2),
        End(B1, 2),
        Attach(A1),
        Detach(A1),
        Detach(B1),
        Attach(B1),
        Resume(A1, 1),
        Resume(B1, 1),
        Quiet(3),
        Silence(3),
        Silence(31),
        Drain,
    ];
    assert!(explore(&[A1, B1], &events, 7) > 40_000);
}

#[test]
fn several_devices_whatever_they_do() {
    use Event::*;
    let events = [
        Call(A1, 2, BO),
        Call(B1, 1, ANN),
        Call(A2, 3, BO),
        Accept(B1, 2),
        Accept(B2, 2),
        Accept(A2, 1),
        Accept(A1, 1),
        End(A1, 2),
        End(B2, 2),
        Detach(B1),
        Attach(B1),
        Revoke(B2),
        Revoke(A1),
        Data(B2, 2),
        Quiet(46),
    ];
    assert!(explore(&[A1, A2, B1, B2], &events, 12) > 8_000);
}

#[test]
fn a_third_person_whatever_they_do() {
    use Event::*;
    let events = [
        Call(A1, 1, BO),
        Call(B1, 2, ANN),
        Call(C1, 3, ANN),
        Call(C1, 4, BO),
        Call(A1, 5, CY),
        Accept(B1, 1),
        Accept(A1, 3),
        Accept(B1, 4),
        Accept(C1, 5),
        Accept(C1, 1),
        End(C1, 1),
        End(A1, 1),
        End(C1, 3),
        Data(C1, 1),
        Resume(C1, 1),
        Detach(A1),
        Attach(A1),
    ];
    assert!(explore(&[A1, B1, C1], &events, 12) > 900);
}

#[test]
fn it_rings_everywhere_and_one_answer_ends_that() {
    let mut board = board(&[A1, B1, B2]);
    ring(&mut board, A1, id(1), BO);
    let outputs = drain(&mut board);
    let rung: Vec<_> = outputs.iter().filter(|output| matches!(output, Output::Incoming { .. })).collect();
    assert_eq!(rung.len(), 2);
    assert!(outputs.contains(&Output::Ringing { to: A1, call: id(1), devices: 2 }));
    board.accept(B2, id(1), opening(StreamKind::Camera), START).expect("rings here");
    let outputs = drain(&mut board);
    assert_eq!(ends(&outputs), [(B1, id(1), EndReason::AnsweredElsewhere)]);
    let answer = board.accept(B1, id(1), Opening::default(), START);
    assert_eq!(answer, Err(Refusal::AnsweredElsewhere));
    let Some(Output::Connected { to: A1, peer: BO, device: B2, streams, payload, .. }) = outputs.first() else {
        panic!("the caller first: {outputs:?}");
    };
    assert_eq!((streams.len(), payload), (2, &vec![StreamKind::Camera as u8]));
    assert_ne!(streams[0].stream, streams[1].stream);
}

#[test]
fn each_way_of_not_answering_has_its_reason() {
    let calling = |act: &dyn Fn(&mut Switchboard)| {
        let mut board = board(&[A1, B1, B2]);
        ring(&mut board, A1, id(1), BO);
        drain(&mut board);
        act(&mut board);
        let outputs = drain(&mut board);
        let record = records(&outputs)[0];
        (ends(&outputs).into_iter().map(|(device, _, reason)| (device, reason)).collect::<Vec<_>>(), record.reason)
    };
    use EndReason::*;
    let all = |reason| (vec![(A1, reason), (B1, reason), (B2, reason)], reason);
    assert_eq!(calling(&|board| board.end(A1, id(1), START).expect("its call")), all(Cancelled));
    let declined = calling(&|board| board.end(B2, id(1), START).expect("rings here"));
    assert_eq!(declined, (vec![(A1, Declined), (B1, DeclinedElsewhere), (B2, Declined)], Declined));
    let timeout = calling(&|board| {
        let mut now = START;
        apply(board, Event::Quiet(45), &mut now).expect("time passes");
    });
    assert_eq!(timeout, all(TimedOut));
    let lost = calling(&|board| {
        board.detach(A1, START);
        board.handle_timeout(START + CALLER_GRACE);
    });
    assert_eq!(lost, all(CallerLost));
    assert_eq!(calling(&|board| board.drain(START)), all(RelayDraining));
}

#[test]
fn whoever_cannot_be_rung_is_said_at_once_and_missed() {
    let mut board = board(&[A1, A2, C1, B1]);
    let call = |board: &mut Switchboard, from, call, callee| {
        board.call(from, id(call), callee, Opening::default(), START).expect("answered");
        let outputs = drain(board);
        (ends(&outputs).first().map(|end| end.2), records(&outputs).len())
    };
    assert_eq!(call(&mut board, A1, 1, None), (Some(EndReason::UnknownPerson), 0));
    assert_eq!(call(&mut board, A1, 2, Some(ANN)), (Some(EndReason::Yourself), 0));
    board.detach(B1, START);
    assert_eq!(call(&mut board, A1, 3, Some(BO)), (Some(EndReason::Offline), 1));
    assert_eq!(call(&mut board, A1, 4, Some(CY)), (None, 0));
    assert_eq!(call(&mut board, A2, 5, Some(CY)), (Some(EndReason::AlreadyInCall), 0));
    board.attach(B1, BO, START);
    assert_eq!(call(&mut board, B1, 6, Some(ANN)), (Some(EndReason::Busy), 1));
}

#[test]
fn who_is_busy_hears_whom_they_missed() {
    let mut board = board(&[A1, B1, C1]);
    ring(&mut board, A1, id(1), BO);
    board.accept(B1, id(1), Opening::default(), START).expect("rings here");
    drain(&mut board);
    ring(&mut board, C1, id(2), BO);
    let outputs = drain(&mut board);
    assert_eq!(ends(&outputs), [(C1, id(2), EndReason::Busy), (B1, id(2), EndReason::Cancelled)]);
    assert!(matches!(outputs[1], Output::Incoming { to: B1, caller: CY, device: C1, .. }), "{outputs:?}");
    // There is nothing to be answered.
    assert_eq!(board.accept(B1, id(2), Opening::default(), START), Err(Refusal::NoSuchCall));
}

#[test]
fn a_device_that_comes_while_it_rings_rings_too() {
    let mut board = board(&[A1, B1]);
    ring(&mut board, A1, id(1), BO);
    board.detach(B1, START);
    drain(&mut board);
    board.attach(B2, BO, START);
    let outputs = drain(&mut board);
    assert!(matches!(outputs[0], Output::Incoming { to: B2, device: A1, .. }));
    assert_eq!(outputs[1], Output::Ringing { to: A1, call: id(1), devices: 1 });
    board.accept(B2, id(1), Opening::default(), START).expect("rings here");
}

#[test]
fn two_who_ring_each_other_get_the_call_with_the_lower_id() {
    for (first, second) in [(1, 2), (2, 1)] {
        let mut board = board(&[A1, A2, B1, B2]);
        ring(&mut board, A1, id(first), BO);
        drain(&mut board);
        ring(&mut board, B1, id(second), ANN);
        let outputs = drain(&mut board);
        let (loser, loser_id) = if first < second { (B1, id(second)) } else { (A1, id(first)) };
        let survivor = id(first.min(second));
        let merged =
            Output::Ended { to: loser, call: loser_id, reason: EndReason::Merged, merged_into: Some(survivor) };
        let told = outputs.iter().position(|output| *output == merged).expect("the loser is told");
        if loser == A1 {
            let rung = |output: &Output| matches!(output, Output::Incoming { to: A1, .. });
            assert!(outputs.iter().position(rung).expect("it rings there") < told);
            let ended = [B1, B2].map(|device| (device, loser_id, EndReason::AnsweredElsewhere));
            assert_eq!(ends(&outputs)[1..], ended, "nobody has missed a call");
        }
        assert_eq!(board.calls.keys().copied().collect::<Vec<_>>(), [survivor]);
        board.accept(loser, survivor, Opening::default(), START).expect("what its client does next");
        assert!(board.live(A1).is_some() && board.live(B1).is_some());
    }
}

#[test]
fn silence_is_told_after_two_seconds_and_ends_the_call_after_thirty() {
    let mut board = board(&[A1, B1]);
    live(&mut board);
    let mut now = START;
    for second in 1..=32 {
        now = START + Duration::from_secs(second);
        board.heard(A1, now);
        board.handle_timeout(now);
        let outputs = drain(&mut board);
        match second {
            2 => assert_eq!(outputs, [Output::Peer { to: A1, about: B1, call: id(1), silent: true }]),
            30 => assert_eq!(ends(&outputs), [(A1, id(1), EndReason::PeerLost), (B1, id(1), EndReason::PeerLost)]),
            _ => assert_eq!(outputs, [], "second {second}"),
        }
    }
    assert!(board.is_empty() && now > START);
}

#[test]
fn a_lost_device_resumes_its_place_with_the_same_streams() {
    let mut board = board(&[A1, B1]);
    live(&mut board);
    let streams = board.live(A1).expect("live").publishes;
    board.detach(A1, START);
    let gone = drain(&mut board);
    assert_eq!(gone[0], Output::Peer { to: B1, about: A1, call: id(1), silent: true });
    assert_eq!(board.live(B1), None);
    board.attach(A1, ANN, START);
    // Being connected is not being back: the program may have been started again.
    assert_eq!((drain(&mut board), board.live(A1)), (vec![], None));
    board.resume(A1, id(1), START).expect("its place");
    let back = drain(&mut board);
    assert!(matches!(back[0], Output::Connected { to: A1, device: B1, .. }));
    assert_eq!(back[1], Output::Peer { to: B1, about: A1, call: id(1), silent: false });
    assert_eq!(board.live(A1).expect("live again").publishes, streams);
}

#[test]
fn a_program_that_was_started_again_may_call_at_once() {
    let mut board = board(&[A1, B1, C1]);
    live(&mut board);
    board.detach(A1, START);
    board.attach(A1, ANN, START);
    drain(&mut board);
    ring(&mut board, A1, id(9), CY);
    let outputs = drain(&mut board);
    assert_eq!(ends(&outputs), [(A1, id(1), EndReason::PeerLost), (B1, id(1), EndReason::PeerLost)]);
    assert!(outputs.contains(&Output::Ringing { to: A1, call: id(9), devices: 1 }));
}

#[test]
fn a_device_that_is_shut_out_ends_its_call_and_both_sides_are_told_why() {
    use EndReason::{PeerRevoked, Revoked};
    let revoked = |connected: bool, device, start: &dyn Fn(&mut Switchboard)| {
        let mut board = board(&[A1, B1, B2]);
        start(&mut board);
        if !connected {
            board.detach(device, START);
        }
        drain(&mut board);
        board.revoke(device, START);
        let outputs = drain(&mut board);
        let told = ends(&outputs).into_iter().map(|(device, _, reason)| (device, reason)).collect::<Vec<_>>();
        (told, records(&outputs).first().map(|record| record.reason))
    };
    let rings = |board: &mut Switchboard| ring(board, A1, id(1), BO);
    for connected in [true, false] {
        let told = revoked(connected, A1, &live);
        assert_eq!(told, (vec![(A1, Revoked), (B1, PeerRevoked)], Some(Revoked)), "connected: {connected}");
        let told = revoked(connected, B1, &live);
        assert_eq!(told, (vec![(B1, Revoked), (A1, PeerRevoked)], Some(PeerRevoked)));
        let told = revoked(connected, A1, &rings);
        assert_eq!(told, (vec![(A1, Revoked), (B1, PeerRevoked), (B2, PeerRevoked)], Some(Revoked)));
        assert_eq!(revoked(connected, B2, &rings), (vec![(B2, Revoked)], None));
    }
}

#[test]
fn a_live_call_is_kept_before_it_is_over() {
    let mut board = board(&[A1, B1]);
    ring(&mut board, A1, id(1), BO);
    drain(&mut board);
    let accepted = START + Duration::from_secs(4);
    board.accept(B1, id(1), Opening::default(), accepted).expect("rings here");
    let kept = Accepted { call: id(1), caller: ANN, callee: BO, began: START, accepted };
    assert!(drain(&mut board).contains(&Output::Accepted(kept)));
    // A resumption is no second call.
    board.resume(B1, id(1), accepted).expect("its place");
    assert!(!drain(&mut board).iter().any(|output| matches!(output, Output::Accepted(_))));
}

#[test]
fn each_side_may_send_only_so_much_before_the_call_is_accepted() {
    let mut board = board(&[A1, B1, B2]);
    ring(&mut board, A1, id(1), BO);
    let send = |board: &mut Switchboard, from, bytes| board.data(from, id(1), None, vec![0; bytes]);
    for _ in 0..RINGING_MESSAGES {
        send(&mut board, A1, 1).expect("within the number");
    }
    assert_eq!(send(&mut board, A1, 0), Err(Refusal::TooMuchData));
    // The other side has its own, which its devices share.
    for device in [B1, B2] {
        send(&mut board, device, RINGING_BYTES / 2).expect("within the bytes");
    }
    assert_eq!(send(&mut board, B1, 1), Err(Refusal::TooMuchData));
    send(&mut board, B1, 0).expect("nothing takes nothing");
    let to_bo = RINGING_MESSAGES * 2;
    let reached = drain(&mut board).iter().filter(|output| matches!(output, Output::Data { .. })).count();
    assert_eq!(reached, to_bo + 3, "what was refused reached nobody");
    board.accept(B1, id(1), Opening::default(), START).expect("rings here");
    for _ in 0..2 * RINGING_MESSAGES {
        send(&mut board, A1, MAX_PAYLOAD_BYTES).expect("both have agreed");
    }
}

#[test]
fn data_goes_between_the_devices_of_a_call_and_nowhere_else() {
    let mut board = board(&[A1, A2, B1, B2, C1]);
    ring(&mut board, A1, id(1), BO);
    drain(&mut board);
    let data = |board: &mut Switchboard, from, to| {
        let result = board.data(from, id(1), to, vec![7]);
        let reached = drain(board).into_iter().map(|output| match output {
            Output::Data { to, .. } => to,
            other => panic!("{other:?}"),
        });
        result.map(|()| reached.collect::<Vec<_>>())
    };
    assert_eq!(data(&mut board, A1, None), Ok(vec![B1, B2]));
    assert_eq!(data(&mut board, A1, Some(B2)), Ok(vec![B2]));
    assert_eq!(data(&mut board, B2, None), Ok(vec![A1]));
    for (from, to) in [(C1, None), (A2, None), (B1, Some(B2)), (A1, Some(C1))] {
        assert_eq!(data(&mut board, from, to), Err(Refusal::NoSuchCall), "{from} to {to:?}");
    }
    board.accept(B1, id(1), Opening::default(), START).expect("rings here");
    drain(&mut board);
    assert_eq!(data(&mut board, A1, None), Ok(vec![B1]));
    assert_eq!(data(&mut board, B2, None), Err(Refusal::NoSuchCall));
}
