//! Which file imports what from which other file, and the cycles among them.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Crate, Segments};

/// Limit of imports followed for one path; far more than any real chain of re-exports.
const MOST_IMPORTS: usize = 64;

/// For each file, the files it imports from and the imported names.
#[derive(Debug)]
pub(crate) struct Imports {
    /// The top-level module of each file; `None` for the crate's root.
    layer_of: BTreeMap<String, Option<String>>,
    takes: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Imports {
    /// Resolves every path of a crate to the file that defines the named item.
    pub(crate) fn of_crate(source: &Crate) -> Self {
        let mut imports = Self {
            layer_of: BTreeMap::new(),
            takes: BTreeMap::new(),
        };
        for (place, module) in &source.modules {
            let layer = imports.layer_of.entry(module.file.clone());
            layer.or_insert_with(|| place.first().cloned());
            for path in &module.paths {
                let Some((file, name)) = definition(source, place, path) else {
                    continue;
                };
                if file != module.file {
                    let takes = imports.takes.entry(module.file.clone()).or_default();
                    takes.entry(file).or_default().insert(name);
                }
            }
        }
        imports
    }

    /// Describes the import cycles: one cycle for each group of files that can reach each other.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut circles = Vec::new();
        let mut known = BTreeSet::new();
        for file in self.takes.keys() {
            if known.contains(file) {
                continue;
            }
            if let Some(way) = self.way_back(file) {
                known.extend(way.iter().cloned());
                let steps = way.iter().zip(way.iter().cycle().skip(1));
                let steps: Vec<_> = steps.map(|(from, to)| self.in_words(from, to)).collect();
                circles.push(steps.join("; "));
            }
        }
        circles
    }

    /// Describes imports from a higher layer, and modules that are in no layer.
    pub(crate) fn against_layers(&self, layers: &[String]) -> Vec<String> {
        let height = |file: &String| {
            let layer = self.layer_of[file].as_ref()?;
            layers.iter().position(|known| known == layer)
        };
        let modules: BTreeSet<_> = self.layer_of.values().flatten().collect();
        let lost = modules
            .into_iter()
            .filter(|module| !layers.contains(module));
        let lost = lost.map(|module| format!("`{module}` is not among the layers"));
        let mut upward: Vec<_> = lost.collect();
        for (from, takes) in &self.takes {
            for to in takes.keys() {
                if let (Some(own), Some(other)) = (height(from), height(to))
                    && other < own
                {
                    upward.push(self.in_words(from, to));
                }
            }
        }
        upward
    }

    fn in_words(&self, from: &String, to: &String) -> String {
        let names: Vec<_> = self.takes[from][to].iter().map(String::as_str).collect();
        format!("{from} takes {} of {to}", names.join(", "))
    }

    /// Returns the files on a shortest cycle through `start`; `None` if there is no cycle.
    fn way_back(&self, start: &String) -> Option<Vec<String>> {
        let next = |file: &String| self.takes.get(file).into_iter().flat_map(BTreeMap::keys);
        let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
        let mut waiting = std::collections::VecDeque::from([start]);
        while let Some(file) = waiting.pop_front() {
            for to in next(file) {
                if to == start {
                    let mut way = vec![file];
                    while let Some(&before) = came_from.get(way[way.len() - 1]) {
                        way.push(before);
                    }
                    way.reverse();
                    return Some(way.into_iter().cloned().collect());
                }
                if !came_from.contains_key(to) {
                    came_from.insert(to, file);
                    waiting.push_back(to);
                }
            }
        }
        None
    }
}

/// Resolves `path`, as written in the module `place`: returns the file that defines the item, and
/// the item's name there. `None` if the item is not from this crate.
fn definition(source: &Crate, place: &[String], path: &[String]) -> Option<(String, String)> {
    let mut seen = BTreeSet::new();
    follow(source, place, path, &mut seen)
}

fn follow(
    source: &Crate,
    place: &[String],
    path: &[String],
    seen: &mut BTreeSet<(Segments, Segments)>,
) -> Option<(String, String)> {
    // Imports that refer to each other in a loop resolve to nothing.
    if seen.len() > MOST_IMPORTS || !seen.insert((place.to_vec(), path.to_vec())) {
        return None;
    }
    if let Some(import) = import_of_first(source, place, path) {
        return follow(source, place, &import, seen);
    }
    let (mut module, mut rest) = start(source, place, path)?;
    while let Some((name, after)) = rest.split_first() {
        let mut inner = module.clone();
        inner.push(name.clone());
        if source.modules.contains_key(&inner) {
            (module, rest) = (inner, after);
            continue;
        }
        // The name may itself be imported (re-exported) from another module.
        if let Some(import) = source.modules[&module].imports.get(name) {
            let whole = [import.as_slice(), after].concat();
            if let Some(found) = follow(source, &module, &whole, seen) {
                return Some(found);
            }
        }
        break;
    }
    let name = rest.first().or(module.last()).cloned();
    let file = source.modules[&module].file.clone();
    Some((file, name.unwrap_or_else(|| "the root".to_owned())))
}

/// If the first segment of `path` is an imported name, returns the path with the import expanded.
fn import_of_first(source: &Crate, place: &[String], path: &[String]) -> Option<Segments> {
    let (first, rest) = path.split_first()?;
    let import = source.modules[place].imports.get(first)?;
    // `use tar::tar` refers to another crate, or to a module that is found anyway. Expanding it
    // would only lead back to the same name.
    let leads_on = import.first() != Some(first);
    leads_on.then(|| [import.as_slice(), rest].concat())
}

/// Returns the module in which a path starts, and the rest of the path.
fn start<'p>(
    source: &Crate,
    place: &[String],
    path: &'p [String],
) -> Option<(Segments, &'p [String])> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some((Vec::new(), rest)),
        "self" => Some((place.to_vec(), rest)),
        "super" => {
            let above = &place[..place.len().checked_sub(1)?];
            match rest.first().map(String::as_str) {
                Some("super") => start(source, above, rest),
                _ => Some((above.to_vec(), rest)),
            }
        }
        name => {
            let mut inner = place.to_vec();
            inner.push(name.to_owned());
            source.modules.contains_key(&inner).then_some((inner, rest))
        }
    }
}
