//! Encodings of text files, by the names that Python gives them.
//!
//! Some of those names mean another encoding on the web, whose tables the decoder follows: there
//! `latin-1` is windows-1252. Only names that mean the same in both are passed on.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding};

/// An encoding other than UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextEncoding {
    /// Each byte is the code point of that number.
    Latin1,
    Table(&'static Encoding),
}

/// Names as Python normalizes them, and the names of the same encodings on the web.
const TABLES: [(&[&str], &str); 27] = [
    (
        &["utf-16", "utf16", "u16", "utf-16-le", "utf-16le"],
        "utf-16le",
    ),
    (&["utf-16-be", "utf-16be"], "utf-16be"),
    (&["cp1250", "windows-1250"], "windows-1250"),
    (&["cp1251", "windows-1251"], "windows-1251"),
    (&["cp1252", "windows-1252"], "windows-1252"),
    (&["cp1253", "windows-1253"], "windows-1253"),
    (&["cp1254", "windows-1254"], "windows-1254"),
    (&["cp1255", "windows-1255"], "windows-1255"),
    (&["cp1256", "windows-1256"], "windows-1256"),
    (&["cp1257", "windows-1257"], "windows-1257"),
    (&["cp1258", "windows-1258"], "windows-1258"),
    (
        &["iso-8859-2", "iso8859-2", "latin2", "latin-2"],
        "iso-8859-2",
    ),
    (&["iso-8859-3", "iso8859-3"], "iso-8859-3"),
    (&["iso-8859-4", "iso8859-4"], "iso-8859-4"),
    (&["iso-8859-5", "iso8859-5", "cyrillic"], "iso-8859-5"),
    (&["iso-8859-7", "iso8859-7", "greek"], "iso-8859-7"),
    (&["iso-8859-10", "iso8859-10"], "iso-8859-10"),
    (&["iso-8859-13", "iso8859-13"], "iso-8859-13"),
    (
        &["iso-8859-15", "iso8859-15", "latin9", "latin-9"],
        "iso-8859-15",
    ),
    (&["koi8-r"], "koi8-r"),
    (&["koi8-u"], "koi8-u"),
    (&["gbk", "gb2312", "cp936"], "gbk"),
    (&["gb18030"], "gb18030"),
    (&["big5", "cp950"], "big5"),
    (&["shift-jis", "sjis", "cp932"], "shift_jis"),
    (&["euc-jp"], "euc-jp"),
    (&["euc-kr", "cp949"], "euc-kr"),
];

impl TextEncoding {
    /// Returns the encoding called `name`; `Ok(None)` for UTF-8 and its subset ASCII. The error
    /// says which names are known.
    pub(super) fn parse(name: &str) -> Result<Option<Self>, String> {
        const UTF_8: [&str; 6] = ["utf-8", "utf8", "u8", "utf-8-sig", "ascii", "us-ascii"];
        const LATIN_1: [&str; 6] = [
            "latin-1",
            "latin1",
            "iso-8859-1",
            "iso8859-1",
            "l1",
            "cp819",
        ];
        let normal = name.trim().to_ascii_lowercase().replace(['_', ' '], "-");
        let normal = normal.as_str();
        if UTF_8.contains(&normal) {
            return Ok(None);
        }
        if LATIN_1.contains(&normal) {
            return Ok(Some(Self::Latin1));
        }
        let found = TABLES.iter().find(|(names, _)| names.contains(&normal));
        let table = found.and_then(|(_, web)| Encoding::for_label(web.as_bytes()));
        table.map(|table| Some(Self::Table(table))).ok_or_else(|| {
            let known: Vec<_> = TABLES.iter().map(|(names, _)| names[0]).collect();
            format!(
                "unknown encoding `{name}`; known: utf-8, latin-1, {}",
                known.join(", ")
            )
        })
    }

    /// Returns a reader of the same text in UTF-8. A byte order mark decides between the two byte
    /// orders of UTF-16 and is left out.
    pub(super) fn decode(self, encoded: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        match self {
            Self::Latin1 => Box::new(Latin1(encoded)),
            Self::Table(table) => Box::new(Decoded::new(encoded, table)),
        }
    }
}

/// Bytes that are decoded at a time.
const PIECE_BYTES: usize = 1 << 16;

struct Latin1(Box<dyn Read + Send>);

impl Read for Latin1 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A code point below 256 takes at most two bytes in UTF-8.
        let mut piece = vec![0; (buffer.len() / 2).clamp(1, PIECE_BYTES)];
        if buffer.len() < 2 {
            return Err(io::Error::other("the buffer holds no character"));
        }
        let read = self.0.read(&mut piece)?;
        Ok(encoding_rs::mem::convert_latin1_to_utf8(
            &piece[..read],
            buffer,
        ))
    }
}

struct Decoded {
    encoded: Box<dyn Read + Send>,
    decoder: Decoder,
    /// Bytes read and not yet decoded: `piece[used..filled]`.
    piece: Vec<u8>,
    used: usize,
    filled: usize,
    /// Bytes decoded so far, for the error message.
    position: u64,
    is_ended: bool,
}

impl Decoded {
    fn new(encoded: Box<dyn Read + Send>, table: &'static Encoding) -> Self {
        Self {
            encoded,
            decoder: table.new_decoder(),
            piece: vec![0; PIECE_BYTES],
            used: 0,
            filled: 0,
            position: 0,
            is_ended: false,
        }
    }
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.used == self.filled && !self.is_ended {
                self.used = 0;
                self.filled = self.encoded.read(&mut self.piece)?;
                self.is_ended = self.filled == 0;
            }
            let piece = &self.piece[self.used..self.filled];
            let (result, used, written) =
                self.decoder
                    .decode_to_utf8_without_replacement(piece, buffer, self.is_ended);
            self.used += used;
            self.position += used as u64;
            if let DecoderResult::Malformed(..) = result {
                let name = self.decoder.encoding().name();
                let reason = format!("it is not {name} before byte {}", self.position);
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            if written > 0 || buffer.is_empty() || (self.is_ended && self.used == self.filled) {
                return Ok(written);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(name: &str, bytes: &[u8]) -> io::Result<String> {
        let encoding = TextEncoding::parse(name).unwrap().unwrap();
        let mut text = String::new();
        let reader = encoding.decode(Box::new(io::Cursor::new(bytes.to_vec())));
        io::BufReader::with_capacity(7, reader).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn names_mean_what_they_mean_in_python() {
        assert_eq!(decoded("Latin_1", b"\xe9\x80").unwrap(), "é\u{80}");
        assert_eq!(decoded("cp1252", b"\xe9\x80").unwrap(), "é€");
        assert_eq!(decoded("utf-16", b"\xff\xfea\0\xac\x20").unwrap(), "a€");
        assert_eq!(decoded("utf-16", b"\xfe\xff\0a\x20\xac").unwrap(), "a€");
        assert_eq!(decoded("shift_jis", b"\x93\xfa").unwrap(), "日");
        assert!(TextEncoding::parse("utf8").unwrap().is_none());
        assert!(
            TextEncoding::parse("klingon")
                .unwrap_err()
                .contains("latin-1")
        );
    }

    #[test]
    fn every_name_is_known_to_the_decoder() {
        for (names, _) in TABLES {
            for name in names {
                assert!(TextEncoding::parse(name).unwrap().is_some(), "{name}");
            }
        }
    }

    #[test]
    fn bytes_of_another_encoding_are_an_error() {
        let error = decoded("shift_jis", b"ab\xff\xff").unwrap_err();
        assert!(error.to_string().contains("byte"), "{error}");
    }
}
