//! The promises of the failure contract, seen from both sides: what the caller received, what each provider saw.

mod cache;
mod failover;
mod flights;
mod patience;
mod recovery;
mod storm;
mod streams;
mod usage;
