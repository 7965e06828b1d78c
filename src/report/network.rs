//! A drawing of the network: a bar for each layer, as high as the root of its width, with cones between them; what an
//! event made is hatched, what it took away is an outline. Blocks stand in a frame with their skip above it. Of images the
//! units are channels; below a bar stand the kernel or the squares of a pool, and the size of the images.

use super::chart::sized_figure;
use super::markup::{Markup, cut, px};
use super::sketch::Drawn;
use crate::base::numbers;

/// Of two drawings that are to be compared, so that one scale holds for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

const STEP: f64 = 60.0;
const BAR: f64 = 18.0;
const HIGH: f64 = 104.0;
const MIDDLE: f64 = 92.0;
const HEIGHT: f64 = 186.0;
/// Of a line of small words.
const LINE: f64 = 12.0;
/// More bars than fit beside each other.
const BARS_MAX: usize = 12;

#[derive(Clone, Debug, PartialEq)]
struct Bar<'a> {
    layer: &'a Drawn,
    block: Option<&'a str>,
    /// The block's: how its map on the skip works, where it has one.
    map: String,
    /// The layer in the other drawing; `None` where it has no such layer.
    other: Option<&'a Drawn>,
}

impl Bar<'_> {
    /// Units in the other drawing.
    fn width(&self) -> Option<u64> {
        self.other.map(|other| other.width)
    }

    fn changed(&self) -> bool {
        self.width() != Some(self.layer.width) || self.reworked()
    }

    /// Whether its kernel is another one in the other drawing.
    fn reworked(&self) -> bool {
        self.other.is_some_and(|other| other.how != self.layer.how)
    }
}

enum Place<'a> {
    Bar(Bar<'a>),
    /// So many layers are not drawn.
    Gap(usize),
}

/// Layers from input to output, those in blocks too, with the name of their block.
pub fn flat(layers: &[Drawn]) -> Vec<(&Drawn, Option<&str>)> {
    let mut out = Vec::new();
    for layer in layers {
        match layer.block.is_empty() {
            true => out.push((layer, None)),
            false => out.extend(layer.block.iter().map(|inner| (inner, Some(layer.name.as_str())))),
        }
    }
    out
}

/// Draws `layers`, one of the two networks around an event. `other`: the one on the other side; without, nothing is
/// marked. `widest`: of all drawings that are to be compared.
pub fn draw(id: &str, title: &str, layers: &[Drawn], other: Option<&[Drawn]>, side: Side, widest: u64) -> Markup {
    let known: Option<std::collections::BTreeMap<&str, &Drawn>> =
        other.map(|other| flat(other).into_iter().map(|(layer, _)| (layer.name.as_str(), layer)).collect());
    let maps: std::collections::BTreeMap<&str, String> = layers
        .iter()
        .filter(|layer| !layer.block.is_empty())
        .map(|block| (block.name.as_str(), block.how_told()))
        .collect();
    let bars: Vec<Bar> = flat(layers)
        .into_iter()
        .map(|(layer, block)| {
            let other = known.as_ref().map_or(Some(layer), |known| known.get(layer.name.as_str()).copied());
            let map = block.and_then(|block| maps.get(block).cloned()).unwrap_or_default();
            Bar { layer, block, map, other }
        })
        .collect();
    let about = described(&bars, side);
    let lines = bars.iter().map(|bar| words(bar.layer).len()).max().unwrap_or(0).saturating_sub(1);
    let places = chosen(bars);
    let width = (places.len() as f64 * STEP + 10.0).max(180.0);
    sized_figure(id, title, &about, (width, HEIGHT + LINE * lines as f64), false, |m| {
        let x = |at: usize| 5.0 + STEP * (at as f64 + 0.5);
        let high = |units: u64| (HIGH * (units as f64 / widest.max(1) as f64).sqrt().min(1.0)).max(5.0);
        for (at, pair) in places.windows(2).enumerate() {
            if let [Place::Bar(a), Place::Bar(b)] = pair {
                cone(m, (x(at) + BAR / 2.0, high(a.layer.width)), (x(at + 1) - BAR / 2.0, high(b.layer.width)));
            }
        }
        frames(m, &places, x);
        for (at, place) in places.iter().enumerate() {
            match place {
                Place::Bar(one) => bar(m, one, side, x(at), high),
                Place::Gap(count) => {
                    m.leaf("text", &[("class", "width"), ("x", &px(x(at))), ("y", &px(MIDDLE + 4.0))], "⋯");
                    let word = format!("{count} more");
                    m.leaf("text", &[("class", "name"), ("x", &px(x(at))), ("y", "166")], &word);
                }
            }
        }
    })
}

/// All bars, or those at the ends and around what changed.
fn chosen(bars: Vec<Bar>) -> Vec<Place> {
    if bars.len() <= BARS_MAX {
        return bars.into_iter().map(Place::Bar).collect();
    }
    let count = bars.len();
    let near_change = |at: usize| bars[at.saturating_sub(1)..(at + 2).min(count)].iter().any(Bar::changed);
    let mut wanted: Vec<usize> = vec![0, 1, count - 2, count - 1];
    wanted.extend((2..count - 2).filter(|at| near_change(*at)).take(BARS_MAX - 6));
    wanted.extend((2..count - 2).take(BARS_MAX));
    let mut kept: Vec<usize> = Vec::new();
    for at in wanted {
        if kept.len() < BARS_MAX - 2 && !kept.contains(&at) {
            kept.push(at);
        }
    }
    kept.sort_unstable();
    let mut places = Vec::new();
    let mut next = 0;
    for (at, bar) in bars.into_iter().enumerate() {
        if kept.get(next) == Some(&at) {
            places.push(Place::Bar(bar));
            next += 1;
        } else if let Some(Place::Gap(count)) = places.last_mut() {
            *count += 1;
        } else {
            places.push(Place::Gap(1));
        }
    }
    places
}

fn cone(m: &mut Markup, (x1, h1): (f64, f64), (x2, h2): (f64, f64)) {
    let d = format!(
        "M{} {}L{} {}V{}L{} {}Z",
        px(x1),
        px(MIDDLE - h1 / 2.0),
        px(x2),
        px(MIDDLE - h2 / 2.0),
        px(MIDDLE + h2 / 2.0),
        px(x1),
        px(MIDDLE + h1 / 2.0)
    );
    m.empty("path", &[("class", "cone"), ("d", &d)]);
}

/// Around neighbouring bars of one block.
fn frames(m: &mut Markup, places: &[Place], x: impl Fn(usize) -> f64) {
    let block = |at: usize| match places.get(at) {
        Some(Place::Bar(bar)) => bar.block,
        _ => None,
    };
    let mut at = 0;
    while at < places.len() {
        let Some(name) = block(at) else {
            at += 1;
            continue;
        };
        let end = (at..places.len()).find(|next| block(*next) != Some(name)).unwrap_or(places.len());
        let (left, right) = (x(at) - BAR / 2.0 - 12.0, x(end - 1) + BAR / 2.0 + 12.0);
        let (top, wide) = (27.0, right - left);
        let frame = [
            ("class", "block"),
            ("x", &px(left)),
            ("y", &px(top)),
            ("width", &px(wide)),
            ("height", "124"),
            ("rx", "6"),
        ];
        m.empty("rect", &frame);
        let skip = format!(
            "M{} {}C{} 2 {} 2 {} {}",
            px(left),
            px(top + 8.0),
            px(left + 14.0),
            px(right - 14.0),
            px(right),
            px(top + 8.0)
        );
        m.empty("path", &[("class", "skip"), ("d", &skip)]);
        m.leaf(
            "text",
            &[("class", "name"), ("x", &px((left + right) / 2.0)), ("y", "22")],
            &match block_map(places, at) {
                "" => format!("{} +", cut(name, 12)),
                map => format!("{} + {map}", cut(name, 12)),
            },
        );
        at = end;
    }
}

/// `map /2`: what stands on the skip around a place, where that is no bare sum.
fn block_map<'p>(places: &'p [Place], at: usize) -> &'p str {
    match places.get(at) {
        Some(Place::Bar(bar)) => &bar.map,
        _ => "",
    }
}

/// What stands below a layer's name, a line each: how it works on images, its activation, and the images' size.
fn words(layer: &Drawn) -> Vec<String> {
    let activation = cut(&layer.activation, 10);
    let mut lines = match layer.how.is_empty() {
        true => vec![activation],
        false => vec![cut(&layer.how_told(), 12), activation],
    };
    lines.extend(layer.area_told());
    // A pool has no activation, an input neither.
    lines.retain(|line| !line.is_empty());
    lines
}

fn bar(m: &mut Markup, bar: &Bar, side: Side, x: f64, high: impl Fn(u64) -> f64) {
    let (layer, other) = (bar.layer, &bar.width());
    let whole = high(layer.width);
    let rect = |m: &mut Markup, class: &str, top: f64, height: f64| {
        let place = [
            ("class", class),
            ("x", &px(x - BAR / 2.0)),
            ("y", &px(top)),
            ("width", &px(BAR)),
            ("height", &px(height)),
            ("rx", "3"),
        ];
        m.empty("rect", &place);
    };
    let top = MIDDLE - whole / 2.0;
    m.tag("g", &[], |m| {
        let kind = if layer.kind.is_empty() { "input" } else { &layer.kind };
        let mut title = format!("{} {kind} {}", cut(&layer.name, 80), layer.width);
        let more = [layer.area_told().map(|area| format!("of {area}")), Some(cut(&layer.how_told(), 20))];
        for word in more.into_iter().flatten().chain([cut(&layer.activation, 20)]).filter(|word| !word.is_empty()) {
            title.push_str(&format!(" {word}"));
        }
        m.leaf("title", &[], &title);
        match (side, other) {
            (Side::After, Some(old)) if *old < layer.width => {
                // What was there stands below, what is new above.
                let kept = whole * *old as f64 / layer.width as f64;
                rect(m, "bar", top, whole);
                rect(m, "fresh", top, whole - kept);
            }
            (Side::After, Some(old)) if *old > layer.width => {
                let ghost = high(*old);
                rect(m, "ghost", MIDDLE - ghost / 2.0, ghost);
                rect(m, "bar", top, whole);
            }
            (Side::After, None) => rect(m, "fresh", top, whole),
            (Side::Before, None) => rect(m, "gone", top, whole),
            _ => rect(m, "bar", top, whole),
        }
    });
    let changed = if bar.width() != Some(layer.width) && side == Side::After { "width changed" } else { "width" };
    let units = if layer.width < 100_000 { layer.width.to_string() } else { numbers::count(layer.width) };
    let above = if bar.block.is_some() { top.max(42.0) } else { top };
    m.leaf("text", &[("class", changed), ("x", &px(x)), ("y", &px(above - 4.0))], &units);
    m.leaf("text", &[("class", "name"), ("x", &px(x)), ("y", "166")], &cut(&layer.name, 9));
    for (line, word) in words(layer).iter().enumerate() {
        let class = if line == 0 && bar.reworked() && side == Side::After { "small changed" } else { "small" };
        let y = 179.0 + LINE * line as f64;
        m.leaf("text", &[("class", class), ("x", &px(x)), ("y", &px(y))], word);
    }
}

/// The drawing in words.
fn described(bars: &[Bar], side: Side) -> String {
    let mut text = String::from("Layers from input to output: ");
    for (at, bar) in bars.iter().take(BARS_MAX * 2).enumerate() {
        let changed = match (side, bar.width()) {
            (Side::After, None) => ", new",
            (Side::After, Some(old)) if old < bar.layer.width => ", wider",
            (Side::After, Some(old)) if old > bar.layer.width => ", narrower",
            (Side::Before, None) => ", goes",
            (Side::After, _) if bar.reworked() => ", another kernel",
            _ => "",
        };
        let comma = if at == 0 { "" } else { "; " };
        let area = bar.layer.area_told().map_or_else(String::new, |area| format!(" of {area}"));
        let how = match bar.layer.how.is_empty() {
            true => String::new(),
            false => format!(" by {}", cut(&bar.layer.how_told(), 20)),
        };
        text.push_str(&format!("{comma}{} {}{area}{how}{changed}", cut(&bar.layer.name, 40), bar.layer.width));
    }
    if bars.len() > BARS_MAX * 2 {
        text.push_str(&format!("; and {} more", bars.len() - BARS_MAX * 2));
    }
    text
}

/// Units of the widest layer.
pub fn widest(layers: &[Drawn]) -> u64 {
    flat(layers).iter().map(|(layer, _)| layer.width).max().unwrap_or(1)
}
