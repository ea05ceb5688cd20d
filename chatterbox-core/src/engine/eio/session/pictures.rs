//! Sessions as pictures: a script of what happens, and what comes of it.
//!
//! ```text
//! get 1 | drop 1                     a GET comes, its client drops it
//! post 2 4a|4b                       a whole POST; `|` stands for 0x1E
//! post 2 ... ; body 2 4a ; cut 2     a POST in steps; also `large 2`, `octets 2`
//! probe 3 | probe 3 2probe | lost 3  a websocket comes, says something, is gone
//! ws 4a | ws ping | ws close | ws lost | ws fault | ws partly
//! send 4a | close | close slow | joined
//! wait 25s                           time passes, deadlines fire
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::engine::eio::QueueLimits;
use crate::engine::frame::FrameKind;
use crate::engine::websocket::Event;

struct Picture {
    session: Session,
    begun: Instant,
    now: Instant,
    seen: String,
}

impl Picture {
    fn new(config: Config, transport: TransportKind) -> Picture {
        let now = Instant::now();
        let session = Session::new(Arc::new(config), transport, now);
        Picture {
            session,
            begun: now,
            now,
            seen: String::new(),
        }
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        let at = self.now - self.begun;
        if at.subsec_millis() == 0 {
            writeln!(self.seen, "{}s {what}", at.as_secs()).unwrap();
        } else {
            writeln!(self.seen, "{}ms {what}", at.as_millis()).unwrap();
        }
    }

    fn play(&mut self, line: &str) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let id = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let rest = words.get(2).map(|text| Bytes::from(text.replace('|', "\x1e")));
        let (now, out) = (self.now, &mut Outputs::new());
        let session = &mut self.session;
        match (words[0], rest) {
            ("get", None) => session.get(id, now, out),
            ("drop", None) => session.get_dropped(id, now, out),
            ("post", Some(rest)) if rest == "..." => session.post(id, false, now, out),
            ("post", Some(body)) => {
                session.post(id, false, now, out);
                session.post_body(id, body);
            }
            ("octets", None) => session.post(id, true, now, out),
            ("body", Some(body)) => session.post_body(id, body),
            ("cut", None) => session.post_cut_off(id, now, out),
            ("large", None) => session.post_too_large(id),
            ("probe", None) => {
                if !session.probe(id, now) {
                    self.note(format!("probe {id} refused"));
                }
            }
            ("probe", Some(text)) => session.probe_event(id, &Ok(Event::Text(text)), now, out),
            ("lost", None) => session.probe_gone(id),
            ("send", None) => {
                if let Err(QueueFull) = session.send(Packet::from_elem(Frame::text(&[words[1]]), 1)) {
                    session.overflow(now, out);
                }
            }
            ("close", None) => session.close(CloseReason::ForcedClose, now, out),
            ("joined", None) => session.joined(),
            ("ws", None) if words[1] == "lost" => session.websocket_gone(false, now, out),
            ("ws", None) if words[1] == "partly" => session.receiving(true, now),
            ("ws", None) => {
                let event = match words[1] {
                    "ping" => Ok(Event::Ping("hi".into())),
                    "close" => Ok(Event::Close),
                    "fault" => Err(Fault::TooLarge),
                    "latin1" => Ok(Event::Text(Bytes::from_static(b"4\xE9"))),
                    text => Ok(Event::Text(text.to_owned().into())),
                };
                if let Some(message) = session.websocket_event(event, now, out) {
                    self.note(format!("up {message:?}"));
                }
            }
            ("wait", None) => return self.wait(words[1]),
            other => panic!("no such step: {other:?}"),
        }
        let out = std::mem::take(out);
        self.show(out);
        self.settle();
    }

    fn wait(&mut self, time: &str) {
        let until = self.now + humantime::parse_duration(time).unwrap();
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            let mut out = Outputs::new();
            self.session.handle_timeout(self.now, &mut out);
            self.show(out);
            self.settle();
        }
        self.now = until;
    }

    /// What the driver does after every input: hand packets up, flush, write.
    fn settle(&mut self) {
        loop {
            let mut out = Outputs::new();
            let message = self.session.next_message(self.now, &mut out);
            if let Some(message) = &message {
                self.note(format!("up {message:?}"));
            }
            self.show(out);
            if message.is_none() {
                break;
            }
        }
        let mut out = Outputs::new();
        self.session.flush(&mut out);
        if self.session.transport() == TransportKind::WebSocket {
            let mut frames = Vec::new();
            self.session.queue().take(&mut frames, 64, usize::MAX);
            for frame in &frames {
                let bytes = frame.as_websocket();
                match (frame.kind(), bytes[0]) {
                    (FrameKind::Control, 0x88) => {
                        self.note(format!("ws ← close {}", u16::from_be_bytes([bytes[2], bytes[3]])));
                    }
                    (FrameKind::Control, _) => self.note("ws ← pong"),
                    _ => self.note(format!("ws ← {}", String::from_utf8_lossy(frame.payload()))),
                }
                self.session.queue().wrote(frame.len());
            }
            self.session.written(&mut out);
        }
        self.show(out);
    }

    fn show(&mut self, out: Outputs) {
        for output in out {
            let text = match output {
                Output::AnswerGet(id, body) => {
                    format!(
                        "get {id} ← {}",
                        String::from_utf8_lossy(&body).replace('\x1e', "|")
                    )
                }
                Output::AnswerPost(id) => format!("post {id} ← ok"),
                Output::Refuse(id, refusal) => format!("{id} ← code {}", refusal.code()),
                Output::AnswerProbe(id, frame) if frame.kind() == FrameKind::Control => {
                    format!("probe {id} ← pong")
                }
                Output::AnswerProbe(id, frame) => {
                    format!("probe {id} ← {}", String::from_utf8_lossy(frame.payload()))
                }
                Output::EndProbe(id) => format!("probe {id} ended"),
                Output::Upgraded(id) => format!("upgraded to {id}"),
                Output::Closed(reason) => format!("closed: {}", reason.as_str()),
                Output::Gone => "gone".to_owned(),
            };
            self.note(text);
        }
    }
}

#[track_caller]
fn check_with(config: Config, transport: TransportKind, script: &str, expected: &str) {
    let mut picture = Picture::new(config, transport);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        picture.play(line);
    }
    let lines = |text: &str| {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (seen, expected) = (lines(&picture.seen), lines(expected));
    assert_eq!(seen, expected, "\nscript:\n{script}\nseen:\n{seen}\n");
}

#[track_caller]
fn polling(script: &str, expected: &str) {
    check_with(Config::default(), TransportKind::Polling, script, expected);
}

#[track_caller]
fn websocket(script: &str, expected: &str) {
    check_with(Config::default(), TransportKind::WebSocket, script, expected);
}

// ---- heartbeat (PROTOCOL.md section 6) ----

#[test]
fn a_silent_client_is_closed() {
    websocket(
        "wait 60s",
        "25s ws ← 2\n 45s closed: ping timeout\n 45s ws ← close 1000\n 48s gone",
    );
    polling(
        "get 1\n wait 60s",
        "25s get 1 ← 2\n 45s closed: ping timeout\n 45s gone",
    );
}

#[test]
fn the_time_out_runs_though_nobody_polls() {
    polling("wait 60s", "45s closed: ping timeout\n 45s gone");
}

#[test]
fn a_pong_keeps_a_session_and_the_next_ping_comes_after_the_interval() {
    websocket("wait 26s\n ws 3\n wait 25s", "25s ws ← 2\n 51s ws ← 2");
}

#[test]
fn another_packet_extends_a_running_time_out_once() {
    websocket(
        "wait 40s
         ws 4a
         wait 10s
         ws 4b
         wait 30s",
        "25s ws ← 2
         40s up Text(Utf8Bytes(b\"a\"))
         50s up Text(Utf8Bytes(b\"b\"))
         60s closed: ping timeout
         60s ws ← close 1000
         63s gone",
    );
}

#[test]
fn an_unasked_pong_is_ignored_but_not_a_flood_of_them() {
    let config = Config {
        control_frames_max: 2,
        ..Config::default()
    };
    check_with(
        config,
        TransportKind::WebSocket,
        "ws 3\n ws ping\n ws ping",
        "0s ws ← pong\n 0s closed: abuse\n 0s ws ← close 4429",
    );
}

#[test]
fn the_heartbeat_runs_on_over_polling_while_a_websocket_probes() {
    polling(
        "get 1
         wait 20s
         probe 2
         wait 5s",
        "25s get 1 ← 2",
    );
}

#[test]
fn a_session_without_a_namespace_ends_at_the_connect_time_out() {
    let config = || Config {
        connect_timeout: Some(Duration::from_secs(10)),
        ..Config::default()
    };
    let script = "wait 11s";
    let expected = "10s closed: connect timeout\n 10s ws ← close 1000";
    check_with(config(), TransportKind::WebSocket, script, expected);
    check_with(config(), TransportKind::WebSocket, "joined\n wait 11s", "");
}

// ---- polling (PROTOCOL.md section 4) ----

#[test]
fn a_get_is_held_until_there_is_something_to_send() {
    polling("get 1\n wait 3s\n send 4a", "3s get 1 ← 4a");
    polling("send 4a\n send 4b\n get 1", "0s get 1 ← 4a|4b");
}

#[test]
fn the_packets_of_a_post_go_up_in_order_before_its_answer() {
    polling(
        "post 1 4a|bAQI=|3|4b",
        "0s up Text(Utf8Bytes(b\"a\"))
         0s up Binary(b\"\\x01\\x02\")
         0s up Text(Utf8Bytes(b\"b\"))
         0s post 1 ← ok",
    );
}

#[test]
fn packets_behind_a_bad_one_are_not_run() {
    for bad in ["x", "", "2", "0", "6", "5", "2probe", "b!", "4a|"] {
        let body = format!("post 1 4a|{bad}");
        let mut picture = Picture::new(Config::default(), TransportKind::Polling);
        picture.play(&format!("{body}|4b"));
        assert_eq!(
            picture
                .seen
                .lines()
                .rfind(|line| line.contains("up") || line.contains("closed")),
            Some("0s closed: parse error"),
            "{body}"
        );
        assert!(
            picture.seen.contains("1 ← code 3") && picture.seen.contains("gone"),
            "{}",
            picture.seen
        );
    }
}

#[test]
fn a_second_get_ends_the_session() {
    polling(
        "get 1\n get 2\n get 3",
        "0s closed: transport error\n 0s get 1 ← 1\n 0s gone\n 0s 2 ← code 3\n 0s 3 ← code 1",
    );
}

#[test]
fn a_second_post_while_the_first_comes_in_ends_the_session() {
    polling(
        "post 1 ...\n post 2 4a",
        "0s 2 ← code 3\n 0s closed: transport error\n 0s 1 ← code 3\n 0s gone",
    );
}

#[test]
fn a_get_and_a_post_at_the_same_time_are_normal() {
    polling(
        "get 1\n post 2 4a\n send 4b",
        "0s up Text(Utf8Bytes(b\"a\"))\n 0s post 2 ← ok\n 0s get 1 ← 4b",
    );
}

#[test]
fn a_dropped_get_or_cut_off_post_ends_the_session_at_once() {
    polling(
        "get 1\n drop 1\n get 2",
        "0s closed: transport close\n 0s gone\n 0s 2 ← code 1",
    );
    polling(
        "post 1 ...\n cut 1\n get 2",
        "0s closed: transport error\n 0s gone\n 0s 2 ← code 1",
    );
    polling("get 1\n send 4a\n drop 1\n get 2", "0s get 1 ← 4a");
}

#[test]
fn a_post_over_the_limit_leaves_the_session_alive() {
    polling(
        "post 1 ...\n large 1\n post 2 4a",
        "0s up Text(Utf8Bytes(b\"a\"))\n 0s post 2 ← ok",
    );
}

#[test]
fn a_post_of_revision_3_is_refused_at_once() {
    polling("octets 1", "0s 1 ← code 3\n 0s closed: parse error\n 0s gone");
}

#[test]
fn a_body_that_does_not_come_in_time_ends_the_session() {
    polling(
        "post 1 ...\n get 2\n wait 26s\n post 3 3\n wait 60s",
        "25s get 2 ← 2\n 26s 3 ← code 3\n 26s closed: transport error\n 26s 1 ← code 3\n 26s gone",
    );
    let config = Config {
        ping_interval: Duration::from_secs(100),
        ..Config::default()
    };
    let expected = "60s closed: transport error\n 60s 1 ← code 3\n 60s gone";
    check_with(config, TransportKind::Polling, "post 1 ...\n wait 70s", expected);
}

#[test]
fn a_client_that_leaves_by_post_releases_its_get_with_a_noop() {
    polling(
        "get 1\n post 2 4a|1|4b\n get 3\n post 4 4c",
        "0s up Text(Utf8Bytes(b\"a\"))
         0s post 2 ← ok
         0s get 1 ← 6
         0s closed: transport close
         0s gone
         0s 3 ← code 1
         0s 4 ← code 1",
    );
}

/// Two connections, so the POST may be faster than the GET that was sent before it.
#[test]
fn a_get_that_was_overtaken_by_the_goodbye_is_answered_too() {
    polling(
        "post 1 1\n get 2\n get 3",
        "0s post 1 ← ok\n 0s closed: transport close\n 0s get 2 ← 6\n 0s gone\n 0s 3 ← code 1",
    );
    polling(
        "post 1 1\n post 2 4a\n wait 1s\n get 3",
        "0s post 1 ← ok
         0s closed: transport close
         0s 2 ← code 1
         100ms gone
         1s 3 ← code 1",
    );
}

#[test]
fn the_application_closes_through_the_held_get_or_the_next_one() {
    polling(
        "get 1\n send 4a\n close",
        "0s get 1 ← 4a\n 0s closed: forced close",
    );
    polling(
        "get 1\n close\n get 2",
        "0s closed: forced close\n 0s get 1 ← 1\n 0s gone\n 0s 2 ← code 1",
    );
    polling(
        "send 4a\n close\n send 4b\n post 1 4c\n wait 20s\n get 2\n get 3\n get 4",
        "0s closed: forced close
         0s 1 ← code 1
         20s get 2 ← 4a
         20s get 3 ← 1
         20s gone
         20s 4 ← code 1",
    );
    polling("close\n wait 40s", "0s closed: forced close\n 30s gone");
}

#[test]
fn a_slow_reader_loses_its_queue_and_its_session() {
    let config = || Config {
        queue: QueueLimits {
            bytes_max: 10,
            frames_max: 5,
        },
        ..Config::default()
    };
    let script = "send 4abc\n send 4abc\n get 1";
    let expected = "0s closed: slow reader\n 0s get 1 ← 1\n 0s gone";
    check_with(config(), TransportKind::Polling, script, expected);
}

// ---- websocket (PROTOCOL.md section 5) ----

#[test]
fn messages_go_both_ways() {
    websocket(
        "ws 4a\n send 4b\n ws ping",
        "0s up Text(Utf8Bytes(b\"a\"))\n 0s ws ← 4b\n 0s ws ← pong",
    );
}

#[test]
fn what_ends_a_websocket_and_with_which_code() {
    for (script, expected) in [
        (
            "close\n ws 4a\n ws close",
            "0s closed: forced close\n 0s ws ← close 1000\n 0s gone",
        ),
        (
            "close\n wait 5s",
            "0s closed: forced close\n 0s ws ← close 1000\n 3s gone",
        ),
        (
            "ws close\n ws lost",
            "0s closed: transport close\n 0s ws ← close 1000\n 0s gone",
        ),
        ("ws 1\n ws 4a", "0s closed: transport close\n 0s ws ← close 1000"),
        ("ws lost", "0s closed: transport error\n 0s gone"),
        ("ws fault", "0s closed: too large\n 0s ws ← close 1009"),
        ("ws latin1", "0s closed: parse error\n 0s ws ← close 1007"),
        ("ws 2", "0s closed: parse error\n 0s ws ← close 1002"),
        ("ws 2probe", "0s closed: parse error\n 0s ws ← close 1002"),
        ("ws 5", "0s closed: parse error\n 0s ws ← close 1002"),
        ("ws abc", "0s closed: parse error\n 0s ws ← close 1002"),
    ] {
        websocket(script, expected);
    }
}

#[test]
fn a_message_that_is_not_complete_in_time_ends_the_session() {
    let config = Config {
        ping_interval: Duration::from_secs(100),
        ..Config::default()
    };
    let expected = "70s closed: transport error\n 70s ws ← close 1002";
    check_with(
        config,
        TransportKind::WebSocket,
        "wait 10s\n ws partly\n wait 5s\n ws partly\n wait 56s",
        expected,
    );
}

#[test]
fn a_websocket_born_session_takes_no_polling_and_no_other_websocket() {
    websocket(
        "get 1\n post 2 4a\n probe 3",
        "0s 1 ← code 3\n 0s 2 ← code 3\n 0s probe 3 refused",
    );
}

// ---- upgrade (PROTOCOL.md section 7) ----

#[test]
fn the_captured_upgrade_of_a_default_client() {
    polling(
        "post 1 40
         probe 2
         get 3
         send 40{}
         probe 2 2probe
         get 4
         probe 2 5
         send 4b",
        "0s up Text(Utf8Bytes(b\"0\"))
         0s post 1 ← ok
         0s get 3 ← 40{}
         0s probe 2 ← 3probe
         0s get 4 ← 6
         0s upgraded to 2
         0s ws ← 4b",
    );
}

#[test]
fn a_held_get_is_released_at_once_and_later_ones_after_a_pause() {
    polling(
        "get 1
         probe 2
         probe 2 2probe
         get 3
         wait 1s
         get 4
         send 4a
         get 5
         probe 2 5",
        "0s probe 2 ← 3probe
         0s get 1 ← 6
         50ms get 3 ← 6
         1s get 4 ← 4a
         1s get 5 ← 6
         1s upgraded to 2",
    );
}

#[test]
fn what_is_queued_moves_to_the_websocket_in_order_and_once() {
    polling(
        "probe 1
         probe 1 2probe
         get 2
         send 4a
         send 4b
         probe 1 5
         send 4c
         get 3
         post 4 4x",
        "0s probe 1 ← 3probe
         0s get 2 ← 6
         0s upgraded to 1
         0s ws ← 4a
         0s ws ← 4b
         0s ws ← 4c
         0s 3 ← code 3
         0s 4 ← code 3",
    );
}

#[test]
fn a_post_between_probe_and_upgrade_or_overtaken_by_it_is_handled() {
    polling(
        "probe 1
         probe 1 2probe
         post 2 4a
         post 3 ...
         probe 1 5
         ws 4b
         body 3 4c",
        "0s probe 1 ← 3probe
         0s up Text(Utf8Bytes(b\"a\"))
         0s post 2 ← ok
         0s upgraded to 1
         0s up Text(Utf8Bytes(b\"b\"))
         0s up Text(Utf8Bytes(b\"c\"))
         0s post 3 ← ok",
    );
}

#[test]
fn a_second_websocket_is_refused_while_one_probes_and_after() {
    polling(
        "probe 1\n probe 2\n probe 1 2probe\n probe 1 5\n probe 3\n probe 3 5",
        "0s probe 2 refused\n 0s probe 1 ← 3probe\n 0s upgraded to 1\n 0s probe 3 refused",
    );
}

#[test]
fn a_wrong_first_or_second_packet_ends_the_probe_and_not_the_session() {
    for wrong in ["4a", "3", "1", "2", "x"] {
        let script =
            format!("probe 1\n probe 1 {wrong}\n probe 2\n probe 2 2probe\n probe 2 {wrong}\n post 3 4a");
        let expected = "0s probe 1 ended\n 0s probe 2 ← 3probe\n 0s probe 2 ended
                        0s up Text(Utf8Bytes(b\"a\"))\n 0s post 3 ← ok";
        polling(&script, expected);
    }
}

#[test]
fn a_lost_or_slow_probe_leaves_the_session_on_polling() {
    polling(
        "probe 1\n probe 1 2probe\n lost 1\n get 2\n wait 1s",
        "0s probe 1 ← 3probe",
    );
    polling(
        "probe 1\n probe 1 2probe\n wait 11s\n probe 1 5\n probe 2",
        "0s probe 1 ← 3probe\n 10s probe 1 ended",
    );
}

#[test]
fn a_session_closed_while_upgrading_takes_the_probe_with_it() {
    polling(
        "probe 1\n probe 1 2probe\n close\n probe 1 5\n get 2",
        "0s probe 1 ← 3probe\n 0s closed: forced close\n 0s probe 1 ended\n 0s get 2 ← 1\n 0s gone",
    );
    polling(
        "probe 1\n probe 1 2probe\n post 2 1\n probe 1 5\n wait 1s",
        "0s probe 1 ← 3probe\n 0s post 2 ← ok\n 0s closed: transport close\n 0s probe 1 ended\n 100ms gone",
    );
}

#[test]
fn an_upgrade_without_a_probe_is_taken_as_the_reference_does() {
    polling("get 1\n probe 2\n probe 2 5", "0s get 1 ← 6\n 0s upgraded to 2");
}

#[test]
fn upgrades_can_be_switched_off() {
    let config = Config {
        upgrades: false,
        ..Config::default()
    };
    check_with(config, TransportKind::Polling, "probe 1", "0s probe 1 refused");
}
