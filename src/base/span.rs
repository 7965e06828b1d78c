//! Places in text: which file, which bytes. Every node of a schedule carries one.

/// A range of bytes in one of the [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Index of the file in [`Sources`].
    pub file: u16,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of file number `file`. Panics if the offsets exceed 4 GiB (files are at most 1 MiB).
    pub fn new(file: u16, start: usize, end: usize) -> Span {
        let fit = |n: usize| u32::try_from(n).expect("a schedule is at most 1 MiB");
        Span { file, start: fit(start), end: fit(end) }
    }

    /// The smallest span that covers both. Panics if they lie in different files.
    pub fn to(self, other: Span) -> Span {
        assert_eq!(self.file, other.file, "a span lies in one file");
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A value and where it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    pub node: T,
    pub span: Span,
}

impl<T> Spanned<T> {
    pub fn new(node: T, span: Span) -> Spanned<T> {
        Spanned { node, span }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { node: f(self.node), span: self.span }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.node
    }
}

/// One text that was read: the schedule or something it includes.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The path as the user wrote it, or a name in angle brackets for text that is in no file.
    pub name: String,
    /// The exact text, comments included.
    pub text: String,
}

/// Every text of a schedule, in the order in which they were opened. Number 0 is the file that was named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources(pub Vec<Source>);

impl Sources {
    /// Adds a text and returns its number. Panics past 65,536 files (includes are capped far below).
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u16 {
        let number = u16::try_from(self.0.len()).expect("includes are capped");
        self.0.push(Source { name: name.into(), text: text.into() });
        number
    }

    /// The text that `span` covers.
    pub fn slice(&self, span: Span) -> &str {
        &self.0[span.file as usize].text[span.start as usize..span.end as usize]
    }

    /// Line and column of the span's first byte, both from 1; the column counts characters.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let before = &self.0[span.file as usize].text[..span.start as usize];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}
