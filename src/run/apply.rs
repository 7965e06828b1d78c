//! A schedule's growth on weights that are there, without a training step.

use super::event::Finish;
use super::execute::{Consumer, Failure, Options, Run};
use crate::base::World;
use crate::check::program::Program;
use crate::data::Dataset;
use crate::nn::Parameter;

/// Carries out the events of a program of no steps. The network begins with the program's given values; `carry` gives
/// each parameter what its optimiser has kept. The grown parameters come with the last event. `dataset`: what promises
/// are judged on, and drift is measured.
pub fn apply(
    program: &Program,
    dataset: &Dataset,
    options: &Options,
    world: &dyn World,
    carry: &dyn Fn(&mut Parameter<f32>),
    consumer: &mut Consumer,
) -> Result<Finish, Failure> {
    assert_eq!(program.train.steps, 0, "nothing is trained");
    let mut run = Run::new(program, dataset, options, world, consumer)?;
    run.network.parameters().iter_mut().for_each(carry);
    run.complete()
}
