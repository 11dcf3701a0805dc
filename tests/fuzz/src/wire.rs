//! Decoders without a memory: what they take, they would have written just so.

use prost::Message;
use visavis_proto::{
    media::packetise::MAX_HEADER_BYTES,
    wire::{
        clock,
        control::{self, ClientMessage, DeviceList, PeerMessage, RelayMessage, client, relay, valid_name},
        datagram::Datagram,
        framing,
        link::Link,
        media::{MAX_FRAME_BYTES, MAX_PACKETS, MAX_REFERENCES},
    },
};

/// A datagram that decodes encodes to the same bytes, and keeps to every bound that its receivers count on.
pub fn datagram(data: &[u8]) {
    let Ok(decoded) = Datagram::decode(data) else { return };
    let again = match &decoded {
        Datagram::Media(packet) => {
            let frame = &packet.frame;
            assert!((1..=MAX_FRAME_BYTES).contains(&frame.bytes) && (1..=MAX_PACKETS).contains(&frame.packets));
            assert!(frame.references.distances().len() <= MAX_REFERENCES);
            // The slices make exactly the frame, each of them at least a byte.
            let mut end = 0;
            for index in 0..frame.packets {
                let range = frame.slice_range(index).expect("below the number of packets");
                assert!(range.start == end && !range.is_empty() && range.len() <= frame.slice_bytes());
                end = range.end;
            }
            assert_eq!(end, frame.bytes as usize);
            assert_eq!(frame.slice_range(frame.packets), None);
            // Stamps that nobody clamped take 8 bytes each instead of 4; nothing else may be longer than promised.
            assert!(data.len() - packet.payload.len() <= 2 * MAX_HEADER_BYTES);
            packet.encode()
        }
        Datagram::Feedback(feedback) => feedback.encode(),
        Datagram::ClockPing(ping) => ping.encode(),
        Datagram::ClockPong(pong) => {
            let clock::Pong { id, received, sent } = *pong;
            assert!(received <= sent);
            clock::Pong { id, received, sent }.encode()
        }
        Datagram::Padding(length) => {
            assert_eq!(*length, data.len());
            return;
        }
    };
    assert_eq!(again, data, "not canonical: {decoded:?}");
}

/// What a client sends on its control stream, as the relay reads it.
pub fn control_client(data: &[u8]) {
    for message in messages::<ClientMessage>(data) {
        let devices = match message.body {
            Some(client::Body::RegisterFinish(finish)) => finish.devices,
            Some(client::Body::Enrol(enrol)) => enrol.devices,
            Some(client::Body::DevicesUpdate(update)) => update.devices,
            Some(client::Body::RegisterStart(start)) => {
                assert!(!valid_name(&start.name) || start.name.len() <= control::MAX_NAME_BYTES);
                None
            }
            Some(client::Body::CallData(data)) => {
                round_trip::<PeerMessage>(&data.payload);
                None
            }
            _ => None,
        };
        round_trip::<DeviceList>(&devices.unwrap_or_default().list);
    }
}

/// What a relay sends on a control stream, as the client reads it.
pub fn control_relay(data: &[u8]) {
    for message in messages::<RelayMessage>(data) {
        match message.body {
            Some(relay::Body::CallData(data)) => round_trip::<PeerMessage>(&data.payload),
            Some(relay::Body::LoggedIn(logged_in)) => {
                round_trip::<DeviceList>(&logged_in.devices.unwrap_or_default().list);
            }
            _ => {}
        }
    }
}

/// A link that is understood is printed such that it is understood again, as the same.
pub fn link(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(link) = text.parse::<Link>() else { return };
    assert!(!link.host.is_empty() && link.port != 0);
    let printed = link.to_string();
    assert_eq!(printed.parse(), Ok(link.clone()), "{printed:?}");
    let bare = link.without_token();
    assert_eq!((bare.token, bare.pin), (None, link.pin));
    assert_eq!(bare.to_string().parse(), Ok(bare));
}

/// The messages in a stream, the same however it is cut into pieces; each survives being written again.
fn messages<M: Message + Default + PartialEq + std::fmt::Debug>(data: &[u8]) -> Vec<M> {
    let Some((&piece, stream)) = data.split_first() else { return Vec::new() };
    let whole = read::<M>(&[stream]);
    let pieces: Vec<_> = stream.chunks(usize::from(piece).max(1)).collect();
    assert!(read::<M>(&pieces) == whole, "cutting changes what is read");
    for message in &whole.0 {
        let mut reader = framing::Reader::default();
        let written = framing::encode(message);
        reader.push(&written);
        if written.len() <= 4 + framing::MAX_MESSAGE_BYTES {
            assert_eq!(reader.next::<M>().expect("own message").as_ref(), Some(message));
            assert_eq!(reader.next::<M>().expect("nothing left"), None);
        }
    }
    whole.0
}

/// Every message up to the first error, and whether there was one.
fn read<M: Message + Default>(pieces: &[&[u8]]) -> (Vec<M>, bool) {
    let (mut reader, mut messages) = (framing::Reader::default(), Vec::new());
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next::<M>() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}

fn round_trip<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        assert_eq!(M::decode(&message.encode_to_vec()[..]), Ok(message));
    }
}
