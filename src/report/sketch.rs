//! A network as names, kinds and widths: of a record's model, or read from the line that each growth event holds.

use crate::record::schema;

/// More layers than anybody draws.
const LAYERS_MAX: usize = 4096;

/// One layer, as it is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    pub name: String,
    pub kind: String,
    pub width: u64,
    /// Height and width of the images that leave it.
    pub area: Option<(u64, u64)>,
    pub activation: String,
    /// How it works on images: `3x3/2`, `max2`, `map`. Empty for all others.
    pub how: String,
    /// The layers of a residual block.
    pub block: Vec<Drawn>,
}

impl Drawn {
    /// The same kind of work on images: both numbers of `3x3/2`, `max 2`, `map /2`.
    pub fn how_told(&self) -> String {
        let (how, stride) = match self.how.split_once('/') {
            Some((how, stride)) => (how, format!(" /{stride}")),
            None => (self.how.as_str(), String::new()),
        };
        let told = match how.find(|letter: char| letter.is_ascii_digit()) {
            Some(0) => how.replace('x', "×"),
            Some(at) => format!("{} {}", &how[..at], &how[at..]),
            None => how.to_string(),
        };
        format!("{told}{stride}")
    }

    pub fn area_told(&self) -> Option<String> {
        self.area.map(|(height, width)| format!("{height}×{width}"))
    }
}

/// Reads `input:64 h1:dense:256:relu r1:residual:32(a:dense:64:relu b:dense:32:linear)`. `None` for what is no such
/// line: it may be a stranger's.
pub fn read(text: &str) -> Option<Vec<Drawn>> {
    let mut layers: Vec<Drawn> = Vec::new();
    let mut inside = false;
    let mut count = 0;
    for word in text.split_whitespace() {
        count += 1;
        if count > LAYERS_MAX {
            return None;
        }
        let (word, opens) = match word.split_once('(') {
            Some((outer, first)) if !inside => (outer, Some(first)),
            Some(_) => return None,
            None => (word, None),
        };
        let (word, closes) = match word.strip_suffix(')') {
            Some(word) if inside => (word, true),
            _ => (word, false),
        };
        let layer = layer(word)?;
        match layers.last_mut().filter(|_| inside) {
            Some(outer) => outer.block.push(layer),
            None => layers.push(layer),
        }
        if let Some(first) = opens {
            let (first, closes) = first.strip_suffix(')').map_or((first, false), |first| (first, true));
            let first = self::layer(first)?;
            layers.last_mut()?.block.push(first);
            inside = !closes;
        } else if closes {
            inside = false;
        }
    }
    (!layers.is_empty() && !inside).then_some(layers)
}

fn layer(word: &str) -> Option<Drawn> {
    if word.contains(['(', ')']) {
        return None;
    }
    let parts: Vec<&str> = word.split(':').collect();
    let drawn = |name: &str, kind: &str, width: &str, activation: &str, how: &str| {
        let (width, area) = match width.split_once('@') {
            Some((width, area)) => {
                let (height, columns) = area.split_once('x')?;
                (width, Some((height.parse().ok()?, columns.parse().ok()?)))
            }
            None => (width, None),
        };
        Some(Drawn {
            name: name.into(),
            kind: kind.into(),
            width: width.parse().ok()?,
            area,
            activation: activation.into(),
            how: how.into(),
            block: Vec::new(),
        })
    };
    match parts[..] {
        [name, width] => drawn(name, "", width, "", ""),
        [name, kind, width] => drawn(name, kind, width, "", ""),
        [name, kind, width, activation] => drawn(name, kind, width, activation, ""),
        [name, kind, width, activation, how] => drawn(name, kind, width, activation, how),
        _ => None,
    }
}

/// The network of a record's model, on its data. Of one that no network can be made of, what it says of each layer.
pub fn of(model: &schema::Model, data: &schema::Data) -> Vec<Drawn> {
    if let Some(layers) = crate::record::model::read(model, data).ok().and_then(|network| read(&network.sketch())) {
        return layers;
    }
    let input =
        model.axes.first().map(|axis| Drawn { name: "input".into(), width: axis.width as u64, ..Drawn::default() });
    let mut layers: Vec<Drawn> = input.into_iter().collect();
    for layer in model.layers.iter().take(LAYERS_MAX) {
        let drawn = Drawn {
            name: layer.name.clone(),
            kind: layer.kind.clone(),
            width: layer.width as u64,
            activation: if layer.kind == "residual" { String::new() } else { layer.activation.clone() },
            ..Drawn::default()
        };
        match (&layer.inside, layers.last_mut()) {
            (Some(block), Some(outer)) if *block == outer.name => outer.block.push(drawn),
            _ => layers.push(drawn),
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_read_and_told() {
        let text = "input:1@28x28 c1:conv:8@14x14:relu:3x3/2 p1:pool:8@7x7::max2 \
                    r1:residual:8@4x4::map/2(a:conv:8@4x4:relu:5x5/2) p2:pool:8::global out:dense:10:linear";
        let layers = read(text).expect("a sketch");
        let told =
            |layer: &Drawn| format!("{} {} {}", layer.width, layer.how_told(), layer.area_told().unwrap_or_default());
        let told: Vec<String> = layers.iter().chain(&layers[3].block).map(told).collect();
        assert_eq!(
            told,
            ["1  28×28", "8 3×3 /2 14×14", "8 max 2 7×7", "8 map /2 4×4", "8 global ", "10  ", "8 5×5 /2 4×4"]
        );
    }

    #[test]
    fn a_sketch_is_read_and_garbage_is_not() {
        let text = "input:64 h1:dense:256:relu r1:residual:32(a:dense:64:relu b:dense:32:linear) p:pool:4(x:y:1) \
                    out:dense:10:linear";
        let layers = read(text).expect("a sketch");
        let told: Vec<String> = layers
            .iter()
            .map(|layer| {
                format!("{} {} {} {} {}", layer.name, layer.kind, layer.width, layer.activation, layer.block.len())
            })
            .collect();
        assert_eq!(
            told,
            ["input  64  0", "h1 dense 256 relu 0", "r1 residual 32  2", "p pool 4  1", "out dense 10 linear 0"]
        );
        let long = "a:1 ".repeat(5000);
        for garbage in [
            "",
            " ",
            "x",
            "a:b",
            "a:1@8",
            "a:1@8x",
            "a:1@x8",
            "a:conv:1@8x8x8:relu",
            "a:1@99999999999999999999x1",
            "a:x:1:relu:3x3:more",
            "a:dense:1(",
            "a:dense:1)",
            "a:dense:1(b:1(c:1))",
            ")(",
            "a:dense:99999999999999999999",
            "a:d:1(b:2",
            &long,
        ] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }
}
