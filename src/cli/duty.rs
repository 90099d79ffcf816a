//! A gateway's life between "ready" and "gone": signals, a watched configuration, the service manager, the drain.
//!
//! One thread waits for news and for the next look at the file or word to the service manager; a second one turns
//! signals into news.

use super::assemble::House;
use super::systemd::Notify;
use super::watch::Watch;
use super::{Failed, reload::Reload};
use crate::clock::{Clock, SystemClock};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

/// News that wait; signals that come faster wait in the kernel, where equal ones become one.
const NEWS_MAX: usize = 4;
/// Longest wait without looking after anything.
const ROUND: Duration = Duration::from_secs(1);

/// What the waiting thread is told.
enum News {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT.
    End,
    /// The drain is over; whether everything was finished.
    Drained(bool),
}

/// What a gateway in service is looked after with.
pub(super) struct Duty {
    /// How the configuration is read again; `None`: there is nothing to be read.
    pub(super) reload: Option<Reload>,
    /// The configuration's file.
    pub(super) watch: Option<Watch>,
    /// The service manager.
    pub(super) notify: Notify,
    /// How long what is under way may take when the process is to end.
    pub(super) patience: Duration,
}

/// The signals that end or reload the process.
pub(super) fn signals() -> Result<Signals, Failed> {
    Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| Failed::Running(format!("cannot watch for signals: {error}")))
}

/// Waits for SIGTERM or SIGINT.
pub(super) fn wait_for_end() -> Result<(), Failed> {
    let mut signals = signals()?;
    signals.forever().find(|signal| *signal != SIGHUP);
    Ok(())
}

impl Duty {
    /// Serves until SIGTERM or SIGINT, then drains; a second one ends at once.
    pub(super) fn until_ended(mut self, house: House, mut signals: Signals) -> Result<(), Failed> {
        let (tell, news) = sync_channel(NEWS_MAX);
        let handle = signals.handle();
        let theirs = tell.clone();
        let ears = move || {
            for signal in signals.forever() {
                let what = if signal == SIGHUP { News::Reload } else { News::End };
                if theirs.send(what).is_err() {
                    return;
                }
            }
        };
        let ears = Builder::new()
            .name("signals".to_owned())
            .spawn(ears)
            .map_err(|error| Failed::Running(format!("cannot watch for signals: {error}")))?;
        self.notify.ready();
        self.serve(&house, &news);
        let ended = self.drain(house, tell, &news);
        drop(news);
        handle.close();
        // It has nothing of its own that could fail.
        let _ = ears.join();
        ended
    }

    fn serve(&mut self, house: &House, news: &Receiver<News>) {
        let clock = SystemClock;
        let mut heard = None;
        let (mut look_at, mut ping_at) = (clock.now(), clock.now());
        loop {
            let now = clock.now();
            if now >= look_at {
                if self.watch.as_mut().is_some_and(Watch::has_changed) {
                    self.reload(house);
                }
                look_at = now + self.watch.as_ref().map_or(ROUND, Watch::pause);
            }
            let watchdog = self.notify.watchdog();
            if let Some(every) = watchdog.filter(|_| now >= ping_at) {
                let heartbeat = Some(house.heartbeat());
                if std::mem::replace(&mut heard, heartbeat) != heartbeat {
                    self.notify.alive();
                }
                ping_at = now + every;
            }
            let next = if watchdog.is_some() { look_at.min(ping_at) } else { look_at };
            match news.recv_timeout(next.saturating_duration_since(clock.now())) {
                Ok(News::Reload) => {
                    if let Some(watch) = &mut self.watch {
                        watch.believe();
                    }
                    self.reload(house);
                }
                Ok(News::End | News::Drained(_)) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn reload(&mut self, house: &House) {
        let Some(reload) = &mut self.reload else { return };
        self.notify.reloading();
        if let Some(patience) = reload.again(house) {
            self.patience = patience;
        }
        self.notify.ready();
    }

    /// Lets what is under way be finished, unless another signal says that there is no time.
    fn drain(&self, house: House, tell: SyncSender<News>, news: &Receiver<News>) -> Result<(), Failed> {
        self.notify.stopping();
        let patience = self.patience;
        log::info!("draining: what is under way is finished within {} s", patience.as_secs());
        let close = move || {
            let finished = house.close(patience);
            // Nobody listens any more after a second signal.
            let _ = tell.send(News::Drained(finished));
        };
        let closing = Builder::new()
            .name("drain".to_owned())
            .spawn(close)
            .map_err(|error| Failed::Running(format!("cannot drain: {error}")))?;
        loop {
            match news.recv() {
                Ok(News::Reload) => {}
                Ok(News::Drained(finished)) => {
                    let _ = closing.join();
                    return match finished {
                        true => Ok(()),
                        false => Err(Failed::Running("some requests were not finished in time".to_owned())),
                    };
                }
                Ok(News::End) | Err(_) => {
                    return Err(Failed::Running("ended at once by a second signal".to_owned()));
                }
            }
        }
    }
}
