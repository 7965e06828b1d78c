//! Convolutions, pools and the way from images to vectors: against loops that are written down, finite differences,
//! and themselves on other threads and paths.

use super::blocks::{dense, settings};
use super::gradients::{TOLERANCE, classes, cross_entropy, worst};
use super::noise;
use super::same_bits::{RULES, others, trained_on};
use growrun::nn::architecture::{Norm, Padding, Pooling, Settings};
use growrun::nn::layers::{self, Description};
use growrun::nn::{Activation, Architecture, Feature, Layer, Mode, Network, Task};
use growrun::optim::{Optimizer, Rule};
use growrun::tensor::kernels::{self, Path};
use growrun::tensor::{BatchMut, Compute, Line, Simd};
use growrun::train::{Loss, Targets, Trainer};
use ndarray::{Array2, Array4, s};

pub type Window = (usize, usize, Padding);
const SAME: Padding = Padding::Same;
const VALID: Padding = Padding::Valid;

/// Images of so many channels.
pub fn images(channels: usize, area: (usize, usize)) -> Architecture {
    Architecture::new(channels, Some(area), Task::Classification)
}

fn described(input: Feature, width: usize, (kernel, stride, padding): Window, settings: Settings) -> Description {
    let settings = Settings { kernel, stride, padding, ..settings };
    let kind = layers::find("conv").expect("a layer");
    let area = kind.area(&settings, input.area.expect("an image"));
    Description { width: Some(width), area: Some(area.expect("the kernel fits")), settings }
}

pub fn conv(net: &mut Architecture, name: &str, width: usize, window: Window, settings: Settings) {
    let description = described(net.output(), width, window, settings);
    net.push(name, layers::find("conv").expect("a layer"), description);
}

pub fn pool(net: &mut Architecture, name: &str, pooling: Pooling) {
    let settings = Settings { pooling: Some(pooling), ..Settings::default() };
    let kind = layers::find("pool").expect("a layer");
    let area = kind.area(&settings, net.output().area.expect("an image"));
    net.push(name, kind, Description { width: None, area, settings });
}

/// A residual block of convolutions at the end.
pub fn residual(net: &mut Architecture, name: &str, project: bool, inner: &[(&str, usize, Window, Settings)]) {
    let kind = layers::find("conv").expect("a layer");
    let mut end = net.output();
    let mut block: Vec<Layer> = Vec::new();
    for (name, width, window, settings) in inner {
        let description = described(end, *width, *window, settings.clone());
        let layer = net.make_layer(name, kind, description, end);
        end = layer.output;
        block.push(layer);
    }
    let settings = Settings { project, bias: false, ..Settings::default() };
    let outer = layers::find("residual").expect("a layer");
    net.push_block(name, outer, Description { width: None, area: end.area, settings }, block);
}

/// What a convolution gives by definition, in f64: [example, out, y, x] from x: [example, in, y, x].
fn convolved(x: &Array4<f64>, weight: &Array4<f64>, bias: &[f64], layer: &Layer) -> Array4<f64> {
    let (stride, padding) = (layer.settings.stride, layer.settings.padding);
    let (examples, _, height, width) = x.dim();
    let (outputs, channels, kernel, _) = weight.dim();
    let border = if padding == SAME { (kernel - 1) / 2 } else { 0 };
    let (rows, columns) = layer.output.area.expect("an image");
    Array4::from_shape_fn((examples, outputs, rows, columns), |(e, o, y, x_at)| {
        let mut sum = bias[o];
        for c in 0..channels {
            for ky in 0..kernel {
                for kx in 0..kernel {
                    let (iy, ix) = (y * stride + ky, x_at * stride + kx);
                    let inside = iy >= border && ix >= border && iy - border < height && ix - border < width;
                    if inside {
                        sum += x[[e, c, iy - border, ix - border]] * weight[[o, c, ky, kx]];
                    }
                }
            }
        }
        sum
    })
}

/// [row, channel] as [example, channel, y, x].
fn as_images(rows: &Array2<f64>, (height, width): (usize, usize)) -> Array4<f64> {
    let examples = rows.nrows() / (height * width);
    Array4::from_shape_fn((examples, rows.ncols(), height, width), |(e, c, y, x)| {
        rows[[(e * height + y) * width + x, c]]
    })
}

#[test]
fn a_convolution_is_what_it_is_by_definition() {
    let windows = [
        (3, 1, SAME),
        (1, 1, SAME),
        (5, 1, VALID),
        (2, 1, SAME),
        (3, 2, SAME),
        (1, 2, SAME),
        (4, 3, VALID),
        (7, 1, SAME),
    ];
    for (at, window) in windows.into_iter().enumerate() {
        for (channels, inner, outputs, area) in [(1, 5, 3, (9, 7)), (3, 17, 33, (8, 8)), (18, 33, 16, (7, 13))] {
            let mut net = images(channels, area);
            conv(&mut net, "c1", inner, window, settings(Activation::Relu, None));
            let second =
                if net.output().area.is_some_and(|(h, w)| h.min(w) >= window.0) { window } else { (1, 1, SAME) };
            conv(&mut net, "c2", outputs, second, settings(Activation::Linear, None));
            pool(&mut net, "p", Pooling::Global);
            let mut network: Network<f64> = Network::new(&net, at as u64, Compute::single());
            for (at, parameter) in network.parameters().iter_mut().enumerate().filter(|(_, p)| p.value.ndim() == 1) {
                parameter.value.iter_mut().zip(noise(at as u64, 64)).for_each(|(b, x)| *b = f64::from(x));
            }
            let values = channels * area.0 * area.1;
            let x = Array2::from_shape_vec((3, values), noise(9, 3 * values)).expect("that many").mapv(f64::from);
            network.forward(x.view(), Mode::Evaluate);
            let mut read =
                Array4::from_shape_vec((3, channels, area.0, area.1), x.iter().copied().collect()).expect("images");
            for name in ["c1", "c2"] {
                let layer = net.layer(name).expect("it is there");
                let (weight, bias) = network.weights_of(name).expect("it has some");
                let taps = layer.settings.kernel;
                let shape = (weight.nrows(), read.dim().1, taps, taps);
                let kernels =
                    Array4::from_shape_vec(shape, weight.iter().copied().collect()).expect("the layer's shape");
                let bias = bias.expect("a bias").to_vec();
                let expected = convolved(&read, &kernels, &bias, layer);
                let found = network.pre_activation(name).expect("it is there");
                let same = as_images(&found, layer.output.area.expect("an image"));
                let off = (&same - &expected).iter().fold(0.0f64, |most, x| most.max(x.abs()));
                // A few hundred roundings of numbers of about 1.
                assert!(off < 1e-12, "{name} {window:?} {channels}-{inner}-{outputs}: {off:e}");
                // The patches that growth looks at are those that were multiplied.
                let patches = network.layer_input_of(name, 1..3).expect("it is there");
                let product = patches.dot(&weight.t());
                let pixels = found.nrows() / 3;
                for (row, found) in product.rows().into_iter().zip(found.slice(s![pixels.., ..]).rows()) {
                    for ((p, b), f) in row.iter().zip(&bias).zip(found) {
                        assert!((p + b - f).abs() < 1e-12, "{name} {window:?}: {p} + {b} against {f}");
                    }
                }
                read =
                    as_images(&network.layer_output(name).expect("it is there"), layer.output.area.expect("an image"));
            }
        }
    }
}

/// Networks that have everything of images in some order.
pub fn networks() -> Vec<(&'static str, Architecture)> {
    let with = |activation, norm| settings(activation, norm);
    let tanh = || with(Activation::Tanh, None);
    let batch = || with(Activation::Tanh, Some(Norm::Batch));
    let linear = || with(Activation::Linear, None);
    let mut all = Vec::new();

    let mut net = images(1, (7, 6));
    conv(&mut net, "c1", 5, (3, 1, SAME), tanh());
    pool(&mut net, "p1", Pooling::Max(2));
    conv(&mut net, "c2", 18, (3, 1, SAME), batch());
    pool(&mut net, "p2", Pooling::Average(2));
    dense(&mut net, "h1", 6, tanh());
    dense(&mut net, "out", 4, linear());
    all.push(("pools and a flatten", net));

    let mut net = images(3, (6, 7));
    conv(&mut net, "c1", 17, (3, 2, SAME), Settings { bias: false, ..batch() });
    conv(&mut net, "c2", 4, (2, 1, SAME), Settings { dropout: 0.25, ..tanh() });
    conv(&mut net, "c3", 5, (2, 2, VALID), tanh());
    conv(&mut net, "c4", 3, (1, 1, SAME), tanh());
    dense(&mut net, "out", 4, linear());
    all.push(("strides, even kernels, dropout", net));

    let mut net = images(2, (5, 5));
    pool(&mut net, "p0", Pooling::Average(1));
    conv(&mut net, "c1", 4, (3, 1, SAME), tanh());
    residual(&mut net, "r1", false, &[("a", 6, (3, 1, SAME), batch()), ("b", 4, (3, 1, SAME), linear())]);
    residual(&mut net, "r2", true, &[("d", 6, (3, 2, SAME), tanh()), ("e", 7, (3, 1, SAME), batch())]);
    residual(&mut net, "r3", false, &[("f", 7, (1, 1, SAME), tanh())]);
    pool(&mut net, "g", Pooling::Global);
    dense(&mut net, "out", 4, linear());
    all.push(("residual blocks", net));

    let mut net = images(3, (4, 4));
    residual(&mut net, "r1", false, &[("a", 3, (3, 1, SAME), tanh())]);
    conv(&mut net, "c1", 4, (3, 1, VALID), Settings { parametric: true, ..tanh() });
    pool(&mut net, "g", Pooling::Global);
    all.push(("a block on the input, a pool at the end", net));

    let mut net = images(2, (4, 4));
    pool(&mut net, "p1", Pooling::Max(2));
    dense(&mut net, "out", 4, linear());
    all.push(("no product reads the image", net));
    all
}

#[test]
fn gradients_of_images() {
    for (name, net) in networks() {
        for mode in [Mode::Evaluate, Mode::Train { seed: 3, step: 1 }] {
            let found = worst(&net, &cross_entropy(), Targets::Classes(&classes()), mode);
            assert!(found < TOLERANCE, "{name} {mode:?}: {found:e}");
        }
    }
}

#[test]
fn gradients_of_every_window() {
    for window in [(3, 1, SAME), (5, 1, SAME), (2, 2, SAME), (3, 3, SAME), (4, 1, VALID), (3, 2, VALID)] {
        let mut net = images(2, (7, 8));
        conv(&mut net, "c1", 3, (1, 1, SAME), settings(Activation::Tanh, None));
        conv(&mut net, "c2", 4, window, settings(Activation::Tanh, None));
        pool(&mut net, "g", Pooling::Global);
        let found = worst(&net, &cross_entropy(), Targets::Classes(&classes()), Mode::Evaluate);
        assert!(found < TOLERANCE, "{window:?}: {found:e}");
    }
}

#[test]
fn threads_and_paths_change_no_bit_of_images() {
    let loss = Loss::of(Task::Classification);
    let mut all = networks();
    // More than a block of 256 along every sum: taps, units of the way back, pixels of a row of blocks.
    let mut net = images(1, (19, 18));
    conv(&mut net, "c1", 33, (3, 1, SAME), settings(Activation::Relu, None));
    conv(&mut net, "c2", 35, (3, 1, SAME), settings(Activation::Gelu, Some(Norm::Batch)));
    pool(&mut net, "p1", Pooling::Max(3));
    dense(&mut net, "out", 4, settings(Activation::Linear, None));
    all.push(("wide", net));
    for (at, (name, net)) in all.into_iter().enumerate() {
        let (rule, clip) = RULES[at % RULES.len()];
        let trained = |compute| trained_on(&net, rule, clip, &loss, compute, [0..3, 0..9, 3..4]);
        let reference = trained(Compute::single());
        for (other, compute) in others() {
            assert_eq!(trained(compute), reference, "{name}, {other}");
        }
    }
}

#[test]
fn the_gradient_of_a_maximum_goes_to_the_first_of_equals() {
    let line = |x: f32| Line([x; 16]);
    // Two squares of 2×2, and a column that no square holds.
    let x = [1.0, 1.0, 3.0, 7.0, 9.0, -2.0, 1.0, f32::NAN, 7.0, 9.0].map(line);
    for path in Simd::ALL.into_iter().filter_map(Path::detect) {
        let mut y = [line(0.0); 2];
        kernels::pool_max(path, &x, 5, 2, &mut y);
        assert!(y[0] == line(1.0) && y[1].0.iter().all(|y| y.is_nan()), "{y:?}");
        let clean = x.map(|x| if x.0[0].is_nan() { line(0.0) } else { x });
        kernels::pool_max(path, &clean, 5, 2, &mut y);
        let mut dx = [line(f32::NAN); 10];
        kernels::pool_max_backward(path, &clean, &y, &[line(5.0), line(6.0)], 5, 2, &mut dx);
        let expected = [5.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0].map(line);
        assert_eq!(dx, expected, "{}", path.word());
    }
}

#[test]
fn images_train_without_allocating() {
    for (name, net) in networks() {
        for threads in [1, 2] {
            let compute = Compute::new(threads, Simd::Auto, true).expect("`auto` is always there");
            let mut network: Network<f32> = Network::new(&net, 1, compute);
            let values = network.inputs();
            let x = Array2::from_shape_vec((14, values), noise(3, 14 * values)).expect("that many");
            let labels = [classes(), classes()].concat();
            let rule = Rule::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 };
            let mut optimizer = Optimizer::new(rule, 0.01, None);
            let (mut trainer, loss) = (Trainer::new(), cross_entropy());
            let mut step = |at: u64| {
                let rows = if at % 2 == 1 { 5 } else { 14 };
                let fill = |range: std::ops::Range<usize>, out: &mut BatchMut<'_, f32>| out.set(x.slice(s![range, ..]));
                let targets = Targets::Classes(&labels[..rows]);
                trainer.step_loaded(&mut network, &mut optimizer, &loss, fill, targets, 0.01, 0, at);
            };
            step(0);
            step(1);
            let found = allocation_counter::measure(|| (2..6).for_each(&mut step));
            assert_eq!(found.count_total, 0, "{name} on {threads} threads");
        }
    }
}
