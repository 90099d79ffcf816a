//! The one thread that owns every connection nobody works at: accepts, reads, keeps deadlines, notices departures.

use super::connection::{Connection, Step};
use super::descriptors;
use super::hub::{After, Hub};
use super::limits::Limits;
use super::line::{Line, Turn, Work};
use super::message::Manner;
use super::refusal::Refusal;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketFlags, acceptfrom_with, send, shutdown, sockopt};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The poller's state.
pub(super) struct Poller {
    hub: Arc<Hub>,
    epoll: OwnedFd,
    /// `None` once the server drains.
    listener: Option<TcpListener>,
    /// The listener may hold connections.
    accepting: bool,
    /// Accepting failed: not before the next tick.
    paused: bool,
    connections_max: usize,
    /// Connections being turned away at once.
    shed_max: usize,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Connections of each neighbourhood.
    addresses: HashMap<IpAddr, usize>,
    /// Lines whose turn was over before their bytes were.
    again: VecDeque<u64>,
    /// Turned away at the door: closed after a moment, so that the answer is not lost.
    shed: VecDeque<OwnedFd>,
    /// Given up when no descriptor is left, to accept and turn away.
    spare: Option<File>,
    scratch: Vec<u8>,
    ticked: Instant,
}

#[derive(Default)]
struct Slot {
    line: Option<Arc<Line>>,
    generation: u32,
}

const LISTENER: u64 = u64::MAX;
const BELL: u64 = u64::MAX - 1;
/// Deadlines are looked at this often.
const TICK: Duration = Duration::from_millis(100);
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
const NEXT_TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// Connections accepted before others have their turn.
const ACCEPT_MAX: usize = 64;
/// Rounds of accepting before the door is closed: as many connections as the kernel queues at most.
const LAST_ROUNDS_MAX: usize = 64;
/// Connections the kernel holds until they are accepted; it allows `net.core.somaxconn` of them. One that finds no room
/// is tried again by its caller after a second, so as many are asked for as there may be connections.
const BACKLOG: i32 = 4096;
/// What the poller reads at once: most requests whole. What is left of a larger one is read where it stays.
const SCRATCH_BYTES: usize = 16 << 10;

impl Poller {
    pub(super) fn new(hub: Arc<Hub>, listener: TcpListener) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        open(&listener)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), edge)?;
        epoll::add(&epoll, &hub.bell, epoll::EventData::new_u64(BELL), edge)?;
        let Limits { connections_max, workers, .. } = *hub.limits;
        let (connections_max, shed_max) = descriptors::shares(descriptors::most(), connections_max, workers);
        let ticked = hub.clock.now();
        Ok(Self {
            connections_max,
            shed_max,
            hub,
            epoll,
            listener: Some(listener),
            accepting: true,
            paused: false,
            slots: Vec::new(),
            free: Vec::new(),
            addresses: HashMap::new(),
            again: VecDeque::new(),
            shed: VecDeque::new(),
            spare: File::open("/dev/null").ok(),
            scratch: vec![0; SCRATCH_BYTES],
            ticked,
        })
    }

    /// What makes room for as many descriptors as there may be; not the poller itself, for it would wait.
    pub(super) fn widen(&self) -> io::Result<impl FnOnce() + Send + use<>> {
        let bell = self.hub.bell.try_clone()?;
        let wanted = descriptors::wanted(self.connections_max, self.shed_max, self.hub.limits.workers);
        Ok(move || descriptors::widen(&bell, wanted))
    }

    /// Runs until the server has drained or is ended.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        while self.turn(&mut events) {}
    }

    /// Waits for events once and sees to them; false when it is over.
    fn turn(&mut self, events: &mut Vec<epoll::Event>) -> bool {
        let hurry = !self.again.is_empty() || (self.accepting && !self.paused);
        let timeout = if hurry { Some(NO_TIME) } else { self.rest() };
        let _ = epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref());
        let quiet = events.is_empty() && !hurry;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => self.accepting = true,
                BELL => {
                    let _ = rustix::io::read(&self.hub.bell, &mut [0_u8; 8]);
                    self.hub.gauges.heartbeat.fetch_add(1, Ordering::Relaxed);
                }
                id => self.event(id, event.flags),
            }
        }
        for _ in 0..self.again.len() {
            let line = self.again.pop_front().and_then(|id| self.line(id));
            if let Some((line, work)) = line.and_then(|line| line.take().map(|work| (line, work))) {
                self.go_on(&line, work, Step::Wait);
            }
        }
        self.take_leave();
        if self.hub.is_draining() && !self.drain() {
            return false;
        }
        self.accept();
        let now = self.hub.clock.now();
        if quiet || now.saturating_duration_since(self.ticked) >= TICK {
            self.tick(now);
        }
        true
    }

    /// How long to wait for events: as long as there are deadlines, or something to make good, until the next tick.
    fn rest(&self) -> Option<Timespec> {
        let troubled = self.paused || !self.shed.is_empty() || self.spare.is_none();
        let busy = self.open() > 0 || troubled || self.hub.is_draining();
        busy.then_some(NEXT_TICK)
    }

    fn event(&mut self, id: u64, flags: epoll::EventFlags) {
        let Some(line) = self.line(id) else { return };
        let gone = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        match line.event(flags.intersects(gone)) {
            Turn::Ours => {
                if let Some(mut work) = line.take() {
                    work.more = true;
                    self.go_on(&line, work, Step::Wait);
                }
            }
            Turn::Theirs => {}
            Turn::TheirsAndGone => {
                let _ = catch_unwind(AssertUnwindSafe(|| line.run_hooks()));
            }
        }
    }

    fn go_on(&mut self, line: &Arc<Line>, work: Box<Work>, step: Step) {
        match self.hub.go_on(line, work, step, &mut self.scratch) {
            After::Elsewhere => {}
            After::Remove => self.remove(line.id),
            After::Again(work) => {
                line.keep(work);
                self.again.push_back(line.id);
            }
        }
    }

    fn line(&self, id: u64) -> Option<Arc<Line>> {
        let slot = self.slots.get(usize::try_from(id & u64::from(u32::MAX)).ok()?)?;
        slot.line.as_ref().filter(|line| line.id == id).cloned()
    }

    fn remove(&mut self, id: u64) {
        let Some(line) = self.line(id) else { return };
        let index = u32::try_from(id & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.line = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
        }
        let home = neighbourhood(line.peer);
        if let Some(count) = self.addresses.get_mut(&home) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&home);
            }
        }
        self.hub.gauges.connections.fetch_sub(1, Ordering::Relaxed);
        // A worker may hold the line a moment longer; the socket must not wait for that to leave the epoll set.
        let _ = epoll::delete(&self.epoll, &line.socket);
    }

    /// Closes what workers are done with.
    fn take_leave(&mut self) {
        let leaving = std::mem::take(&mut *self.hub.leaving.lock());
        for id in leaving {
            self.remove(id);
        }
    }

    fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// While draining: the listener and idle lines close. False when no line is left, or when all must end.
    fn drain(&mut self) -> bool {
        let ending = self.hub.ending.load(Ordering::Acquire);
        if self.listener.is_some() {
            // Who waits at the door is let in before it is closed: the kernel would reset his connection.
            self.accepting = true;
            for _ in 0..LAST_ROUNDS_MAX {
                self.accept();
            }
        }
        if self.listener.take().is_some() || ending {
            for index in 0..self.slots.len() {
                let Some(line) = self.slots.get(index).and_then(|slot| slot.line.clone()) else { continue };
                if ending {
                    let _ = shutdown(&line.socket, Shutdown::Both);
                    let _ = catch_unwind(AssertUnwindSafe(|| line.end()));
                    self.remove(line.id);
                } else if line.claim() {
                    // Idle lines find out by themselves that the server drains.
                    if let Some(work) = line.take() {
                        self.go_on(&line, work, Step::Wait);
                    }
                }
            }
        }
        !ending && self.open() > 0
    }

    /// Looks at the deadlines, and lets go of what was turned away.
    fn tick(&mut self, now: Instant) {
        self.ticked = now;
        self.paused = false;
        self.shed.clear();
        if self.spare.is_none() {
            self.spare = File::open("/dev/null").ok();
        }
        let moment = self.hub.moment(now);
        for index in 0..self.slots.len() {
            let Some(line) = self.slots.get(index).and_then(|slot| slot.line.as_ref()) else { continue };
            let deadline = line.deadline.load(Ordering::Acquire);
            if deadline != 0 && deadline <= moment {
                let line = Arc::clone(line);
                self.expire(&line, now);
            }
        }
    }

    fn expire(&mut self, line: &Arc<Line>, now: Instant) {
        if line.claim() {
            let Some(mut work) = line.take() else { return };
            let deadline = line.deadline.load(Ordering::Acquire);
            // It was somebody's until a moment ago, and so was the deadline that has passed.
            if deadline == 0 || deadline > self.hub.moment(now) {
                return self.go_on(line, work, Step::Wait);
            }
            if work.lingering.is_some() {
                return self.remove(line.id);
            }
            let step = work.connection.expired();
            self.go_on(line, work, step);
        } else if let Some(mut work) = self.hub.take_queued(line) {
            line.deadline.store(0, Ordering::Release);
            self.hub.abandon();
            match self.hub.waited_too_long(line, &mut work) {
                Ok(step) => self.go_on(line, work, step),
                Err(_) => self.remove(line.id),
            }
        } else {
            self.hub.speak(line, now);
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPT_MAX {
            if !self.accepting || self.paused {
                return;
            }
            let Some(listener) = &self.listener else { return };
            match acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((socket, address)) => {
                    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                    let peer = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
                    self.welcome(socket, peer.to_canonical());
                }
                Err(Errno::AGAIN) => self.accepting = false,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => {
                    self.hub.gauges.accept_failures.fetch_add(1, Ordering::Relaxed);
                    self.paused = true;
                    self.shed_with_spare();
                }
            }
        }
    }

    /// No descriptor is left: those who wait are turned away with the spare one, instead of hanging.
    fn shed_with_spare(&mut self) {
        for _ in 0..descriptors::SHED_MAX {
            let Some(spare) = self.spare.take() else { return };
            drop(spare);
            let Some(listener) = &self.listener else { return };
            let Ok((socket, _)) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            else {
                self.spare = File::open("/dev/null").ok();
                return;
            };
            self.turn_away(&socket);
            drop(socket);
            self.spare = File::open("/dev/null").ok();
        }
    }

    fn turn_away(&self, socket: &OwnedFd) {
        let response = self.hub.word(Refusal::TooManyConnections, None);
        let bytes = self.hub.encode(&response, Manner::LAST);
        let _ = send(socket, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        let _ = shutdown(socket, Shutdown::Write);
    }

    fn welcome(&mut self, socket: OwnedFd, peer: IpAddr) {
        let home = neighbourhood(peer);
        let mine = self.addresses.get(&home).copied().unwrap_or(0);
        if self.open() >= self.connections_max || mine >= self.hub.limits.connections_per_address_max {
            self.turn_away(&socket);
            if self.shed.len() == self.shed_max {
                self.shed.pop_front();
            }
            self.shed.push_back(socket);
            return;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        let id = u64::from(slot.generation) << 32 | u64::from(index);
        let now = self.hub.clock.now();
        let connection = Connection::new(Arc::clone(&self.hub.limits), peer, now);
        let work = Work::new(connection, Arc::clone(&self.hub.gauges));
        let line = Arc::new(Line::new(socket, peer, id, work));
        line.deadline.store(self.hub.moment(now + self.hub.limits.idle_timeout), Ordering::Release);
        slot.line = Some(Arc::clone(&line));
        *self.addresses.entry(home).or_default() += 1;
        self.hub.gauges.connections.fetch_add(1, Ordering::Relaxed);
        self.hub.gauges.accepted.fetch_add(1, Ordering::Relaxed);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if epoll::add(&self.epoll, &line.socket, epoll::EventData::new_u64(id), flags).is_err() {
            self.remove(id);
        }
    }
}

/// Makes the listener ready for many.
fn open(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // It listens already, with the 128 of the standard library.
    rustix::net::listen(listener, BACKLOG)?;
    // On Linux whoever is let in through it has this too, and need not be told.
    let _ = sockopt::set_tcp_nodelay(listener, true);
    Ok(())
}

/// Whose connections are counted together: an IPv4 address, or the 64 bits of an IPv6 address that its holder was given
/// (RFC 6177: below them every address is as good as any other).
fn neighbourhood(peer: IpAddr) -> IpAddr {
    const HOLDER: u128 = !0 << 64;
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & HOLDER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_a_caller_is_not_held_back_for_more() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        open(&listener).expect("it listens");
        let address = listener.local_addr().expect("bound");
        let _caller = std::net::TcpStream::connect(address).expect("it listens");
        let (socket, _) = acceptfrom_with(&listener, SocketFlags::CLOEXEC).expect("he has connected");
        assert_eq!(sockopt::tcp_nodelay(&socket), Ok(true));
    }

    #[test]
    fn an_ipv6_holder_is_one_neighbour_whatever_address_he_picks() {
        let home = |text: &str| neighbourhood(text.parse().expect("an address"));
        assert_eq!(home("2001:db8:0:1::1"), home("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(home("2001:db8:0:1::1"), home("2001:db8:0:2::1"));
        assert_ne!(home("192.0.2.1"), home("192.0.2.2"));
    }
}
