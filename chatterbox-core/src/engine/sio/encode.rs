//! From arguments to packets, each encoded once into the bytes that go out.
//!
//! ```text
//! gap for the websocket header │ 4 52-/chat,17 │ ["blobs",{"_placeholder":true,"num":0}, …]   + one frame per attachment
//!        written last          │  written last │ serialized in place
//! ```
//!
//! Compact JSON, byte for byte as the reference writes it (the official suite compares bytes). A packet and its
//! attachments are one [`Packet`], so that two senders can't interleave; a server that did lost data
//! (PROTOCOL.md section 9).

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::args::{Args, Binary, Value};
use super::{ATTACHMENTS_MAX, is_reserved, placeholder};
use crate::engine::{Frame, Packet};

/// Why something could not be sent. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Clients drop the connection on more (PROTOCOL.md section 9).
    #[error("more than {ATTACHMENTS_MAX} binary attachments")]
    TooManyAttachments,
    /// Clients use the name for something else.
    #[error("the event name is reserved")]
    ReservedName,
    /// A plain object beside binary data says `"_placeholder":true`: a client would take it for an attachment, or
    /// drop the connection over it.
    #[error("an object looks like the placeholder of an attachment")]
    LookAlike,
    /// A map with keys that are no strings, or a `Serialize` that failed.
    #[error("an argument can't be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// What can be sent as the arguments of an event or an ack.
///
/// A tuple of up to eight elements is that many arguments, each a [`Value`] or anything that serde serializes, with
/// [`Binary`] for attachments at any depth. `()` is none. [`Args`], a [`Value`], strings, numbers, `bool`, `Vec`s and
/// `serde_json::Value` go without a tuple; a type of your own is sent as `(it,)`.
pub trait ToArgs {
    /// Writes every argument.
    fn write(&self, out: &mut ArgsWriter) -> Result<(), EncodeError>;
}

/// One element of a tuple of arguments. Implemented for [`Value`] and by serde.
pub trait ToArg {
    /// Writes one argument.
    fn write_one(&self, out: &mut ArgsWriter) -> Result<(), EncodeError>;
}

/// Space in front of the JSON: the websocket header, and `4510-`, whose count is known only at the end.
const GAP: usize = Frame::HEADER_MAX + 5;

/// A packet under construction.
#[derive(Debug)]
pub struct ArgsWriter {
    buffer: Vec<u8>,
    /// Where the array of arguments begins.
    body_at: usize,
    /// Whether the array has an element.
    begun: bool,
    attachments: Attachments,
}

impl ArgsWriter {
    /// With everything up to the arguments written.
    fn new(namespace: &str, ack: Option<u64>) -> ArgsWriter {
        let mut buffer = Vec::with_capacity(GAP + 128);
        buffer.resize(GAP, 0);
        write_namespace(&mut buffer, namespace);
        if let Some(id) = ack {
            buffer.extend_from_slice(id.to_string().as_bytes());
        }
        let body_at = buffer.len();
        buffer.push(b'[');
        ArgsWriter {
            buffer,
            body_at,
            begun: false,
            attachments: Attachments::default(),
        }
    }

    /// One argument, by serde.
    pub fn arg<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.comma();
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.buffer, &mut self.attachments);
        match value.serialize(&mut serializer) {
            Err(_) if self.attachments.too_many => Err(EncodeError::TooManyAttachments),
            done => Ok(done?),
        }
    }

    /// One argument as it was received.
    pub fn value(&mut self, value: &Value) -> Result<(), EncodeError> {
        self.relay(
            value.json(),
            value.attachments(),
            &mut [None; ATTACHMENTS_MAX as usize],
        )
    }

    /// Received arguments, which may share attachments.
    fn args(&mut self, args: &Args) -> Result<(), EncodeError> {
        let mut renumbered = [None; ATTACHMENTS_MAX as usize];
        for index in 0..args.len() {
            self.relay(
                args.json(index).unwrap_or("null"),
                args.attachments(),
                &mut renumbered,
            )?;
        }
        Ok(())
    }

    /// Checked JSON with the placeholders numbered anew. `renumbered` maps the numbers in it to those of this packet.
    fn relay(
        &mut self,
        json: &str,
        attachments: &[bytes::Bytes],
        renumbered: &mut [Option<u8>; ATTACHMENTS_MAX as usize],
    ) -> Result<(), EncodeError> {
        self.comma();
        let mut copied = 0;
        if !attachments.is_empty() {
            // Checked on arrival against the same count.
            let count = u8::try_from(attachments.len()).unwrap_or(u8::MAX);
            for found in placeholder::find(json, count).unwrap_or_default() {
                let old = usize::from(found.num);
                let new = match renumbered[old] {
                    Some(new) => new,
                    None => self
                        .attachments
                        .add(&attachments[old])
                        .ok_or(EncodeError::TooManyAttachments)?,
                };
                renumbered[old] = Some(new);
                self.buffer
                    .extend_from_slice(&json.as_bytes()[copied..found.at.start]);
                self.attachments.placeholders += 1;
                // Writing into a `Vec` doesn't fail.
                let _ = write_placeholder(&mut self.buffer, new);
                copied = found.at.end;
            }
        }
        self.buffer.extend_from_slice(&json.as_bytes()[copied..]);
        Ok(())
    }

    fn comma(&mut self) {
        if self.begun {
            self.buffer.push(b',');
        }
        self.begun = true;
    }

    /// The packet, with `plain` as its type digit if nothing is attached and `binary` otherwise.
    fn finish(mut self, plain: u8, binary: u8) -> Result<Packet, EncodeError> {
        self.buffer.push(b']');
        let count = self.attachments.frames.len();
        let mut prefix = vec![b'4', if count == 0 { plain } else { binary }];
        if count > 0 {
            self.refuse_look_alikes()?;
            prefix.extend_from_slice(count.to_string().as_bytes());
            prefix.push(b'-');
        }
        let payload_from = GAP - prefix.len();
        self.buffer[payload_from..GAP].copy_from_slice(&prefix);
        let mut packet = Packet::with_capacity(1 + count);
        packet.push(Frame::text_in_place(self.buffer, payload_from));
        packet.extend(self.attachments.frames);
        Ok(packet)
    }

    /// Data that looks like a placeholder is harmless in a plain packet. Beside attachments the client would resolve
    /// it, and one client's data could cut off all the others.
    fn refuse_look_alikes(&self) -> Result<(), EncodeError> {
        let json = std::str::from_utf8(&self.buffer[self.body_at..]).map_err(|_| EncodeError::LookAlike)?;
        let found = placeholder::find(json, ATTACHMENTS_MAX).map_err(|_| EncodeError::LookAlike)?;
        if found.len() == self.attachments.placeholders {
            Ok(())
        } else {
            Err(EncodeError::LookAlike)
        }
    }
}

/// Takes the bytes out of what serde serializes: a formatter that writes placeholders.
#[derive(Debug, Default)]
struct Attachments {
    frames: Vec<Frame>,
    placeholders: usize,
    too_many: bool,
}

impl Attachments {
    /// Its number in the packet, unless there are too many.
    fn add(&mut self, bytes: &[u8]) -> Option<u8> {
        let number = u8::try_from(self.frames.len())
            .ok()
            .filter(|number| *number < ATTACHMENTS_MAX);
        self.too_many |= number.is_none();
        if number.is_some() {
            self.frames.push(Frame::binary(bytes));
        }
        number
    }
}

impl Formatter for &mut Attachments {
    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        let number = self.add(value).ok_or(io::ErrorKind::InvalidInput)?;
        self.placeholders += 1;
        write_placeholder(writer, number)
    }
}

fn write_placeholder<W: ?Sized + io::Write>(writer: &mut W, number: u8) -> io::Result<()> {
    write!(writer, r#"{{"_placeholder":true,"num":{number}}}"#)
}

/// Nothing is written for `/`.
fn write_namespace(buffer: &mut Vec<u8>, namespace: &str) {
    if namespace != "/" {
        buffer.extend_from_slice(namespace.as_bytes());
        buffer.push(b',');
    }
}

/// An event, `42["name",…]`, or `45…` with attachments.
///
/// ```
/// # use chatterbox_core::engine::sio;
/// let packet = sio::event("/chat", "greeting", &("hello", 1))?;
/// assert_eq!(packet[0].payload(), br#"42/chat,["greeting","hello",1]"#);
/// # Ok::<(), sio::EncodeError>(())
/// ```
pub fn event(namespace: &str, name: &str, args: &(impl ToArgs + ?Sized)) -> Result<Packet, EncodeError> {
    event_wanting(namespace, None, name, args)
}

/// An event that asks for an ack with this id of ours.
pub fn event_with_ack(
    namespace: &str,
    ack: u32,
    name: &str,
    args: &(impl ToArgs + ?Sized),
) -> Result<Packet, EncodeError> {
    event_wanting(namespace, Some(ack.into()), name, args)
}

fn event_wanting(
    namespace: &str,
    ack: Option<u64>,
    name: &str,
    args: &(impl ToArgs + ?Sized),
) -> Result<Packet, EncodeError> {
    if is_reserved(name) {
        return Err(EncodeError::ReservedName);
    }
    let mut writer = ArgsWriter::new(namespace, ack);
    writer.arg(name)?;
    args.write(&mut writer)?;
    writer.finish(b'2', b'5')
}

/// The ack of the client's event with this id, `43…`, or `46…` with attachments.
pub fn ack(namespace: &str, id: u64, args: &(impl ToArgs + ?Sized)) -> Result<Packet, EncodeError> {
    let mut writer = ArgsWriter::new(namespace, Some(id));
    args.write(&mut writer)?;
    writer.finish(b'3', b'6')
}

/// The answer to CONNECT: exactly `{"sid"}`, since connection state recovery is not offered.
pub(super) fn connected(namespace: &str, socket_id: &str) -> Packet {
    control(b'0', namespace, &serde_json::json!({ "sid": socket_id }))
}

/// The refusal of CONNECT.
pub(super) fn connect_error(namespace: &str, message: &str, data: Option<&serde_json::Value>) -> Packet {
    let mut body = serde_json::json!({ "message": message });
    if let Some(data) = data {
        body["data"] = data.clone();
    }
    control(b'4', namespace, &body)
}

/// The end of a namespace, `41`.
pub(super) fn disconnected(namespace: &str) -> Packet {
    control(b'1', namespace, &serde_json::Value::Null)
}

fn control(digit: u8, namespace: &str, body: &serde_json::Value) -> Packet {
    let mut buffer = vec![0; Frame::HEADER_MAX];
    buffer.extend_from_slice(&[b'4', digit]);
    write_namespace(&mut buffer, namespace);
    if !body.is_null() {
        buffer.extend_from_slice(body.to_string().as_bytes());
    }
    Packet::from_elem(Frame::text_in_place(buffer, Frame::HEADER_MAX), 1)
}

impl<T: Serialize + ?Sized> ToArg for T {
    fn write_one(&self, out: &mut ArgsWriter) -> Result<(), EncodeError> {
        out.arg(self)
    }
}

impl ToArg for Value {
    fn write_one(&self, out: &mut ArgsWriter) -> Result<(), EncodeError> {
        out.value(self)
    }
}

impl<A: ToArgs + ?Sized> ToArgs for &A {
    fn write(&self, out: &mut ArgsWriter) -> Result<(), EncodeError> {
        (**self).write(out)
    }
}

impl ToArgs for Args {
    fn write(&self, out: &mut ArgsWriter) -> Result<(), EncodeError> {
        out.args(self)
    }
}

impl ToArgs for () {
    fn write(&self, _out: &mut ArgsWriter) -> Result<(), EncodeError> {
        Ok(())
    }
}

/// One argument, an array.
impl<T: Serialize> ToArgs for Vec<T> {
    fn write(&self, out: &mut ArgsWriter) -> Result<(), EncodeError> {
        out.arg(self)
    }
}

macro_rules! single_args {
    ($($type:ty),+) => {$(
        impl ToArgs for $type {
            fn write(&self, out: &mut ArgsWriter) -> Result<(), EncodeError> {
                self.write_one(out)
            }
        }
    )+};
}

single_args!(Value, Binary, serde_json::Value, str, String, bool, f32, f64);
single_args!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

macro_rules! tuples {
    ($($($name:ident $index:tt),+;)+) => {$(
        impl<$($name: ToArg),+> ToArgs for ($($name,)+) {
            fn write(&self, out: &mut ArgsWriter) -> Result<(), EncodeError> {
                $(self.$index.write_one(out)?;)+
                Ok(())
            }
        }
    )+};
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
}
