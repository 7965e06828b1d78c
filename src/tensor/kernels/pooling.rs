//! Pooling over images in panels: every pixel is a line of 16 channels, so the channels of a panel pool at once.

use crate::tensor::{BLOCK, LANES, Line};

kernel! {
    /// The largest value of every square of `size`×`size` pixels. x: [height·width], of which whole squares count.
    /// y: [height/size · width/size]. A NaN in a square is its result.
    fn pool_max<T: Real>(x: &[Line<T>], width: usize, size: usize, y: &mut [Line<T>]) {
        let columns = width / size;
        for (row, y) in y.chunks_mut(columns.max(1)).enumerate() {
            for (column, y) in y.iter_mut().enumerate() {
                let first = row * size * width + column * size;
                let mut most = x[first].0;
                for dy in 0..size {
                    for x in &x[first + dy * width..][..size] {
                        for (most, &x) in most.iter_mut().zip(&x.0) {
                            *most = if x > *most || x.is_nan() { x } else { *most };
                        }
                    }
                }
                y.0 = most;
            }
        }
    }
}

kernel! {
    /// ∂L/∂x of [`pool_max`], from its x, y and ∂L/∂y: all of it goes to the first of the largest pixels of a square.
    /// Pixels beyond the last whole square get 0.
    fn pool_max_backward<T: Real>(
        x: &[Line<T>],
        y: &[Line<T>],
        d: &[Line<T>],
        width: usize,
        size: usize,
        dx: &mut [Line<T>],
    ) {
        let columns = width / size;
        let rows = y.len() / columns.max(1);
        dx[rows * size * width..].fill(Line::ZERO);
        for row in 0..rows {
            for dx in dx[row * size * width..][..size * width].chunks_mut(width) {
                dx[columns * size..].fill(Line::ZERO);
            }
            for column in 0..columns {
                let (y, mut left) = (&y[row * columns + column].0, d[row * columns + column].0);
                let first = row * size * width + column * size;
                for dy in 0..size {
                    let at = first + dy * width;
                    for (x, dx) in x[at..][..size].iter().zip(&mut dx[at..][..size]) {
                        for lane in 0..LANES {
                            let is_it = x.0[lane] == y[lane];
                            dx.0[lane] = if is_it { left[lane] } else { T::ZERO };
                            left[lane] = if is_it { T::ZERO } else { left[lane] };
                        }
                    }
                }
            }
        }
    }
}

kernel! {
    /// The mean of every square of `size`×`size` pixels, their sum in order divided by their number. Shapes as in
    /// [`pool_max`].
    fn pool_average<T: Real>(x: &[Line<T>], width: usize, size: usize, y: &mut [Line<T>]) {
        let columns = width / size;
        let pixels = T::from_f64((size * size) as f64);
        for (row, y) in y.chunks_mut(columns.max(1)).enumerate() {
            for (column, y) in y.iter_mut().enumerate() {
                let first = row * size * width + column * size;
                let mut sums = [T::ZERO; LANES];
                for dy in 0..size {
                    for x in &x[first + dy * width..][..size] {
                        for (sum, &x) in sums.iter_mut().zip(&x.0) {
                            *sum += x;
                        }
                    }
                }
                y.0 = sums.map(|sum| sum / pixels);
            }
        }
    }
}

kernel! {
    /// ∂L/∂x of [`pool_average`]. Pixels beyond the last whole square get 0.
    fn pool_average_backward<T: Real>(d: &[Line<T>], width: usize, size: usize, dx: &mut [Line<T>]) {
        let columns = width / size;
        let rows = d.len() / columns.max(1);
        let pixels = T::from_f64((size * size) as f64);
        dx[rows * size * width..].fill(Line::ZERO);
        for row in 0..rows {
            for dx in dx[row * size * width..][..size * width].chunks_mut(width) {
                dx[columns * size..].fill(Line::ZERO);
            }
            for column in 0..columns {
                let share = Line(d[row * columns + column].0.map(|d| d / pixels));
                let first = row * size * width + column * size;
                for dy in 0..size {
                    dx[first + dy * width..][..size].fill(share);
                }
            }
        }
    }
}

kernel! {
    /// The mean over all pixels, whose sum runs in blocks of 256, each a chain from +0, block sums added in order.
    fn pool_all<T: Real>(x: &[Line<T>]) -> Line<T> {
        let mut total = [T::ZERO; LANES];
        for block in x.chunks(BLOCK) {
            let mut sums = [T::ZERO; LANES];
            for x in block {
                for (sum, &x) in sums.iter_mut().zip(&x.0) {
                    *sum += x;
                }
            }
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum;
            }
        }
        let pixels = T::from_f64(x.len() as f64);
        Line(total.map(|total| total / pixels))
    }
}

kernel! {
    /// ∂L/∂x of [`pool_all`].
    fn pool_all_backward<T: Real>(d: &Line<T>, dx: &mut [Line<T>]) {
        let pixels = T::from_f64(dx.len() as f64);
        dx.fill(Line(d.0.map(|d| d / pixels)));
    }
}
