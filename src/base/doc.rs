//! The documentation of a word of the language, from which everything else about the word follows:
//! argument checking, did-you-mean, `growrun explain WORD`, the reference page.
//!
//! A word is known in one place: the registry entry that carries its [`Doc`].

/// A word (or two, as in `insert identity`), its arguments, and what to tell a reader about it.
#[derive(Debug)]
pub struct Doc {
    /// What the phrase begins with: `widen`, `insert identity`, `set lr`.
    pub word: &'static str,
    /// One line: what it does.
    pub help: &'static str,
    pub args: &'static [Arg],
    /// Groups of argument names of which exactly one must be given: `&[&["to", "by"]]`.
    pub one_of: &'static [&'static [&'static str]],
    /// A phrase that a reader can copy.
    pub example: &'static str,
    /// Where it comes from, in the literature or in another framework; may be empty.
    pub source: &'static str,
}

/// One argument of a word.
#[derive(Debug)]
pub struct Arg {
    /// The key under which [`super::Args`] holds it, and for [`Shape::Keyword`] and [`Shape::Flag`] the word itself.
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// What holds when it is absent, for the reader; empty when there is nothing to say.
    pub default: &'static str,
    pub help: &'static str,
}

/// How an argument stands in a phrase.
#[derive(Debug)]
pub enum Shape {
    /// The next value without a keyword: `widen TARGET`. Positionals come in the order of the list and,
    /// when required, before any keyword.
    Positional(Kind),
    /// The word alone: `stratified`.
    Flag,
    /// A bare word from a set, anywhere: the `relu` of `h1 dense 32 relu`.
    Bare(Choices),
    /// The word, then one value of each kind: `eps 1e-3`, `betas 0.9 0.999`.
    Keyword(&'static [Kind]),
    /// Everything that is left, one value each, at least one: `metrics accuracy f1`.
    Many(Kind),
}

/// A closed set of words. A function, because registries fill some of them.
pub type Choices = fn() -> Vec<&'static str>;

/// What a value must be.
#[derive(Debug)]
pub enum Kind {
    /// An existing layer.
    Name,
    /// A layer that is to be made.
    NewName,
    /// A layer, a range `h1..h3`, or `all`.
    Target,
    /// A whole number.
    Integer,
    /// Any finite number.
    Number,
    /// A percent or a number: `95%` is 0.95.
    Fraction,
    /// `2x`.
    Factor,
    /// `5 epochs`, `100 steps`, `10%`.
    Duration,
    /// `epoch 5`, `step 100`, `10%`, `start`, `end`.
    Point,
    /// One of these words.
    Word(Choices),
    /// A word, some of which ask for more: `lr keep|rewarm 5 epochs|rewind`.
    Choice(&'static [(&'static str, &'static [Kind])]),
    /// `yes` or `no`.
    YesNo,
    /// A quoted string.
    Text,
    /// A word or a quoted string that is no layer: a column, an array.
    Label,
    /// `val_accuracy`.
    Metric,
    /// `val_loss plateaus for 5 epochs and epoch > 3`: takes all that is left.
    Condition,
    /// Exactly this word, which is not stored.
    Literal(&'static str),
    /// The first of these that fits.
    Either(&'static [Kind]),
}

impl Doc {
    /// The phrase's form as a reader would write it, for help and error texts:
    /// `widen TARGET to N|by N|by 2x [method pad|split] [eps E]`.
    pub fn signature(&self) -> String {
        let mut out = self.word.to_string();
        let mut grouped: Vec<&str> = Vec::new();
        for arg in self.args {
            if grouped.contains(&arg.name) {
                continue;
            }
            out.push(' ');
            if let Some(group) = self.one_of.iter().find(|group| group.contains(&arg.name)) {
                grouped.extend(group.iter());
                let members: Vec<String> =
                    self.args.iter().filter(|a| group.contains(&a.name)).map(Arg::form).collect();
                out.push_str(&members.join("|"));
            } else if arg.required {
                out.push_str(&arg.form());
            } else {
                out.push_str(&format!("[{}]", arg.form()));
            }
        }
        out
    }

    pub fn arg(&self, name: &str) -> Option<&'static Arg> {
        self.args.iter().find(|arg| arg.name == name)
    }
}

impl Arg {
    /// `eps E`, `stratified`, `TARGET`.
    pub fn form(&self) -> String {
        match &self.shape {
            Shape::Positional(kind) => kind.form(),
            Shape::Flag => self.name.to_string(),
            Shape::Bare(choices) => choices().join("|"),
            Shape::Keyword(kinds) => {
                let values: Vec<String> = kinds.iter().map(Kind::form).collect();
                format!("{} {}", self.name, values.join(" "))
            }
            Shape::Many(kind) => format!("{} …", kind.form()),
        }
    }
}

impl Kind {
    /// The placeholder or the words that stand for this kind in a signature.
    pub fn form(&self) -> String {
        match self {
            Kind::Name => "NAME".into(),
            Kind::NewName => "NEW".into(),
            Kind::Target => "TARGET".into(),
            Kind::Integer => "N".into(),
            Kind::Number => "X".into(),
            Kind::Fraction => "P%".into(),
            Kind::Factor => "2x".into(),
            Kind::Duration => "N epochs".into(),
            Kind::Point => "POINT".into(),
            Kind::Word(choices) => choices().join("|"),
            Kind::Choice(words) => {
                let forms: Vec<String> = words
                    .iter()
                    .map(|(word, kinds)| {
                        let mut form = word.to_string();
                        for kind in *kinds {
                            form.push(' ');
                            form.push_str(&kind.form());
                        }
                        form
                    })
                    .collect();
                forms.join("|")
            }
            Kind::YesNo => "yes|no".into(),
            Kind::Text => "\"TEXT\"".into(),
            Kind::Label => "LABEL".into(),
            Kind::Metric => "METRIC".into(),
            Kind::Condition => "COND".into(),
            Kind::Literal(word) => word.to_string(),
            Kind::Either(kinds) => {
                let forms: Vec<String> = kinds.iter().map(Kind::form).collect();
                forms.join("|")
            }
        }
    }

    /// What to say when something else stands there: "a whole number such as 256".
    pub fn expected(&self) -> String {
        match self {
            Kind::Name => "the name of a layer".into(),
            Kind::NewName => "a new name".into(),
            Kind::Target => "a layer, a range such as `h1..h3`, or `all`".into(),
            Kind::Integer => "a whole number such as 256".into(),
            Kind::Number => "a number such as 1e-3".into(),
            Kind::Fraction => "a percent such as 80% or a number such as 0.8".into(),
            Kind::Factor => "a factor such as 2x".into(),
            Kind::Duration => "a duration such as `5 epochs`, `100 steps` or `10%`".into(),
            Kind::Point => "a point in time such as `epoch 5`, `step 100`, `10%`, `start` or `end`".into(),
            Kind::Word(choices) => one_of(&choices()),
            Kind::Choice(words) => one_of(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>()),
            Kind::YesNo => "`yes` or `no`".into(),
            Kind::Text => "text in quotes".into(),
            Kind::Label => "a name, in quotes if it has spaces".into(),
            Kind::Metric => "a metric such as `val_accuracy`".into(),
            Kind::Condition => "a condition such as `val_loss plateaus for 5 epochs` or `val_accuracy > 90%`".into(),
            Kind::Literal(word) => format!("`{word}`"),
            Kind::Either(kinds) => {
                let all: Vec<String> = kinds.iter().map(Kind::expected).collect();
                all.join(", or ")
            }
        }
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".into(),
        [only] => format!("`{only}`"),
        [init @ .., last] => {
            let init: Vec<String> = init.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", init.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_reads_like_the_phrase() {
        const DOC: Doc = Doc {
            word: "widen",
            help: "",
            args: &[
                Arg { name: "target", shape: Shape::Positional(Kind::Target), required: true, default: "", help: "" },
                Arg { name: "to", shape: Shape::Keyword(&[Kind::Integer]), required: false, default: "", help: "" },
                Arg {
                    name: "by",
                    shape: Shape::Keyword(&[Kind::Either(&[Kind::Integer, Kind::Factor])]),
                    required: false,
                    default: "",
                    help: "",
                },
                Arg { name: "eps", shape: Shape::Keyword(&[Kind::Number]), required: false, default: "0", help: "" },
            ],
            one_of: &[&["to", "by"]],
            example: "",
            source: "",
        };
        assert_eq!(DOC.signature(), "widen TARGET to N|by N|2x [eps X]");
    }
}
