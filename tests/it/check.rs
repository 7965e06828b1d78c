//! The checker on whole schedules.
