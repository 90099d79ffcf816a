//! Every bound of the front door, in one place, with its unit.

use crate::memory::Memory;
use std::sync::Arc;
use std::time::Duration;

/// What the front door accepts, and for how long it waits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of the work lane served at once; threads start when needed.
    pub workers: usize,
    /// Complete requests waiting for a worker of the work lane.
    pub queue: usize,
    /// Requests of the control lane served at once.
    pub control_workers: usize,
    /// Complete requests waiting for a worker of the control lane.
    pub control_queue: usize,
    /// Open connections; never more than the process's descriptors, less those of the house and two a worker, or half.
    pub connections_max: usize,
    /// Open connections of one address.
    pub connections_per_address_max: usize,
    /// Bytes of a request's head: request line, fields and the empty line.
    pub header_bytes_max: usize,
    /// Fields in one head; also fields in one trailer. At most [`HEADERS_CEILING`].
    pub headers_max: usize,
    /// Bytes of a request's target.
    pub target_bytes_max: usize,
    /// Bytes of a request's body, decoded.
    pub body_bytes_max: usize,
    /// Bytes of chunk extensions in one body.
    pub chunk_extension_bytes_max: usize,
    /// Bytes of all bodies and buffers, together with what other rooms hold.
    pub memory: Arc<Memory>,
    /// From a head's first byte to its last.
    pub header_timeout: Duration,
    /// From the end of a head to the end of its body.
    pub body_timeout: Duration,
    /// A body slower than this, on average and after `body_grace`, is given up.
    pub body_bytes_per_second_min: u64,
    /// How long a body may be slower than `body_bytes_per_second_min`.
    pub body_grace: Duration,
    /// Between requests of one connection.
    pub idle_timeout: Duration,
    /// A caller who reads nothing for this long is given up.
    pub write_timeout: Duration,
    /// A caller who reads slower than this, on average and after `write_timeout`, is given up.
    pub write_bytes_per_second_min: u64,
    /// How long a complete request waits for a worker.
    pub queue_wait_max: Duration,
    /// After the last answer on a connection: how long to go on reading, so that the answer is not lost.
    pub linger_timeout: Duration,
    /// After the last answer on a connection: how many bytes to go on reading.
    pub linger_bytes_max: usize,
    /// Bytes of stack per worker; only what is used takes memory.
    pub stack_bytes: usize,
    /// A worker without work for this long ends.
    pub worker_idle: Duration,
}

/// What `headers_max` cannot exceed: the parser's table is this long.
pub const HEADERS_CEILING: usize = 128;

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 512,
            queue: 512,
            control_workers: 4,
            control_queue: 64,
            connections_max: 4096,
            connections_per_address_max: 256,
            header_bytes_max: 16 << 10,
            headers_max: 64,
            target_bytes_max: 8 << 10,
            body_bytes_max: 16 << 20,
            chunk_extension_bytes_max: 4 << 10,
            memory: Memory::new(256 << 20),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_bytes_per_second_min: 1 << 10,
            body_grace: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            write_bytes_per_second_min: 1 << 10,
            queue_wait_max: Duration::from_secs(1),
            linger_timeout: Duration::from_secs(1),
            linger_bytes_max: 64 << 10,
            // Of address space. The C library keeps 40 MiB of stacks of threads that have ended, 24 KiB of each in use:
            // of large ones it keeps fewer.
            stack_bytes: 1 << 20,
            worker_idle: Duration::from_secs(10),
        }
    }
}
