//! Digests: blake3 over logical content, written `blake3:HEX`.

/// The digest of some bytes.
pub fn bytes(content: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(content).to_hex())
}

/// Collects named arrays, in the order given, into one digest of their shapes and little-endian values.
#[derive(Default)]
pub struct Tensors(blake3::Hasher);

impl Tensors {
    /// Adds one array. `values` in row-major order. Panics on NaN: it is an error state and never hashed.
    pub fn add(&mut self, name: &str, shape: &[usize], values: impl Iterator<Item = f32>) {
        self.0.update(&(name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(&(shape.len() as u64).to_le_bytes());
        for &extent in shape {
            self.0.update(&(extent as u64).to_le_bytes());
        }
        let mut buffer = Vec::with_capacity(4096);
        for value in values {
            assert!(!value.is_nan(), "`{name}` holds a NaN, which has no digest");
            buffer.extend_from_slice(&value.to_le_bytes());
            if buffer.len() >= 4096 {
                self.0.update(&buffer);
                buffer.clear();
            }
        }
        self.0.update(&buffer);
    }

    pub fn finish(self) -> String {
        format!("blake3:{}", self.0.finalize().to_hex())
    }
}
