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

/// Makes the files from which fuzzing of records begins, out of a run: after a change of the record's version,
/// `cargo test fuzz_corpora::seeds -- --ignored`, then `tests/fuzz/run TARGET` and `tests/fuzz/run keep TARGET`.
#[test]
#[ignore = "writes into tests/fuzz/corpus"]
fn seeds() {
    use crate::faults::memory::Memory;
    use crate::fuzz_entries::{BETWEEN, SMALL};
    use crate::run::{compute, dataset, program};
    use growrun::base::World;
    use growrun::{record, run};
    /// Kernels, strides, pools and a map on a skip.
    const IMAGES: &str = "data digits { batch 16; limit 40 }
model { c1 conv 2 kernel 3 relu norm batch; p1 pool max 2; r1 residual project { a conv 3 kernel 2 stride 2 pad same }
  p2 pool global; out dense 10 }
train 6 steps { optimizer adam lr 1e-2; evaluate every 4 steps }
at step 3 { widen c1 to 3; widen c1 kernel to 5; insert identity after c1 }
";
    let world = Memory::new(true);
    let recorded = |text: &str| {
        let program = program(text, None).unwrap_or_else(|found| panic!("{found:#?}"));
        let (data, origin) = (dataset(&program), record::Origin::default());
        let mut recorder = record::Recorder::create(&world, Path::new("runs"), &program, &data, origin).expect("made");
        let folder = recorder.folder().to_path_buf();
        let options = compute(1, growrun::tensor::Simd::Auto);
        run::execute(&program, &data, &options, &world, &mut |event| recorder.consume(event)).expect("it runs");
        folder
    };
    let folder = recorded(SMALL);
    let read = |name: &str| world.read(&folder.join(name), 1 << 20).expect("there");
    let write = |target: &str, parts: &[Vec<u8>]| {
        let content = parts.join(BETWEEN);
        let name = growrun::base::digest::bytes(&content)["blake3:".len()..][..40].to_string();
        std::fs::create_dir_all(fuzz().join("corpus").join(target)).expect("made");
        std::fs::write(fuzz().join("corpus").join(target).join(name), content).expect("written");
    };
    write("run_yaml", &[read("run.yaml"), read("final.safetensors"), read("scaling.safetensors")]);
    for name in world.list(&folder.join("checkpoints")).expect("checkpoints") {
        let file = |file: &str| read(&format!("checkpoints/{name}/{file}"));
        let files = [read("run.yaml"), file("meta.yaml"), file("weights.safetensors"), file("state.safetensors")];
        write("checkpoint", &files[1..2]);
        write("safetensors", &files[3..]);
        write("resume", &files);
        // What a crash might have left.
        write("resume", &files[..1]);
        write("resume", &files[..3]);
    }
    let images = recorded(IMAGES);
    let read = |name: &str| world.read(&images.join(name), 1 << 20).expect("there");
    write("run_yaml", &[read("run.yaml"), read("final.safetensors"), read("scaling.safetensors")]);
    seeds_of_reports(&write);
}

/// The files from which fuzzing of weights begins, out of those of `tests/fixtures/weights`: each as it is, and what
/// lies behind checksums in it. `cargo test fuzz_corpora::weights_seeds -- --ignored`
#[test]
#[ignore = "writes into tests/fuzz/corpus"]
fn weights_seeds() {
    use crate::fuzz_entries::BETWEEN;
    use growrun::data::read::zip;
    let write = |content: &[u8]| {
        let name = growrun::base::digest::bytes(content)["blake3:".len()..][..40].to_string();
        std::fs::create_dir_all(fuzz().join("corpus/weights")).expect("made");
        std::fs::write(fuzz().join("corpus/weights").join(name), content).expect("written");
    };
    for name in crate::weights::fixtures(&[".pt", ".npz", ".params", ".safetensors", "symbol.json"]) {
        let content = crate::weights::fixture(&name);
        if content.len() <= 5 << 10 {
            write(&content);
        }
        let Ok(entries) = zip::entries("f", &content, &zip::NPZ) else { continue };
        let bytes = |entry: &zip::Entry| entry.bytes("f", 1 << 20).expect("small").into_owned();
        if let Some(pickle) = entries.iter().find(|entry| entry.name.ends_with("/data.pkl")) {
            let root = pickle.name.trim_end_matches("data.pkl");
            let storages = (0..5).filter_map(|n| entries.iter().find(|entry| entry.name == format!("{root}data/{n}")));
            write(&[pickle].into_iter().chain(storages).map(bytes).collect::<Vec<_>>().join(BETWEEN));
        } else {
            entries.iter().take(2).for_each(|entry| write(&bytes(entry)));
        }
    }
}

/// A small comparison: each of its runs beside what it says of all.
fn seeds_of_reports(write: &dyn Fn(&str, &[Vec<u8>])) {
    use crate::faults::memory::Memory;
    use growrun::base::World;
    use growrun::compare::{self, arms, conduct, desk::Desk, outcome, plan};
    let schedule = "data digits { limit 100; batch 50 }\nmodel { h1 dense 4 relu; out dense 10 }\n\
                    train 3 epochs { optimizer adam lr 1e-2 }\nat epoch 1 widen h1 to 6\n";
    let (world, folder) = (Memory::new(true), Path::new("c"));
    let desk = Desk {
        world: &world,
        vocabulary: growrun::run::vocabulary(),
        schedule: growrun::syntax::parse("s.grow", schedule).0,
        base: None,
        folder: "".into(),
        named: Default::default(),
        limits: Default::default(),
    };
    assert!(arms::has_growth(&desk.schedule));
    let question = plan::Question { seeds: Some(2), ..Default::default() };
    let mut plan = plan::plan(&desk, &question).unwrap_or_else(|trouble| panic!("{trouble:?}"));
    let runs: Vec<(usize, usize)> = plan::jobs(&plan).into_iter().flatten().collect();
    let means = conduct::Means {
        threads: 1,
        workers: 1,
        simd: growrun::tensor::Simd::Auto,
        parameters_max: 1_000_000,
        interrupt: Default::default(),
        origin: Default::default(),
    };
    conduct::conduct(&desk, &plan, folder, &runs, &means, &|_| ()).unwrap_or_else(|halt| panic!("{halt:?}"));
    plan.comparison.result = Some(outcome::collect(&desk, &plan, folder).unwrap_or_else(|halt| panic!("{halt:?}")));
    compare::write(&world, folder, &plan.comparison).expect("written");
    let read = |name: &str| world.read(&folder.join(name), 1 << 20).expect("there");
    for (arm, seed) in runs {
        let run = conduct::run_folder(&plan.comparison.arms[arm].name, plan.comparison.seeds[seed]);
        let files = ["run.yaml", "metrics.jsonl"].map(|file| read(&format!("{run}/{file}")));
        let [record, metrics] = files;
        write("report", &[read("comparison.yaml"), record, metrics]);
    }
}
