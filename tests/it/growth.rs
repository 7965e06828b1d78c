//! Tests of growth.
