//! Files that whence saves, loaded by Inseq itself.

use std::process::Command;

use whence_tests::python;

use crate::run::{ended, fixture, whence};

/// Saves raw scores, and the same scores aggregated by whence. Inseq must make the one of the other.
pub(crate) fn inseq_loads_aggregates_and_shows_saved_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let model = fixture("models/t5-random");
    for (method, function) in [
        ("saliency", "vnorm"),
        ("attention", "mean"),
        ("occlusion", ""),
    ] {
        let (raw, aggregated) = (at("raw.json.gz"), at("aggregated.json"));
        let texts = ["-i", "the old house", "-g", "the house is red"];
        let asked = [
            "attribute",
            "--hide",
            "-m",
            &model,
            "-a",
            method,
            "--attribute-target",
        ];
        whence(&[&asked[..], &texts, &["--save-path", &raw]].concat()).succeeded();
        let saved = [
            "aggregate",
            &raw,
            "--hide",
            "-q",
            "--save-path",
            &aggregated,
        ];
        whence(&saved).succeeded();
        let script = "import sys, torch
from inseq import FeatureAttributionOutput
raw = FeatureAttributionOutput.load(sys.argv[1], decompress=True)
ours = FeatureAttributionOutput.load(sys.argv[2])
dimensions = raw[0].source_attributions.dim() - 2
theirs = raw.aggregate([sys.argv[3]] * dimensions) if dimensions else raw
for side in ('source_attributions', 'target_attributions'):
    a, b = getattr(theirs[0], side), getattr(ours[0], side)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6, equal_nan=True)
assert ours.show(display=False, return_html=True)
assert ours.aggregate()[0].source_attributions.dim() == 2
if dimensions == 1:
    assert raw.show_granular(display=False, return_html=True)
print('equal')";
        let asked = Command::new(python::interpreter())
            .args(["-c", script, &raw, &aggregated, function])
            .output()
            .expect("Python runs");
        let told = ended(asked).succeeded();
        assert!(told.ends_with("equal\n"), "{method}: {told}");
    }
}
