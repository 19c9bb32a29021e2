//! The examples at the end of each command's long help and man page.
//!
//! `cli/tests/cli/help.rs` parses every one of them, so that none has a flag that does not exist.

/// Ends the help of `attribute`.
pub(super) const ATTRIBUTE: &str = r#"Examples:

  Explain what a translation model generates:
    whence attribute -m Helsinki-NLP/opus-mt-en-fr -i "Open the window."

  Explain a given continuation by integrated gradients, and save it for Inseq and as a page:
    whence attribute -m gpt2 -a integrated_gradients -i "The window was" -g "The window was open." --save-path open.json --viz-path open.html

  Ask why one word was chosen instead of another:
    whence attribute -m gpt2 -i "The nurse said that" -g "The nurse said that she" -fn contrast_prob_diff --attribution-kwargs '{"contrast_targets": "The nurse said that he"}'"#;

/// Ends the help of `attribute-context`.
pub(super) const ATTRIBUTE_CONTEXT: &str = r#"Examples:

  Find what the pronouns of an answer refer to:
    whence attribute-context -m gpt2 --input-context-text "George was sick yesterday." --input-current-text "His colleagues asked him to come" -fn contrast_prob_diff

  Analyze a given translation behind another one, and save the result:
    whence attribute-context -m Helsinki-NLP/opus-mt-en-fr --input-context-text "The window is open." --input-current-text "Close it." --output-context-text "La fenêtre est ouverte." --output-current-text "Fermez-la." -o context.json"#;

/// Ends the help of `attribute-dataset`.
pub(super) const ATTRIBUTE_DATASET: &str = r#"Examples:

  Attribute the first 100 translations of a dataset on the Hub:
    whence attribute-dataset -m Helsinki-NLP/opus-mt-en-it -d inseq/dummy_enit --split "train[:100]" --input en --generated it

  See what a job would cost before it runs:
    whence attribute-dataset -m gpt2 -d prompts.jsonl --input prompt -a integrated_gradients --dry-run

  Record uncertainty with every score, carry a column along, and write to a bucket:
    whence attribute-dataset -m gpt2 -d prompts.jsonl --input prompt --step-scores probability entropy --columns topic --root s3://bucket/out

  Run it on a cluster:
    whence attribute-dataset -m gpt2 -d hf://datasets/owner/name/rows.parquet --input text --cluster http://coordinator:7700"#;

/// Ends the help of `attribute-context-dataset`.
pub(super) const ATTRIBUTE_CONTEXT_DATASET: &str = "Examples:

  Find the words of each translation that depend on the sentence before, and save the cues:
    whence attribute-context-dataset -m Helsinki-NLP/opus-mt-en-fr -d rows.jsonl --input-context-field before --input-current-field text -o cues.jsonl";

/// Ends the help of `submit`.
pub(super) const SUBMIT: &str = "Examples:

  Submit a job and follow it:
    whence submit -m gpt2 -d prompts.jsonl --input prompt --watch

  Run a job on a Kubernetes cluster, without a coordinator:
    whence submit -m gpt2 -d prompts.jsonl --input prompt --root s3://bucket/whence
      --static --of 16 --print kubernetes";

/// Ends the help of `sweep`.
pub(super) const SWEEP: &str = "Example of a file:

    # yaml-language-server: $schema=sweep.schema.json
    defaults:
      dataset: rows.jsonl
      input: text
    axes:
      model: [gpt2, gpt2-medium]
      method:
        - saliency
        - {label: ig, method: integrated_gradients, attribution_kwargs: {n_steps: 100}}
    exclude:
      - {model: gpt2-medium, method: ig}
    seeds: [1, 2]
    budget: {rows: 10000, device_hours: 4}

The options are those of `attribute-dataset`, with `_` or `-`. Paths are relative to the folder in which
the command is run. An axis that is not named after an option, and any value of several options, is a map.
`include` lists further cells, and `null` takes a default back.";

/// Ends the help of `schedule`.
pub(super) const SCHEDULE: &str = r#"Examples:

  Run a sweep every night at three, as clocks in Berlin show it:
    whence schedule create nightly sweep.yaml --cron "0 3 * * *" --zone Europe/Berlin --root s3://bucket/whence

  Run it every six hours, and let it wait if the one before has not ended:
    whence schedule create often sweep.yaml --every 6h --overlap queue --root s3://bucket/whence"#;

pub(super) const WORK: &str = "Examples:

  Share a job between two shells:
    whence work --job /data/whence-out/jobs/ID --index 0 --of 2 &
    whence work --job /data/whence-out/jobs/ID --index 1 --of 2";
