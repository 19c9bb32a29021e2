//! A coordinator that keeps strangers out: tokens with roles, certificates on both sides, and bounds on
//! what jobs may name.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::cluster::{Running, coordinator_with};
use crate::run::{Ran, command, marian, translations, whence};

/// Files of a coordinator and its callers.
struct Access {
    folder: TempDir,
}

impl Access {
    /// Makes a token per role, and certificates for the coordinator and for callers.
    fn new() -> Self {
        let access = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut lines = String::new();
        for role in ["worker", "submitter", "viewer"] {
            let made = whence(&["token", &format!("a-{role}"), "--role", role]);
            let (token, said) = (made.stdout.clone(), made.stderr.clone());
            made.succeeded();
            assert!(!said.contains(token.trim()), "{said}");
            access.write(role, &token);
            lines.push_str(said.lines().last().unwrap());
            lines.push('\n');
        }
        access.write("tokens", &lines);
        access.certify();
        access
    }

    fn certify(&self) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        self.write("ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        for (name, hosts) in [
            ("server", vec!["127.0.0.1".to_owned()]),
            ("client", Vec::new()),
        ] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(hosts).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            self.write(&format!("{name}.pem"), &certificate.pem());
            self.write(&format!("{name}.key"), &key.serialize_pem());
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Returns the flags of a caller with the token of `role`.
    fn flags(&self, url: &str, role: &str) -> Vec<String> {
        let flags = [
            ["--coordinator", url],
            ["--tls-ca", &self.text("ca.pem")],
            ["--token-file", &self.text(role)],
        ];
        flags.concat().into_iter().map(str::to_owned).collect()
    }

    /// Starts a coordinator with certificates and tokens. Returns it and its URL.
    fn coordinator(&self, root: &Path, more: &[&str]) -> (Running, String) {
        let (cert, key) = (self.text("server.pem"), self.text("server.key"));
        let tokens = self.text("tokens");
        let flags = ["--tls-cert", &cert, "--tls-key", &key, "--tokens", &tokens];
        let (running, url) = coordinator_with(root, &[&flags[..], more].concat());
        (running, url.replace("http://", "https://"))
    }
}

fn run(arguments: &[&str], flags: &[String]) -> Ran {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    whence(&[arguments, &flags].concat())
}

/// Submits a job of two rows.
fn submit(flags: &[String]) -> Ran {
    let (model, data) = (marian(), translations());
    let submit = ["submit", "-m", &model, "-d", &data, "--split", "train[:2]"];
    let fields = ["-in", "translation.en", "-gen", "translation.fr"];
    run(&[&submit[..], &fields].concat(), flags)
}

#[test]
fn only_the_holder_of_a_token_with_the_role_is_served() {
    let (access, root) = (Access::new(), tempfile::tempdir().unwrap());
    let (_coordinator, url) = access.coordinator(root.path(), &[]);
    let as_role = |role: &str| access.flags(&url, role);
    let job = submit(&as_role("submitter")).succeeded().trim().to_owned();

    // Nobody else has any effect, and is told why.
    submit(&as_role("viewer")).ended_with(2, &["role `viewer` may not do this"]);
    run(&["cancel", &job], &as_role("viewer")).ended_with(2, &["role `viewer`"]);
    run(&["cancel", &job], &as_role("worker")).ended_with(2, &["role `worker`"]);
    run(&["worker"], &as_role("submitter")).ended_with(2, &["role `submitter` may not do this"]);
    access.write("stranger", "whence_00");
    run(&["worker"], &as_role("stranger")).ended_with(2, &["does not know this token"]);
    run(&["status"], &as_role("stranger")).ended_with(2, &["does not know this token"]);
    let without = [
        "--coordinator".to_owned(),
        url.clone(),
        "--tls-ca".to_owned(),
        access.text("ca.pem"),
    ];
    run(&["status"], &without).ended_with(2, &["asks for a token", "WHENCE_TOKEN"]);
    let status = run(&["status", &job, "--json"], &as_role("viewer")).succeeded();
    assert!(status.contains("running"), "{status}");

    let flags = as_role("worker");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let worker = command(&[&["worker"], &flags[..]].concat())
        .spawn()
        .unwrap();
    let _worker = Running(worker);
    let watched = run(&["watch", &job], &as_role("viewer")).succeeded();
    assert!(watched.contains("sealed"), "{watched}");
}

#[test]
fn a_caller_that_does_not_know_the_certificate_is_not_connected() {
    let (access, root) = (Access::new(), tempfile::tempdir().unwrap());
    let client_ca = access.text("ca.pem");
    let (_coordinator, url) = access.coordinator(root.path(), &["--tls-client-ca", &client_ca]);
    let mut flags = access.flags(&url, "viewer");
    // The coordinator asks for a certificate of the caller, and ends the connection without one.
    run(&["status"], &flags).ended_with(1, &["the coordinator failed"]);
    for (flag, file) in [("--tls-cert", "client.pem"), ("--tls-key", "client.key")] {
        flags.extend([flag.to_owned(), access.text(file)]);
    }
    assert_eq!(run(&["status"], &flags).succeeded(), "");
    // The caller does not know who signed the coordinator's.
    let other = Access::new();
    other.write(
        "viewer",
        &fs::read_to_string(access.path("viewer")).unwrap(),
    );
    let flags = other.flags(&url, "viewer");
    run(&["status"], &flags).ended_with(1, &["no coordinator answers"]);
}

#[test]
fn jobs_name_only_what_is_below_the_allowed_places() {
    let (access, root) = (Access::new(), tempfile::tempdir().unwrap());
    let (model, elsewhere) = (marian(), root.path().display().to_string());
    let (_coordinator, url) =
        access.coordinator(root.path(), &["--allow", &model, "--allow", &elsewhere]);
    let refused = submit(&access.flags(&url, "submitter"));
    refused.ended_with(
        2,
        &["libreoffice-help-en-fr.test.jsonl", "outside the places"],
    );
    let second = tempfile::tempdir().unwrap();
    let data = format!("{},{model}", fixture_folder());
    let (_coordinator, url) = access.coordinator(second.path(), &["--allow", &data]);
    submit(&access.flags(&url, "submitter")).succeeded();
}

/// Returns the folder of the committed data.
fn fixture_folder() -> String {
    let data = translations();
    Path::new(&data).parent().unwrap().display().to_string()
}

#[test]
fn other_machines_are_not_served_by_accident() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().display().to_string();
    let open = ["coordinator", "--root", &root, "--listen", "0.0.0.0:0"];
    whence(&open).ended_with(2, &["other machines could reach it", "--insecure"]);
    let refused = command(&["status", "--coordinator", "http://192.0.2.1:1"])
        .env("WHENCE_TOKEN", "whence_secret")
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("unencrypted") && !said.contains("whence_secret"),
        "{said}"
    );
    whence(&["token", "a b", "--role", "viewer"]).ended_with(2, &["`a b`"]);
    whence(&["token", "a", "--role", "root"]).ended_with(2, &["`root` is not a role"]);
}
