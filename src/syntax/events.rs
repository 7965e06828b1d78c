//! Events: where a trigger ends and its action begins, and the times that people write differently.

use super::ast::*;
use super::atoms;
use super::grammar::Rule;
use super::lower::{Lower, Tree};
use super::suggest::nearest;
use crate::base::{Diagnostic, Span, Spanned};

impl Lower<'_> {
    pub(super) fn event(&mut self, pair: Tree<'_>) -> Option<Event> {
        let span = self.span(&pair);
        let mut trigger = None;
        let mut actions = Vec::new();
        let mut written = pair.as_span();
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::body => actions = self.body(inner),
                Rule::phrase => actions.extend(self.phrase(inner)),
                _ => {
                    written = inner.as_span();
                    trigger = self.trigger(inner);
                }
            }
        }
        let mut trigger = trigger?;
        let written = || atoms::short(written.as_str());
        if let [action] = actions.as_mut_slice() {
            self.time_before_unit(&mut trigger, action);
            self.misspelt_unit(&mut trigger, action);
        }
        for action in &mut actions {
            if action.block.take().is_some() {
                self.report(
                    Diagnostic::error("G0012", action.span, "an action has no block of its own")
                        .here("a block opens in here")
                        .help(format!(
                            "several actions share one: `{} {{ widen h1 by 2x; save \"grown\" }}`",
                            written()
                        )),
                );
            }
            if let Some(first) = action.atoms.first()
                && !matches!(first.node, Atom::Word(_) | Atom::Bad)
            {
                self.report(
                    Diagnostic::error("G0001", first.span, format!("expected an action after `{}`", written()))
                        .here("not an action")
                        .help(format!("an action begins with a word: `{} widen h2 to 256`", written())),
                );
                action.atoms[0].node = Atom::Bad;
            }
        }
        Some(Event { trigger, actions, span })
    }

    /// `at 20 epochs widen …` says the same as `at epoch 20`, but reads as the action `epochs`.
    fn time_before_unit(&mut self, trigger: &mut Trigger, action: &mut Phrase) {
        let Some(unit) = action.verb().filter(|verb| trigger.word.node == "at" && is_unit(verb.node)) else { return };
        let [Spanned { node: Atom::Number { .. } | Atom::Variable(_), span }] = trigger.head.as_slice() else { return };
        let singular = unit.node.trim_end_matches('s').to_string();
        let number = &self.cover[span.start as usize..span.end as usize];
        let error = Diagnostic::error("G0001", span.to(unit.span), "`at` takes a point in time, not a duration")
            .here("a duration")
            .help(format!("write `at {singular} {number}`"));
        trigger.head.insert(0, Spanned::new(Atom::Word(singular), unit.span));
        self.report(error);
        self.drop_first(action);
    }

    /// `every 5 epcohs widen …` reads as the action `epcohs`.
    fn misspelt_unit(&mut self, trigger: &mut Trigger, action: &mut Phrase) {
        let [Spanned { node: Atom::Number { .. }, span }] = trigger.head.as_slice() else { return };
        if trigger.word.node != "every" || !trigger.options.is_empty() || action.atoms.len() < 2 {
            return;
        }
        let Some(verb) = action.verb() else { return };
        let near = |unit: &&str| strsim::damerau_levenshtein(verb.node, unit) <= 2 && verb.node[..1] == unit[..1];
        // `epochs` alone is long enough that nothing else is meant by a word near to it.
        let Some(meant) = ["epochs", "epoch"].into_iter().find(near) else { return };
        let number = &self.cover[span.start as usize..span.end as usize];
        let error =
            Diagnostic::error("G0001", verb.span, format!("expected `epochs` or `steps` after `every {number}`"))
                .here(format!("found `{}`", atoms::short(verb.node)))
                .help(format!("did you mean `{meant}`?"));
        trigger.head.push(Spanned::new(Atom::Word(meant.into()), verb.span));
        self.report(error);
        self.drop_first(action);
    }

    fn drop_first(&self, action: &mut Phrase) {
        action.atoms.remove(0);
        if let Some(first) = action.atoms.first() {
            action.span.start = first.span.start;
        }
    }

    /// `None` when the time cannot be known; it has been reported then.
    fn trigger(&mut self, pair: Tree<'_>) -> Option<Trigger> {
        let span = self.span(&pair);
        let name = match pair.as_rule() {
            Rule::at => "at",
            Rule::every => "every",
            Rule::during => "during",
            _ => "when",
        };
        let word = Spanned::new(name.to_string(), Span { end: span.start + name.len() as u32, ..span });
        let mut head = Vec::new();
        let mut options: Vec<(Spanned<String>, Vec<Spanned<Atom>>)> = Vec::new();
        let mut known = true;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::option => known &= self.option(name, inner, &mut options),
                Rule::point => known &= self.point(name, inner, &mut head),
                Rule::stretch => known &= self.stretch(inner, &mut head),
                _ => self.leaves(inner, &mut head),
            }
        }
        known.then_some(Trigger { word, head, options, span })
    }

    fn option(
        &mut self,
        trigger: &str,
        pair: Tree<'_>,
        options: &mut Vec<(Spanned<String>, Vec<Spanned<Atom>>)>,
    ) -> bool {
        let Some(pair) = pair.into_inner().next() else { return true };
        let span = self.span(&pair);
        let (name, length) = match pair.as_rule() {
            Rule::from => ("from", 4),
            Rule::until => ("until", 5),
            Rule::cooldown => ("cooldown", 8),
            _ => ("at most", pair.as_str().find("most").map_or(2, |at| at + 4)),
        };
        let word = Spanned::new(name.to_string(), Span { end: span.start + length as u32, ..span });
        let allowed: &[&str] = match trigger {
            "when" => &["from", "until", "at most", "cooldown"],
            "every" => &["from", "until"],
            _ => &[],
        };
        let earlier = options.iter().find(|(other, _)| other.node == name).map(|(other, _)| other.span);
        if !allowed.contains(&name) {
            let owners = if matches!(name, "from" | "until") { "`every` and `when` have" } else { "only `when` has" };
            self.report(
                Diagnostic::error("G0001", word.span, format!("`{trigger}` has no `{name}`"))
                    .here("not here")
                    .help(format!("{owners} `{name}`")),
            );
            return true;
        }
        if let Some(earlier) = earlier {
            self.report(
                Diagnostic::error("G0006", word.span, format!("`{name}` stands here a second time"))
                    .here("again")
                    .label(earlier, "first here"),
            );
            return true;
        }
        let mut atoms = Vec::new();
        let mut known = true;
        for inner in pair.into_inner().filter(|inner| inner.as_rule() != Rule::times) {
            match inner.as_rule() {
                Rule::point => known &= self.point(name, inner, &mut atoms),
                _ => self.leaves(inner, &mut atoms),
            }
        }
        options.push((word, atoms));
        known
    }

    /// `epoch 20`, `50%`, `start`; a misspelt word is put right when it is near enough.
    fn point(&mut self, after: &str, pair: Tree<'_>, head: &mut Vec<Spanned<Atom>>) -> bool {
        let start = head.len();
        self.leaves(pair, head);
        let point = &mut head[start..];
        let Some(Spanned { node: Atom::Word(word), span }) = point.first() else { return true };
        let (word, span) = (word.clone(), *span);
        if is_unit(&word) {
            point[0].node = Atom::Word(word.trim_end_matches('s').into());
            return true;
        }
        if matches!(word.as_str(), "start" | "end") {
            return true;
        }
        let candidates: &[&str] = if point.len() > 1 { &["epoch", "step"] } else { &["start", "end"] };
        let meant = nearest(&word, candidates.iter().copied());
        let error = Diagnostic::error("G0001", span, format!("expected a point in time after `{after}`"))
            .here(format!("found `{}`", atoms::short(&word)))
            .help(match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write `{after} epoch 20`, `step 100`, `50%`, `start` or `end`"),
            });
        self.report(error);
        if let Some(meant) = meant {
            point[0].node = Atom::Word(meant.into());
        }
        meant.is_some()
    }

    /// `epoch 5..10`
    fn stretch(&mut self, pair: Tree<'_>, head: &mut Vec<Spanned<Atom>>) -> bool {
        self.leaves(pair, head);
        let Some(Spanned { node: Atom::Word(word), span }) = head.first() else { return true };
        if is_unit(word) {
            head[0].node = Atom::Word(word.trim_end_matches('s').into());
            return true;
        }
        let meant = nearest(word, ["epoch", "step"]);
        let error = Diagnostic::error("G0001", *span, "expected a stretch of time after `during`")
            .here(format!("found `{}`", atoms::short(word)))
            .help(match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "write `during epoch 5..10`".into(),
            });
        self.report(error);
        if let Some(meant) = meant {
            head[0].node = Atom::Word(meant.into());
        }
        meant.is_some()
    }
}

fn is_unit(word: &str) -> bool {
    matches!(word, "epoch" | "epochs" | "step" | "steps")
}
