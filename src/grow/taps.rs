//! Which pixels a layer reads where: what growth must know of a convolution beside its axes, and of nothing else.
//!
//! A row of what a layer reads is an example; of a convolution it is a pixel of its output, and the row is a patch.
//! A layer over plain vectors reads its one pixel by its one tap.

use crate::nn::Layer;
use ndarray::Array2;

/// The taps of a layer's kernel, in the order of its weight: row by row.
#[derive(Clone, Copy, Debug)]
pub struct Taps {
    kernel: usize,
    stride: usize,
    /// Zeros above and on the left of the image.
    margin: usize,
    /// Height and width of what is read.
    area: (usize, usize),
    /// Height and width of what is given.
    given: (usize, usize),
}

impl Taps {
    /// Those of a layer with weights. One that reads an image as a plain vector has as many weights of each unit as the
    /// unit has pixels: it is not asked about.
    pub fn of(layer: &Layer) -> Taps {
        let settings = &layer.settings;
        match (layer.input.area, layer.output.area) {
            (Some(area), Some(given)) => {
                Taps { kernel: settings.kernel, stride: settings.stride, margin: settings.margin(), area, given }
            }
            _ => Taps { kernel: 1, stride: 1, margin: 0, area: (1, 1), given: (1, 1) },
        }
    }

    pub fn count(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Pixels that are given, each of which reads by every tap.
    pub fn rows(&self) -> usize {
        self.given.0 * self.given.1
    }

    /// Pixels that are read.
    pub fn pixels(&self) -> usize {
        self.area.0 * self.area.1
    }

    /// Whether some tap reads the zeros around an image.
    pub fn reads_zeros(&self) -> bool {
        let outside = |extent: usize, given: usize| (given - 1) * self.stride + self.kernel > extent + self.margin;
        self.margin > 0 || outside(self.area.0, self.given.0) || outside(self.area.1, self.given.1)
    }

    /// Whether row i is pixel i and nothing else.
    pub fn is_one(&self) -> bool {
        self.kernel == 1 && self.area == self.given
    }

    /// For every row of `examples` examples the row of pixels that `tap` reads there; `None` outside of the image.
    pub fn read_by(&self, tap: usize, examples: usize) -> impl Iterator<Item = Option<usize>> + use<> {
        let Taps { kernel, stride, margin, area, given } = *self;
        let along = move |at: usize, tap: usize, extent: usize| {
            (at * stride + tap).checked_sub(margin).filter(|pixel| *pixel < extent)
        };
        (0..examples * self.rows()).map(move |row| {
            let (example, row) = (row / (given.0 * given.1), row % (given.0 * given.1));
            let y = along(row / given.1, tap / kernel, area.0)?;
            let x = along(row % given.1, tap % kernel, area.1)?;
            Some((example * area.0 + y) * area.1 + x)
        })
    }

    /// What `tap` reads: [row, value] of [pixel, value].
    pub fn gather(&self, tap: usize, pixels: &Array2<f64>) -> Array2<f64> {
        let examples = pixels.nrows() / self.pixels();
        let mut rows = Array2::zeros((examples * self.rows(), pixels.ncols()));
        for (mut row, pixel) in rows.outer_iter_mut().zip(self.read_by(tap, examples)) {
            if let Some(pixel) = pixel {
                row.assign(&pixels.row(pixel));
            }
        }
        rows
    }

    /// Sends back what `tap` was told: adds [row, value] to [pixel, value].
    pub fn scatter(&self, tap: usize, rows: &Array2<f64>, pixels: &mut Array2<f64>) {
        let examples = pixels.nrows() / self.pixels();
        for (row, pixel) in rows.outer_iter().zip(self.read_by(tap, examples)) {
            if let Some(pixel) = pixel {
                let mut into = pixels.row_mut(pixel);
                into += &row;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Height, width, kernel, stride, zeros around it or not.
    const CASES: [(usize, usize, usize, usize, bool); 6] = [
        (5, 4, 3, 1, true),
        (5, 4, 3, 2, true),
        (7, 6, 5, 3, true),
        (6, 5, 3, 1, false),
        (4, 4, 1, 1, true),
        (7, 5, 2, 2, false),
    ];

    fn taps((rows, columns, kernel, stride, pads): (usize, usize, usize, usize, bool)) -> Taps {
        let given = |n: usize| if pads { n.div_ceil(stride) } else { (n - kernel) / stride + 1 };
        let margin = if pads { (kernel - 1) / 2 } else { 0 };
        Taps { kernel, stride, margin, area: (rows, columns), given: (given(rows), given(columns)) }
    }

    #[test]
    fn every_tap_reads_the_pixel_that_a_padded_image_has_there() {
        for case in CASES {
            let taps = taps(case);
            let (rows, columns, kernel, stride, _) = case;
            // The image in a frame of `None`, as wide as the margin and wider where the kernel reaches further.
            let at = |y: usize, x: usize| {
                let (y, x) = (y.checked_sub(taps.margin)?, x.checked_sub(taps.margin)?);
                (y < rows && x < columns).then_some(y * columns + x)
            };
            let mut outside = false;
            for tap in 0..taps.count() {
                let read: Vec<Option<usize>> = taps.read_by(tap, 2).collect();
                assert_eq!(read.len(), 2 * taps.rows());
                for (row, pixel) in read.into_iter().enumerate() {
                    let (example, row) = (row / taps.rows(), row % taps.rows());
                    let (y, x) =
                        (row / taps.given.1 * stride + tap / kernel, row % taps.given.1 * stride + tap % kernel);
                    assert_eq!(pixel, at(y, x).map(|pixel| example * rows * columns + pixel), "{case:?}");
                    outside |= pixel.is_none();
                }
            }
            assert_eq!(outside, taps.reads_zeros(), "{case:?}");
        }
    }

    #[test]
    fn what_is_sent_back_is_the_transpose_of_what_is_read() {
        for case in CASES {
            let taps = taps(case);
            let number = |at: (usize, usize)| ((at.0 * 7 + at.1 * 3) % 11) as f64 - 5.0;
            let pixels = Array2::from_shape_fn((3 * taps.pixels(), 2), number);
            let rows = Array2::from_shape_fn((3 * taps.rows(), 2), number);
            for tap in 0..taps.count() {
                let mut back = Array2::zeros(pixels.dim());
                taps.scatter(tap, &rows, &mut back);
                assert_eq!((&taps.gather(tap, &pixels) * &rows).sum(), (&back * &pixels).sum(), "{case:?} {tap}");
            }
        }
    }
}
