//! Reads the files of a crate: the paths that each file mentions, and the names that it imports or
//! re-exports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, Meta, UseTree};

/// Segments of a path, or of a module's position in its crate. The crate's root has none.
pub(crate) type Segments = Vec<String>;

/// The modules of a crate, without tests.
#[derive(Debug)]
pub(crate) struct Crate {
    root: PathBuf,
    pub(crate) modules: BTreeMap<Segments, Module>,
}

/// A module, either in its own file or inline in that of another module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Path of its file, relative to the crate's folder.
    pub(crate) file: String,
    /// Names that it imports, with their paths as written here.
    pub(crate) imports: BTreeMap<String, Segments>,
    /// Every path with at least two segments, including those in `use` items.
    pub(crate) paths: BTreeSet<Segments>,
}

impl Crate {
    /// Reads the crate whose `lib.rs` is in `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let mut source = Self {
            root: root.to_owned(),
            modules: BTreeMap::new(),
        };
        source.read_file(&[], &root.join("lib.rs"));
        source
    }

    /// Returns the modules in the order in which the `//!` page of `lib.rs` lists them under
    /// `# Layers`. They are the names in backticks that begin the list's items.
    pub(crate) fn layers(&self) -> Vec<String> {
        let page = fs::read_to_string(self.root.join("lib.rs")).expect("the crate has a root");
        let page = page.lines().map_while(|line| line.strip_prefix("//!"));
        let listed = page.skip_while(|line| line.trim() != "# Layers").skip(1);
        let listed = listed.take_while(|line| !line.trim_start().starts_with('#'));
        let name = |line: &str| {
            let (name, _) = line.trim_start().strip_prefix("* `")?.split_once('`')?;
            Some(name.to_owned())
        };
        listed.filter_map(name).collect()
    }

    fn read_file(&mut self, place: &[String], path: &Path) {
        let text = fs::read_to_string(path).unwrap_or_else(|_| panic!("{}", path.display()));
        let file = syn::parse_file(&text).unwrap_or_else(|error| {
            panic!("{}: {error}", path.display());
        });
        let name = path.strip_prefix(&self.root).expect("a file of the crate");
        self.read_items(place, &name.display().to_string(), &file.items);
    }

    /// Reads the items of a module, then its child modules.
    fn read_items(&mut self, place: &[String], file: &str, items: &[Item]) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        let mut inner = Vec::new();
        let mut reader = Reader {
            module: &mut module,
            inner: &mut inner,
        };
        for item in items {
            reader.visit_item(item);
        }
        self.modules.insert(place.to_vec(), module);
        for item in inner {
            let place = [place, &[item.ident.to_string()]].concat();
            if let Some((_, items)) = item.content {
                self.read_items(&place, file, &items);
            } else {
                let path = self.file_of(&place);
                self.read_file(&place, &path);
            }
        }
    }

    /// Returns the path of a module that has its own file.
    fn file_of(&self, place: &[String]) -> PathBuf {
        let path = place
            .iter()
            .fold(self.root.clone(), |path, name| path.join(name));
        let own = path.with_extension("rs");
        if own.exists() {
            own
        } else {
            path.join("mod.rs")
        }
    }
}

/// Collects the imports and paths of one module. Its child modules are only noted and read later.
struct Reader<'m> {
    module: &'m mut Module,
    inner: &'m mut Vec<ItemMod>,
}

impl Reader<'_> {
    fn read_use(&mut self, tree: &UseTree, prefix: &mut Segments) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.read_use(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(tree, prefix);
                }
            }
            UseTree::Glob(_) => {
                self.module.paths.insert(prefix.clone());
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.import(name.clone(), name, prefix);
            }
            UseTree::Rename(rename) => {
                self.import(rename.ident.to_string(), rename.rename.to_string(), prefix);
            }
        }
    }

    fn import(&mut self, name: String, known_as: String, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut known_as = known_as;
        if name == "self" {
            known_as = path.last().cloned().unwrap_or(known_as);
        } else {
            path.push(name);
        }
        self.module.paths.insert(path.clone());
        self.module.imports.insert(known_as, path);
    }

    /// Collects the paths in a macro's arguments, which `syn` leaves as unparsed tokens.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path: Segments = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.end_path(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.read_tokens(group.stream());
                    }
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Segments) {
        if path.len() > 1 {
            self.module.paths.insert(path.clone());
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.inner.push(item.clone());
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.read_use(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let segments: Segments = segments.map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.module.paths.insert(segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.read_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    // A visibility such as `pub(in path)` is not an import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    // A path in an attribute, such as a derive, is not an import of this file either.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns whether something is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.starts_with("all (test")
        }
        _ => false,
    };
    attributes.iter().any(is_test)
}
