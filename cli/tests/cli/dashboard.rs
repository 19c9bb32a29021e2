//! The dashboard of a coordinator and a worker that run as separate processes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::cluster::{Running, coordinator_with};
use crate::run::{command, free_port, marian, translations, whence};

/// Returns the page at `path`, which must be there.
fn page(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = "host: localhost\r\nconnection: close\r\n\r\n";
    write!(stream, "GET {path} HTTP/1.1\r\n{head}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    answer
}

#[test]
fn a_job_is_followed_from_its_slots_to_the_scores_of_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let http = format!("127.0.0.1:{port}");
    let (_coordinator, url) = coordinator_with(folder.path(), &["--http-listen", &http]);
    let (model, data) = (marian(), translations());
    let mut jobs = Vec::new();
    for method in ["saliency", "attention"] {
        let submit = ["submit", "-m", &model, "-d", &data, "--coordinator", &url];
        let rows = ["--split", "train[:4]", "-in", "translation.en"];
        let how = ["-gen", "translation.fr", "--attribution-method", method];
        let submitted = whence(&[&submit[..], &rows, &how].concat()).succeeded();
        jobs.push(submitted.trim_end().to_owned());
    }
    let open = page(port, &format!("/jobs/{}", jobs[0]));
    assert!(open.contains("p000000: pending, 4 rows"), "{open}");
    assert!(page(port, "/workers").contains("<tbody id=\"workers\"></tbody>"));

    let worker = command(&["worker", "--coordinator", &url])
        .stderr(Stdio::null())
        .spawn();
    let _worker = Running(worker.expect("the worker starts"));
    for job in &jobs {
        whence(&["watch", job, "--coordinator", &url]).succeeded();
    }
    let listed = page(port, "/");
    assert_eq!(listed.matches("100 %, 4 of 4").count(), 2, "{listed}");
    assert!(page(port, "/workers").contains("<td data-label=\"Device\">cpu"));
    let slot = page(port, &format!("/jobs/{}/slots/p000000", jobs[0]));
    assert!(slot.contains("4 of 4 rows"), "{slot}");
    let row = format!("/jobs/{}/example?row=3&with={}", jobs[0], jobs[1]);
    let both = page(port, &row);
    assert_eq!(
        both.matches("<table class=\"heatmap\">").count(),
        2,
        "{both}"
    );
    assert!(both.contains("class=\"p10\""), "{both}");
}
