//! Why an action cannot be, in the words of its place: which layers exist now, which come later, what made them so.

use super::*;

impl Replay<'_> {
    /// The plan on one architecture, or why not.
    pub(super) fn plan(
        &self,
        operator: &'static dyn Operator,
        args: &Args,
        on: &Architecture,
    ) -> Result<Plan, Refused> {
        let (old, new) = actions::names(args);
        for (name, span) in &old {
            if on.layer(name).is_none() {
                return Err(self.the_input(name, *span, args, on).unwrap_or_else(|| self.unknown(name, *span, on)));
            }
        }
        for (name, span) in &new {
            if let Some(refused) = self.taken(name, *span, on) {
                return Err(refused);
            }
        }
        operator.plan(args, on).map_err(|refusal| {
            // What is refused about a layer that has a mistake of its own may be that mistake again.
            if old.iter().any(|(name, _)| self.doubtful.contains(*name)) {
                return Refused::Silent;
            }
            Refused::Said(Box::new(self.with_cause(place(&refusal, args), refusal.cause.as_deref())))
        })
    }

    /// `widen input to 128`: no layer has this name, but what is meant is clear.
    fn the_input(&self, name: &str, span: Span, args: &Args, on: &Architecture) -> Option<Refused> {
        let (verb, word, layer) = match args.doc.word {
            "widen" => ("widen", "by 2x", on.layers.first()?),
            "narrow" => ("narrow", "to 1", on.layers.first()?),
            _ => return None,
        };
        if name != "input" && name != "inputs" {
            return None;
        }
        let help = if on.is_hidden(layer.output.axis) {
            format!("its width comes from the data; `{verb} {} {word}` changes the layer that reads it", layer.name)
        } else {
            "its width comes from the data".into()
        };
        Some(Refused::Said(Box::new(
            Diagnostic::error("G0206", span, format!("cannot {verb} the input of the network"))
                .here("the input axis")
                .help(help),
        )))
    }

    pub(super) fn taken(&self, name: &str, span: Span, on: &Architecture) -> Option<Refused> {
        let reserved = crate::check::model::RESERVED.contains(&name);
        if !reserved && on.layer(name).is_none() {
            return None;
        }
        let diagnostic = if reserved {
            Diagnostic::error("G0103", span, format!("no layer can be called `{name}`"))
                .here("this word has a meaning of its own")
        } else {
            Diagnostic::error("G0103", span, format!("there is a layer called `{name}` already")).here("taken")
        };
        let diagnostic = diagnostic.help("choose another name");
        let first = self.born.get(name).map(|(_, span)| *span).or(self.causes.get(name).map(|cause| cause.span));
        Some(Refused::Said(Box::new(match first {
            Some(first) if first == span => {
                diagnostic.help("an event that fires again cannot make the same layer again")
            }
            Some(first) => diagnostic.label(first, "made here"),
            None => diagnostic,
        })))
    }

    /// A name that is not there at this moment.
    pub(super) fn unknown(&self, name: &str, span: Span, on: &Architecture) -> Refused {
        let doubtful = self.doubtful.contains(name)
            || self
                .doubtful
                .iter()
                .any(|doubt| name.strip_prefix(doubt.as_str()).is_some_and(|rest| rest.starts_with("_id")));
        if doubtful {
            return Refused::Silent;
        }
        let names = on.names();
        let mut diagnostic =
            Diagnostic::error("G0101", span, format!("there is no layer `{name}` here")).here("unknown layer");
        if let Some(removed) = self.gone.get(name) {
            diagnostic = diagnostic.label(*removed, format!("`{name}` was removed here"));
        }
        let near = suggest::nearest(name, names.iter().copied());
        let there = if names.len() <= 12 {
            suggest::all_of(&names)
        } else {
            format!("{}, …", names[..12].iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        };
        diagnostic = diagnostic.help(match near {
            Some(near) => format!("did you mean `{near}`? the layers are {there}"),
            None => format!("the layers are {there}"),
        });
        Refused::Unknown(Box::new(diagnostic), name.into())
    }

    pub(super) fn names_exist(&mut self, args: &Args) -> bool {
        let (old, _) = actions::names(args);
        let never = Arc::clone(&self.never);
        for (name, span) in &old {
            if never.layer(name).is_some() {
                continue;
            }
            let refused = self.unknown(name, *span, &never);
            if self.maybe.as_ref().is_some_and(|maybe| maybe.layer(name).is_some()) {
                self.perhaps(refused, "unless a `when` has fired");
            } else {
                self.refuse(refused, args);
            }
            return false;
        }
        true
    }

    pub(super) fn with_cause(&self, diagnostic: Diagnostic, cause: Option<&str>) -> Diagnostic {
        match cause.and_then(|name| self.causes.get(name)) {
            Some(cause) if cause.span != diagnostic.span() => diagnostic.label(cause.span, cause.text.clone()),
            _ => diagnostic,
        }
    }

    /// An error; what the action would have made is doubtful from now on.
    pub(super) fn refuse(&mut self, refused: Refused, args: &Args) {
        let (old, new) = actions::names(args);
        self.doubtful.extend(new.into_iter().map(|(name, _)| name.to_string()));
        match refused {
            Refused::Silent => {}
            Refused::Said(diagnostic) => self.say(*diagnostic),
            Refused::Unknown(diagnostic, name) => {
                // A layer that would have been inserted after an unknown one has a name that follows from it.
                self.doubtful.extend(old.into_iter().map(|(old, _)| old).filter(|old| *old != name).map(String::from));
                if self.said.insert((diagnostic.code, diagnostic.span())) {
                    self.pending.push((*diagnostic, name));
                }
            }
        }
    }

    /// A warning: wrong in one of the two courses that the run may take.
    pub(super) fn perhaps(&mut self, refused: Refused, when: &str) {
        let diagnostic = match refused {
            Refused::Silent => return,
            Refused::Said(diagnostic) | Refused::Unknown(diagnostic, _) => *diagnostic,
        };
        let message = format!("{} ({when})", diagnostic.message);
        self.say(Diagnostic { severity: Severity::Warning, message, ..diagnostic });
    }

    pub(super) fn say(&mut self, diagnostic: Diagnostic) {
        if self.said.insert((diagnostic.code, diagnostic.span())) {
            self.report.add(diagnostic);
        }
    }
}
