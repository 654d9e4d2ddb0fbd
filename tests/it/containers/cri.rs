//! As much of gRPC as it takes to ask a container runtime one thing: HTTP/2 without compression, and protobuf by hand.

use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Makes numbers of protobuf.
pub(super) struct Field;

impl Field {
    /// A number.
    pub(super) fn number(at: u64, value: u64) -> Vec<u8> {
        [varint(at << 3), varint(value)].concat()
    }
}

/// A message or text within a message.
pub(super) fn field(at: u64, bytes: &[u8]) -> Vec<u8> {
    [&varint(at << 3 | 2), &varint(bytes.len() as u64), bytes].concat()
}

/// A text.
pub(super) fn text_field(at: u64, text: &str) -> Vec<u8> {
    field(at, text.as_bytes())
}

/// The text in a message's first field, which is field 1; empty where there is none.
pub(super) fn first_text(message: &[u8]) -> String {
    match message {
        [0x0a, length, rest @ ..] => String::from_utf8(rest[..usize::from(*length)].to_vec()).unwrap(),
        _ => String::new(),
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Calls a method: the answer's message.
pub(super) fn call(socket: &str, method: &str, request: &[u8]) -> Result<Vec<u8>, Error> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    write(&mut stream, SETTINGS, 0, 0, &[])?;
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    write(&mut stream, HEADERS, END_HEADERS, 1, &headers.map(|(name, value)| literal(name, value)).concat())?;
    let length = u32::try_from(request.len()).unwrap().to_be_bytes();
    let body = [&[0], &length[..], request].concat();
    // As large as a frame may be unless more was agreed on. What all calls need is below the first window.
    let parts: Vec<&[u8]> = body.chunks(16 << 10).collect();
    for (at, part) in parts.iter().enumerate() {
        let end = if at + 1 == parts.len() { END_STREAM } else { 0 };
        write(&mut stream, DATA, end, 1, part)?;
    }
    answer(&mut stream)
}

fn answer(stream: &mut UnixStream) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        let (kind, flags, payload) = read(stream)?;
        match kind {
            SETTINGS if flags & ACK == 0 => write(stream, SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => write(stream, PING, ACK, 0, &payload)?,
            DATA => body.extend(payload),
            RESET | GOAWAY => return Err(Error::new(ErrorKind::ConnectionReset, format!("{kind} {payload:?}"))),
            HEADERS if flags & END_STREAM != 0 => {
                // A call that failed has no message, not even an empty one.
                let message = body.get(5..).map(<[u8]>::to_vec);
                return message.ok_or_else(|| Error::other(String::from_utf8_lossy(&payload).into_owned()));
            }
            _ => {}
        }
    }
}

/// A header that is not to be remembered, in plain text.
fn literal(name: &str, value: &str) -> Vec<u8> {
    assert!(name.len() < 127 && value.len() < 127);
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn write(stream: &mut UnixStream, kind: u8, flags: u8, of: u32, payload: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[1..], &[kind, flags], &of.to_be_bytes(), payload].concat())
}

fn read(stream: &mut UnixStream) -> Result<(u8, u8, Vec<u8>), Error> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((head[3], head[4], payload))
}
