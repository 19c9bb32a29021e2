//! Where a store is reached, and what may be sent there.

use url::Url;

use super::super::StoreError;
use super::provider::BucketUrl;

/// Returns whether plain HTTP may be used. Only a store on this machine may use it; for any other,
/// `variable` must allow it.
///
/// Fails if `endpoint` needs it and may not have it.
pub(super) fn check_http(
    url: &BucketUrl<'_>,
    endpoint: Option<&str>,
    is_allowed: bool,
    variable: &str,
) -> Result<bool, StoreError> {
    match endpoint.filter(|endpoint| endpoint.starts_with("http://")) {
        Some(endpoint) if !is_allowed && !is_loopback(endpoint) => Err(url.refuse(format!(
            "its endpoint `{endpoint}` is reached without encryption; use https://, or set \
             {variable}=true"
        ))),
        Some(_) => Ok(true),
        None => Ok(is_allowed),
    }
}

/// Refuses an endpoint that a URL names, if requests to it would carry a token.
///
/// URLs also come from those who submit jobs, and whoever gets a token can use it. The signature of
/// an S3 request is of no use to anybody else, so that S3 needs no such check.
pub(super) fn check_token(
    url: &BucketUrl<'_>,
    settings: &[(String, String)],
    is_signed: bool,
    variable: &str,
) -> Result<(), StoreError> {
    let names_endpoint = settings.iter().any(|(name, _)| name == "endpoint");
    if names_endpoint && is_signed {
        return Err(url.refuse(format!(
            "`endpoint` needs `skip_signature=true`, because requests carry a token that must not \
             go where a URL says; set {variable} instead"
        )));
    }
    Ok(())
}

/// Returns whether `endpoint` is on this machine.
fn is_loopback(endpoint: &str) -> bool {
    let Ok(url) = Url::parse(endpoint) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(endpoint: &str, is_allowed: bool) -> Result<bool, String> {
        let url = Url::parse("s3://bucket/p").unwrap();
        let checked = check_http(&BucketUrl(&url), Some(endpoint), is_allowed, "X_ALLOW_HTTP");
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for here in ["127.0.0.1", "localhost", "[::1]"] {
            assert_eq!(checked(&format!("http://{here}:9000"), false), Ok(true));
        }
        let elsewhere = "http://store.example:9000";
        let refused = checked(elsewhere, false).unwrap_err();
        assert!(refused.contains("X_ALLOW_HTTP=true"), "{refused}");
        assert_eq!(checked(elsewhere, true), Ok(true));
        assert_eq!(checked("https://store.example", false), Ok(false));
    }
}
