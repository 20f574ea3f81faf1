//! The configurations in the guide, which run here as they stand there.

use std::path::Path;

/// The only block of code below this heading.
pub(crate) fn configuration(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/proxies-forward-auth.md");
    let page = std::fs::read_to_string(path).expect("the page of the guide");
    let section = page.split("\n## ").find_map(|section| section.strip_prefix(heading)?.strip_prefix('\n'));
    let section = section.unwrap_or_else(|| panic!("the page has no heading {heading}"));
    let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
    let [block] = blocks[..] else { panic!("{heading} has {} blocks of code", blocks.len()) };
    block.split_once('\n').expect("the name of a language").1.to_owned()
}

/// The configuration with the addresses and the files of a test. Each of these must be in it.
pub(crate) fn with(mut configuration: String, replaced: &[(&str, &str)]) -> String {
    for (documented, own) in replaced {
        assert!(configuration.contains(documented), "{documented} is not in the configuration:\n{configuration}");
        configuration = configuration.replace(documented, own);
    }
    configuration
}
