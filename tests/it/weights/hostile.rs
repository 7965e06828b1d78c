//! Files that somebody wrote to do harm.
