//! A bus for tests, at a socket in a machine's tree: it says what the test tells it to.

use super::wire::{self, Value, Values};
use crate::kit::testing::Tree;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What is said to a question.
#[derive(Clone, Debug)]
pub(crate) enum Said<'a> {
    Text(&'a str),
    Number(u32),
    Long(u64),
    Truth(bool),
    /// As a variant.
    Property(Box<Said<'a>>),
    /// An array of structs, and its signature.
    Rows(&'a str, Vec<Vec<Said<'a>>>),
    Error(&'a str),
    /// These bytes, whatever they are.
    Bytes(Vec<u8>),
    /// Half of the answer, and the end of the connection.
    Half(Box<Said<'a>>),
    /// Nothing, ever.
    Nothing,
}

/// What is asked: the object's path, and `interface.Member`, of methods and properties alike.
pub(crate) type Told = dyn Fn(&str, &str) -> Said<'static> + Send + Sync;

/// A bus that listens.
pub(crate) struct Script {
    /// How many are connected.
    pub(crate) open: Arc<AtomicUsize>,
    /// What was asked, in its order.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Listens where the tree's machine has its bus; `told` says what it answers.
    pub(crate) fn listen(tree: &Tree, path: &str, told: Box<Told>) -> Self {
        tree.write(&path[..path.rfind('/').unwrap() + 1], "");
        let listener = UnixListener::bind(format!("{}/{path}", tree.path())).unwrap();
        let (open, heard, told) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<_>>>::default(), Arc::new(told));
        let script = Self { open: Arc::clone(&open), heard: Arc::clone(&heard) };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (open, heard, told) = (Arc::clone(&open), Arc::clone(&heard), Arc::clone(&told));
                open.fetch_add(1, Relaxed);
                std::thread::spawn(move || {
                    let _ = serve(&stream, &heard, &**told);
                    open.fetch_sub(1, Relaxed);
                });
            }
        });
        script
    }
}

/// Lets a client in as a bus does, and answers until it goes.
fn serve(mut stream: &UnixStream, heard: &Mutex<Vec<String>>, told: &Told) -> std::io::Result<()> {
    let mut from = BufReader::new(stream);
    let mut line = String::new();
    let mut is_in = false;
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer = match line.trim_start_matches('\0').trim_end() {
            "BEGIN" if is_in => break,
            "BEGIN" => return Ok(()),
            "AUTH EXTERNAL" => "DATA\r\n",
            "DATA" => "OK 1234\r\n",
            // As to one from another user namespace.
            _ => "REJECTED EXTERNAL\r\n",
        };
        is_in = answer.starts_with("OK");
        stream.write_all(answer.as_bytes())?;
    }
    loop {
        let mut head = [0; wire::HEAD];
        from.read_exact(&mut head)?;
        let mut bytes = head.to_vec();
        bytes.resize(wire::length_of(&head).unwrap(), 0);
        from.read_exact(&mut bytes[wire::HEAD..])?;
        let serial = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
        let (path, member) = asked(&bytes);
        heard.lock().unwrap().push(format!("{path} {member}"));
        let said = match member.as_str() {
            "org.freedesktop.DBus.Hello" => Said::Text(":1.7"),
            _ => told(&path, &member),
        };
        match said {
            Said::Nothing => {}
            Said::Half(said) => {
                let bytes = answer(false, serial, &said);
                return stream.write_all(&bytes[..bytes.len() / 2]);
            }
            said => {
                // Signals come between answers.
                stream.write_all(&signal())?;
                stream.write_all(&answer(serial % 2 == 0, serial, &said))?;
            }
        }
    }
}

/// The path and member of a question.
fn asked(bytes: &[u8]) -> (String, String) {
    let end = wire::HEAD + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let mut fields = HashMap::new();
    let mut values = Values::of(&bytes[..end], wire::HEAD);
    while values.has_more() {
        values.align(8).unwrap();
        let code = values.byte().unwrap();
        if let Value::Text(text) = values.any().unwrap() {
            fields.insert(code, text.to_owned());
        }
    }
    let (path, mut interface, mut member) = (fields[&1].clone(), fields[&2].clone(), fields[&3].clone());
    if interface == "org.freedesktop.DBus.Properties" {
        let mut body = Values::of(&bytes[end.next_multiple_of(8)..], 0);
        (interface, member) = (body.text().unwrap().to_owned(), body.text().unwrap().to_owned());
    }
    (path, format!("{interface}.{member}"))
}

/// Writes values.
struct Writer {
    bytes: Vec<u8>,
    is_big: bool,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&if self.is_big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn value(&mut self, said: &Said<'_>) {
        match said {
            Said::Text(text) => {
                self.number(u32::try_from(text.len()).unwrap());
                self.bytes.extend_from_slice(text.as_bytes());
                self.bytes.push(0);
            }
            Said::Number(number) => self.number(*number),
            Said::Truth(truth) => self.number(u32::from(*truth)),
            Said::Long(long) => {
                self.align(8);
                self.bytes.extend_from_slice(&if self.is_big { long.to_be_bytes() } else { long.to_le_bytes() });
            }
            Said::Property(said) => {
                self.bytes.extend_from_slice(&[1, signature(said).as_bytes()[0], 0]);
                self.value(said);
            }
            Said::Rows(_, rows) => {
                self.number(0);
                let length = self.bytes.len() - 4;
                self.align(8);
                let start = self.bytes.len();
                for row in rows {
                    self.align(8);
                    row.iter().for_each(|said| self.value(said));
                }
                let bytes = u32::try_from(self.bytes.len() - start).unwrap();
                let bytes = if self.is_big { bytes.to_be_bytes() } else { bytes.to_le_bytes() };
                self.bytes[length..length + 4].copy_from_slice(&bytes);
            }
            Said::Error(_) | Said::Nothing | Said::Bytes(_) | Said::Half(_) => {}
        }
    }
}

fn signature<'a>(said: &Said<'a>) -> &'a str {
    match said {
        Said::Text(_) => "s",
        Said::Number(_) => "u",
        Said::Long(_) => "t",
        Said::Truth(_) => "b",
        Said::Property(_) => "v",
        Said::Rows(signature, _) => signature,
        Said::Error(_) | Said::Nothing | Said::Bytes(_) | Said::Half(_) => "",
    }
}

/// The message that answers the question with this serial.
pub(crate) fn answer(is_big: bool, serial: u32, said: &Said<'_>) -> Vec<u8> {
    if let Said::Bytes(bytes) = said {
        return bytes.clone();
    }
    let mut fields = Writer { bytes: vec![5, 1, b'u', 0], is_big };
    fields.number(serial);
    let mut kind = 2;
    if let Said::Error(name) = said {
        kind = 3;
        fields.align(8);
        fields.bytes.extend_from_slice(&[4, 1, b's', 0]);
        fields.value(&Said::Text(name));
    }
    fields.align(8);
    let signature = signature(said);
    fields.bytes.extend_from_slice(&[8, 1, b'g', 0, u8::try_from(signature.len()).unwrap()]);
    fields.bytes.extend_from_slice(signature.as_bytes());
    fields.bytes.push(0);
    message(is_big, kind, &fields.bytes, said)
}

/// Something that everybody is told.
fn signal() -> Vec<u8> {
    let fields = Writer { bytes: b"\x02\x01s\0\x03\0\0\0a.b\0".to_vec(), is_big: false };
    message(false, 4, &fields.bytes, &Said::Text("news"))
}

fn message(is_big: bool, kind: u8, fields: &[u8], said: &Said<'_>) -> Vec<u8> {
    let mut body = Writer { bytes: Vec::new(), is_big };
    body.value(said);
    let mut out = Writer { bytes: vec![if is_big { b'B' } else { b'l' }, kind, 0, 1], is_big };
    out.number(u32::try_from(body.bytes.len()).unwrap());
    out.number(1);
    out.number(u32::try_from(fields.len()).unwrap());
    out.bytes.extend_from_slice(fields);
    out.align(8);
    out.bytes.extend_from_slice(&body.bytes);
    out.bytes
}
