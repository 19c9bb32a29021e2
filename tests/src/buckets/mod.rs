//! Buckets on loopback that implement what we need of S3, GCS and Azure, and fail on demand.
//!
//! Objects are created under one lock, so a conditional put is atomic, as the real stores promise. The
//! faults are those that break protocols: no answer or a refusal, for a while or now and then, an
//! answer that is lost after the object was written, and a server that accepts the condition but
//! ignores it. For connections that break in the middle of an object, see [`crate::proxy`].

mod contents;
mod dialect;
mod served;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use contents::Contents;
use dialect::Dialect;

/// What goes wrong with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Every request is answered with 503.
    Unavailable,
    /// Every request is answered with 403, as when credentials have expired.
    Forbidden,
    /// Of a hundred requests, about so many are answered with 503, at random.
    Overloaded(usize),
    /// Every n-th put is carried out but answered with 500.
    LosesAnswers(usize),
    /// The conditions of puts are ignored, so existing objects are overwritten.
    IgnoresConditions,
}

/// Whose protocol a bucket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3 and what is compatible with it.
    S3,
    /// The XML interface of Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    fn dialect(self) -> &'static Dialect {
        match self {
            Self::S3 => &dialect::S3,
            Self::Gcs => &dialect::GCS,
            Self::Azure => &dialect::AZURE,
        }
    }

    /// Returns the URL of the storage root `prefix` if the server is reached at `address`.
    fn url(self, address: SocketAddr, prefix: &str) -> String {
        let settings = format!("endpoint=http://{address}&skip_signature=true");
        match self {
            Self::S3 => format!("s3://bucket/{prefix}?{settings}&region=test"),
            Self::Gcs => format!("gs://bucket/{prefix}?{settings}"),
            Self::Azure => format!("az://bucket/{prefix}?{settings}&account=test"),
        }
    }
}

/// A server with one bucket, called `bucket`. Stops when dropped.
#[derive(Debug)]
pub struct Bucket {
    address: SocketAddr,
    provider: Provider,
    contents: Arc<Mutex<Contents>>,
    _server: JoinSet<()>,
}

impl Bucket {
    /// Serves an empty S3 bucket on a free port.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start() -> Self {
        Self::start_as(Provider::S3).await
    }

    /// Serves an empty bucket of `provider` on a free port.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start_as(provider: Provider) -> Self {
        let contents: Arc<Mutex<Contents>> = Arc::default();
        let router = served::router(Arc::clone(&contents), provider.dialect());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let mut server = JoinSet::new();
        server.spawn(async move {
            // The server stops when the test drops the bucket.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            provider,
            contents,
            _server: server,
        }
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the storage root `prefix` in the bucket.
    pub fn url(&self, prefix: &str) -> String {
        self.provider.url(self.address, prefix)
    }

    /// Returns the URL of the storage root `prefix` of an S3 bucket whose server is reached at
    /// `address`.
    pub fn url_at(address: SocketAddr, prefix: &str) -> String {
        Provider::S3.url(address, prefix)
    }

    /// Puts an object into the bucket.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.lock().put(key, bytes.to_vec());
    }

    /// Makes requests go wrong from now on, as `fault` says.
    pub fn fail(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    /// Lets each answer take this long.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Lists so many keys per page.
    pub fn set_page_keys(&self, keys: usize) {
        self.lock().page_keys = Some(keys);
    }

    /// Returns the bytes of an object.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.lock().objects.get(key).cloned()
    }

    /// Returns how many requests there were, and how many of them went wrong.
    pub fn num_requests(&self) -> (usize, usize) {
        let contents = self.lock();
        (contents.num_requests, contents.num_failed)
    }

    /// Returns the keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Makes every file of `folder` an object below `prefix`.
    ///
    /// # Panics
    ///
    /// If the folder cannot be read.
    pub fn upload(&self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let bytes = std::fs::read(&path).expect("a file");
            self.lock().put(&format!("{prefix}/{name}"), bytes);
        }
    }

    /// Writes every object below `prefix` into `folder`, for code that reads local directories.
    ///
    /// # Panics
    ///
    /// If the folder cannot be written.
    pub fn download(&self, prefix: &str, folder: &Path) {
        let objects = self.lock().objects.clone();
        for (key, bytes) in objects {
            let Some(relative) = key.strip_prefix(&format!("{prefix}/")) else {
                continue;
            };
            let path = folder.join(relative);
            std::fs::create_dir_all(path.parent().expect("a key has a folder"))
                .expect("a writable folder");
            std::fs::write(path, bytes).expect("a writable file");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("no holder panics")
    }
}
