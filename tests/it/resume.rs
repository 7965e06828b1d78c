//! A run that was interrupted goes on to the same bits as if it had never stopped, wherever it stood.

mod board;
mod commands;
#[cfg(unix)]
mod crashes;
mod every_place;
