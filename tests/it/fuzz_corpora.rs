//! What fuzzing found worth keeping, replayed: every file of `tests/fuzz/corpus` and `tests/fuzz/regressions`
//! through the function that it was found with. How the files come about: docs/fuzzing.md.

use crate::fuzz_entries::TARGETS;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The names in a folder, sorted; none when it is not there.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn every_input_that_was_kept_is_answered() {
    for (target, entry) in TARGETS {
        let mut replayed = 0;
        for folder in ["corpus", "regressions"] {
            let folder = fuzz().join(folder).join(target);
            for name in names(&folder) {
                let path = folder.join(name);
                let bytes = std::fs::read(&path).expect("readable");
                // Shown when an entry panics: which input it was.
                println!("{}", path.display());
                entry(&bytes);
                replayed += 1;
            }
        }
        assert!(replayed >= 10, "{target}: a corpus of {replayed} inputs replays nothing");
    }
}

#[test]
fn every_target_is_a_program_and_has_a_corpus() {
    let mut targets: Vec<String> = TARGETS.iter().map(|(target, _)| target.to_string()).collect();
    targets.sort();
    let programs: Vec<String> = targets.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(names(&fuzz().join("targets")), programs);
    assert_eq!(names(&fuzz().join("corpus")), targets);
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("the manifest");
    let page = std::fs::read_to_string(fuzz().join("../../docs/fuzzing.md")).expect("the page");
    for target in &targets {
        let program = std::fs::read_to_string(fuzz().join(format!("targets/{target}.rs"))).expect("readable");
        assert!(program.contains(&format!("entries::{target}(bytes)")), "{target}.rs calls its own entry");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is built");
        assert!(page.contains(&format!("`{target}`")), "docs/fuzzing.md tells of {target}");
    }
    for target in names(&fuzz().join("regressions")) {
        assert!(targets.contains(&target), "regressions/{target} is replayed by nothing");
    }
}
