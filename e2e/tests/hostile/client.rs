//! A client on a raw socket: it sends any bytes, may leave at any time, and keeps every byte that came back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::provider::find;

/// A step of a client.
#[derive(Clone, Debug)]
pub enum Step {
    Bytes(Vec<u8>),
    Pause(Duration),
    /// Sends no more, but listens on.
    Shut,
}

/// What a client does.
#[derive(Clone, Debug)]
pub struct Sending {
    pub steps: Vec<Step>,
    /// Whether an answer has no body, as one to HEAD.
    pub is_head: bool,
    /// After how many bytes of the answer the client leaves; it stays if there is no such number.
    pub leaves_after: Option<usize>,
    /// How long it reads nothing.
    pub reads_after: Duration,
    /// How long it waits for the end of the answer, from when it reads on.
    pub patience: Duration,
}

impl Sending {
    /// Sends these bytes, and waits for the answer's end.
    pub fn new(bytes: Vec<u8>, patience: Duration) -> Self {
        Self {
            steps: vec![Step::Bytes(bytes)],
            is_head: false,
            leaves_after: None,
            reads_after: Duration::ZERO,
            patience,
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Got {
    /// Every byte, as it came.
    pub raw: Vec<u8>,
    /// Nothing if no head came.
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    pub end: Ended,
    pub elapsed: Duration,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As HTTP says.
    Whole,
    /// The connection was closed before that.
    Aborted,
    /// The client left.
    Left,
    /// The client's patience was over.
    TooLate,
}

impl Got {
    /// The first header of this name, or an empty text.
    pub fn header(&self, wanted: &str) -> &str {
        self.headers.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The request's id, if the guest answered.
    pub fn route_id(&self) -> Option<&str> {
        Some(self.header("x-route-id")).filter(|id| !id.is_empty())
    }

    /// `error.code` of a body that is OpenAI's envelope.
    pub fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        body["error"]["code"].as_str().map(str::to_owned)
    }
}

/// Does what `sending` says.
pub async fn send(addr: SocketAddr, sending: &Sending) -> Got {
    let started = Instant::now();
    let mut raw = Vec::new();
    let mut end = Ended::Aborted;
    if let Ok(stream) = TcpStream::connect(addr).await {
        let (mut reader, mut writer) = stream.into_split();
        let writing = async {
            for step in &sending.steps {
                let written = match step {
                    Step::Bytes(bytes) => writer.write_all(bytes).await,
                    Step::Shut => writer.shutdown().await,
                    Step::Pause(pause) => {
                        tokio::time::sleep(*pause).await;
                        Ok(())
                    }
                };
                // Who answers before it has read all may have closed its side.
                if written.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let reading = async {
            if !sending.reads_after.is_zero() {
                tokio::time::sleep(sending.reads_after).await;
            }
            let mut part = vec![0; 32 * 1024];
            loop {
                if sending.leaves_after.is_some_and(|bytes| raw.len() >= bytes) {
                    return Ended::Left;
                }
                match reader.read(&mut part).await {
                    Ok(read) if read > 0 => raw.extend_from_slice(&part[..read]),
                    Ok(_) | Err(_) => return Ended::Aborted,
                }
                if parse(&raw, sending.is_head).is_some_and(|parsed| parsed.is_whole) {
                    return Ended::Whole;
                }
            }
        };
        end = tokio::select! {
            end = reading => end,
            () = writing => Ended::TooLate,
            () = tokio::time::sleep(sending.reads_after + sending.patience) => Ended::TooLate,
        };
    }
    // What the client itself delayed is not the gateway's.
    let elapsed = started.elapsed().saturating_sub(sending.reads_after);
    let parsed = parse(&raw, sending.is_head);
    let (status, headers, body) = match parsed {
        Some(parsed) => {
            if parsed.until_close && end == Ended::Aborted {
                end = Ended::Whole;
            }
            (Some(parsed.status), parsed.headers, parsed.body)
        }
        None => (None, Vec::new(), Vec::new()),
    };
    Got { raw, status, headers, body, end, elapsed }
}

struct Parsed {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    is_whole: bool,
    /// Only the end of the connection ends the body.
    until_close: bool,
}

/// The final answer in `raw`, once its head is there.
fn parse(raw: &[u8], is_head: bool) -> Option<Parsed> {
    let end = find(raw, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&raw[..end]);
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let after = &raw[end + 4..];
    if (100..200).contains(&status) {
        return parse(after, is_head);
    }
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let length: Option<usize> = header("content-length").and_then(|value| value.parse().ok());
    let chunked = header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let (body, is_whole, until_close) = match length {
        _ if is_head || status == 204 || status == 304 => (Vec::new(), true, false),
        _ if chunked => {
            let chunks = dechunk(after);
            (chunks.body, chunks.ended, false)
        }
        Some(length) => (after[..after.len().min(length)].to_vec(), after.len() >= length, false),
        None => (after.to_vec(), false, true),
    };
    Some(Parsed { status, headers, body, is_whole, until_close })
}

/// What a chunked body holds.
pub struct Chunks {
    pub body: Vec<u8>,
    /// Whether its end has come.
    pub ended: bool,
}

impl Chunks {
    /// The body, if its end has come.
    pub fn whole(self) -> Option<Vec<u8>> {
        self.ended.then_some(self.body)
    }
}

/// Takes a chunked body apart, as far as it has come.
pub fn dechunk(mut rest: &[u8]) -> Chunks {
    let mut body = Vec::new();
    loop {
        let size = find(rest, b"\r\n").and_then(|end| {
            let text = std::str::from_utf8(&rest[..end]).ok()?;
            Some((end + 2, usize::from_str_radix(text.split(';').next()?.trim(), 16).ok()?))
        });
        let Some((start, size)) = size else { return Chunks { body, ended: false } };
        let data = &rest[start..];
        if size == 0 {
            // No trailers, or trailers that end with an empty line.
            let ended = data.starts_with(b"\r\n") || find(data, b"\r\n\r\n").is_some();
            return Chunks { body, ended };
        }
        body.extend_from_slice(&data[..data.len().min(size)]);
        let Some(next) = data.get(size + 2..) else { return Chunks { body, ended: false } };
        rest = next;
    }
}
