//! The guide is one book in two places: on GitHub, where its pages are files, and in rustdoc, where they are modules. Here are
//! its links, which must lead somewhere in both, and its order.
//!
//! A page uses reference links, `[Signing in][sign-in.md]` or ``[`rotate`][Session::rotate]``. It says at its end to which files
//! they lead. For rustdoc, `src/guide/links.md` stands before each page and says to which items they lead; in Markdown the first
//! definition counts. Whether these items are there, rustdoc says itself.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use pulldown_cmark::{BrokenLink, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

/// The files of the repository that have links of their own, besides the pages of the guide.
const AROUND_THE_GUIDE: [&str; 4] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];

#[test]
fn every_link_in_the_repository_leads_to_a_file_and_a_heading_that_are_there() {
    let mut lost = Vec::new();
    for file in AROUND_THE_GUIDE.map(PathBuf::from).into_iter().chain(pages()) {
        let text = read(&file);
        for link in links(&text) {
            let (path, heading) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let target = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let leads_out = link.target.starts_with("https://") || link.target.starts_with("http://");
            let is_there = leads_out
                || root().join(&target).exists()
                    && (heading.is_empty() || headings(&read(&target)).iter().any(|text| slug(text) == heading));
            if !is_there {
                lost.push(format!("{}: [{}] leads to {:?}", file.display(), link.label, link.target));
            }
        }
    }
    assert!(lost.is_empty(), "these links lead nowhere on GitHub:\n{}", lost.join("\n"));
}

#[test]
fn every_link_of_the_guide_leads_to_an_item_in_rustdoc() {
    let mut lost = Vec::new();
    let definitions = rustdoc_definitions();
    for page in pages() {
        let own_headings: Vec<String> = headings(&read(&page)).iter().map(|text| slug(text)).collect();
        for link in links(&format!("{definitions}\n{}", read(&page))) {
            let is_item = match link.label.strip_suffix(".md") {
                Some(chapter) => link.target == format!("mod@crate::guide::{}", chapter.replace('-', "_")),
                None => link.target.trim_start_matches("mod@") == format!("crate::{}", link.label),
            };
            let is_heading = link.target.strip_prefix('#').is_some_and(|id| own_headings.iter().any(|own| own == id));
            let leads_out = ["https://", "http://", "data:"].iter().any(|scheme| link.target.starts_with(scheme));
            if !is_item && !is_heading && !leads_out {
                lost.push(format!("{}: [{}] leads to {:?}", page.display(), link.label, link.target));
            }
        }
    }
    assert!(lost.is_empty(), "src/guide/links.md has no item for these links:\n{}", lost.join("\n"));
}

#[test]
fn a_link_to_an_item_leads_to_the_file_that_declares_it() {
    let mut wrong = Vec::new();
    for page in pages() {
        for link in links(&read(&page)).into_iter().filter(|link| link.target.ends_with(".rs")) {
            let item = link.label.rsplit("::").next().unwrap().trim_end_matches('!');
            let source = read(&page.parent().unwrap().join(&link.target));
            let declares = ["fn", "struct", "enum", "trait", "const", "type", "macro_rules!", "pub"];
            let is_declared = declares.iter().any(|word| has_words(&source, &format!("{word} {item}")));
            let is_variant = source.lines().any(|line| {
                line.trim_start()
                    .strip_prefix(item)
                    .is_some_and(|rest| rest.starts_with([',', ' ', '{', '(']) || rest.is_empty())
            });
            let is_module = link.target.ends_with(&format!("/{item}.rs"));
            if !is_declared && !is_variant && !is_module {
                wrong.push(format!("{}: [{}] is not in {}", page.display(), link.label, link.target));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_definition_of_a_link_is_left_over() {
    let mut left_over = Vec::new();
    let mut used_in_the_guide = Vec::new();
    for page in pages() {
        let text = read(&page);
        let used: Vec<String> = links(&text).into_iter().map(|link| link.label).collect();
        left_over.extend(
            defined(&text).into_iter().filter(|label| !used.contains(label)).map(|label| (page.clone(), label)),
        );
        used_in_the_guide.extend(used);
    }
    let links = PathBuf::from("src/guide/links.md");
    let unused = defined(&read(&links)).into_iter().filter(|label| !used_in_the_guide.contains(label));
    left_over.extend(unused.map(|label| (links.clone(), label)));
    assert!(left_over.is_empty(), "nothing uses these definitions: {left_over:#?}");
}

#[test]
fn the_guide_has_one_order_and_each_chapter_ends_with_the_next() {
    let on_github = contents("README.md", |target| target.strip_prefix("docs/").map(str::to_owned));
    let in_rustdoc = contents("src/guide.rs", |target| {
        target.strip_prefix("mod@").map(|module| format!("{}.md", module.replace('_', "-")))
    });
    assert_eq!(on_github, in_rustdoc, "README.md and src/guide.rs list the chapters alike");
    assert_eq!(on_github.len(), pages().len(), "every page of docs/ is a chapter");
    for (place, (chapter, title, _)) in on_github.iter().enumerate() {
        let text = read(&PathBuf::from("docs").join(chapter));
        assert_eq!(headings(&text).first(), Some(title), "the title of {chapter}");
        if let Some((next, title, about)) = on_github.get(place + 1) {
            let last = text.lines().rfind(|line| line.starts_with("Next: "));
            assert_eq!(last, Some(&*format!("Next: [{title}][{next}] ({about}).")), "the end of {chapter}");
        }
    }
}

#[test]
fn the_figure_in_rustdoc_is_the_one_on_github() {
    let picture = fs::read(root().join("docs/performance.svg")).unwrap();
    let picture = base64::engine::general_purpose::STANDARD.encode(picture);
    let definition = format!("[performance.svg]: data:image/svg+xml;base64,{picture}\n");
    assert!(read(Path::new("src/guide/figure.md")) == definition, "src/guide/figure.md is not docs/performance.svg");
}

#[test]
fn the_store_in_the_guide_is_the_one_in_the_examples() {
    let example = read(Path::new("examples/own_store.rs")).replace("pub(crate) ", "");
    let begin = example.find("struct TreeStore").unwrap();
    let end = example.find("const VIEWS").unwrap();
    let store = example[begin..end].trim();
    assert!(read(Path::new("docs/writing-a-store.md")).contains(store), "docs/writing-a-store.md has another store");
}

struct Link {
    /// What stands in the second pair of brackets, or the text of a link that has its target in it.
    label: String,
    target: String,
}

/// Every link and every picture, as rustdoc and GitHub read Markdown. A reference that nothing defines leads to `undefined`.
fn links(text: &str) -> Vec<Link> {
    let undefined = |link: BrokenLink<'_>| {
        // `[x]` alone is a text, but a name of code is meant to be a link
        let is_reference = link.link_type != LinkType::Shortcut || link.reference.starts_with('`');
        is_reference.then(|| (CowStr::from("undefined"), CowStr::from("")))
    };
    let events = Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(undefined));
    let found = events.filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, id, .. } | Tag::Image { dest_url, id, .. }) => {
            Some(Link { label: id.to_string(), target: dest_url.to_string() })
        }
        _ => None,
    });
    found.collect()
}

fn defined(text: &str) -> Vec<String> {
    Parser::new(text).reference_definitions().iter().map(|(label, _)| label.to_owned()).collect()
}

/// The text of every heading.
fn headings(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_in_heading = false;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                is_in_heading = true;
                found.push(String::new());
            }
            Event::End(TagEnd::Heading(_)) => is_in_heading = false,
            Event::Text(text) | Event::Code(text) if is_in_heading => found.last_mut().unwrap().push_str(&text),
            _ => {}
        }
    }
    found
}

/// The name under which GitHub and rustdoc both find a heading.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}

/// The chapters of a list of contents: page, title, and what it is about.
fn contents(file: &str, page: impl Fn(&str) -> Option<String>) -> Vec<(String, String, String)> {
    let text = read(Path::new(file));
    let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
    let entries = lines.filter_map(|line| {
        let (title, rest) = line.split_once('[')?.1.split_once("](")?;
        let (target, about) = rest.split_once("): ")?;
        Some((page(target)?, title.to_owned(), about.to_owned()))
    });
    entries.collect()
}

fn has_words(source: &str, words: &str) -> bool {
    source
        .match_indices(words)
        .any(|(at, found)| !source[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// What stands before each page in rustdoc.
fn rustdoc_definitions() -> String {
    ["src/guide/figure.md", "src/guide/links.md"].map(|file| read(Path::new(file))).concat()
}

fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).unwrap().map(|entry| PathBuf::from(entry.unwrap().file_name()));
    let pages = entries.filter(|name| name.extension().is_some_and(|extension| extension == "md"));
    pages.map(|name| Path::new("docs").join(name)).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
