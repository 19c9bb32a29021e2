//! Texts of any characters come back from every text format, from any row on.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops where its fixture is not what it must be"
)]

use proptest::prelude::*;
use serde_json::json;
use whence_datasets::{Cell, FieldPath, content, formats};
use whence_schemas::{FormatName, FormatSpec};

type Rows = Vec<(String, String)>;

/// Texts full of what the formats give a meaning to.
fn texts() -> impl Strategy<Value = String> {
    let sign = prop_oneof![
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\n".to_owned()),
        Just(",".to_owned()),
        Just("{}[]:".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("NA".to_owned()),
        "\\PC{0,5}",
    ];
    proptest::collection::vec(sign, 0..6).prop_map(|signs| signs.concat())
}

fn rows() -> impl Strategy<Value = Rows> {
    proptest::collection::vec((texts(), texts()), 1..8)
}

/// Reads all rows from each of them on, and compares them with `expected`.
fn assert_read(spec: &FormatSpec, bytes: &[u8], expected: &Rows) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    std::fs::write(&path, bytes).unwrap();
    let content = content::local(&path).unwrap();
    let format = formats::format(spec).unwrap();
    let fields: [FieldPath; 2] = ["one".parse().unwrap(), "two".parse().unwrap()];
    let mut offset = 0;
    for start in 0..expected.len() {
        let mut reader = format.open(&content, offset, &fields).unwrap();
        for (one, two) in &expected[start..] {
            let cells = reader.next().unwrap().unwrap().unwrap();
            assert_eq!(cells, [Cell::Text(one.clone()), Cell::Text(two.clone())]);
        }
        assert!(reader.next().unwrap().is_none());
        let mut reader = format.open(&content, offset, &fields).unwrap();
        assert!(reader.skip().unwrap());
        offset = reader.offset();
    }
    assert_eq!(format.count(&content).unwrap(), expected.len() as u64);
}

fn object((one, two): &(String, String)) -> serde_json::Value {
    json!({"one": one, "other": [1, {"x": "}"}], "two": two})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_lines(rows in rows()) {
        let lines: Vec<String> = rows.iter().map(|row| object(row).to_string()).collect();
        let spec = FormatSpec::from(FormatName::Json);
        assert_read(&spec, lines.join("\n").as_bytes(), &rows);
        // The same over several lines, one after another and as a list.
        let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap();
        let values: Vec<_> = rows.iter().map(object).collect();
        let indented: Vec<String> = values.iter().map(pretty).collect();
        assert_read(&spec, indented.join("\n").as_bytes(), &rows);
        let list = serde_json::Value::Array(values);
        assert_read(&spec, pretty(&list).as_bytes(), &rows);
        assert_read(&spec, list.to_string().as_bytes(), &rows);
        let mut in_field = spec.clone();
        in_field.options.field = Some("data".to_owned());
        let document = json!({"a": "]", "data": list, "z": {"b": 1}});
        assert_read(&in_field, pretty(&document).as_bytes(), &rows);
    }

    #[test]
    fn csv(rows in rows(), separator in prop_oneof![Just(','), Just('\t'), Just(';')], end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")]) {
        let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let mut text = format!("one{separator}two{end}");
        for (one, two) in &rows {
            text += &[quoted(one), quoted(two)].join(&separator.to_string());
            text += end;
        }
        let mut spec = FormatSpec::from(FormatName::Csv);
        spec.options.sep = Some(separator.to_string());
        spec.options.keep_default_na = Some(false);
        assert_read(&spec, text.as_bytes(), &rows);
    }

    #[test]
    fn bytes_that_are_no_file_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), start in prop_oneof![Just(""), Just("{"), Just("[{"), Just("a,b\n\""), Just("ARROW1\0\0"), Just("PAR1")]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let bytes = [start.as_bytes(), &bytes].concat();
        std::fs::write(&path, bytes).unwrap();
        let content = content::local(&path).unwrap();
        for name in FormatName::ALL {
            let format = formats::format(&FormatSpec::from(name)).unwrap();
            let fields = ["a".parse().unwrap(), "text[0].b".parse().unwrap()];
            let Ok(mut reader) = format.open(&content, 0, &fields) else {
                continue;
            };
            // As many rows as there are bytes, at most: reading always comes to an end.
            let rows = (0..300).take_while(|_| matches!(reader.next(), Ok(Some(_))));
            prop_assert!(rows.count() < 300);
        }
    }
}
