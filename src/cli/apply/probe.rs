//! What promises are judged on where the schedule has no data: given examples, or random numbers.

use crate::base::rng::{Purpose, Stream};
use crate::base::text::short;
use crate::base::{Refusal, World};
use crate::check::Program;
use crate::cli::stop::Stop;
use crate::data::{Dataset, Features, Header, Labels, Part, Scaling};
use crate::grow::PROBED;
use crate::weights::{self, Values};
use std::path::Path;

/// Examples of `--probe`.
pub struct Given {
    name: String,
    /// Of one example.
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Reads the one array [examples, inputs] or [examples, channels, height, width] of a file, or the one called `x`.
pub fn read(world: &dyn World, path: &Path) -> Result<Given, Stop> {
    let name = path.display().to_string();
    let (content_max, values_max) = weights::limits(world.memory_to_spare());
    let content = world.read(path, content_max)?;
    let refused = |what: String| {
        let help = "save one array [examples, inputs], or [examples, channels, height, width], of float32: \
                    `numpy.savez(\"probe.npz\", x=x)`";
        Err(Stop::Refused(Refusal::error("G0829", what, help)))
    };
    let file = match weights::read(&name, &content, values_max) {
        Ok(file) => file,
        Err(refusal) => return refused(refusal.message),
    };
    let fits: Vec<_> = file.tensors.iter().filter(|tensor| matches!(tensor.shape.len(), 2 | 4)).collect();
    let tensor = match fits[..] {
        [one] => one,
        _ => match fits.iter().find(|tensor| tensor.name == "x") {
            Some(named) => named,
            None => return refused(format!("`{}` holds {} arrays of examples", short(&name), fits.len())),
        },
    };
    match &tensor.values {
        Values::Numbers(values) if !values.is_empty() && values.iter().all(|value| value.is_finite()) => {
            Ok(Given { name, shape: tensor.shape[1..].to_vec(), values: values.clone() })
        }
        Values::Numbers(_) => {
            refused(format!("`{}` of `{}` is not finite, or empty", short(&tensor.name), short(&name)))
        }
        _ => refused(format!("`{}` of `{}` holds {}", short(&tensor.name), short(&name), tensor.dtype)),
    }
}

impl Given {
    /// How many there are.
    pub fn examples(&self) -> usize {
        self.values.len() / self.width().max(1)
    }

    fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Height and width, where they are images.
    pub fn area(&self) -> Option<(usize, usize)> {
        match self.shape[..] {
            [_, height, width] => Some((height, width)),
            _ => None,
        }
    }

    /// As the run takes it. Refused when the network reads another number of inputs.
    pub fn dataset(self, program: &Program) -> Result<(Dataset, String), Refusal> {
        let (inputs, input) = (inputs(program), program.architecture.input);
        let channels = program.architecture.width(input.axis).exact();
        let is_other = self.area().is_some() && input.area.is_some() && self.shape[0] != channels;
        if is_other || self.width() != inputs {
            let (name, own) = (short(&self.name), &self.shape);
            let (message, help) = match input.area {
                Some((height, width)) => (
                    format!("an example of `{name}` is {own:?}, and the network reads [{channels}, {height}, {width}]"),
                    "give images with channels first: `x.transpose(0, 3, 1, 2)` where they come last",
                ),
                None => (
                    format!("the examples of `{name}` have {} inputs, the network {inputs}", self.width()),
                    "give examples as the network reads them",
                ),
            };
            return Err(Refusal::error("G0829", message, help));
        }
        let told = format!("{} examples of {}", self.examples().min(PROBED), self.name);
        Ok((dataset(program, self.values), told))
    }
}

/// Standard normal numbers by the seed: as many examples as are looked at.
pub fn random(program: &Program) -> (Dataset, String) {
    let mut stream = Stream::new(program.seed, Purpose::Data, "probe", 0);
    let inputs = inputs(program);
    let mut values = Vec::with_capacity(PROBED * inputs);
    for example in 0..PROBED as u64 {
        let mut row = stream.row(example);
        values.extend((0..inputs).map(|_| row.normal() as f32));
    }
    (dataset(program, values), format!("{PROBED} examples of random numbers"))
}

fn inputs(program: &Program) -> usize {
    let input = program.architecture.input;
    program.architecture.width(input.axis).exact() * input.values_per_unit()
}

fn dataset(program: &Program, values: Vec<f32>) -> Dataset {
    let width = inputs(program);
    let examples = values.len() / width;
    let part = |values: Vec<f32>, examples: usize| Part {
        features: Features::F32 { values, width },
        // Nobody looks at them: growth that would is refused.
        labels: Labels::Classes(vec![0; examples]),
    };
    Dataset {
        header: Header {
            examples,
            test_examples: None,
            inputs: program.architecture.width(program.architecture.input.axis).exact(),
            area: program.architecture.input.area,
            task: program.architecture.task,
            outputs: program.architecture.width(program.architecture.output().axis).exact(),
            class_names: Vec::new(),
        },
        train: part(values, examples),
        val: part(Vec::new(), 0),
        test: None,
        scaling: Scaling { mean: vec![0.0; width], inverse: vec![1.0; width] },
        class_weights: None,
        name: "probe".into(),
        digest: String::new(),
        bytes: 0,
        files: Vec::new(),
    }
}
