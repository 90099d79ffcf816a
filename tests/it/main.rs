//! The one integration binary: a rig (simulator, gateway, raw-socket client) and one file per promise.
#![allow(clippy::panic, reason = "a failed expectation ends a test")]

mod access;
mod backs;
mod budget;
mod cache;
mod clients;
mod contract;
mod contract_streams;
mod door;
mod endpoints;
mod failover;
mod flights;
mod fronts;
mod golden;
mod hostile;
mod limits;
mod memory;
mod operate;
mod page;
mod process;
mod redaction;
mod responses;
mod restart;
mod rig;
mod secrets;
mod story;
mod tidy;
mod translation;
mod usage;
