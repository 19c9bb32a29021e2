//! How URLs of buckets are opened and refused. Nothing here depends on the variables of the
//! environment that name credentials, and nothing is sent.

use super::*;

/// Returns why a URL is refused.
fn refusal(url: &str) -> String {
    let opened = RemoteSlotStore::open(&Url::parse(url).unwrap());
    opened.expect_err(url).to_string()
}

fn open(url: &str) -> RemoteSlotStore {
    RemoteSlotStore::open(&Url::parse(url).unwrap()).expect(url)
}

#[test]
fn a_url_may_not_carry_a_secret() {
    for (url, named) in [
        ("s3://bucket/p?secret_access_key=x", "`AWS_…`"),
        ("gs://bucket/p?service_account_key=x", "`GOOGLE_…`"),
        ("az://container/p?sas_token=x", "`AZURE_…`"),
        ("gs://ada:secret@bucket/p", "may not have a password"),
    ] {
        let error = refusal(url);
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_token_is_not_sent_where_a_url_says() {
    for (url, variable) in [
        (
            "gs://bucket/p?endpoint=https://elsewhere",
            "GOOGLE_BASE_URL",
        ),
        (
            "az://container/p?account=a&endpoint=https://elsewhere",
            "AZURE_STORAGE_ENDPOINT",
        ),
    ] {
        let error = refusal(url);
        assert!(error.contains(variable), "{error}");
    }
}

#[test]
fn a_remote_endpoint_is_not_reached_without_encryption() {
    for (url, variable) in [
        ("s3://b/p?endpoint=http://h:1", "AWS_ALLOW_HTTP"),
        (
            "gs://b/p?endpoint=http://h:1&skip_signature=true",
            "GOOGLE_ALLOW_HTTP",
        ),
        (
            "az://c/p?account=a&endpoint=http://h:1&skip_signature=true",
            "AZURE_ALLOW_HTTP",
        ),
    ] {
        let error = refusal(url);
        assert!(error.contains(variable), "{error}");
    }
}

#[test]
fn every_form_of_a_url_is_opened() {
    for url in [
        "s3://bucket/a%20b?endpoint=http://127.0.0.1:1&skip_signature=true",
        "gs://bucket/p?endpoint=http://127.0.0.1:1&skip_signature=true",
        "az://container/p?account=a&skip_signature=true",
        "abfss://container@account.dfs.core.windows.net/p?skip_signature=true",
    ] {
        let store = open(url);
        assert_eq!(store.url(), url);
        assert_eq!(store.credentials(), Some("none; requests are not signed"));
    }
    for (url, named) in [
        ("s3:///p", "names no bucket"),
        ("az://container@account/p", "az://container/prefix?account="),
        (
            "abfss://container@elsewhere.example/p",
            "abfss://container@account.dfs.core.windows.net",
        ),
        (
            "abfss://account.dfs.core.windows.net/p",
            "abfss://container@",
        ),
        ("ftp://host/p", "scheme is not served"),
    ] {
        let error = refusal(url);
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn missing_credentials_are_named_by_the_variables_of_their_store() {
    for (url, variable) in [
        ("s3://bucket/p?region=x", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/p", "GOOGLE_APPLICATION_CREDENTIALS"),
        (
            "abfss://c@a.dfs.core.windows.net/p",
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
    ] {
        let error = no_credentials(url).to_string();
        assert!(error.contains(variable) && !error.contains('?'), "{error}");
        assert!(is_bucket(url));
    }
    assert!(!is_bucket("/data") && !is_bucket("hf://datasets/a"));
}
