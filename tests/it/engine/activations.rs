//! How exact activations, their slopes and softmax are in f32, against the same formulas in f64.

use super::noise;
use growrun::tensor::Simd;
use growrun::tensor::kernels::{self, Function, Path};

/// (function, scale, largest error of φ, of φ′) in units of the last place of the larger of |y| and the scale. Gelu is
/// measured against 1: below 0 it is a product with a difference that vanishes. Slopes are measured against 1.
/// These are the numbers of the table at [`Function`].
const LIMITS: &[(Function, f64, f64, f64)] = &[
    (Function::Relu, 0.0, 0.0, 0.0),
    (Function::LeakyRelu, 0.0, 1.0, 1.0),
    (Function::Gelu, 1.0, 2.0, 2.0),
    (Function::Silu, 0.0, 3.0, 9.0),
    (Function::Tanh, 0.0, 2.0, 2.0),
    (Function::Sigmoid, 0.0, 3.0, 1.0),
    (Function::Softplus, 0.0, 2.0, 1.0),
    (Function::Elu, 0.0, 1.0, 1.0),
    (Function::Selu, 0.0, 2.0, 2.0),
    (Function::Linear, 0.0, 0.0, 0.0),
];

fn ulps(got: f32, truth: f64, scale: f64) -> f64 {
    let size = truth.abs().max(scale).max(f64::from(f32::MIN_POSITIVE));
    (f64::from(got) - truth).abs() / 2f64.powi(size.log2().floor() as i32 - 23)
}

#[test]
fn activations_and_slopes_are_exact_to_the_places_that_are_stated() {
    let path = Path::detect(Simd::Auto).expect("`auto` is always there");
    // Dense around 0, then to where every function has become a line or a constant.
    let z: Vec<f32> = (-1_000_000..=1_000_000).map(|i| (f64::from(i) / 1e6).powi(3) as f32 * 30.0).collect();
    let exact: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
    for &(function, scale, value, slope) in LIMITS {
        let (mut y, mut truth) = (vec![0.0f32; z.len()], vec![0.0f64; z.len()]);
        kernels::activate(path, function, &z, &mut y);
        kernels::activate(path, function, &exact, &mut truth);
        let worst = |got: &[f32], truth: &[f64], scale: f64| {
            assert!(got.iter().all(|got| got.is_finite()), "{function:?}");
            let errors = got.iter().zip(truth).zip(&z).map(|((&got, &truth), &z)| (ulps(got, truth, scale), z));
            errors.fold((0.0, 0.0), |best: (f64, f32), next| if next.0 > best.0 { next } else { best })
        };
        let found = worst(&y, &truth, scale);
        let (mut d, mut exact_d) = (vec![1.0f32; z.len()], vec![1.0f64; z.len()]);
        kernels::activate_backward(path, function, &z, &mut d);
        kernels::activate_backward(path, function, &exact, &mut exact_d);
        // Slopes are of the order of 1, and where they vanish only that they do matters.
        let found_slope = worst(&d, &exact_d, 1.0);
        println!("{function:?}: {:.2} at {:e}, slope {:.2} at {:e}", found.0, found.1, found_slope.0, found_slope.1);
        assert!(found.0 <= value, "{function:?}({:e}) is off by {} places", found.1, found.0);
        assert!(found_slope.0 <= slope, "{function:?}′({:e}) is off by {} places", found_slope.1, found_slope.0);
    }
}

#[test]
fn softmax_is_exact_to_the_places_that_are_stated() {
    let path = Path::detect(Simd::Auto).expect("`auto` is always there");
    let mut worst = 0.0f64;
    for width in [2usize, 10, 17, 100, 1000] {
        let z: Vec<f32> = noise(width as u64, width).iter().map(|x| x * 8.0).collect();
        let exact: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        let (mut e, mut truth) = (vec![0.0f32; width], vec![0.0f64; width]);
        let (_, sum) = kernels::softmax(path, &z, &mut e);
        let (_, exact_sum) = kernels::softmax(path, &exact, &mut truth);
        for (e, truth) in e.iter().zip(&truth) {
            worst = worst.max(ulps(e / sum, truth / exact_sum, 0.0));
        }
    }
    println!("softmax: {worst:.2}");
    // The difference z − max z is rounded too: half a place of a number up to 16 is 8 places of its exponential.
    assert!(worst <= 10.0, "softmax is off by {worst} places");
}
