//! The machine, told as transcripts.
//!
//! ```text
//! > 0                      a message of the client, without the Engine.IO type; #0102 is a binary one
//! ! accept / id            a command of the server: accept, refuse, disconnect, emit, ack, wait
//! = connect /              what came out of the machine
//! < 40{"sid":"id"}         what is sent, with the Engine.IO type
//! ```

mod codec;
mod machine;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Args, Event, Output, Rules, Sockets, ack, event};
use crate::engine::frame::FrameKind;
use crate::engine::{Message, Packet};

/// Plays the `>` and `!` lines and compares everything that happens with the whole picture.
#[track_caller]
fn check(picture: &str) {
    check_with(Rules::new(["/", "/custom"]), picture);
}

#[track_caller]
fn check_with(rules: Rules, picture: &str) {
    let picture: Vec<&str> = picture
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut game = Game::new(rules);
    for line in picture.iter().filter(|line| line.starts_with(['>', '!'])) {
        game.play(line);
    }
    let seen: Vec<&str> = game.seen.lines().collect();
    assert_eq!(
        seen.join("\n"),
        picture.join("\n"),
        "left: what happened, right: the picture"
    );
}

struct Game {
    sockets: Sockets,
    now: Instant,
    seen: String,
}

impl Game {
    fn new(rules: Rules) -> Game {
        let now = Instant::now();
        Game {
            sockets: Sockets::new(Arc::new(rules)),
            now,
            seen: String::new(),
        }
    }

    fn play(&mut self, line: &str) {
        self.see(line);
        let (mark, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        if mark.starts_with('>') {
            let output = self.sockets.handle(message(rest), self.now);
            return self.output(output);
        }
        let mut words = rest.splitn(3, ' ');
        let (verb, of, what) = (
            words.next().unwrap_or(""),
            words.next().unwrap_or(""),
            words.next().unwrap_or(""),
        );
        match verb {
            "wait" => {
                self.now += Duration::from_millis(of.parse().unwrap());
                let output = self.sockets.handle_timeout(self.now);
                self.output(output);
            }
            "accept" => match self.sockets.accept(self.namespace(of), what) {
                None => self.see("= too late"),
                Some(accepted) => {
                    self.send(&accepted.answer);
                    for held in accepted.held {
                        self.event(&held);
                    }
                }
            },
            "refuse" => {
                let packet = self.sockets.refuse(self.namespace(of), what, None);
                self.sent(packet);
            }
            "disconnect" => {
                let packet = self.sockets.disconnect(self.namespace(of));
                self.sent(packet);
            }
            "emit" => {
                let (name, args) = what.split_once(' ').unwrap();
                self.send(&event(of, name, &args.parse::<Args>().unwrap()).unwrap());
            }
            "ack" => {
                let (id, args) = what.split_once(' ').unwrap();
                self.send(&ack(of, id.parse().unwrap(), &args.parse::<Args>().unwrap()).unwrap());
            }
            _ => panic!("{line}"),
        }
    }

    fn namespace(&self, name: &str) -> super::NamespaceId {
        self.sockets.rules().find(name).unwrap()
    }

    fn see(&mut self, line: &str) {
        writeln!(self.seen, "{line}").unwrap();
    }

    fn sent(&mut self, packet: Option<Packet>) {
        match packet {
            Some(packet) => self.send(&packet),
            None => self.see("= too late"),
        }
    }

    fn send(&mut self, packet: &Packet) {
        for line in wire(packet) {
            self.see(&format!("< {line}"));
        }
    }

    fn event(&mut self, event: &Event) {
        let rules = self.sockets.rules().clone();
        let asked = event.ack.map(|id| format!(" ack {id}")).unwrap_or_default();
        let (namespace, name) = (rules.name(event.namespace), event.name());
        self.see(&format!(
            "= event {namespace} {name} {}{asked}",
            picture(&event.args)
        ));
    }

    fn output(&mut self, output: Option<Output>) {
        let rules = self.sockets.rules().clone();
        match output {
            None => {}
            Some(Output::Connect { namespace, auth }) => {
                let auth = auth.map(|auth| format!(" {}", auth.json())).unwrap_or_default();
                self.see(&format!("= connect {}{auth}", rules.name(namespace)));
            }
            Some(Output::Event(event)) => self.event(&event),
            Some(Output::Ack(ack)) => {
                let (namespace, id) = (rules.name(ack.namespace), ack.id);
                self.see(&format!("= ack {namespace} {id} {}", picture(&ack.args)));
            }
            Some(Output::Left { namespace }) => self.see(&format!("= left {}", rules.name(namespace))),
            Some(Output::Send(packet)) => self.send(&packet),
            Some(Output::Close(reason)) => self.see(&format!("= closed: {}", reason.as_str())),
        }
    }
}

/// `#0102` is binary, everything else text.
fn message(text: &str) -> Message {
    match text.strip_prefix('#') {
        None => Message::Text(text.into()),
        Some(hex) => Message::Binary(
            hex.as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect::<Vec<u8>>()
                .into(),
        ),
    }
}

/// A packet's frames in the notation of the pictures.
fn wire(packet: &Packet) -> Vec<String> {
    packet
        .iter()
        .map(|frame| match frame.kind() {
            FrameKind::Text => String::from_utf8(frame.payload().to_vec()).unwrap(),
            FrameKind::Binary => hex(frame.payload()),
            FrameKind::Control => panic!("no control frames here"),
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::from("#"), |text, byte| text + &format!("{byte:02x}"))
}

fn picture(args: &Args) -> String {
    let mut text = (0..args.len())
        .map(|index| args.json(index).unwrap())
        .collect::<Vec<_>>()
        .join(" ");
    for bytes in args.attachments() {
        write!(text, " {}", hex(bytes)).unwrap();
    }
    format!("({text})")
}

/// The messages that a client which got `packet` as a server's would have sent: the same bytes the other way round.
fn as_messages(packet: &Packet) -> Vec<Message> {
    packet
        .iter()
        .map(|frame| match frame.kind() {
            FrameKind::Text => {
                let text = std::str::from_utf8(frame.payload()).unwrap();
                Message::Text(text.strip_prefix('4').unwrap().into())
            }
            FrameKind::Binary => Message::Binary(Bytes::copy_from_slice(frame.payload())),
            FrameKind::Control => panic!("no control frames here"),
        })
        .collect()
}
