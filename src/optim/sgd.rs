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

pub(super) fn apply<T: Real>(path: Path, rule: kernels::Sgd<T>, piece: Piece<'_, T>) -> bool {
    let [moment, _] = piece.slots;
    let (value, gradient) = (flat_mut(piece.value), flat(piece.gradient));
    if moment.is_empty() {
        kernels::sgd_plain(path, rule, value, gradient)
    } else {
        kernels::sgd(path, rule, value, flat_mut(moment), gradient)
    }
}
