//! `--device`, with the emulated device that programs of the tests have.

use crate::run::{attribute_dataset, fixture, marian, whence};

#[test]
fn a_device_gives_the_pictures_of_the_processor() {
    let (marian, llama) = (marian(), fixture("models/glass-en"));
    let translated = [
        "attribute",
        "-m",
        &marian,
        "-i",
        "Select the formatting style.",
    ];
    let continued = [
        "attribute",
        "-m",
        &llama,
        "-i",
        "Once upon a time",
        "--generation-kwargs",
        r#"{"max_new_tokens": 4}"#,
    ];
    let in_context = [
        "attribute-context",
        "-m",
        &llama,
        "--input-context-text",
        "George was sick yesterday.",
        "--input-current-text",
        "His colleagues asked him to come",
        "--output-current-text",
        "to the hospital because he was not well.",
    ];
    for arguments in [&translated[..], &continued, &in_context] {
        let on = |device: &str| {
            let arguments = [arguments, &["--device", device]].concat();
            whence(&arguments).succeeded()
        };
        assert_eq!(on("cpu"), on("emulated"), "{arguments:?}");
    }
}

#[test]
fn a_job_is_computed_on_devices_of_the_kind_that_it_asks_for() {
    let root = tempfile::tempdir().unwrap();
    let on = |devices: &str, asked: &str| {
        let more = ["--device", devices, "--worker-device", asked];
        attribute_dataset(root.path(), "train[:6]", &more)
    };
    on("cpu", "emulated").is_refused_with(&[
        "the job asks for workers with device emulated; here they have device cpu",
    ]);
    let told = on("emulated,emulated", "emulated");
    assert!(told.stderr.contains("attributed 6 rows"), "{}", told.stderr);
    told.succeeded();
    on("emulated,cpu", "emulated").is_refused_with(&["do not compute the same bits"]);
}
