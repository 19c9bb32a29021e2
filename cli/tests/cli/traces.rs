//! Traces: a collector on loopback gets one trace per job, from the command to the reports. And logs
//! that a program reads.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::cluster::{Running, listening};
use crate::run::{command, free_port, marian, translations};

/// How long spans may take to arrive: they are sent in batches.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the collector got: spans with the name of their service.
#[derive(Debug, Clone)]
struct Collected(watch::Sender<Vec<(String, Span)>>);

#[tonic::async_trait]
impl TraceService for Collected {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let attributes = of_resource.resource.unwrap_or_default().attributes;
            let service = attributes
                .into_iter()
                .find(|pair| pair.key == "service.name");
            let service = service.and_then(|pair| pair.value?.value);
            let Some(Value::StringValue(service)) = service else {
                return Err(Status::invalid_argument("no name of a service"));
            };
            let spans = of_resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            let spans = spans.map(|span| (service.clone(), span));
            self.0.send_modify(|collected| collected.extend(spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collected {
    /// Waits until a trace has spans of all these names, each with its service. Returns all of its spans.
    async fn trace_with(&self, names: &[(&str, &str)]) -> Vec<Span> {
        let mut receiver = self.0.subscribe();
        let arrived = receiver.wait_for(|spans| find_trace(spans, names).is_some());
        let arrived = tokio::time::timeout(PATIENCE, arrived).await;
        if let Ok(spans) = arrived {
            return find_trace(&spans.unwrap(), names).unwrap();
        }
        let spans = self.0.borrow();
        let got: BTreeSet<_> = spans.iter().map(|(of, span)| (of, &span.name)).collect();
        panic!("no trace has all of them: {got:?}");
    }
}

/// Returns the spans of the trace that has all these names, each with its service.
fn find_trace(spans: &[(String, Span)], names: &[(&str, &str)]) -> Option<Vec<Span>> {
    let traces: BTreeSet<_> = spans.iter().map(|(_, span)| &span.trace_id).collect();
    traces.into_iter().find_map(|trace| {
        let of_trace = spans.iter().filter(|(_, span)| span.trace_id == *trace);
        let of_trace: Vec<_> = of_trace.collect();
        let has = |(service, name): &(&str, &str)| {
            let mut found = of_trace.iter();
            found.any(|(of, span)| of == service && span.name == *name)
        };
        let has_all = names.iter().all(has);
        has_all.then(|| of_trace.into_iter().map(|(_, span)| span.clone()).collect())
    })
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let pair = span.attributes.iter().find(|pair| pair.key == key)?;
    match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// Returns the command, which sends its traces to `collector` soon.
fn traced(arguments: &[&str], collector: &str) -> Command {
    let mut command = command(arguments);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_one_trace_from_the_command_to_the_reports() {
    let folder = tempfile::tempdir().unwrap();
    let collected = Collected(watch::Sender::default());
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let collector = format!("http://{}", incoming.local_addr().unwrap());
    let service = TraceServiceServer::new(collected.clone());
    let server = tonic::transport::Server::builder().add_service(service);
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(server.serve_with_incoming(incoming));

    let root = folder.path().display().to_string();
    let serve = [
        "coordinator",
        "--root",
        &root,
        "--listen",
        "127.0.0.1:0",
        "-v",
    ];
    let (_coordinator, url) = listening(traced(&serve, &collector));
    let (model, data) = (marian(), translations());
    let mut submit = vec!["submit", "-m", &model, "-d", &data, "--coordinator", &url];
    submit.extend(["--split", "train[:2]", "-in", "translation.en"]);
    submit.extend(["-gen", "translation.fr"]);
    assert!(traced(&submit, &collector).status().unwrap().success());
    let worker = ["worker", "--coordinator", &url];
    let _worker = Running(traced(&worker, &collector).spawn().unwrap());

    let names = [
        ("whence", "submit"),
        ("whence-coordinator", "SubmitJob"),
        ("whence-coordinator", "lease"),
        ("whence-worker", "task"),
        ("whence-worker", "compute"),
        ("whence-coordinator", "FetchShard"),
        ("whence-coordinator", "CompleteShard"),
    ];
    let trace = collected.trace_with(&names).await;
    let task = trace.iter().find(|span| span.name == "task").unwrap();
    let lease = trace.iter().find(|span| span.name == "lease").unwrap();
    assert_eq!(task.parent_span_id, lease.span_id);
    for key in ["job", "slot", "attempt"] {
        let value = attribute(task, key);
        assert!(value.is_some(), "{task:?}");
        assert_eq!(value, attribute(lease, key));
    }
    // No text of the dataset is sent anywhere.
    let all = format!("{:?}", *collected.0.borrow());
    assert!(!all.contains("toolbar"), "{all}");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nothing_but_its_spans() {
    let away = format!("http://127.0.0.1:{}", free_port());
    let mut doctor = command(&["doctor"]);
    doctor.env("OTEL_EXPORTER_OTLP_ENDPOINT", away);
    let told = tokio::task::spawn_blocking(move || doctor.output().unwrap());
    let told = tokio::time::timeout(PATIENCE, told).await;
    let told = told.expect("it does not wait for long").unwrap();
    assert!(told.status.success());
    assert_eq!(String::from_utf8(told.stderr).unwrap(), "");
}

#[test]
fn what_is_asked_of_logs_and_traces_and_does_not_exist_is_refused() {
    let refused = |name: &str, value: &str| {
        let mut doctor = command(&["doctor"]);
        doctor.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        crate::run::ended(doctor.env(name, value).output().unwrap())
    };
    refused("WHENCE_LOG_FORMAT", "yaml")
        .is_refused_with(&["WHENCE_LOG_FORMAT is `yaml`", "`json`"]);
    let http = refused("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
    http.is_refused_with(&["OTEL_EXPORTER_OTLP_PROTOCOL is `http/json`", "`grpc`"]);
}

#[test]
fn logs_as_json_name_the_attempt_that_they_are_about() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (marian(), translations());
    let root = folder.path().display().to_string();
    let mut arguments = vec!["attribute-dataset", "-v", "-m", &model, "-d", &data];
    arguments.extend([
        "--split",
        "train[:2]",
        "-in",
        "translation.en",
        "--root",
        &root,
    ]);
    arguments.extend([
        "-gen",
        "translation.fr",
        "--hide-attributions",
        "--progress",
        "none",
    ]);
    let ran = command(&arguments)
        .env("WHENCE_LOG_FORMAT", "json")
        .output()
        .unwrap();
    let ran = crate::run::ended(ran);
    let lines = ran.stderr.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let filled = lines.iter().find(|line| line["message"] == "slot filled");
    let filled = filled.unwrap_or_else(|| panic!("{}", ran.stderr));
    let spans = filled["spans"].as_array().unwrap();
    let task = spans.iter().find(|span| span["name"] == "task").unwrap();
    assert_eq!(task["slot"], "p000000");
    assert!(
        task["job"].is_string() && task["attempt"].is_string(),
        "{task}"
    );
}
