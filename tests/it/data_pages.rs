//! The pages of the data codes, and the example schedules, through the checker.

use super::*;
use growrun::check::{Request, check};
use growrun::syntax;

/// Codes of what is wrong with a schedule that lies in `folder`, what is missing included.
fn findings(folder: &Path, text: &str) -> Vec<String> {
    let (schedule, mut found) = syntax::parse("page.grow", text);
    let named = BTreeMap::new();
    let checked = check(schedule, &Request::new(&Real::default(), &growrun::run::vocabulary(), folder, &named));
    found.extend(checked.missing);
    found.extend(checked.diagnostics);
    found.iter().map(|diagnostic| format!("{}: {}", diagnostic.code, diagnostic.message)).collect()
}

/// The text or bytes of the first fenced block after a heading.
fn block(section: &str) -> Vec<u8> {
    let (_, fenced) = section.split_once("```").expect("a block");
    let (kind, rest) = fenced.split_once('\n').expect("a block");
    let content = rest.split("```").next().expect("split gives one part at least");
    if kind != "hex" {
        return content.into();
    }
    content.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two hex digits")).collect()
}

#[test]
fn the_page_of_each_code_fails_with_it_and_its_repair_is_clean() {
    for (code, _) in CODES {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/errors/{code}.md"));
        let page = std::fs::read_to_string(page).expect("a page");
        let folder = tempfile::tempdir().expect("a folder");
        let mut schedules = Vec::new();
        for section in page.split("\n## ").skip(1) {
            let heading = section.lines().next().expect("a heading");
            match heading.strip_prefix("File ") {
                Some(name) => {
                    let path = folder.path().join(name);
                    std::fs::create_dir_all(path.parent().expect("beneath the folder")).expect("made");
                    std::fs::write(path, block(section)).expect("written");
                }
                None => schedules.push(String::from_utf8(block(section)).expect("a schedule is text")),
            }
        }
        let fails = findings(folder.path(), &schedules[0]);
        assert!(fails.iter().any(|said| said.starts_with(code)), "{code} fails with {fails:#?}");
        let repaired = findings(folder.path(), &schedules[1]);
        assert!(repaired.is_empty(), "{code}, repaired: {repaired:#?}");
    }
}

#[test]
fn every_example_schedule_checks_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("schedules").map(|entry| entry.expect("an entry").path()) {
        let text = std::fs::read_to_string(&entry).expect("text");
        let mut found = findings(&folder, &text);
        // These need files which are not here.
        if entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mnist")) {
            found.retain(|said| !said.starts_with("G0729"));
        }
        assert!(found.is_empty(), "{}: {found:#?}", entry.display());
        seen += 1;
    }
    assert!(seen >= 8, "{seen} examples");
}
