//! Tests of syntax.

use growrun::syntax;

const EXAMPLE: &str = r#"grow 1                                   # language version, optional
experiment "first growth"
seed 7                                   # default 0
let width = 256

data digits { batch 32; normalize zscore; split train 80% val 20% stratified }

model {
  h1  dense 32 relu
  h2  dense 32 relu
  out dense 10
}

train 60 epochs { optimizer adam lr 1e-3; loss cross_entropy; metrics accuracy }

at epoch 20 widen h2 to $width eps 1e-3
at epoch 40 insert identity after h2
"#;

#[test]
fn the_example_reads_without_a_mistake() {
    let (schedule, found) = syntax::parse("first.grow", EXAMPLE);
    assert_eq!(found, vec![]);
    assert_eq!(schedule.events.len(), 2);
    assert_eq!(schedule.model.expect("a model").body.len(), 3);
}
