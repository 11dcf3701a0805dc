//! A call between two people, and its media.

use visavis_proto::{
    ids::{FrameNumber, StreamId},
    time::Timestamp,
    wire::{
        control::{Accept, Call, Connected, EndReason, StreamKind, StreamOffer, client, relay::Body},
        datagram::Datagram,
        media::{FrameHeader, HopHeader, Packet, References},
    },
};

use super::{Client, Device, device};

pub const CALL: [u8; 16] = [7; 16];

pub fn ann() -> Device {
    device(1)
}

pub fn bo() -> Device {
    device(2)
}

pub fn streams() -> Vec<StreamOffer> {
    vec![StreamOffer { index: 0, kind: StreamKind::Microphone.into() }]
}

pub fn call(callee: &str) -> client::Body {
    call_as(CALL, callee)
}

pub fn call_as(id: [u8; 16], callee: &str) -> client::Body {
    client::Body::Call(Call {
        call: id.to_vec(),
        callee: callee.into(),
        streams: streams(),
        payload: b"first flight".to_vec(),
    })
}

pub fn accept() -> client::Body {
    client::Body::Accept(Accept { call: CALL.to_vec(), streams: streams(), payload: b"second".to_vec() })
}

pub fn connected(body: Body) -> Option<Connected> {
    match body {
        Body::Connected(connected) => Some(connected),
        _ => None,
    }
}

pub fn ended(body: Body) -> Option<EndReason> {
    match body {
        Body::CallState(state) if state.ended != 0 => Some(state.ended()),
        _ => None,
    }
}

/// A live call between the two; what each was told.
pub async fn live(one: &mut Client, two: &mut Client) -> (Connected, Connected) {
    let Body::CallState(state) = one.ask(call("bo")).await else { panic!("it rings") };
    assert_eq!((state.ended, state.ringing_devices), (0, 1));
    let incoming = two
        .until(|body| match body {
            Body::Incoming(incoming) => Some(incoming),
            _ => None,
        })
        .await;
    assert_eq!((incoming.caller.as_str(), &incoming.payload[..]), ("Ann", &b"first flight"[..]));
    let Body::Connected(at_two) = two.ask(accept()).await else { panic!("it is live") };
    let at_one = one.until(connected).await;
    assert_eq!((&at_one.payload[..], &at_two.payload[..]), (&b"second"[..], &b""[..]));
    assert_eq!(at_one.streams, at_two.streams);
    (at_one, at_two)
}

/// A packet that is a frame of sound by itself, as the first stream of [`streams`].
pub fn sound(stream: u32, number: u32, sequence: u32) -> Vec<u8> {
    let hop = HopHeader {
        stream: StreamId(stream),
        sequence,
        index: 0,
        retransmission: false,
        dropped: None,
        sent_after_us: 3,
        relayed: None,
    };
    let frame = FrameHeader {
        stream_index: 0,
        audio: true,
        key: true,
        recovery_point: false,
        discardable: true,
        layer: 0,
        number: FrameNumber(number),
        references: References::NONE,
        capture_time: Timestamp::ZERO,
        capture_number: number,
        encoded_after_us: 2,
        bytes: 100,
        packets: 1,
    };
    Packet { hop, frame, payload: &[0x5a; 100] }.encode()
}

/// The stream that a device publishes.
pub fn own(connected: &Connected) -> u32 {
    connected.streams.iter().find(|stream| stream.device != connected.device).expect("one each").stream
}

/// Reads datagrams until media comes; its hop header and frame number.
pub async fn media(client: &Client) -> (HopHeader, u32) {
    loop {
        let bytes = client.connection.read_datagram().await.expect("the connection lasts");
        if let Ok(Datagram::Media(packet)) = Datagram::decode(&bytes) {
            return (packet.hop, packet.frame.number.0);
        }
    }
}
