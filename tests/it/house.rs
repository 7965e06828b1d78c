//! The rules of the house, held by tests: who may import whom, how long a file may be, where the
//! outside world may be touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The floor of every top-level module; imports go downwards, or stay within the module.
const FLOORS: &[(&str, u8)] = &[
    ("base", 0),
    ("tensor", 1),
    ("syntax", 1),
    ("data", 1),
    ("nn", 2),
    ("grow", 3),
    ("optim", 3),
    ("weights", 3),
    ("check", 4),
    ("train", 4),
    ("run", 5),
    ("record", 6),
    ("compare", 7),
    ("export", 7),
    ("report", 8),
    ("cli", 9),
];

/// Edges that go down and are still forbidden: (who, never imports).
const NEVER: &[(&str, &[&str])] = &[
    // The checker cannot touch a weight.
    ("check", &["tensor", "train", "optim"]),
    // The engine has never heard of a schedule.
    ("nn", &["syntax"]),
    ("grow", &["syntax", "data"]),
    ("optim", &["syntax", "data"]),
    ("train", &["syntax", "check"]),
];

/// Edges on the table that go sideways for a reason.
const SIDEWAYS: &[(&str, &str)] = &[
    // A header tells the task (`nn::Task`), a plain word that both floors need.
    ("data", "nn"),
    // A dataset is loaded into the arrays that the engine computes with.
    ("data", "tensor"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file beneath `folder`, by its path from the package's root.
fn files(folder: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of the package") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    let name = |path: &Path| path.strip_prefix(root()).expect("beneath the root").to_string_lossy().replace('\\', "/");
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("UTF-8"))).collect()
}

/// The code of a file: no comments, nothing from its tests on, string contents blanked.
fn code(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        let mut in_string = false;
        let mut previous = ' ';
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\\' if in_string => {
                    characters.next();
                }
                // '"' as a character literal opens nothing.
                '"' if previous != '\'' => in_string = !in_string,
                '/' if !in_string && characters.peek() == Some(&'/') => break,
                _ if in_string => {}
                _ => out.push(c),
            }
            previous = c;
        }
        out.push('\n');
    }
    out
}

fn module(path: &str) -> &str {
    let inside = path.strip_prefix("src/").expect("a source file");
    inside.split(['/', '.']).next().expect("a name")
}

/// The modules that a file names by `crate::`, `use crate::{a, b}` included.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let mut heads = Vec::new();
        if let Some(group) = rest.strip_prefix('{') {
            // The names at the outer level of the braces.
            let (mut depth, mut head) = (0, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => heads.push(std::mem::take(&mut head)),
                    _ if depth == 0 => head.push(c),
                    _ => {}
                }
            }
            heads.push(head);
        } else {
            heads.push(rest.to_string());
        }
        for head in heads {
            let name: String = head.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                found.push(name);
            }
        }
    }
    found
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// Why `from` may not import `to`, if it may not.
fn forbidden(from: &str, to: &str) -> Option<String> {
    if from == to || SIDEWAYS.contains(&(from, to)) {
        return None;
    }
    let (Some(above), Some(below)) = (floor(from), floor(to)) else {
        return Some(format!("`{to}` stands on no floor"));
    };
    if below >= above {
        return Some(format!("floor {above} imports floor {below}"));
    }
    NEVER.iter().any(|(who, never)| *who == from && never.contains(&to)).then(|| "never".to_string())
}

#[test]
fn imports_go_downwards_only() {
    let mut offenders = Vec::new();
    for (path, text) in files("src") {
        let from = module(&path);
        if matches!(from, "lib" | "main") {
            continue;
        }
        assert!(floor(from).is_some(), "`{path}` stands on no floor of the table");
        for to in imports(&code(&text)) {
            if let Some(why) = forbidden(from, &to) {
                offenders.push(format!("{path} imports crate::{to}: {why}"));
            }
        }
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

#[test]
fn the_floor_test_would_see_an_upward_import() {
    let text =
        "use crate::{base::{A, B}, run};\nfn f() { crate::cli::main(); } // crate::record\nlet s = \"crate::data\";\n";
    assert_eq!(imports(&code(text)), ["base", "run", "cli"]);
    assert!(forbidden("nn", "run").is_some());
    assert!(forbidden("check", "train").is_some());
    assert!(forbidden("grow", "optim").is_some());
    assert!(forbidden("run", "check").is_none());
}

#[test]
fn a_file_holds_one_idea() {
    let long: Vec<String> = files("src")
        .iter()
        .map(|(path, text)| (path.as_str(), text.lines().count()))
        .filter(|(_, lines)| *lines > 600)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}

/// Lines of source code that hold `needle`, outside tests and the files in `allowed`.
fn uses(needle: &str, allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files("src") {
        if allowed.contains(&path.as_str()) || path.ends_with("/tests.rs") {
            continue;
        }
        for (number, line) in code(&text).lines().enumerate() {
            if line.contains(needle) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn nothing_is_unwrapped_without_a_word() {
    let found = uses(".unwrap()", &[]);
    assert!(found.is_empty(), "say the invariant with `expect`:\n{}", found.join("\n"));
}

#[test]
fn unsafe_stands_only_in_the_kernels_and_the_pool() {
    let folder = files("src/tensor/kernels");
    let allowed = folder.keys().map(String::as_str).chain(["src/tensor/pool.rs", "src/lib.rs"]);
    let found = uses("unsafe", &allowed.collect::<Vec<_>>());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_world_has_one_door() {
    let needles = ["std::fs", "fs::", "std::env", "env::var", "Instant::now", "SystemTime", "available_parallelism"];
    let door = ["src/base/world/real.rs", "src/base/world/beneath.rs", "src/main.rs"];
    let found: Vec<String> = needles.iter().flat_map(|needle| uses(needle, &door)).collect();
    assert!(found.is_empty(), "ask `World` instead:\n{}", found.join("\n"));
}

#[test]
fn every_dependency_has_its_reason() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let (mut section, mut reason, mut bare) = (String::new(), false, Vec::new());
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.to_string();
        } else if line.starts_with('#') {
            reason = true;
            continue;
        } else if line.contains('=') && section.ends_with("dependencies]") && !reason {
            bare.push(line.to_string());
        }
        reason = false;
    }
    assert!(bare.is_empty(), "no reason above:\n{}", bare.join("\n"));
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("CHANGELOG.md")];
    if let Ok(entries) = std::fs::read_dir(root().join("docs")) {
        pages.extend(entries.flatten().map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    for page in pages {
        let Ok(text) = std::fs::read_to_string(&page) else { continue };
        let folder = page.parent().expect("a page lies in a folder");
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            if !folder.join(path).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
