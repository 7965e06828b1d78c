//! PyTorch: a folder with `model.py`, a small module to read and to change, and its tensors beside it.
//!
//! The module's `state_dict` has our names, and it trains on as it is: frozen layers ask for no gradient, batch norms
//! move their statistics as ours do, and `optimizer(model)` gives back what the run's optimiser kept.

use super::named::Named;
use super::{Exported, File, Target, Trained, safetensors};
use crate::base::text::one_line;
use crate::base::{Doc, Refusal};
use crate::nn::architecture::{Layer, Norm, Padding, Pooling};
use crate::nn::{Activation, Role, Task};
use crate::optim::Rule;
use std::fmt::Write;

pub struct PyTorch;

static DOC: Doc = Doc {
    word: "pytorch",
    help: "a module written out layer by layer, its weights, and the optimiser to train on with",
    args: &[],
    one_of: &[],
    example: "growrun export runs/first-growth/0001 --to pytorch",
    source: "",
};

impl Target for PyTorch {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn extension(&self) -> Option<&'static str> {
        None
    }

    fn files(&self, exported: &Exported, _stem: &str) -> Result<Vec<File>, Refusal> {
        let note = exported.metadata();
        let tensors = tensors(exported);
        let mut files = vec![
            File {
                name: "model.py".into(),
                content: model_py(exported).into_bytes(),
                what: "the module, to read and to change".into(),
            },
            File {
                name: "model.safetensors".into(),
                content: safetensors::checked(&tensors, &note)?,
                what: format!("its {} tensors", tensors.len()),
            },
        ];
        if exported.has_state() {
            files.push(File {
                name: "optimizer.safetensors".into(),
                content: safetensors::checked(&exported.state(), &note)?,
                what: "what its optimiser kept".into(),
            });
        }
        Ok(files)
    }

    fn checked(&self) -> Option<&'static str> {
        Some("the tensors read back with the same bits")
    }

    fn next(&self, main: &str) -> String {
        format!("`python {main}` loads and shows it; from beside it, `from model import load, optimizer`")
    }
}

/// All that the module's `state_dict` holds.
fn tensors(exported: &Exported) -> Vec<Named<'_>> {
    let mut all = exported.weights();
    let counts = exported.parameters.iter().filter(|parameter| parameter.role == Role::RunningMean);
    all.extend(counts.map(|parameter| {
        let name = parameter.name.replace(".running_mean", ".num_batches_tracked");
        // With a fixed momentum PyTorch counts batches and never uses the count.
        let gain = name.replace(".num_batches_tracked", ".weight");
        let updates = exported.parameters.iter().find(|other| other.name == gain).map_or(0, |gain| gain.updates);
        Named::i64(name, &[], vec![i64::try_from(updates).unwrap_or(i64::MAX)])
    }));
    if let Some([mean, inverse]) = exported.scaling_tensors() {
        let [mean_name, inverse_name] = scaling_names(exported);
        all.extend([Named { name: mean_name, ..mean }, Named { name: inverse_name, ..inverse }]);
    }
    all
}

/// Buffers of the module, called as no layer is.
fn scaling_names(exported: &Exported) -> [String; 2] {
    ["input_mean", "input_inverse"].map(|name| {
        let mut name = name.to_string();
        while exported.architecture.all_layers().any(|layer| layer.name == name) {
            name.push('_');
        }
        name
    })
}

/// The text of `model.py`.
pub fn model_py(exported: &Exported) -> String {
    let mut out = heading(exported);
    out.push_str(
        "\nfrom pathlib import Path\n\nimport torch\nfrom safetensors.torch import load_file\nfrom torch import nn\n\
         from torch.nn import functional as F\n\nHERE = Path(__file__).resolve().parent\n",
    );
    constants(exported, &mut out);
    helpers(exported, &mut out);
    module(exported, &mut out);
    out.push_str(
        "\n\ndef load(folder=HERE, dtype=torch.float32):\n    \"\"\"The trained model, in training mode: `.eval()` makes it ready to \
         predict.\"\"\"\n    model = Model()\n    model.load_state_dict(load_file(Path(folder) / \"model.safetensors\"))\n    \
         return model.to(dtype).train()\n",
    );
    if let Some(trained) = &exported.optimizer {
        optimizer(trained, exported.has_state(), &mut out);
    }
    let _ = write!(
        out,
        "\n\nif __name__ == \"__main__\":\n    model = load().eval()\n    print(model)\n    count = sum(parameter.numel() for \
         parameter in model.parameters())\n    with torch.no_grad():\n        output = model(torch.zeros(1, {}))\n    \
         print(f\"{{count}} parameters; the output for zeros is {{output[0].tolist()}}\")\n",
        shown(&exported.input_shape())
    );
    out
}

/// `3, 28, 28`
fn shown(extents: &[usize]) -> String {
    extents.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

fn heading(exported: &Exported) -> String {
    let (inputs, outputs) = (shown(&exported.input_shape()), exported.outputs());
    let scaled = match exported.scaling {
        Some(_) => "; the model scales them as the run did",
        None => "",
    };
    let given = match exported.architecture.task {
        Task::Classification => format!("[batch, {outputs}] logits, one for each of CLASSES; no softmax"),
        Task::Regression => format!("[batch, {outputs}] values"),
    };
    let optimiser = if exported.optimizer.is_some() { ", optimizer" } else { "" };
    let lines = [
        format!(
            "{}: a network that growrun {} {}.",
            exported.name,
            env!("CARGO_PKG_VERSION"),
            if exported.untrained { "grew" } else { "trained" }
        ),
        String::new(),
        format!("from      {}", exported.origin),
        format!("{:<10}{}", if exported.untrained { "weights" } else { "schedule" }, exported.digest),
        format!("inputs    [batch, {inputs}], {}{scaled}", exported.data),
        format!("outputs   {given}"),
        String::new(),
        "Needs the packages torch and safetensors. From a script beside this file:".into(),
        String::new(),
        format!("    from model import load{optimiser}"),
        "    model = load()                  # in training mode; model.eval() to predict".into(),
    ];
    let mut out = String::new();
    for line in &lines {
        // What somebody else has named stays within its comment.
        out.push_str(format!("# {}", one_line(line)).trim_end());
        out.push('\n');
    }
    if exported.optimizer.is_some() {
        out.push_str("#     optimiser = optimizer(model)    # goes on where the run stood\n");
    }
    out
}

fn constants(exported: &Exported, out: &mut String) {
    if !exported.class_names.is_empty() {
        out.push_str("\n# In the order of the outputs.\nCLASSES = [\n");
        exported.class_names.iter().for_each(|name| out.push_str(&format!("    {},\n", text(name))));
        out.push_str("]\n");
    } else if exported.architecture.task == Task::Classification {
        let _ = write!(out, "\n# The data gave its classes no names.\nCLASSES = list(range({}))\n", exported.outputs());
    }
    let Some(trained) = &exported.optimizer else { return };
    let last = match trained.last_lr {
        Some(last) if last != trained.lr => format!("; where the run stands, it was {last:?}"),
        Some(_) => ", and where the run stands".to_string(),
        None => String::new(),
    };
    let _ = write!(out, "\n# The learning rate that the schedule starts from{last}.\nLR = {:?}\n", trained.lr);
}

/// Classes that some of the layers need.
fn helpers(exported: &Exported, out: &mut String) {
    let any = |wanted: &dyn Fn(&Layer) -> bool| exported.architecture.all_layers().any(wanted);
    if any(&|layer| layer.settings.norm == Some(Norm::Rms)) {
        out.push_str(
            "\n\nclass RMSNorm(nn.Module):\n    \"\"\"x / sqrt(mean of x^2 + eps) * weight, as torch.nn.RMSNorm of 2.4 and \
             later.\"\"\"\n\n    def __init__(self, width, eps):\n        super().__init__()\n        self.eps = eps\n        \
             self.weight = nn.Parameter(torch.ones(width))\n\n    def forward(self, x):\n        return x * \
             torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight\n",
        );
    }
    let is_image = |layer: &Layer| layer.output.area.is_some();
    if any(&|layer| layer.settings.norm.is_some() && !is_image(layer)) {
        out.push_str(
            "\n\nclass Normed(nn.Linear):\n    \"\"\"A product with a norm behind it, which is a part of it: `h1.norm.weight`.\"\"\"\
             \n\n    def __init__(self, inputs, outputs, norm, bias=True):\n        super().__init__(inputs, outputs, \
             bias=bias)\n        self.norm = norm\n\n    def forward(self, x):\n        return \
             self.norm(super().forward(x))\n",
        );
    }
    if any(&|layer| layer.settings.norm.is_some() && is_image(layer)) {
        out.push_str(
            "\n\nclass NormedConv2d(nn.Conv2d):\n    \"\"\"A convolution with a norm behind it, which is a part of it: \
             `c1.norm.weight`.\"\"\"\n\n    def __init__(self, inputs, outputs, kernel, norm, **options):\n        \
             super().__init__(inputs, outputs, kernel, **options)\n        self.norm = norm\n\n    def forward(self, \
             x):\n        return self.norm(super().forward(x))\n",
        );
    }
}

fn module(exported: &Exported, out: &mut String) {
    let architecture = &exported.architecture;
    out.push_str("\n\nclass Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n");
    let scaling = exported.scaling.as_ref().map(|_| scaling_names(exported));
    if let (Some([mean, inverse]), Some([tensor, _])) = (&scaling, exported.scaling_tensors()) {
        let inputs = shown(&tensor.shape);
        let _ = writeln!(out, "        self.register_buffer(\"{mean}\", torch.zeros({inputs}))");
        let _ = writeln!(out, "        self.register_buffer(\"{inverse}\", torch.ones({inputs}))");
    }
    for layer in architecture.all_layers() {
        declaration(exported, layer, out);
    }
    out.push_str("\n    def forward(self, x):\n");
    if let Some([mean, inverse]) = &scaling {
        let _ = writeln!(out, "        x = (x - self.{mean}) * self.{inverse}");
    }
    for layer in &architecture.layers {
        if layer.block.is_empty() {
            computation(layer, out);
            continue;
        }
        let name = &layer.name;
        match layer.settings.project {
            true => {
                let _ = writeln!(out, "        skip_{name} = {}.project(x)", place(name));
            }
            false => {
                let _ = writeln!(out, "        skip_{name} = x");
            }
        }
        layer.block.iter().for_each(|inner| computation(inner, out));
        let _ = writeln!(out, "        x = x + skip_{name}");
    }
    out.push_str("        return x\n");
    let still: Vec<&Layer> =
        architecture.all_layers().filter(|layer| layer.frozen && layer.settings.norm == Some(Norm::Batch)).collect();
    if !still.is_empty() {
        out.push_str(
            "\n    def train(self, mode=True):\n        \"\"\"The batch norms of frozen layers keep their statistics.\"\"\"\n        \
             super().train(mode)\n",
        );
        for layer in still {
            let _ = writeln!(out, "        {}.norm.eval()", place(&layer.name));
        }
        out.push_str("        return self\n");
    }
}

/// `self.h1 = nn.Linear(64, 32)`
fn declaration(exported: &Exported, layer: &Layer, out: &mut String) {
    let width = |axis| exported.architecture.width(axis).exact();
    let (inputs, outputs) = (width(layer.input.axis), width(layer.output.axis));
    let (settings, place) = (&layer.settings, place(&layer.name));
    if settings.pooling.is_some() {
        return;
    }
    if !layer.block.is_empty() {
        if settings.project {
            let map = match layer.input.area {
                Some(_) => format!("nn.Conv2d({inputs}, {outputs}, 1{}, bias=False)", stride(layer)),
                None => format!("nn.Linear({inputs}, {outputs}, bias=False)"),
            };
            let _ = writeln!(out, "        {place} = nn.ModuleDict({{\"project\": {map}}})");
        }
    } else {
        let bias = if settings.bias { "" } else { ", bias=False" };
        let epsilon = settings.norm_epsilon;
        let image = layer.output.area.is_some();
        let norm = settings.norm.map(|norm| match norm {
            Norm::Batch if image => format!("nn.BatchNorm2d({outputs}, eps={epsilon:?}, momentum=0.1)"),
            Norm::Batch => format!("nn.BatchNorm1d({outputs}, eps={epsilon:?}, momentum=0.1)"),
            Norm::Layer => format!("nn.LayerNorm({outputs}, eps={epsilon:?})"),
            Norm::Rms => format!("RMSNorm({outputs}, eps={epsilon:?})"),
        });
        let made = match (image, norm) {
            (true, norm) => {
                let (kernel, stride, padding) = (settings.kernel, stride(layer), padding(layer));
                match norm {
                    Some(norm) => format!("NormedConv2d({inputs}, {outputs}, {kernel}, {norm}{stride}{padding}{bias})"),
                    None => format!("nn.Conv2d({inputs}, {outputs}, {kernel}{stride}{padding}{bias})"),
                }
            }
            (false, norm) => {
                let inputs = inputs * layer.input.values_per_unit();
                match norm {
                    Some(norm) => format!("Normed({inputs}, {outputs}, {norm}{bias})"),
                    None => format!("nn.Linear({inputs}, {outputs}{bias})"),
                }
            }
        };
        let _ = writeln!(out, "        {place} = {made}");
        if settings.parametric {
            let _ = writeln!(out, "        {place}.blend = nn.Parameter(torch.zeros(1))");
        }
    }
    if layer.frozen && (layer.block.is_empty() || settings.project) {
        let _ = writeln!(out, "        {place}.requires_grad_(False)  # frozen");
    }
}

/// `, stride=2`
fn stride(layer: &Layer) -> String {
    match layer.settings.stride {
        1 => String::new(),
        stride => format!(", stride={stride}"),
    }
}

/// `, padding=1`
fn padding(layer: &Layer) -> String {
    let settings = &layer.settings;
    match settings.padding {
        Padding::Same if settings.kernel % 2 == 1 && settings.kernel > 1 => {
            format!(", padding={}", settings.margin())
        }
        // What is uneven is behind: PyTorch does the same for this word, which it does not take together with a stride.
        Padding::Same if settings.kernel.is_multiple_of(2) && settings.stride == 1 => ", padding=\"same\"".into(),
        _ => String::new(),
    }
}

/// What a layer reads: `x`, with the zeros that PyTorch's layer cannot put around it, and images in one row where it is
/// dense.
fn read(layer: &Layer) -> String {
    let settings = &layer.settings;
    if layer.input.area.is_some() && layer.output.area.is_none() {
        return "x.flatten(1)".into();
    }
    if settings.padding == Padding::Same && settings.kernel.is_multiple_of(2) && settings.stride > 1 {
        let before = settings.margin();
        let after = settings.kernel - 1 - before;
        return format!("F.pad(x, ({before}, {after}, {before}, {after}))");
    }
    "x".into()
}

/// `x = F.relu(self.h1(x))`
fn computation(layer: &Layer, out: &mut String) {
    if let Some(pooling) = layer.settings.pooling {
        let pooled = match pooling {
            Pooling::Max(size) => format!("F.max_pool2d(x, {size})"),
            Pooling::Average(size) => format!("F.avg_pool2d(x, {size})"),
            Pooling::Global => "x.mean((2, 3))".into(),
        };
        let _ = writeln!(out, "        x = {pooled}  # {}", layer.name);
        return;
    }
    let product = format!("{}({})", place(&layer.name), read(layer));
    if layer.settings.parametric {
        let bent = activated(layer.settings.activation, "t");
        let _ = writeln!(out, "        t = {product}");
        let _ = writeln!(out, "        x = t + {}.blend * ({bent} - t)", place(&layer.name));
    } else {
        let _ = writeln!(out, "        x = {}", activated(layer.settings.activation, &product));
    }
    if layer.settings.dropout > 0.0 {
        let _ = writeln!(out, "        x = F.dropout(x, {:?}, self.training)", layer.settings.dropout);
    }
}

/// φ of an expression, with PyTorch's own defaults, which are ours.
fn activated(activation: Activation, x: &str) -> String {
    match activation {
        Activation::Linear => x.into(),
        Activation::Relu => format!("F.relu({x})"),
        Activation::LeakyRelu => format!("F.leaky_relu({x}, 0.01)"),
        Activation::Gelu => format!("F.gelu({x})"),
        Activation::Silu => format!("F.silu({x})"),
        Activation::Tanh => format!("torch.tanh({x})"),
        Activation::Sigmoid => format!("torch.sigmoid({x})"),
        Activation::Softplus => format!("F.softplus({x})"),
        Activation::Elu => format!("F.elu({x})"),
        Activation::Selu => format!("F.selu({x})"),
    }
}

fn optimizer(trained: &Trained, has_state: bool, out: &mut String) {
    let (class, constants, slots): (&str, String, &[&str]) = match trained.rule {
        Rule::Sgd { momentum, nesterov, weight_decay } => {
            let mut constants = format!("momentum={momentum:?}, weight_decay={weight_decay:?}");
            if nesterov {
                constants.push_str(", nesterov=True");
            }
            ("SGD", constants, &["momentum_buffer"])
        }
        Rule::Adam { betas, epsilon, weight_decay } => {
            let constants = format!("betas=({:?}, {:?}), eps={epsilon:?}", betas.0, betas.1);
            match weight_decay == 0.0 {
                true => ("Adam", constants, &["exp_avg", "exp_avg_sq"]),
                false => ("AdamW", format!("{constants}, weight_decay={weight_decay:?}"), &["exp_avg", "exp_avg_sq"]),
            }
        }
    };
    let parameters = if has_state { "model, folder=HERE, lr=LR" } else { "model, lr=LR" };
    let what = match has_state {
        true => "with the run's constants and what it kept of each parameter, found by name",
        false => "with the run's constants; nothing was kept of its steps",
    };
    let _ = write!(out, "\n\ndef optimizer({parameters}):\n    \"\"\"torch.optim.{class} {what}.");
    if let Some(clip) = trained.clip {
        let call = format!("torch.nn.utils.clip_grad_norm_(model.parameters(), {clip:?})");
        let _ = write!(out, "\n\n    The run clipped its gradients. Before each step:\n\n        {call}\n    ");
    }
    let _ = writeln!(out, "\"\"\"");
    if !has_state {
        let _ = writeln!(out, "    return torch.optim.{class}(model.parameters(), lr=lr, {constants})");
        return;
    }
    let _ = write!(
        out,
        "    made = torch.optim.{class}(model.parameters(), lr=lr, {constants})\n    kept = load_file(Path(folder) / \
         \"optimizer.safetensors\")\n    for name, parameter in model.named_parameters():\n        \
         made.state[parameter] = {{\n"
    );
    if class != "SGD" {
        out.push_str("            \"step\": kept[f\"{name}.step\"],\n");
    }
    for slot in slots {
        let _ = writeln!(out, "            \"{slot}\": kept[f\"{{name}}.{slot}\"].to(parameter),");
    }
    out.push_str("        }\n    return made\n");
}

/// How the module reaches a layer. A name that Python or `nn.Module` has taken is looked up where modules are kept.
fn place(name: &str) -> String {
    match name.starts_with('_') || TAKEN.contains(&name) {
        true => format!("self._modules[\"{name}\"]"),
        false => format!("self.{name}"),
    }
}

/// Python's keywords that a layer may be called, and what `nn.Module` of PyTorch 2 has already, without what begins with `_`.
const TAKEN: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
    "T_destination",
    "add_module",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "compile",
    "cpu",
    "cuda",
    "double",
    "dump_patches",
    "eval",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "ipu",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "register_backward_hook",
    "register_buffer",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_module",
    "register_parameter",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "requires_grad_",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "xpu",
    "zero_grad",
];

/// A string of Python, in ASCII.
fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
