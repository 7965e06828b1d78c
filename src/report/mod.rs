//! One offline page about a run or a comparison.
