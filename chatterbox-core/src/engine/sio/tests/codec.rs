//! Encoding: bytes as captured, and the law that decoding what was encoded gives it back.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::engine::sio::{Binary, EncodeError, Value, event_with_ack};

/// PROTOCOL §8 and §9, as captured.
#[test]
fn packets_have_the_bytes_of_the_reference() {
    let placeholder = |num| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
    for (packet, expected) in [
        (
            event("/", "message-back", &(1, "2", json!({"3": [true]}))),
            vec![r#"42["message-back",1,"2",{"3":[true]}]"#.to_owned()],
        ),
        (
            event("/", "auth", &json!({})),
            vec![r#"42["auth",{}]"#.to_owned()],
        ),
        (
            event("/custom", "none", &()),
            vec![r#"42/custom,["none"]"#.to_owned()],
        ),
        (
            event("/", "odd \"name\"\u{1e}", &()),
            vec![r#"42["odd \"name\"\u001e"]"#.to_owned()],
        ),
        (
            event_with_ack("/", 0, "ask", &vec![1, 2]),
            vec![r#"420["ask",[1,2]]"#.to_owned()],
        ),
        (ack("/custom", 7, "q"), vec![r#"43/custom,7["q"]"#.to_owned()]),
        (ack("/", 1 << 53, &()), vec!["439007199254740992[]".to_owned()]),
        (
            ack("/", 9, &(Binary::from(vec![1, 2]), vec![Binary::from(vec![3])])),
            vec![
                format!("462-9[{},[{}]]", placeholder(0), placeholder(1)),
                "#0102".to_owned(),
                "#03".to_owned(),
            ],
        ),
        (
            event("/", "message-back", &("hé", Binary::from(vec![1, 2, 3, 4]))),
            vec![
                format!("451-[\"message-back\",\"hé\",{}]", placeholder(0)),
                "#01020304".to_owned(),
            ],
        ),
    ] {
        assert_eq!(wire(&packet.unwrap()), expected);
    }
    assert_eq!(
        event("/", "message-back", "😀").unwrap()[0].payload(),
        b"\x34\x32\x5b\x22message-back\x22\x2c\x22\xf0\x9f\x98\x80\x22\x5d"
    );
}

#[test]
fn what_clients_choke_on_is_not_sent() {
    let blob = || Binary::from(vec![0]);
    let ten: Vec<Binary> = std::iter::repeat_with(blob).take(10).collect();
    assert_eq!(event("/", "x", &ten).unwrap().len(), 11);
    assert!(matches!(
        event("/", "x", &(ten, blob())),
        Err(EncodeError::TooManyAttachments)
    ));
    assert!(matches!(
        event("/", "disconnect", &()),
        Err(EncodeError::ReservedName)
    ));
    assert!(event("/", "error", &()).is_ok());
    let look_alike = json!({"_placeholder": true, "num": 99});
    assert!(event("/", "x", &look_alike).is_ok());
    assert!(matches!(
        event("/", "x", &(look_alike, blob())),
        Err(EncodeError::LookAlike)
    ));
}

#[test]
fn relayed_arguments_keep_their_bytes_and_share_attachments() {
    let blob: Vec<Message> = vec![
        message(
            r#"52-["x",{"b":9007199254740993,"a":1e400},{"_placeholder":true,"num":1},{ "num":0, "_placeholder":true },{"_placeholder":true,"num":1}]"#,
        ),
        message("#00"),
        message("#01"),
    ];
    let args = receive(blob).args;
    assert_eq!(
        wire(&event("/", "y", &args).unwrap()),
        [
            r#"452-["y",{"b":9007199254740993,"a":1e400},{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#,
            "#01",
            "#00"
        ]
    );
    let second = args.get(2).unwrap();
    assert_eq!(second.as_bytes().unwrap().as_ref(), [0]);
    assert_eq!(
        wire(&event("/", "y", &("first", Binary::from(vec![7]), second)).unwrap()),
        [
            r#"452-["y","first",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
            "#07",
            "#00"
        ]
    );
    assert_eq!(args.get(0).unwrap().as_bytes(), None);
    let (_, one, two): (Value, Binary, Vec<u8>) = args.parse().unwrap();
    assert_eq!((one.as_ref(), two), ([1].as_ref(), vec![0]));
}

/// Sends messages through a machine with `/` joined.
fn receive(messages: Vec<Message>) -> Event {
    let mut game = Game::new(Rules::new(["/"]));
    game.play("> 0");
    game.play("! accept / x");
    let outputs: Vec<Output> = messages
        .into_iter()
        .filter_map(|message| game.sockets.handle(message, game.now))
        .collect();
    match <[Output; 1]>::try_from(outputs) {
        Ok([Output::Event(event)]) => event,
        other => panic!("{other:?}"),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Arg {
    Json(serde_json::Value),
    Blob(Vec<u8>),
}

fn any_arg() -> impl Strategy<Value = Arg> {
    prop_oneof![
        any::<i64>().prop_map(|number| Arg::Json(number.into())),
        any::<String>().prop_map(|text| Arg::Json(text.into())),
        prop::collection::vec((any::<String>(), any::<u32>()), 0..4).prop_map(|entries| Arg::Json(
            entries
                .into_iter()
                .map(|(key, value)| (key, json!([value, null])))
                .collect()
        )),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Arg::Blob),
    ]
}

impl serde::Serialize for Arg {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Arg::Json(value) => value.serialize(serializer),
            Arg::Blob(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

proptest! {
    #[test]
    fn decoding_what_was_encoded_gives_it_back(
        name in any::<String>().prop_filter("reserved", |name| !crate::engine::sio::is_reserved(name)),
        args in prop::collection::vec(any_arg(), 0..=4),
        nested in prop::collection::vec(any_arg(), 0..=4),
        id in any::<Option<u32>>(),
    ) {
        let out = (args.clone(), nested.clone(), 7);
        let packet = match id {
            None => event("/", &name, &out),
            Some(id) => event_with_ack("/", id, &name, &out),
        }.unwrap();
        let received = receive(as_messages(&packet));
        prop_assert_eq!(received.name(), &name);
        prop_assert_eq!(received.ack, id.map(u64::from));
        prop_assert_eq!(received.args.len(), 3);
        let blobs: Vec<&[u8]> = args.iter().chain(&nested).filter_map(|arg| match arg {
            Arg::Blob(bytes) => Some(bytes.as_slice()),
            Arg::Json(_) => None,
        }).collect();
        prop_assert_eq!(received.args.attachments().iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>(), blobs);
        // Relayed as it is, it is the same packet again.
        let again = match id {
            None => event("/", &name, &received.args),
            Some(id) => event_with_ack("/", id, &name, &received.args),
        }.unwrap();
        prop_assert_eq!(again, packet);
    }

    /// No message panics the machine, closes it twice, or is answered after the end.
    #[test]
    fn any_sequence_of_messages_is_survived(
        messages in prop::collection::vec(
            prop_oneof![
                "[0-6][0-9]{0,2}-?(/custom,|/x)?[0-9]{0,2}\\[?\"?[a-z\\[\\]{}\":,0-9]{0,12}\"?\\]?".prop_map(|text| Message::Text(text.into())),
                Just(Message::Text("0".into())),
                Just(Message::Text("0/custom,".into())),
                Just(Message::Text("2[\"x\"]".into())),
                Just(Message::Text("51-[\"x\",{\"_placeholder\":true,\"num\":0}]".into())),
                prop::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| Message::Binary(bytes.into())),
            ],
            0..24,
        ),
        accept in any::<bool>(),
    ) {
        let mut game = Game::new(Rules::new(["/", "/custom"]));
        let mut closed = false;
        for message in messages {
            if !game.sockets.is_ready() {
                break;
            }
            match game.sockets.handle(message, game.now) {
                Some(output) if closed => prop_assert!(false, "{:?} after the end", output),
                Some(Output::Close(_)) => closed = true,
                Some(Output::Connect { namespace, .. }) if accept => {
                    prop_assert!(game.sockets.accept(namespace, "x").is_some());
                }
                None | Some(_) => {}
            }
        }
    }
}
