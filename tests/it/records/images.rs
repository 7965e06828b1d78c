//! Records of networks with convolutions: kernels, strides, pools and maps on skips go all the way through.

use crate::cli::{folder, growrun};
use growrun::base::world::Real;
use growrun::record::{load, schema};
use std::path::Path;
use std::process::Command;

const SCHEDULE: &str = "\
experiment \"images\"
seed 3
data digits { batch 50; limit 300 }
model {
  c1  conv 4 kernel 3 relu norm batch
  p1  pool max 2
  r1  residual project { a conv 6 kernel 3 stride 2 relu; b conv 5 kernel 1 }
  p2  pool avg 1
  top pool global
  out dense 10
}
train 2 epochs { optimizer adam lr 1e-2 }
at step 3 { widen c1 by 2x; widen c1 kernel to 5 }
at epoch 1 insert identity after p1 as c2
";

fn trained() -> tempfile::TempDir {
    let folder = folder(&[("images.grow", SCHEDULE.as_bytes())]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_growrun"));
    command.args(["images.grow", "--quiet", "--threads", "2"]).current_dir(folder.path());
    let ran = command.env("GROWRUN_FORCE_PARALLEL", "1").output().expect("it starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    folder
}

const RUN: &str = "runs/images/0001";

fn layer<'m>(model: &'m schema::Model, name: &str) -> &'m schema::Layer {
    model.layers.iter().find(|layer| layer.name == name).unwrap_or_else(|| panic!("there is `{name}`"))
}

#[test]
fn a_record_says_how_images_go_through_and_every_command_takes_it() {
    let lab = trained();
    let record = load::record(&Real::default(), &lab.path().join(RUN)).expect("a record");
    let (before, after) = (&record.resolved.model, &record.result.as_ref().expect("it has ended").model);
    let told = |layer: &schema::Layer| (layer.kernel, layer.stride, layer.pad.clone(), layer.pool.clone());
    assert_eq!(told(layer(before, "c1")), (Some(3), Some(1), Some("same".into()), None));
    assert_eq!(told(layer(before, "a")), (Some(3), Some(2), Some("same".into()), None));
    assert_eq!(told(layer(before, "p1")), (None, None, None, Some("max 2".into())));
    assert_eq!(told(layer(before, "top")), (None, None, None, Some("global".into())));
    assert!(layer(before, "r1").project && record.data.area == Some((8, 8)));
    assert_eq!((layer(after, "c1").kernel, layer(after, "c1").width), (Some(5), 8));
    assert_eq!(layer(after, "c2").kernel, Some(5));
    assert_eq!(
        record.events.last().expect("it grew").layers,
        "input:1@8x8 c1:conv:8@8x8:relu:5x5 p1:pool:8@4x4::max2 c2:conv:8@4x4:relu:5x5 \
         r1:residual:5@2x2::map/2(a:conv:6@2x2:relu:3x3/2 b:conv:5@2x2:linear:1x1) p2:pool:5@2x2::avg1 \
         top:pool:5::global out:dense:10:linear"
    );
    for (arguments, told) in [
        (&["replay", RUN, "--threads", "1", "--simd", "portable", "--quiet"][..], "the replay has the same bits"),
        (&["verify", RUN][..], "as it was written"),
        (&["report", RUN, "--format", "md"][..], "report.md"),
    ] {
        let ran = growrun(lab.path(), arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(told), "{arguments:?}: {}", ran.stdout);
    }
}

#[test]
fn another_kernel_is_a_difference_of_the_network() {
    let lab = trained();
    std::fs::write(lab.path().join("images.grow"), SCHEDULE.replace("conv 4 kernel 3", "conv 4 kernel 1"))
        .expect("written");
    assert_eq!(growrun(lab.path(), &["images.grow", "--quiet"]).code, 0);
    let ran = growrun(lab.path(), &["diff", RUN, "runs/images/0002"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line = ran.stdout.lines().find(|line| line.contains("c1.kernel")).unwrap_or_else(|| panic!("{}", ran.stdout));
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["model.layers.c1.kernel", "3", "1"]);
    assert!(ran.stdout.contains("they part at step 0: `c1.weight`"), "{}", ran.stdout);
}

/// A record in which one thing of its images was changed, given to every command that reads it.
#[test]
fn a_strangers_record_of_impossible_images_is_refused() {
    let lab = trained();
    let path = lab.path().join(RUN).join("run.yaml");
    let good = std::fs::read_to_string(&path).expect("a record");
    for (from, to) in [
        ("kernel: 3", "kernel: 0"),
        ("kernel: 3", "kernel: 4294967296"),
        ("kernel: 3", "kernel: -3"),
        ("kernel: 3", ""),
        ("stride: 2", "stride: 0"),
        ("stride: 2", "stride: 18446744073709551615"),
        ("pad: same", "pad: sideways"),
        ("pool: max 2", "pool: max 0"),
        ("pool: max 2", "pool: max 9"),
        ("pool: max 2", "pool: max 99999999999999999999"),
        ("pool: max 2", "pool: median 2"),
        ("pool: max 2", ""),
        ("pool: global", "pool: max 1"),
        ("kind: conv", "kind: dense"),
        ("kind: pool", "kind: residual"),
    ] {
        // Nothing in place of something is a line that is missing.
        let bad = match to {
            "" => good.lines().filter(|line| line.trim() != from).map(|line| format!("{line}\n")).collect(),
            _ => good.replace(from, to),
        };
        assert_ne!(bad, good, "`{from}` stands in the record:\n{good}");
        std::fs::write(&path, bad).expect("written");
        for arguments in [
            &["predict", RUN, "no.csv"][..],
            &["verify", RUN],
            &["resume", RUN],
            &["replay", RUN, "--quiet"],
            &["report", RUN],
            &["export", RUN, "--to", "npz"],
        ] {
            let ran = growrun(lab.path(), arguments);
            assert!(matches!(ran.code, 0 | 1 | 2 | 4), "{to}: {arguments:?} ended with {}: {}", ran.code, ran.stderr);
            assert!(!ran.stderr.contains("panicked"), "{to}: {arguments:?}: {}", ran.stderr);
            if arguments[0] == "predict" || arguments[0] == "export" {
                assert!(ran.code != 0, "{to}: {arguments:?} takes it: {}", ran.stdout);
                assert!(ran.stderr.contains("G08"), "{to}: {arguments:?}: {}", ran.stderr);
            }
        }
    }
    std::fs::write(&path, good).expect("written");
    let ran = growrun(Path::new(lab.path()), &["verify", RUN]);
    assert_eq!(ran.code, 0, "the record is good as it was: {}", ran.stdout);
}
