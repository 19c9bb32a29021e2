//! Chooses how the files of a dataset are read: by the extension that most of them have.

use std::collections::HashMap;

use whence_schemas::dataset::{FormatName, FormatOptions, FormatSpec};

use super::address::without_query;

/// The extensions that each builder of `datasets` reads. Whence has no reader for most builders,
/// but their files count too: a folder of pictures with one `.csv` beside them is not a table.
const BUILDERS: &[(&str, &[&str])] = &[
    ("csv", &["csv", "tsv"]),
    ("json", &["json", "jsonl", "ndjson"]),
    ("parquet", &["parquet", "geoparquet", "gpq"]),
    ("arrow", &["arrow"]),
    ("text", &["txt"]),
    ("conll", &["conll", "conllu"]),
    ("webdataset", &["tar"]),
    ("xml", &["xml"]),
    ("hdf5", &["hdf5", "h5"]),
    ("eval", &["eval"]),
    ("harbor", &["toml", "md"]),
    ("lance", &["lance"]),
    ("tsfile", &["tsfile"]),
    ("vortex", &["vortex"]),
    ("fasta", &["fa", "fasta", "fna", "ffn", "faa", "frn", "afa"]),
    ("genbank", &["gb", "gbk", "genbank"]),
    ("fastq", &["fq", "fastq"]),
    ("pdb", &["pdb", "ent"]),
    ("mmcif", &["cif", "mmcif"]),
    (
        "imagefolder",
        &[
            "blp", "bmp", "dib", "bufr", "cur", "pcx", "dcx", "dds", "ps", "eps", "fit", "fits",
            "fli", "flc", "ftc", "ftu", "gbr", "gif", "grib", "png", "apng", "jp2", "j2k", "jpc",
            "jpf", "jpx", "j2c", "icns", "ico", "im", "iim", "tif", "tiff", "jfif", "jpe", "jpg",
            "jpeg", "msp", "pcd", "pxr", "pbm", "pgm", "ppm", "pnm", "psd", "bw", "rgb", "rgba",
            "sgi", "ras", "tga", "icb", "vda", "vst", "webp", "wmf", "emf", "xbm", "xpm",
        ],
    ),
    (
        "audiofolder",
        &[
            "mpg", "aiff", "au", "avr", "caf", "flac", "htk", "svx", "mat4", "mat5", "mpc2k",
            "ogg", "paf", "pvf", "raw", "rf64", "sd2", "sds", "ircam", "voc", "w64", "wav", "nist",
            "wavex", "wve", "xi", "mp3", "opus", "3gp", "3g2", "asf", "flv", "m4v", "webm", "f4v",
            "wmv", "wma", "ogm", "mxf", "nut",
        ],
    ),
    ("videofolder", &["mpeg", "avi", "mp4", "mov", "mkv"]),
    ("meshfolder", &["glb", "gltf", "ply", "stl"]),
    ("pdffolder", &["pdf"]),
    ("niftifolder", &["nii"]),
];

/// Builders whose extensions may also be written in capitals.
const ALSO_IN_CAPITALS: &[&str] = &[
    "pdb",
    "imagefolder",
    "audiofolder",
    "videofolder",
    "meshfolder",
    "pdffolder",
    "niftifolder",
];

/// Builders that are chosen by name only.
const WITHOUT_EXTENSION: &[&str] = &["pandas", "iceberg"];

/// Extensions of files beside the data of Lance, which `datasets` does not drop.
const OF_METADATA: &[&str] = &["idx", "manifest", "txn"];

/// Names of files beside pictures and the like. Their extensions count last.
const METADATA_FILES: &[&str] = &[
    "instruction.md",
    "latest_version_hint.json",
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
    "task.toml",
];

/// Which of several equally common extensions is taken. After these comes the alphabetically last.
const FAVORITES: &[&str] = &[
    "parquet", "lance", "vortex", "arrow", "jsonl", "json", "csv",
];

/// What most files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// A builder of `datasets`, and the extension that decided.
    Builder(&'static str, &'static str),
    /// Archives, whose members decide.
    Archives,
}

/// Returns whether `name` is a builder of `datasets`.
pub fn is_builder(name: &str) -> bool {
    BUILDERS.iter().any(|(builder, _)| *builder == name) || WITHOUT_EXTENSION.contains(&name)
}

/// Returns whether one of the extensions of a file is known. Letters count as they are written,
/// as in `datasets`: `a.JSON` is no data file.
pub(super) fn is_data_file(path: &str) -> bool {
    extensions(path).any(|extension| {
        extension == "zip"
            || OF_METADATA.contains(&extension)
            || BUILDERS.iter().any(|(builder, known)| {
                let is_upper = ALSO_IN_CAPITALS.contains(builder)
                    && !extension.contains(|c: char| c.is_ascii_lowercase());
                known.contains(&extension)
                    || is_upper && known.contains(&extension.to_ascii_lowercase().as_str())
            })
    })
}

/// Chooses the builder of the most common extension. All extensions of a name count: `a.jsonl.gz`
/// is one `jsonl` and one `gz`. `None` if no extension is known.
pub(super) fn choose<'f>(files: impl IntoIterator<Item = &'f String>) -> Option<Choice> {
    let mut counts: HashMap<(String, bool), usize> = HashMap::new();
    for path in files {
        let is_metadata = METADATA_FILES.contains(&name(path));
        for extension in extensions(path) {
            let key = (extension.to_lowercase(), is_metadata);
            *counts.entry(key).or_default() += 1;
        }
    }
    let rank = |extension: &str| FAVORITES.iter().rev().position(|known| *known == extension);
    let known = counts
        .iter()
        .filter_map(|((extension, is_metadata), count)| {
            let choice = of_extension(extension)?;
            Some(((!is_metadata, count, rank(extension), extension), choice))
        });
    known
        .max_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(_, choice)| choice)
}

/// Chooses the builder of the most common extension of the files inside archives, of which the one
/// that comes first wins a tie.
pub(super) fn choose_in_archives(members: &[String]) -> Option<Choice> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for extension in members.iter().flat_map(|path| extensions(path)) {
        let extension = extension.to_lowercase();
        match counts.iter_mut().find(|(known, _)| *known == extension) {
            Some((_, count)) => *count += 1,
            None => counts.push((extension, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    let (commonest, _) = counts.iter().find(|(_, count)| *count == most)?;
    of_extension(commonest)
}

fn of_extension(extension: &str) -> Option<Choice> {
    if extension == "zip" {
        return Some(Choice::Archives);
    }
    BUILDERS.iter().find_map(|(builder, known)| {
        let found = known.iter().find(|known| **known == extension)?;
        Some(Choice::Builder(builder, found))
    })
}

/// Returns the format of a builder that whence can read.
pub(super) fn format(builder: &str, has_tabs: bool) -> Option<FormatSpec> {
    let name = FormatName::parse(builder)?;
    let mut options = FormatOptions::default();
    if has_tabs {
        options.sep = Some("\t".to_owned());
    }
    Some(FormatSpec { name, options })
}

/// Returns whether `path` is one of the files that `builder` reads: if one of its extensions, or
/// `.zip`, stands anywhere in the path before a dot or at the end.
pub(super) fn reads(builder: &str, path: &str) -> bool {
    let known = BUILDERS.iter().filter(|(name, _)| *name == builder);
    let mut known = known.flat_map(|(_, known)| *known).chain([&"zip"]);
    known.any(|extension| {
        let dotted = format!(".{extension}");
        path.match_indices(&dotted).any(|(at, _)| {
            let rest = &path[at + dotted.len()..];
            rest.is_empty() || rest.starts_with('.') && rest.len() > 1
        })
    })
}

fn name(path: &str) -> &str {
    without_query(path).rsplit('/').next().unwrap_or_default()
}

fn extensions(path: &str) -> impl Iterator<Item = &str> {
    name(path).split('.').skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str]) -> Option<Choice> {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        choose(&files)
    }

    #[test]
    fn the_commonest_extension_decides_and_ties_have_favorites() {
        let table: &[(&[&str], &str)] = &[
            (&["a.csv", "b.csv", "c.jsonl"], "csv"),
            (&["a.csv", "b.parquet"], "parquet"),
            (&["a.csv", "b.json"], "json"),
            (&["a.jsonl.gz", "b.csv"], "json"),
            (&["a.txt", "b.csv"], "csv"),
            (&["a.xml", "b.txt"], "xml"),
            (&["a.csv.json.txt"], "json"),
            (&["metadata.jsonl", "metadata.csv", "a.png"], "imagefolder"),
            (&["metadata.jsonl"], "json"),
            (&["a.JSON"], "json"),
            (&["a.unknown", "b.unknown", "c.tsv"], "csv"),
        ];
        for (files, expected) in table {
            let found = chosen(files);
            let is_expected = matches!(found, Some(Choice::Builder(name, _)) if name == *expected);
            assert!(is_expected, "{files:?} {found:?}");
        }
        assert_eq!(chosen(&["a.zip", "b.zip", "c.csv"]), Some(Choice::Archives));
        assert_eq!(chosen(&["a", "b.unknown"]), None);
    }

    #[test]
    fn files_of_another_builder_are_left_out() {
        for path in ["a.jsonl", "a.json.gz", "a.zip", "/data.json.d/a.txt"] {
            assert!(reads("json", path), "{path}");
        }
        for path in ["a.csv", "a.jsonx", "a.json.", "json"] {
            assert!(!reads("json", path), "{path}");
        }
        assert!(is_data_file("a.PNG") && is_data_file("a.txt.gz") && is_data_file("a.idx"));
        assert!(!is_data_file("a.JSON") && !is_data_file("a.gz") && !is_data_file("json"));
    }
}
