//! Stochastic gradient descent, as PyTorch's: coupled weight decay, momentum, Nesterov.

use super::*;

pub struct Sgd;

static DOC: Doc = Doc {
    word: "sgd",
    help: "stochastic gradient descent with momentum, as torch.optim.SGD",
    args: &[
        LR,
        Arg {
            name: "momentum",
            shape: Shape::Keyword(&[Kind::Number]),
            required: false,
            default: "0",
            help: "share of the last step that is kept",
        },
        Arg {
            name: "nesterov",
            shape: Shape::Keyword(&[Kind::YesNo]),
            required: false,
            default: "no",
            help: "Nesterov's momentum",
        },
        Arg {
            name: "weight_decay",
            shape: Shape::Keyword(&[Kind::Number]),
            required: false,
            default: "0",
            help: "share of the value that is added to its gradient",
        },
        CLIP,
    ],
    one_of: &[],
    example: "optimizer sgd lr 0.1 momentum 0.9 nesterov yes",
    source: "Sutskever et al. 2013",
};

impl OptimizerKind for Sgd {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn read(&self, args: &Args) -> Result<Rule, Refusal> {
        let momentum = at_least_zero(args, "momentum")?.unwrap_or(0.0);
        if momentum >= 1.0 {
            return Err(out_of_range("momentum", momentum, "a share from 0 up to, not including, 1, such as 0.9"));
        }
        let nesterov = args.flag("nesterov").unwrap_or(false);
        if nesterov && momentum == 0.0 {
            return Err(Refusal::error(
                "G0105",
                "nesterov needs momentum",
                "add one, such as `momentum 0.9`, or leave `nesterov` out",
            )
            .at("nesterov"));
        }
        let weight_decay = at_least_zero(args, "weight_decay")?.unwrap_or(0.0);
        Ok(Rule::Sgd { momentum, nesterov, weight_decay })
    }
}

pub(super) fn step<T: Real>(rule: kernels::Sgd<T>, parameter: &mut Parameter<T>, compute: &Compute) {
    let path = compute.path();
    let value = parameter.value.as_slice_mut().expect("values are kept in row-major order");
    let gradient = parameter.gradient.as_slice().expect("gradients are kept in row-major order");
    let piece = compute.piece(value.len(), 1);
    use rayon::prelude::*;
    match parameter.slots.first_mut() {
        Some(slot) => {
            let moment = slot.value.as_slice_mut().expect("slots are kept in row-major order");
            match piece {
                Some((pool, size)) => pool.install(|| {
                    value
                        .par_chunks_mut(size)
                        .zip(moment.par_chunks_mut(size))
                        .zip(gradient.par_chunks(size))
                        .for_each(|((p, m), g)| kernels::sgd(path, rule, p, m, g));
                }),
                None => kernels::sgd(path, rule, value, moment, gradient),
            }
        }
        None => match piece {
            Some((pool, size)) => pool.install(|| {
                value
                    .par_chunks_mut(size)
                    .zip(gradient.par_chunks(size))
                    .for_each(|(p, g)| kernels::sgd_plain(path, rule, p, g));
            }),
            None => kernels::sgd_plain(path, rule, value, gradient),
        },
    }
}
