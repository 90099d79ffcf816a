//! What we decide: values and functions, without clock, thread, lock, log, JSON, file or socket.

pub mod balance;
pub mod breaker;
pub mod budget;
pub mod calendar;
pub mod chat;
pub mod digest;
pub mod digits;
pub mod embedding;
pub mod event;
pub mod failure;
pub mod health;
pub mod keepsake;
pub mod key;
pub mod limit;
pub mod page;
pub mod pattern;
pub mod price;
pub mod quick;
pub mod quirks;
pub mod redact;
pub mod reel;
pub mod route;
pub mod rule;
pub mod splice;
pub mod usage;
pub mod words;
