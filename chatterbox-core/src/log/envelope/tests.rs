use proptest::prelude::*;

use super::bytes::VERSION;
use super::*;
use crate::domain::conversation::RoomName;
use crate::engine::Frame;
use crate::log::announce::{Announced, Crossing};

fn samples() -> Vec<Envelope> {
    let conversation = ConversationId::from_bytes([7; 12]);
    let user = UserId::from_bytes([8; 12]);
    let packet: Packet = [Frame::text(&["42[\"é\"]"]), Frame::binary(&[1, 2])]
        .into_iter()
        .collect();
    vec![
        Envelope::Entries(Announcement {
            conversation,
            first: Seq(9),
            entries: [None, Some(Crossing::In(user)), Some(Crossing::Out(user))]
                .map(|crossing| Announced {
                    packet: packet.clone(),
                    crossing,
                    author: crossing.is_none().then_some(user),
                })
                .to_vec(),
        }),
        Envelope::Signal {
            conversation,
            reach: Reach::Watchers,
            packet: packet.clone(),
        },
        Envelope::Signal {
            conversation,
            reach: Reach::But(user),
            packet: packet.clone(),
        },
        Envelope::Signal {
            conversation,
            reach: Reach::Besides(user),
            packet: packet.clone(),
        },
        Envelope::Tell {
            user: UserId::from_bytes([3; 12]),
            packet: packet.clone(),
        },
        Envelope::Enter {
            conversation,
            behind: Seq(8),
            users: vec![user, user],
        },
        Envelope::Exit { conversation, user },
        Envelope::ProfileChanged { user },
        Envelope::Fence {
            node: NodeId::from_bytes([4; 12]),
            number: 1 << 40,
            conversation,
            up_to: Seq(7),
        },
        Envelope::Passed {
            node: NodeId::from_bytes([4; 12]),
            number: 3,
        },
        Envelope::Sign {
            node: NodeId::from_bytes([4; 12]),
            sign: Sign::Gone,
        },
        Envelope::Typing {
            typist: typist(None),
            ended: None,
        },
        Envelope::Typing {
            typist: typist(RoomName::look_up("tea")),
            ended: Some(StopReason::Disconnect),
        },
        Envelope::Presence {
            user,
            partners: vec![user],
            groups: vec![conversation, conversation],
            except: Vec::new(),
            packet: packet.clone(),
        },
        Envelope::PresenceTo {
            user,
            partner: true,
            groups: vec![conversation],
            packet,
        },
        Envelope::EndSessions {
            reason: EndReason::Suspended,
            sessions: vec![SessionId::from_bytes([1; 12]), SessionId::from_bytes([2; 12])],
        },
    ]
}

fn typist(room: Option<RoomName>) -> Typist {
    Typist {
        conversation: ConversationId::from_bytes([7; 12]),
        room,
        user: UserId::from_bytes([8; 12]),
        username: "änn".to_owned(),
    }
}

#[test]
fn decoding_undoes_encoding() {
    for envelope in samples() {
        assert_eq!(Envelope::decode(envelope.encode()), Ok(envelope));
    }
}

#[test]
fn other_versions_and_cut_off_envelopes_are_unknown() {
    for envelope in samples() {
        let bytes = envelope.encode();
        let mut newer = bytes.to_vec();
        newer[0] = VERSION + 1;
        assert_eq!(Envelope::decode(newer.into()), Err(UnknownEnvelope));
        assert_eq!(
            Envelope::decode(bytes.slice(..bytes.len() - 1)),
            Err(UnknownEnvelope)
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(bytes.into());
    }
}
