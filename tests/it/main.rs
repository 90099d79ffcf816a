//! The one integration binary: a rig (simulator, gateway, raw-socket client) and one file per promise.

mod failover;
mod rig;
mod tidy;
