//! How the protocols of the stores differ, as far as we use them.

use axum::http::StatusCode;

use super::contents::{Entry, Page};

/// One of the protocols.
#[derive(Debug)]
pub(super) struct Dialect {
    /// The header of a put that is to fail if there is an object, and its value.
    pub(super) condition: (&'static str, &'static str),
    /// The answer if an object was written.
    pub(super) written: StatusCode,
    /// The answer if there is an object and must be none.
    pub(super) exists: (StatusCode, &'static str),
    /// The parameters that name the key after which a listing goes on.
    pub(super) after: &'static [&'static str],
    /// Writes a page of a listing.
    pub(super) list: fn(&Page) -> String,
}

pub(super) const S3: Dialect = Dialect {
    condition: ("if-none-match", "*"),
    written: StatusCode::OK,
    exists: (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
    after: &["continuation-token", "start-after"],
    list: s3_page,
};

/// The XML interface of Google Cloud Storage is that of S3, except for the condition.
pub(super) const GCS: Dialect = Dialect {
    condition: ("x-goog-if-generation-match", "0"),
    ..S3
};

pub(super) const AZURE: Dialect = Dialect {
    condition: ("if-none-match", "*"),
    written: StatusCode::CREATED,
    exists: (StatusCode::CONFLICT, "BlobAlreadyExists"),
    after: &["marker"],
    list: azure_page,
};

fn s3_page(page: &Page) -> String {
    let entry = |Entry { key, size, tag }: &Entry| {
        let modified = "2026-11-25T00:00:00.000Z";
        format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{tag}</ETag><LastModified>{modified}</LastModified></Contents>"
        )
    };
    let entries: String = page.entries.iter().map(entry).collect();
    let next = page.next.as_ref().map_or_else(String::new, |next| {
        format!("<NextContinuationToken>{next}</NextContinuationToken>")
    });
    format!("<ListBucketResult>{entries}{next}</ListBucketResult>")
}

fn azure_page(page: &Page) -> String {
    let entry = |Entry { key, size, tag }: &Entry| {
        let modified = "Wed, 25 Nov 2026 00:00:00 GMT";
        format!(
            "<Blob><Name>{key}</Name><Properties><Last-Modified>{modified}</Last-Modified><Etag>{tag}</Etag><Content-Length>{size}</Content-Length><Content-Type>application/octet-stream</Content-Type></Properties></Blob>"
        )
    };
    let entries: String = page.entries.iter().map(entry).collect();
    let next = page.next.as_deref().unwrap_or_default();
    format!(
        "<EnumerationResults><Blobs>{entries}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
    )
}
