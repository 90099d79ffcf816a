//! What we decide: values and functions, without clock, thread, lock, log, JSON, file or socket.

pub mod calendar;
pub mod chat;
pub mod digest;
pub mod event;
pub mod failure;
pub mod key;
pub mod words;
