//! The URL of a job: that of its storage root, followed by `/jobs/ID`.

use whence_schemas::{JobId, layout, user_path};

use crate::Failure;

/// A job and the storage root it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobUrl {
    pub(crate) root: String,
    pub(crate) id: JobId,
}

impl JobUrl {
    /// Reads a URL. Fails, with the right form, if it is not that of a job.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let (place, settings) = split_settings(text);
        let folder = format!("/{}/", layout::JOBS);
        let parts = place.trim_end_matches('/').rsplit_once(&folder);
        let parsed = parts.and_then(|(root, id)| Some((root, id.parse().ok()?)));
        let Some((root, id)) = parsed.filter(|(root, _)| !root.is_empty()) else {
            return Err(
                Failure::request(format!("`{text}` is not the URL of a job"))
                    .hint("write it as ROOT/jobs/ID; `whence submit --static` prints it"),
            );
        };
        let root = user_path::expand(&format!("{root}{settings}"));
        let root = root.map_err(Failure::request)?;
        Ok(Self { root, id })
    }

    /// Returns the URL as text.
    pub(crate) fn text(&self) -> String {
        let (root, settings) = split_settings(&self.root);
        let root = root.trim_end_matches('/');
        format!("{root}/{}{settings}", layout::job(&self.id))
    }
}

/// Cuts the settings of a store off its URL: `?endpoint=…`. In a path, a question mark is like any other
/// character.
fn split_settings(text: &str) -> (&str, &str) {
    let settings = text.find('?').filter(|_| text.contains("://"));
    text.split_at(settings.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_found_again_from_its_url() {
        let id = JobId::of("a");
        for (root, url) in [
            (
                "s3://bucket/whence",
                format!("s3://bucket/whence/jobs/{id}"),
            ),
            (
                "s3://bucket/w?endpoint=http://h:1/",
                format!("s3://bucket/w/jobs/{id}?endpoint=http://h:1/"),
            ),
            (
                "file:///data/jobs/out",
                format!("file:///data/jobs/out/jobs/{id}"),
            ),
            ("/data/what?", format!("/data/what?/jobs/{id}")),
        ] {
            let place = JobUrl {
                root: root.to_owned(),
                id: id.clone(),
            };
            assert_eq!(place.text(), url);
            assert_eq!(JobUrl::parse(&url), Ok(place));
        }
        let slash = format!("/data/out/jobs/{id}/");
        assert_eq!(
            JobUrl::parse(&slash).map(|url| url.root),
            Ok("/data/out".to_owned())
        );
    }

    #[test]
    fn what_is_not_the_url_of_a_job_is_refused_with_the_form() {
        let id = JobId::of("a");
        for text in [
            "",
            id.as_str(),
            "/data/out",
            "s3://b/jobs/x",
            &format!("/jobs/{id}"),
        ] {
            let refused = format!("{:?}", JobUrl::parse(text).unwrap_err());
            assert!(refused.contains("ROOT/jobs/ID"), "{refused}");
        }
    }
}
