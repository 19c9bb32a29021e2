//! Who may read what, and who is sent the access token.

use whence_fake_hub::Access;
use whence_hub::{Error, Hub, RepoId, Revision, no_progress};

use crate::setup::{MODEL, Setup, WEIGHTS, file};

const TOKEN: &str = "hf_secret";

#[tokio::test]
async fn the_token_is_sent_to_the_hub_and_not_to_storage() {
    let setup = Setup::new().await;
    setup.fake.restrict("models", MODEL, Access::Gated, TOKEN);
    let hub = setup.hub_with(&[("HF_TOKEN", TOKEN)]);
    let (snapshot, weights) = file(&hub, WEIGHTS).await;
    hub.fetch(&snapshot, &weights, &no_progress).await.unwrap();
    hub.open(&snapshot, &weights)
        .unwrap()
        .read(0..9)
        .await
        .unwrap();
    let log = setup.fake.log();
    let tokens = |is_storage| {
        let requests = log
            .iter()
            .filter(move |request| request.is_storage == is_storage);
        requests
            .map(|request| request.token.as_deref())
            .collect::<Vec<_>>()
    };
    assert_eq!(tokens(false), [Some(TOKEN); 4]);
    assert_eq!(tokens(true), [None; 2]);
    assert!(!format!("{hub:?}").contains("secret"));
}

#[tokio::test]
async fn the_token_file_is_read() {
    let setup = Setup::new().await;
    setup.fake.restrict("models", MODEL, Access::Private, TOKEN);
    std::fs::write(setup.cache.path().join("token"), format!("{TOKEN}\n")).unwrap();
    file(&setup.hub(), WEIGHTS).await;
}

async fn refusal(hub: &Hub, repo: &RepoId, revision: &str) -> Error {
    let revision = Revision::new(revision).unwrap();
    match hub.resolve(repo, &revision).await {
        Ok(snapshot) => hub
            .fetch_named(&snapshot, "config.json", &no_progress)
            .await
            .unwrap_err(),
        Err(error) => error,
    }
}

/// The token that is sent, the repository, the revision, what the person reads, and the next step.
const REFUSALS: &[(&str, &str, &str, &str, &str)] = &[
    (
        "",
        "ns/private",
        "main",
        "or it is private",
        "hf auth login",
    ),
    (
        "hf_other",
        "ns/private",
        "main",
        "or it is private",
        "that the token may read it",
    ),
    (
        "",
        "ns/gated",
        "main",
        "has to be requested",
        "hf auth login",
    ),
    (
        "hf_other",
        "ns/gated",
        "main",
        "has to be requested",
        "page of `ns/gated`",
    ),
    (
        "hf_other",
        "ns/disabled",
        "main",
        "has disabled model `ns/disabled`",
        "",
    ),
    (
        "hf_wrong",
        MODEL,
        "main",
        "does not accept the access token",
        "set HF_TOKEN",
    ),
    (
        "",
        "ns/none",
        "main",
        "knows no model `ns/none`",
        "check the spelling",
    ),
    (
        "",
        MODEL,
        "v9",
        "model `ns/model` has no revision `v9`",
        "page of `ns/model`",
    ),
];

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let setup = Setup::new().await;
    let fake = &setup.fake;
    for (name, access) in [
        ("ns/private", Access::Private),
        ("ns/gated", Access::Gated),
        ("ns/disabled", Access::Disabled),
    ] {
        fake.publish("models", name, "main", &[("config.json", b"{}")]);
        fake.restrict("models", name, access, TOKEN);
    }
    fake.accept_token("hf_other");
    for (token, repo, revision, message, help) in REFUSALS {
        let hub = setup.hub_with(&[("HF_TOKEN", token)]);
        let error = refusal(&hub, &RepoId::model(repo).unwrap(), revision).await;
        assert!(error.to_string().contains(message), "{error}");
        let said = error.help().unwrap_or_default();
        assert!(said.contains(help), "{error}: {said}");
    }
}

#[tokio::test]
async fn a_repository_is_found_under_its_old_name() {
    let setup = Setup::new().await;
    setup.fake.rename("models", "model", MODEL);
    let hub = setup.hub();
    let old = RepoId::model("model").unwrap();
    let snapshot = hub.resolve(&old, &Revision::default()).await.unwrap();
    let path = hub
        .fetch_named(&snapshot, WEIGHTS, &no_progress)
        .await
        .unwrap();
    let path = path.unwrap().display().to_string();
    assert!(path.contains("/models--model/snapshots/"), "{path}");
}
