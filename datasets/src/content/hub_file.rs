//! Files on the Hub that are read by ranges instead of being downloaded.

use std::io;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::failure::RemoteFailure;
use super::remote::RangeSource;

#[async_trait]
impl RangeSource for whence_hub::RemoteFile {
    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let bytes = whence_hub::RemoteFile::read(self, range).await;
        Ok(bytes.map_err(|error| RemoteFailure::Hub(Box::new(error)))?)
    }
}
