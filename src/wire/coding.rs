//! The coding that a body may have, and what it decodes to.
//!
//! `gzip` (RFC 1952) and `deflate` (RFC 9110, section 8.4.1.2; with or without zlib's frame, since both are sent) are decoded
//! as they come, so much at a time that nobody's memory is filled by a few bytes. Any other coding cannot be read.

use crc32fast::Hasher;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// The codings that are read, as a header names them for whoever sends another one.
pub const READ_CODINGS: &str = "gzip, deflate";

/// The most that one step adds of a coded body, in bytes.
const MAX_DECODED_BYTES: usize = 1 << 20;
/// How much is decoded in one go, in bytes.
const STEP_BYTES: usize = 32 * 1024;
/// The longest header of gzip that is read: it may hold a name and a comment.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// The most members of gzip that stand one behind the other.
const MAX_MEMBERS: usize = 4_096;
/// What stands behind the data of gzip: a checksum and a length.
const TRAILER_BYTES: usize = 8;

/// The body has a coding that nobody here can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCoding;

/// The body is not what its coding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Why a whole body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeFailure {
    /// It is not what its coding says, or not all of it.
    Corrupt,
    /// It is longer than it may be.
    TooLarge,
}

/// A coding that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
}

/// The only coding of a body, if it has one.
///
/// # Errors
/// [`UnknownCoding`], also for several codings.
pub fn coding(headers: &HeaderMap) -> Result<Option<Coding>, UnknownCoding> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| UnknownCoding)?.split(',') {
            let coding = match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                _ => return Err(UnknownCoding),
            };
            if found.replace(coding).is_some() {
                return Err(UnknownCoding);
            }
        }
    }
    Ok(found)
}

/// All of a body that has this coding, at most `limit` bytes of it.
///
/// # Errors
/// [`DecodeFailure`].
pub fn decode(coding: Coding, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeFailure> {
    let mut inflater = Inflater::new(coding);
    inflater.input = body;
    let mut plain = Vec::with_capacity(inflater.input.len().min(limit));
    inflater.inflate_up_to(limit + 1, &mut plain).map_err(|Corrupt| DecodeFailure::Corrupt)?;
    let is_whole = inflater.is_whole() && !matches!(inflater.stage, Stage::Trailer(_));
    match (plain.len() <= limit, is_whole) {
        (false, _) => Err(DecodeFailure::TooLarge),
        (true, true) => Ok(plain),
        (true, false) => Err(DecodeFailure::Corrupt),
    }
}

/// Decodes a body as it comes.
pub struct Inflater {
    coding: Coding,
    stage: Stage,
    state: Box<InflateState>,
    /// Of what the present member of gzip decodes to, and how long that is, modulo 2^32.
    checksum: Hasher,
    length: u32,
    /// What stands behind its data, as far as it has come.
    trailer: [u8; TRAILER_BYTES],
    /// How many members have begun.
    members: usize,
    /// What has come and is not decoded.
    pub input: Vec<u8>,
    /// Whether more can be decoded of what has come.
    pub is_pending: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Data,
    /// So much of what stands behind the data.
    Trailer(usize),
    /// Perhaps another member; what is none is padding.
    Between,
    Padding,
    /// A body that has no coding, whatever its headers say.
    Plain,
}

/// How what comes is to be read, and what stands before it.
struct Opening {
    stage: Stage,
    format: DataFormat,
    header_bytes: usize,
}

impl Inflater {
    pub fn new(coding: Coding) -> Self {
        let state = InflateState::new_boxed(DataFormat::Raw);
        let (checksum, trailer) = (Hasher::new(), [0; TRAILER_BYTES]);
        let (stage, input) = (Stage::Header, Vec::new());
        Self { coding, stage, state, checksum, length: 0, trailer, members: 0, input, is_pending: false }
    }

    /// Whether the body may end here.
    pub fn is_whole(&self) -> bool {
        match self.stage {
            Stage::Data => false,
            Stage::Header => self.input.is_empty(),
            Stage::Trailer(_) | Stage::Between | Stage::Padding | Stage::Plain => true,
        }
    }

    /// Appends what can be decoded to `out`, but hardly more than 1 MiB at a time.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn inflate(&mut self, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        self.inflate_up_to(out.len() + MAX_DECODED_BYTES, out)
    }

    /// Appends what can be decoded to `out`, until that has `most` bytes or hardly more.
    fn inflate_up_to(&mut self, most: usize, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        self.is_pending = false;
        loop {
            match self.stage {
                Stage::Data if out.len() >= most => {
                    self.is_pending = true;
                    break;
                }
                Stage::Data => {
                    if !self.inflate_step(&mut rest, out)? {
                        break;
                    }
                }
                _ if rest.is_empty() => break,
                // Each member costs more than it has bytes.
                Stage::Header if self.members == MAX_MEMBERS => return Err(Corrupt),
                Stage::Header => {
                    let Some(opening) = self.opening(rest)? else { break };
                    self.state.reset(opening.format);
                    self.checksum.reset();
                    self.length = 0;
                    self.stage = opening.stage;
                    self.members += 1;
                    rest = &rest[opening.header_bytes..];
                }
                Stage::Trailer(left) => {
                    let (came, more) = rest.split_at(left.min(rest.len()));
                    self.trailer[TRAILER_BYTES - left..][..came.len()].copy_from_slice(came);
                    rest = more;
                    self.stage = if came.len() == left { Stage::Between } else { Stage::Trailer(left - came.len()) };
                    if self.stage == Stage::Between && self.trailer != trailer(self.checksum.clone(), self.length) {
                        return Err(Corrupt);
                    }
                }
                Stage::Between => self.stage = if rest.starts_with(&[0x1F]) { Stage::Header } else { Stage::Padding },
                Stage::Padding => rest = &[],
                Stage::Plain => {
                    out.extend_from_slice(rest);
                    rest = &[];
                }
            }
        }
        if self.stage == Stage::Header && rest.len() > MAX_HEADER_BYTES {
            return Err(Corrupt);
        }
        self.input = rest.to_vec();
        Ok(())
    }

    /// Decodes once, and says whether that brought anything on.
    fn inflate_step(&mut self, rest: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Corrupt> {
        let start = out.len();
        // By a quarter at a time, where doubling would hold twice what comes.
        if out.capacity() - start < STEP_BYTES {
            out.reserve_exact(STEP_BYTES.max(start / 4));
        }
        out.resize(start + STEP_BYTES, 0);
        let result = inflate(&mut self.state, rest, &mut out[start..], MZFlush::None);
        out.truncate(start + result.bytes_written);
        if self.coding == Coding::Gzip {
            self.checksum.update(&out[start..]);
            self.length = self.length.wrapping_add(result.bytes_written as u32);
        }
        *rest = &rest[result.bytes_consumed..];
        match (result.status, self.coding) {
            (Ok(MZStatus::StreamEnd), Coding::Gzip) => self.stage = Stage::Trailer(TRAILER_BYTES),
            (Ok(MZStatus::StreamEnd), Coding::Deflate) => self.stage = Stage::Padding,
            (Ok(_) | Err(MZError::Buf), _) => return Ok(result.bytes_consumed + result.bytes_written > 0),
            (Err(_), _) => return Err(Corrupt),
        }
        Ok(true)
    }

    /// How what begins with `bytes` is to be read; nothing while too little has come.
    fn opening(&self, bytes: &[u8]) -> Result<Option<Opening>, Corrupt> {
        let plain = Opening { stage: Stage::Plain, format: DataFormat::Raw, header_bytes: 0 };
        let data = |format, header_bytes| Opening { stage: Stage::Data, format, header_bytes };
        match self.coding {
            Coding::Gzip if !bytes.starts_with(&[0x1F]) => Ok(Some(plain)),
            Coding::Gzip => Ok(gzip_header_bytes(bytes)?.map(|length| data(DataFormat::Raw, length))),
            Coding::Deflate => Ok(bytes.get(..2).map(|frame| {
                let is_zlib = frame[0] & 0x0F == 8 && u16::from_be_bytes([frame[0], frame[1]]).is_multiple_of(31);
                data(if is_zlib { DataFormat::Zlib } else { DataFormat::Raw }, 0)
            })),
        }
    }
}

/// What stands behind the data of gzip (RFC 1952, section 2.3.1).
fn trailer(checksum: Hasher, length: u32) -> [u8; TRAILER_BYTES] {
    (u64::from(checksum.finalize()) | u64::from(length) << 32).to_le_bytes()
}

/// The length of the header of gzip that `bytes` begin with; nothing while it is not whole.
fn gzip_header_bytes(bytes: &[u8]) -> Result<Option<usize>, Corrupt> {
    const FIXED_BYTES: usize = 10;
    const CHECKSUM: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let Some(fixed) = bytes.get(..FIXED_BYTES) else { return Ok(None) };
    let &[0x1F, 0x8B, 8, flags, ..] = fixed else { return Err(Corrupt) };
    let mut length = FIXED_BYTES;
    if flags & EXTRA != 0 {
        let Some(&[low, high]) = bytes.get(length..length + 2) else { return Ok(None) };
        length += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = bytes.get(length..).and_then(|rest| memchr::memchr(0, rest));
            let Some(end) = end else { return Ok(None) };
            length += end + 1;
        }
    }
    length += if flags & CHECKSUM != 0 { 2 } else { 0 };
    Ok((bytes.len() >= length).then_some(length))
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hello, hello, hello\"}}]}\n\n";

    /// A member of gzip with these flags, and what they say stands in its header.
    fn gzip(flags: u8, header: &[u8], plain: &[u8]) -> Vec<u8> {
        let fixed = [0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 3];
        let mut checksum = Hasher::new();
        checksum.update(plain);
        [&fixed[..], header, &compress_to_vec(plain, 6), &trailer(checksum, plain.len() as u32)].concat()
    }

    /// What comes of a body in these parts, and whether it may end there.
    fn decode_parts(coding: Coding, parts: &[&[u8]]) -> Result<(Vec<u8>, bool), Corrupt> {
        let (mut inflater, mut out) = (Inflater::new(coding), Vec::new());
        for part in parts {
            inflater.input.extend_from_slice(part);
            loop {
                let before = out.len();
                inflater.inflate(&mut out)?;
                assert!(out.len() - before <= MAX_DECODED_BYTES + STEP_BYTES);
                if !inflater.is_pending {
                    break;
                }
            }
        }
        Ok((out, inflater.is_whole()))
    }

    #[test]
    fn a_body_is_the_same_at_every_split() {
        let extra = [&[3, 0][..], b"abc", b"name\0", b"comment\0", &[9, 9]].concat();
        let twice = [gzip(0, b"", &TEXT[..9]), gzip(0, b"", &TEXT[9..])].concat();
        let padded = [gzip(0, b"", TEXT), vec![0; 20]].concat();
        for (coding, body) in [
            (Coding::Gzip, gzip(0, b"", TEXT)),
            (Coding::Gzip, gzip(2 | 4 | 8 | 16, &extra, TEXT)),
            (Coding::Gzip, twice),
            (Coding::Gzip, padded),
            (Coding::Gzip, TEXT.to_vec()),
            (Coding::Deflate, compress_to_vec_zlib(TEXT, 6)),
            (Coding::Deflate, compress_to_vec(TEXT, 6)),
        ] {
            for at in 0..=body.len() {
                let (head, tail) = body.split_at(at);
                assert_eq!(decode_parts(coding, &[head, tail]), Ok((TEXT.to_vec(), true)), "{coding:?} split at {at}");
            }
            let single: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(decode_parts(coding, &single), Ok((TEXT.to_vec(), true)), "{coding:?} byte by byte");
        }
    }

    #[test]
    fn a_body_that_is_cut_is_not_whole() {
        let body = gzip(8, b"name\0", TEXT);
        for at in 1..body.len() - TRAILER_BYTES {
            let (out, is_whole) = decode_parts(Coding::Gzip, &[&body[..at]]).expect("a beginning");
            assert!(!is_whole && TEXT.starts_with(&out), "cut at {at}");
        }
        assert_eq!(decode_parts(Coding::Gzip, &[]), Ok((Vec::new(), true)), "nothing is nothing");
    }

    #[test]
    fn what_is_not_what_it_says_is_corrupt() {
        let mut damaged = compress_to_vec_zlib(TEXT, 6);
        damaged[20] ^= 0xFF;
        let changed = |from_the_end: usize| {
            let mut body = gzip(0, b"", TEXT);
            let at = body.len() - from_the_end;
            body[at] ^= 1;
            body
        };
        let endless = [&gzip(8, b"", b"")[..10], &[b'x'; MAX_HEADER_BYTES]].concat();
        for (coding, body) in [
            (Coding::Gzip, b"\x1F\x8B\x09\0\0\0\0\0\0\0data".to_vec()),
            (Coding::Gzip, endless),
            (Coding::Gzip, changed(TRAILER_BYTES)),
            (Coding::Gzip, changed(1)),
            (Coding::Deflate, damaged),
            (Coding::Deflate, b"\xFF\xFF\xFF".to_vec()),
        ] {
            assert_eq!(decode_parts(coding, &[&body]).err(), Some(Corrupt), "{coding:?}");
        }
    }

    #[test]
    fn a_bomb_goes_off_in_small_parts() {
        let bomb = gzip(0, b"", &vec![b' '; 40 << 20]);
        assert!(bomb.len() < 64 * 1024);
        let (out, is_whole) = decode_parts(Coding::Gzip, &[&bomb]).expect("blanks");
        assert_eq!((out.len(), is_whole), (40 << 20, true));
    }

    #[test]
    fn a_whole_body_is_decoded_within_its_limit() {
        let blanks = gzip(0, b"", &vec![b' '; 20 << 20]);
        let whole = gzip(0, b"", TEXT);
        let cut = whole[..whole.len() - TRAILER_BYTES - 1].to_vec();
        for (name, body, limit, expected) in [
            ("as long as it may be", whole.clone(), TEXT.len(), Ok(TEXT.to_vec())),
            ("a byte too long", whole.clone(), TEXT.len() - 1, Err(DecodeFailure::TooLarge)),
            ("a bomb", blanks, 10 << 20, Err(DecodeFailure::TooLarge)),
            ("cut", cut, 1 << 20, Err(DecodeFailure::Corrupt)),
            ("cut in its trailer", whole[..whole.len() - 1].to_vec(), 1 << 20, Err(DecodeFailure::Corrupt)),
            ("members of nothing", gzip(0, b"", b"").repeat(MAX_MEMBERS + 1), 1 << 20, Err(DecodeFailure::Corrupt)),
            ("nothing", Vec::new(), 1 << 20, Ok(Vec::new())),
            ("no gzip at all", TEXT.to_vec(), 1 << 20, Ok(TEXT.to_vec())),
        ] {
            assert_eq!(decode(Coding::Gzip, body, limit), expected, "{name}");
        }
        let large = vec![b'x'; 3 << 20];
        let decoded = decode(Coding::Deflate, compress_to_vec_zlib(&large, 1), 3 << 20).expect("a body");
        assert!(decoded == large && decoded.capacity() < 4 << 20);
    }

    #[test]
    fn codings_are_known_by_their_names() {
        let of = |values: &[&'static str]| {
            let headers: HeaderMap =
                values.iter().map(|value| (CONTENT_ENCODING, http::HeaderValue::from_static(value))).collect();
            coding(&headers)
        };
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["identity"], Ok(None)),
            (&[""], Ok(None)),
            (&["GZip"], Ok(Some(Coding::Gzip))),
            (&["x-gzip"], Ok(Some(Coding::Gzip))),
            (&[" identity , gzip"], Ok(Some(Coding::Gzip))),
            (&["deflate"], Ok(Some(Coding::Deflate))),
            (&["br"], Err(UnknownCoding)),
            (&["zstd"], Err(UnknownCoding)),
            (&["gzip, br"], Err(UnknownCoding)),
            (&["gzip, gzip"], Err(UnknownCoding)),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..256), is_framed: bool, split in 0_usize..256) {
            let bytes = if is_framed { [&[0x1F, 0x8B, 8][..], &bytes].concat() } else { bytes };
            let (head, tail) = bytes.split_at(split.min(bytes.len()));
            for coding in [Coding::Gzip, Coding::Deflate] {
                prop_assert_eq!(decode_parts(coding, &[head, tail]), decode_parts(coding, &[&bytes]));
            }
        }
    }
}
