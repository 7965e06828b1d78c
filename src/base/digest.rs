//! Digests: blake3 over logical content, written `blake3:HEX`.

/// The digest of some bytes.
pub fn bytes(content: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(content).to_hex())
}

/// Numbers that are hashed at a time.
const AT_ONCE: usize = 1 << 14;

/// Collects named arrays, in the order given, into one digest of their shapes and little-endian values.
#[derive(Default)]
pub struct Tensors(blake3::Hasher);

impl Tensors {
    /// Adds one array. `values` in row-major order. Panics on NaN: it is an error state and never hashed.
    pub fn add(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.0.update(&(name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(&(shape.len() as u64).to_le_bytes());
        for &extent in shape {
            self.0.update(&(extent as u64).to_le_bytes());
        }
        // As many bytes at a time as the hash takes in parallel.
        let mut buffer: Vec<[u8; 4]> = Vec::with_capacity(AT_ONCE.min(values.len()));
        for values in values.chunks(AT_ONCE) {
            assert!(!values.iter().any(|value| value.is_nan()), "`{name}` holds a NaN, which has no digest");
            buffer.clear();
            buffer.extend(values.iter().map(|value| value.to_le_bytes()));
            self.0.update(buffer.as_flattened());
        }
    }

    /// Adds an array of whole numbers.
    pub fn add_whole(&mut self, name: &str, values: &[u64]) {
        self.0.update(&(name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(&(values.len() as u64).to_le_bytes());
        for value in values {
            self.0.update(&value.to_le_bytes());
        }
    }

    pub fn finish(self) -> String {
        format!("blake3:{}", self.0.finalize().to_hex())
    }
}
