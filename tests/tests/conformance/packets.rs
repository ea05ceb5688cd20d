//! PROTOCOL.md sections 8 to 11: one client's packets and what they bring.

use std::time::{Duration, Instant};

use super::example::Example;
use super::script::check;
use super::wire::{Packet, TRANSPORTS, Wire};

#[tokio::test]
async fn protocol_10_connect_is_answered_first_then_comes_what_the_server_emits() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann > 40
           ann < 40{"sid":SID}
           ann < 42["auth",{}]"#,
        r#"ann > 40{"token":"123"}
           ann < 40{"sid":SID}
           ann < 42["auth",{"token":"123"}]"#,
        r#"ann > 40/custom,
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{}]"#,
        r#"ann > 40/custom
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{}]"#,
        r#"ann > 40/custom,{"token":"abc","n":[1,{}]}
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{"token":"abc","n":[1,{}]}]"#,
        r#"ann . events that do not wait for the answer come behind it
           ann > 40 ++ 42["message","early"]
           ann < 40{"sid":SID}
           ann < 42["auth",{}]
           ann < 42["message-back","early"]"#,
    ];
    check(&example, scripts).await;
}

#[tokio::test]
async fn protocol_10_a_refusal_is_an_answer_and_the_connection_stays() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann > 40/random
           ann < 44/random,{"message":"Invalid namespace"}
           ann > 40/custom?token=x
           ann < 44/custom?token=x,{"message":"Invalid namespace"}
           ann . by hand it may try again
           ann > 40/random,{"a":1}
           ann < 44/random,{"message":"Invalid namespace"}
           ann connects"#,
        r#"ann > 40/denied
           ann < 44/denied,{"message":"not authorized","data":{"content":"please retry later"}}
           ann > 40/denied,{"token":"x"}
           ann < 44/denied,{"message":"not authorized","data":{"content":"please retry later"}}
           ann connects
           ann > 42["message",1]
           ann < 42["message-back",1]"#,
    ];
    check(&example, scripts).await;
}

#[tokio::test]
async fn protocol_6_who_joins_nothing_is_closed_after_the_connect_timeout() {
    let example = Example::calm().await;
    for first in [None, Some("40/random"), Some("40/denied")] {
        for transport in TRANSPORTS {
            let begun = Instant::now();
            let mut wire = Wire::open(&example, "/socket.io/", transport).await;
            if let Some(first) = first {
                wire.send([first.into()]).await;
                assert!(wire.next().await.text().starts_with("44/"));
            }
            let end = wire.next().await;
            assert!(
                matches!(end, Packet::Closed(None | Some(1000))),
                "{transport:?} {first:?}: {end:?}"
            );
            assert!(begun.elapsed() >= Duration::from_millis(950), "{transport:?}");
        }
    }
}

#[tokio::test]
async fn protocol_10_disconnect_gets_no_answer_and_the_connection_stays() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann connects
           ann > 40/custom
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{}]
           ann > 41/custom
           ann > 42["message","to the main namespace"]
           ann < 42["message-back","to the main namespace"]
           ann > 41 ++ 40/custom
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{}]"#,
        r#"ann connects
           ann . strictly in order, though one read brings both
           ann > 41 ++ 40{"again":true}
           ann < 40{"sid":SID}
           ann < 42["auth",{"again":true}]"#,
        r#"ann connects
           ann > 41
           ann . what is not joined takes no events
           ann > 42["message"]
           ann < closed 1002"#,
    ];
    check(&example, scripts).await;
}

#[tokio::test]
async fn protocol_10_the_first_packet_is_connect() {
    let example = Example::calm().await;
    for first in [
        r#"42["message"]"#,
        "430[]",
        "41",
        r#"44{"message":"x"}"#,
        "4abc",
        "4",
        "40[]",
        "40 x",
        r#"40"x""#,
        "400",
        "40/custom,[1]",
        r#"42/custom,["message"]"#,
        "40/custom,{",
        // Attachments are not collected for nobody.
        r#"451-["message",{"_placeholder":true,"num":0}]"#,
        "#01",
    ] {
        check(&example, [format!("ann > {first}\nann < closed 1002").as_str()]).await;
    }
}

#[tokio::test]
async fn protocol_8_9_packets_that_close() {
    let example = Example::calm().await;
    let digits = format!(r#"42{}["message"]"#, "9".repeat(100_000));
    let deep = format!(r#"42["message",{}{}]"#, "[".repeat(10_000), "]".repeat(10_000));
    let level_129 = format!(r#"42["message",{}{}]"#, "[".repeat(128), "]".repeat(128));
    let mut packets: Vec<String> = [
        "4abc",
        "4",
        "47",
        "42",
        "42{}",
        "42[]",
        "42[null]",
        "42[true]",
        r#"42[{"toString":"foo"}]"#,
        r#"42[["message"]]"#,
        r#"42"message""#,
        r#"42["message""#,
        r#"42["message"]]"#,
        r#"42["message",]"#,
        r#"42["message",01]"#,
        r#"42abc["message-with-ack",1]"#,
        r#"42-1["message-with-ack",1]"#,
        r#"42+1["message-with-ack",1]"#,
        r#"421.5["message-with-ack",1]"#,
        r#"429007199254740993["message-with-ack",1]"#,
        &digits,
        &deep,
        &level_129,
        r#"43["no id"]"#,
        "430{}",
        "430",
        r#"44{"message":"x"}"#,
        "40",
        "41{}",
        "41/custom",
        r#"42/custom,["message"]"#,
        r#"42/nowhere,["message"]"#,
        "#01",
        // Attachments: 1 to 10, digits only.
        r#"45["message"]"#,
        r#"45-["message"]"#,
        r#"450-["message"]"#,
        "460-0[]",
        r#"4511-["message"]"#,
        "4611-0[]",
        r#"4599999999999999999999-["message"]"#,
        r#"451.0-["message"]"#,
        r#"45+1-["message"]"#,
        r#"45-1-["message"]"#,
        r#"451e0-["message"]"#,
        r#"421-["message"]"#,
    ]
    .map(str::to_owned)
    .to_vec();
    for reserved in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
        "\\u0063onnect",
    ] {
        packets.push(format!(r#"42["{reserved}",1]"#));
    }
    // CVE-2022-2421: `num` is an index.
    for num in [
        r#""0""#,
        r#""splice""#,
        "null",
        "-1",
        "1",
        "0.5",
        "1e9",
        "[0]",
        "{}",
    ] {
        packets.push(format!(
            r#"451-["message",{{"_placeholder":true,"num":{num}}}] ++ #01"#
        ));
    }
    // While attachments are due only they may come, and then no more.
    for besides in ["42[\"message\"]", "40/custom", "41", "430[]"] {
        packets.push(format!(
            r#"451-["message",{{"_placeholder":true,"num":0}}] ++ {besides}"#
        ));
    }
    for packet in packets {
        let script = format!("ann connects\nann > {packet}\nann < closed 1002");
        check(&example, [script.as_str()]).await;
    }
}

#[tokio::test]
async fn protocol_8_events_come_back_as_they_were_sent() {
    let example = Example::calm().await;
    for args in [
        "",
        r#","plain""#,
        r#",1,"2",{"3":[true]}"#,
        ",null,-0.5,1e400,[],{},[[]]",
        r#","😀é\n\"\u001e\u0000""#,
        r#",123456789012345678901234567890,{"z":1,"a":2}"#,
        r#",{"_placeholder":true,"num":0}"#,
        r#",{"__proto__":{"x":1},"constructor":null}"#,
        &format!(r#","{}""#, "a".repeat(100_000)),
        &format!(",{}{}", "[".repeat(127), "]".repeat(127)),
    ] {
        let script = format!(
            r#"ann connects
               ann > 40/custom
               ann < 40/custom,{{"sid":SID}}
               ann < 42/custom,["auth",{{}}]
               ann > 42["message"{args}]
               ann < 42["message-back"{args}]
               ann > 42/custom,["message"{args}]
               ann < 42/custom,["message-back"{args}]
               ann > 42456["message-with-ack"{args}]
               ann < 43456[{acked}]
               ann > 42/custom,0["message-with-ack"{args}]
               ann < 43/custom,0[{acked}]"#,
            acked = args.trim_start_matches(',')
        );
        check(&example, [script.as_str()]).await;
    }
}

#[tokio::test]
async fn protocol_8_what_is_odd_but_allowed() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann connects
           ann . unknown events, also with a number for a name, and `error` (CVE-2024-38355)
           ann > 42["nobody",1] ++ 427["nobody"]
           ann > 42[5] ++ 42["error"]
           ann > 42["__proto__"] ++ 42["constructor",{}]
           ann . acks for nothing
           ann > 430[1] ++ 439007199254740991["x"]
           ann > 461-3[{"_placeholder":true,"num":0}] ++ #00
           ann > 42["message","still here"]
           ann < 42["message-back","still here"]"#,
        r#"ann connects
           ann . a cut emoji costs itself
           ann > 42["message","\ud83d"]
           ann < 42["message-back","\ufffd"]"#,
        r#"ann connects
           ann > 42 [ "message" , 1 ]
           ann > 429007199254740991["message-with-ack"]
           ann < 42["message-back",1]
           ann < 439007199254740991[]"#,
        r#"ann connects
           ann . arguments that do not fit a handler
           ann > 42["x-join"] ++ 42["x-blob","many"]
           ann > 42["x-kick",{}] ++ 42["x-flood",-1]
           ann > 42["message"]
           ann < 42["message-back"]"#,
    ];
    check(&example, scripts).await;
}

#[tokio::test]
async fn protocol_9_attachments_come_back_in_order() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann connects
           ann > 452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]
           ann > #010203 ++ #0405
           ann < 452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]
           ann < #010203
           ann < #0405
           ann > 452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]
           ann > #010203
           ann . an Engine.IO packet may come between
           ann > 3 ++ #0405
           ann < 462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]
           ann < #010203
           ann < #0405"#,
        r#"ann > 40/custom
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{}]
           ann > 451-/custom,0["message-with-ack",{"deep":[{"_placeholder":true,"num":0}]},"x"]
           ann > #ff
           ann < 461-/custom,0[{"deep":[{"_placeholder":true,"num":0}]},"x"]
           ann < #ff"#,
    ];
    check(&example, scripts).await;
    // Ten is the most.
    let places: String = (0..10).fold(String::new(), |text, num| {
        format!(r#"{text},{{"_placeholder":true,"num":{num}}}"#)
    });
    let (sent, back): (String, String) = (0..10).fold(Default::default(), |(sent, back), byte| {
        (
            format!("{sent}\nann > #0{byte}"),
            format!("{back}\nann < #0{byte}"),
        )
    });
    let script = format!(
        "ann connects\nann > 4510-[\"message\"{places}]{sent}\nann < 4510-[\"message-back\"{places}]{back}"
    );
    check(&example, [script.as_str()]).await;
}

/// `num` may point anywhere in the attachments; the answer's own numbering is ours.
#[tokio::test]
async fn protocol_9_placeholders_need_not_be_in_order() {
    let example = Example::calm().await;
    for transport in TRANSPORTS {
        let (mut ann, _) = Wire::joined(&example, transport).await;
        let header = r#"452-["message",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;
        ann.send([header.into()]).await;
        ann.send([Packet::Binary(vec![0].into()), Packet::Binary(vec![1].into())])
            .await;
        let header = ann.next().await.text();
        let attachments = [ann.next().await, ann.next().await];
        let meant: Vec<Packet> = header
            .split("\"num\":")
            .skip(1)
            .map(|rest| attachments[usize::from(rest.as_bytes()[0] - b'0')].clone())
            .collect();
        let expected = [Packet::Binary(vec![1].into()), Packet::Binary(vec![0].into())];
        assert_eq!(meant, expected, "{transport:?} {header}");
    }
}

#[tokio::test]
async fn protocol_11_the_server_asks_and_is_answered() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann connects
           ann > 42["x-ask",1,"two"]
           ann < 420["x-question",1,"two"]
           ann > 430["three",{"4":5}]
           ann < 42["x-answer","three",{"4":5}]
           ann > 42["x-ask"]
           ann < 421["x-question"]
           ann > 431[]
           ann < 42["x-answer"]"#,
        r#"ann connects
           ann . two at once, answered last to first; an answer counts once
           ann > 42["x-ask","a"] ++ 42["x-ask","b"]
           ann < 420["x-question","a"]
           ann < 421["x-question","b"]
           ann > 431["to b"] ++ 431["again"]
           ann > 430["to a"]
           ann < 42["x-answer","to b"]
           ann < 42["x-answer","to a"]
           ann > 42["message"]
           ann < 42["message-back"]"#,
        r#"ann connects
           ann > 451-["x-ask",{"_placeholder":true,"num":0}] ++ #0102
           ann < 451-0["x-question",{"_placeholder":true,"num":0}]
           ann < #0102
           ann > 461-0["got",{"_placeholder":true,"num":0}] ++ #03
           ann < 451-["x-answer","got",{"_placeholder":true,"num":0}]
           ann < #03"#,
        r#"ann connects
           ann . nobody answers; then it is too late
           ann > 42["x-ask"]
           ann < 420["x-question"]
           ann < 42["x-answer-timeout"]
           ann > 430["late"]
           ann > 42["message"]
           ann < 42["message-back"]"#,
    ];
    check(&example, scripts).await;
}

#[tokio::test]
async fn protocol_10_the_server_ends_a_namespace_or_the_connection() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann connects
           ann > 40/custom
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{}]
           ann > 42["x-kick"] ++ 42["message","crosses the goodbye"]
           ann < 41
           ann > 42/custom,["message","here I stay"]
           ann < 42/custom,["message-back","here I stay"]
           ann . and may come again
           ann connects
           ann > 42["x-kick",false]
           ann < 41"#,
        r#"ann connects
           ann > 40/custom
           ann < 40/custom,{"sid":SID}
           ann < 42/custom,["auth",{}]
           ann > 42["x-kick",true]
           ann < 41
           ann < 41/custom,
           ann < closed 1000"#,
    ];
    check(&example, scripts).await;
}

#[tokio::test]
async fn protocol_9_13_blobs_of_all_sizes_arrive_whole() {
    let example = Example::calm().await;
    for transport in TRANSPORTS {
        let (mut ann, _) = Wire::joined(&example, transport).await;
        for bytes in [0, 1, 255, 65_536, 1_000_000, 5_000_000] {
            ann.send([format!(r#"42["x-blob",{bytes}]"#).as_str().into()])
                .await;
            let header = r#"451-["x-blob-back",{"_placeholder":true,"num":0}]"#;
            assert_eq!(ann.next().await, header.into(), "{transport:?} {bytes}");
            let expected = (0..=u8::MAX).cycle().take(bytes).collect();
            assert!(
                ann.next().await == Packet::Binary(expected),
                "{transport:?} {bytes}"
            );
        }
    }
}
