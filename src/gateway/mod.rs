//! The use case: ask the candidates in order until one answers, and tell everyone what happened.

pub mod cancel;
pub mod ports;
