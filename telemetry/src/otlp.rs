//! The exporter of traces, which the variables of OpenTelemetry configure.

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tonic::codegen::http::Uri;

/// The variables that name a collector, the more specific one first.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
/// The variables that name the protocol, the more specific one first.
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
/// The variable that turns everything off.
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// Why logs or traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The form of the logs does not exist.
    #[error("WHENCE_LOG_FORMAT is `{0}`; it can be `text` or `json`")]
    Format(String),
    /// The protocol is not spoken.
    #[error("{variable} is `{value}`; traces are sent over `grpc` only, usually to port 4317")]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The address of the collector is none.
    #[error("{variable} is `{value}`; it must be a URL, such as `http://localhost:4317`")]
    Endpoint {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The exporter cannot be built.
    #[error("traces cannot be sent to {endpoint}: {reason}")]
    Exporter {
        /// The address of the collector.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
}

/// Returns what sends the traces of `service` to the collector that the environment names, or `None`
/// if it names none.
///
/// Must be called within the runtime that outlives it. Fails if the variables contradict what is
/// supported.
pub(crate) fn provider(
    service: &'static str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let Some(endpoint) = endpoint(variable)? else {
        return Ok(None);
    };
    let built = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&endpoint)
        .build();
    let exporter = built.map_err(|error| TelemetryError::Exporter {
        endpoint,
        reason: error.to_string(),
    })?;
    // The resource takes `OTEL_RESOURCE_ATTRIBUTES` from the environment by itself.
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if variable("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service);
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter);
    Ok(Some(provider.build()))
}

/// Returns the address of the collector. Fails if it is no URL, or if another protocol than gRPC is
/// asked for.
fn endpoint(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, TelemetryError> {
    if variable(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let first_set = |names: [&'static str; 2]| {
        let mut names = names.into_iter();
        names.find_map(|name| Some((name, variable(name)?)))
    };
    let Some((variable, endpoint)) = first_set(ENDPOINTS) else {
        return Ok(None);
    };
    if !is_url(&endpoint) {
        let value = endpoint;
        return Err(TelemetryError::Endpoint { variable, value });
    }
    match first_set(PROTOCOLS) {
        Some((variable, value)) if value != "grpc" => {
            Err(TelemetryError::Protocol { variable, value })
        }
        Some(_) | None => Ok(Some(endpoint)),
    }
}

/// Returns whether `text` has what a connection needs: how it is made, and to which machine.
fn is_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let is_spoken = matches!(uri.scheme_str(), Some("http" | "https"));
    is_spoken && uri.host().is_some_and(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(set: &[(&str, &str)]) -> Result<Option<String>, TelemetryError> {
        endpoint(&|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn traces_go_where_the_usual_variables_say() {
        const GENERAL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317");
        const SPECIFIC: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317");
        assert_eq!(chosen(&[]).unwrap(), None);
        assert_eq!(chosen(&[GENERAL]).unwrap().unwrap(), "http://a:4317");
        assert_eq!(
            chosen(&[GENERAL, SPECIFIC]).unwrap().unwrap(),
            "http://b:4317"
        );
        assert_eq!(
            chosen(&[GENERAL, ("OTEL_SDK_DISABLED", "true")]).unwrap(),
            None
        );
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        let refused = chosen(&[GENERAL, http]).unwrap_err().to_string();
        assert!(
            refused.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL is `http/protobuf`"),
            "{refused}"
        );
    }
    #[test]
    fn an_address_that_cannot_be_called_is_refused_with_its_variable() {
        for wrong in [
            "localhost:4317",
            "collector",
            "ftp://a:4317",
            "http://",
            "http://a b",
        ] {
            let set = [("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)];
            let refused = chosen(&set).unwrap_err().to_string();
            let told = format!("OTEL_EXPORTER_OTLP_ENDPOINT is `{wrong}`; it must be a URL");
            assert!(refused.starts_with(&told), "{refused}");
        }
    }
}
