//! The shape of the code: modules that need one another in a circle cannot be understood one at a time, so there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// The name of a module, from the root of its crate: `["store", "redis"]`.
type Module = Vec<String>;

/// Modules that are compiled for tests only, and so may reach anywhere.
const IS_FOR_TESTS: [&str; 2] = ["tests", "fuzzing"];

#[test]
fn no_modules_of_the_library_need_one_another_in_a_circle() {
    assert_eq!(circles("src"), Vec::<String>::new());
}

#[test]
fn no_modules_of_the_program_need_one_another_in_a_circle() {
    assert_eq!(circles("cli/src"), Vec::<String>::new());
}

/// In each folder: the modules that need one another in a circle, with all that is below each of them. A module and those
/// that stand in its own folder count as one here: what it declares is what they share.
fn circles(root: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut files: BTreeMap<Module, PathBuf> =
        rust_files(&root).into_iter().map(|file| (name(&root, &file), file)).collect();
    files.retain(|module, _| !module.iter().any(|name| IS_FOR_TESTS.contains(&name.as_str())));
    assert!(files.len() > 20, "{} holds only {} files", root.display(), files.len());
    // for each folder: which of its modules needs which other one
    let mut needs: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, file) in &files {
        for needed in needed_by(module, file, &files) {
            let shared = module.iter().zip(&needed).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (module.get(shared), needed.get(shared)) {
                let folder = needs.entry(module[..shared].to_vec()).or_default();
                folder.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    needs.iter().filter_map(|(folder, needs)| circle(needs).map(|circle| in_words(folder, &circle))).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources are there");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    });
    files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The module of a file. The root of the crate has no name.
fn name(root: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(root).expect("below the root").with_extension("");
    let name: Module = path.iter().map(|part| part.to_str().expect("a name in UTF-8").to_owned()).collect();
    if name == ["lib"] || name == ["main"] { Vec::new() } else { name }
}

/// The modules whose names are written in a file, outside its unit tests.
fn needed_by(module: &Module, file: &Path, files: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let text = fs::read_to_string(file).expect("a readable file");
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut paths = Paths { module: module.clone(), found: Vec::new() };
    paths.visit_file(&parsed);
    let known =
        |path: &Module| (0..=path.len()).rev().map(|len| path[..len].to_vec()).find(|path| files.contains_key(path));
    paths.found.iter().filter_map(known).filter(|needed| !needed.is_empty()).collect()
}

/// Collects every path that begins with `crate` or `super`, or names a module's own submodule.
struct Paths {
    module: Module,
    found: Vec<Module>,
}

impl Paths {
    fn add(&mut self, written: &[String]) {
        let ups = written.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match written.first().map(String::as_str) {
            Some("crate") => (Vec::new(), &written[1..]),
            Some("super") if ups <= self.module.len() => {
                (self.module[..self.module.len() - ups].to_vec(), &written[ups..])
            }
            _ => return,
        };
        self.found.push([&base[..], rest].concat());
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.add(&path.segments.iter().map(|part| part.ident.to_string()).collect::<Vec<_>>());
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'a syn::Visibility) {
        // `pub(in crate::store)` says who may use it, not what it uses
    }

    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        if module.content.is_some() && !IS_FOR_TESTS.iter().any(|name| module.ident == name) {
            self.module.push(module.ident.to_string());
            syn::visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }
}

/// A circle among modules of one folder, if there is one: each needs the next, and the last needs the first.
fn circle(needs: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut finished = BTreeSet::new();
    needs.keys().find_map(|start| walk(start, needs, &mut Vec::new(), &mut finished))
}

fn walk<'a>(
    at: &'a str,
    needs: &'a BTreeMap<String, BTreeSet<String>>,
    way: &mut Vec<&'a str>,
    finished: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(begin) = way.iter().position(|module| *module == at) {
        return Some(way[begin..].iter().map(|module| (*module).to_owned()).collect());
    }
    if finished.contains(at) {
        return None;
    }
    way.push(at);
    let found = needs.get(at).into_iter().flatten().find_map(|next| walk(next, needs, way, finished));
    way.pop();
    finished.insert(at);
    found
}

fn in_words(folder: &Module, circle: &[String]) -> String {
    let folder = if folder.is_empty() { "the root".to_owned() } else { folder.join("/") };
    format!("in {folder}: {} -> {}", circle.join(" -> "), circle[0])
}

#[test]
fn a_circle_is_found_and_a_chain_is_none() {
    let needs = |pairs: &[(&str, &str)]| {
        let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            needs.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        needs
    };
    assert_eq!(circle(&needs(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&needs(&[("a", "b"), ("b", "c"), ("c", "b")])), Some(vec!["b".to_owned(), "c".to_owned()]));
}
