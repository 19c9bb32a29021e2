//! What a worker computes with, and what a job asks of its workers.
//!
//! A job that asks for nothing is computed by every worker. One that names a numerics class has the
//! same bits in every row, because all of its workers then add numbers in the same order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a worker computes with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerClass {
    /// Kind of the device: `cpu`.
    pub device: String,
    /// Workers of one numerics class compute the same bits: `x86_64-avx512`.
    pub numerics: String,
    /// Working memory of one computation in bytes; `None` for no bound.
    pub memory: Option<u64>,
}

/// What a job asks of the workers that compute it. Nothing, if every part is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerRequirements {
    /// Kind of the device, such as `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Numerics class, such as `x86_64-avx512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<String>,
    /// Least working memory of one computation, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl WorkerRequirements {
    /// Returns whether every worker will do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether a worker of `class` may compute the job.
    pub fn accept(&self, class: &WorkerClass) -> bool {
        let has = |asked: &Option<String>, value: &str| {
            asked.as_deref().is_none_or(|asked| asked == value)
        };
        let has_memory = match (self.memory, class.memory) {
            (Some(least), Some(memory)) => memory >= least,
            (None, _) | (_, None) => true,
        };
        has(&self.device, &class.device) && has(&self.numerics, &class.numerics) && has_memory
    }
}

impl fmt::Display for WorkerRequirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.device.as_ref().map(|name| format!("device {name}")),
            (self.numerics.as_ref()).map(|name| format!("numerics class {name}")),
            (self.memory).map(|bytes| format!("at least {} of memory", amount(bytes))),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

impl fmt::Display for WorkerClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, numerics) = (&self.device, &self.numerics);
        write!(f, "device {device}, numerics class {numerics}")?;
        match self.memory {
            Some(bytes) => write!(f, ", {} of memory", amount(bytes)),
            None => Ok(()),
        }
    }
}

/// Returns an amount of memory as a person writes it.
fn amount(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mebibytes if mebibytes < 1024 => format!("{mebibytes} MiB"),
        mebibytes => format!("{:.1} GiB", mebibytes as f64 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(memory: Option<u64>) -> WorkerClass {
        WorkerClass {
            device: "cpu".to_owned(),
            numerics: "x86_64-avx2".to_owned(),
            memory,
        }
    }

    #[test]
    fn a_job_is_for_workers_that_have_what_it_asks_for() {
        let any = WorkerRequirements::default();
        assert!(any.is_empty() && any.accept(&class(None)) && any.accept(&class(Some(0))));
        let numerics = |name: &str| WorkerRequirements {
            numerics: Some(name.to_owned()),
            ..WorkerRequirements::default()
        };
        assert!(numerics("x86_64-avx2").accept(&class(None)));
        assert!(!numerics("x86_64-avx512").accept(&class(None)));
        let roomy = WorkerRequirements {
            memory: Some(100),
            ..WorkerRequirements::default()
        };
        assert!(roomy.accept(&class(Some(100))) && roomy.accept(&class(None)));
        assert!(!roomy.accept(&class(Some(99))));
    }

    #[test]
    fn requirements_are_read_as_they_are_written() {
        let asked = WorkerRequirements {
            device: Some("cpu".to_owned()),
            numerics: None,
            memory: Some(5),
        };
        let json = serde_json::to_string(&asked).unwrap();
        assert_eq!(json, r#"{"device":"cpu","memory":5}"#);
        assert_eq!(
            serde_json::from_str::<WorkerRequirements>(&json).unwrap(),
            asked
        );
        assert_eq!(asked.to_string(), "device cpu, at least 5 bytes of memory");
    }
}
