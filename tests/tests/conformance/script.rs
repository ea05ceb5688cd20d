//! Who sends what, and what comes back.
//!
//! ```text
//! ann connects              CONNECT to `/`, its answer and the `auth` event
//! ann > 42["message",1]     a packet; several go out together: 41 ++ 40
//! ann > #0102               a binary message
//! ann < 42["message-back",1]
//! ann < closed 1002         the end, by websocket with this code
//! ann . a note
//! ```
//! In what comes back the id of a new socket is written `SID`. A script ends with what is written: what came besides
//! shows when something is asked whose answer would come behind it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::example::Example;
use super::wire::{Packet, TRANSPORTS, Transport, Wire};

/// Runs scripts over every transport, on sessions of their own.
pub(crate) async fn check<'a>(example: &Example, scripts: impl IntoIterator<Item = &'a str>) {
    for script in scripts {
        for transport in TRANSPORTS {
            run(example, script, |_| transport).await;
        }
        // Clients on different transports, one after the other.
        run(example, script, |index| TRANSPORTS[index % TRANSPORTS.len()]).await;
    }
}

/// Runs a script with as many clients as it has names; `transport` says how the n-th gets through.
async fn run(example: &Example, script: &str, transport: impl Fn(usize) -> Transport) {
    let mut clients: BTreeMap<&str, (Transport, Wire)> = BTreeMap::new();
    let (mut expected, mut seen) = (String::new(), String::new());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, what) = line.split_once(' ').unwrap();
        if !clients.contains_key(name) {
            let transport = transport(clients.len());
            let wire = Wire::open(example, "/socket.io/", transport).await;
            clients.insert(name, (transport, wire));
        }
        let (transport, wire) = clients.get_mut(name).unwrap();
        match what.split_once(' ') {
            None if what == "connects" => {
                wire.send(["40".into()]).await;
                for answer in [r#"40{"sid":SID}"#, r#"42["auth",{}]"#] {
                    writeln!(expected, "{name} < {answer}").unwrap();
                    writeln!(seen, "{name} < {}", drawn(wire.next().await, wire)).unwrap();
                }
            }
            Some((">", packets)) => match packets.split_once(" ++ ") {
                Some((first, second)) => wire.send([read(first), read(second)]).await,
                None => wire.send([read(packets)]).await,
            },
            Some(("<", packet)) => {
                let packet = match (packet.strip_prefix("closed"), &transport) {
                    (Some(_), Transport::Polling) => "closed",
                    (Some(_) | None, Transport::Polling | Transport::Websocket | Transport::Upgraded) => {
                        packet
                    }
                };
                writeln!(expected, "{name} < {packet}").unwrap();
                writeln!(seen, "{name} < {}", drawn(wire.next().await, wire)).unwrap();
            }
            Some((".", _note)) => {}
            Some(_) | None => panic!("no line of a script: {line}"),
        }
        let transports: Vec<_> = clients.iter().map(|(name, (way, _))| (name, way)).collect();
        assert_eq!(
            seen, expected,
            "seen and expected differ; clients: {transports:?}"
        );
    }
}

fn read(packet: &str) -> Packet {
    match packet.strip_prefix('#') {
        None => packet.into(),
        Some(hex) => Packet::Binary(
            (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
        ),
    }
}

fn drawn(packet: Packet, wire: &Wire) -> String {
    match packet {
        Packet::Closed(None) => "closed".to_owned(),
        Packet::Closed(Some(code)) => format!("closed {code}"),
        Packet::Binary(bytes) => bytes.iter().fold("#".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        }),
        Packet::Text(text) => match text.split_once(r#"{"sid":""#) {
            Some((before, rest)) if before.starts_with("40") && rest.ends_with("\"}") => {
                let id = &rest[..rest.len() - 2];
                assert!(id.len() >= 20, "a public id: {id}");
                assert_ne!(id, wire.sid(), "the session's id is a secret");
                format!(r#"{before}{{"sid":SID}}"#)
            }
            Some(_) | None => text,
        },
    }
}
