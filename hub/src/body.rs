//! A range of a file's bytes as they arrive, with a check that they are that range.

use std::ops::Range;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::client::{Answer, Ask, Client, failed, not_a_hub};
use crate::error::{Error, Subject};

/// The bytes of a range, in pieces.
#[derive(Debug)]
pub(crate) struct Body {
    response: Response,
    /// Where the bytes come from, after all redirects.
    url: Url,
    /// Bytes before the range that a server sends although they were not asked for.
    to_skip: u64,
    left: u64,
    range: Range<u64>,
}

impl Body {
    /// Asks for `range` of a file of `size` bytes.
    pub(crate) async fn open(
        client: &Client,
        url: &Url,
        range: Range<u64>,
        size: u64,
        subject: &Subject,
    ) -> Result<Self, Error> {
        let is_whole = range == (0..size);
        let ask = Ask {
            method: Method::GET,
            url: url.clone(),
            range: (!is_whole).then(|| format!("bytes={}-{}", range.start, range.end - 1)),
            subject,
        };
        let Answer { response, url } = client.send(&ask).await?;
        let to_skip = first_byte(&response, &url, range.start)?;
        let announced = announced_size(&response);
        if announced.is_some_and(|announced| announced != size) {
            return Err(Error::WrongSize {
                subject: subject.clone(),
                expected: size,
                found: announced.unwrap_or_default(),
            });
        }
        Ok(Self {
            response,
            url,
            to_skip,
            left: range.end - range.start,
            range,
        })
    }

    /// Returns where the bytes come from.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the next piece; `None` after the whole range. Fails if the body ends before that.
    pub(crate) async fn next(&mut self, subject: &Subject) -> Result<Option<Bytes>, Error> {
        while self.left > 0 {
            let piece = self.response.chunk().await;
            let piece = piece.map_err(|error| failed(&self.url, error))?;
            let Some(mut piece) = piece else {
                return Err(Error::CutShort {
                    subject: subject.clone(),
                    received: self.range.end - self.left,
                    size: self.range.end,
                });
            };
            let skipped = self.to_skip.min(piece.len() as u64);
            self.to_skip -= skipped;
            let _ = piece.split_to(skipped as usize);
            piece.truncate(self.left.min(piece.len() as u64) as usize);
            self.left -= piece.len() as u64;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

/// Returns how many bytes of the answer come before byte `start` of the file: none if the server
/// follows the range, all if it sends the whole file.
fn first_byte(response: &Response, url: &Url, start: u64) -> Result<u64, Error> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(start);
    }
    match content_range(response) {
        Some((first, _)) if first == start => Ok(0),
        _ => Err(not_a_hub(
            url,
            "it sends another range than the one asked for",
        )),
    }
}

/// Returns the size of the whole file by the headers of an answer.
fn announced_size(response: &Response) -> Option<u64> {
    if response.status() == StatusCode::PARTIAL_CONTENT {
        return content_range(response)?.1;
    }
    let length = response.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Reads `bytes 10-19/50` as the first byte and the size of the file.
fn content_range(response: &Response) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, size.parse().ok()))
}
