//! The task that owns one board: the only place that talks to it.
//!
//! Exchanges follow one another on one connection. A pulse therefore ends at most one exchange (`request_timeout_ms`) late.
//! Any doubt about the connection (timeout, nonsense, I/O error) ends it: the outputs and inputs become unknown, pending
//! pulses are forgotten, and the next connection begins with the safe state. Nothing is carried over.
//!
//! Inputs are polled, and buses that are told of edges pass them on at once; a level that has to stay for a while is looked at
//! again exactly when that while is over.
//!
//! What software cannot do: a board that was told *on* and then loses its link stays on until it is reached again, unless
//! it times its pulses itself. Boards with a communication watchdog should have it enabled.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Bus, Driver, OutputLine, Plan, Started,
    debounce::Debouncer,
    handles::{Action, BoardInput, BoardOutput, Command},
};
use crate::{Actuated, DeviceError, Health, Reading};

/// The first wait after a lost connection; doubled up to `reconnect_max_ms` while it stays lost.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Requests that may wait for the exchange in progress besides one on and one off for each output: all doors of a board may be
/// locked, or released in a fire, at once. Each has its own deadline, so this only bounds memory.
const WAITING_COMMANDS: usize = 8;

/// How long the end of the program is put off for a board that does not take its safe state.
const SECURE_WITHIN: Duration = Duration::from_secs(3);

struct OutputState {
    level: watch::Sender<Option<bool>>,
    /// When the running pulse ends.
    off_at: Option<Instant>,
}

struct InputState {
    debouncer: Debouncer,
    reading: watch::Sender<Reading>,
}

struct Task {
    plan: Arc<Plan>,
    driver: Arc<dyn Driver>,
    commands: mpsc::Receiver<Command>,
    outputs: Vec<OutputState>,
    inputs: Vec<InputState>,
    health: watch::Sender<Health>,
    shutdown: CancellationToken,
}

/// The controller is shutting down.
struct ShuttingDown;

pub(super) fn start(plan: Arc<Plan>, driver: Arc<dyn Driver>, shutdown: CancellationToken) -> Started {
    let (health_tx, health) = watch::channel(Health::Starting);
    let (commands_tx, commands) = mpsc::channel(2 * plan.outputs.len() + WAITING_COMMANDS);
    let (mut output_states, mut outputs) = (Vec::new(), Vec::new());
    for index in 0..plan.outputs.len() {
        let (level, observed) = watch::channel(None);
        output_states.push(OutputState { level, off_at: None });
        outputs.push(BoardOutput {
            plan: plan.clone(),
            index,
            commands: commands_tx.clone(),
            level: observed,
            health: health.clone(),
        });
    }
    let (mut input_states, mut inputs) = (Vec::new(), Vec::new());
    for (index, line) in plan.inputs.iter().enumerate() {
        let (reading, observed) = watch::channel(Reading { value: None, at: Instant::now(), rises: 0 });
        input_states.push(InputState { debouncer: Debouncer::new(line.debounce), reading });
        inputs.push(BoardInput { plan: plan.clone(), index, reading: observed, health: health.clone() });
    }
    let task =
        Task { plan, driver, commands, outputs: output_states, inputs: input_states, health: health_tx, shutdown };
    Started { outputs, inputs, health, task: tokio::spawn(task.run()) }
}

impl Task {
    async fn run(mut self) {
        let mut backoff = FIRST_BACKOFF;
        // A board that was driven and is out of reach may have an output on.
        let mut was_driven = false;
        let ending = loop {
            let opening = open(self.driver.clone(), self.plan.clone());
            let lost = match self.while_refusing(opening).await {
                Err(ShuttingDown) => break None,
                Ok(Ok((bus, levels))) => {
                    (backoff, was_driven) = (FIRST_BACKOFF, true);
                    let debounced = bus.debounced();
                    self.up(&levels, debounced);
                    match self.serve(bus).await {
                        Ok(ShuttingDown) => return,
                        Err(lost) => lost,
                    }
                }
                Ok(Err(failed)) => failed,
            };
            self.down(&lost);
            if self.shutdown.is_cancelled() {
                break Some(lost);
            }
            if self.while_refusing(sleep(backoff)).await.is_err() {
                break None;
            }
            backoff = (backoff * 2).min(self.plan.timing.reconnect_max());
        };
        if was_driven {
            self.secure(ending).await;
        }
    }

    /// The controller shuts down and the outputs are not known to be safe, `because` the connection broke meanwhile or was gone
    /// before: on another one, then.
    async fn secure(&self, because: Option<DeviceError>) {
        let device = &self.plan.device;
        if let Some(error) = because {
            warn!(%device, %error, "its outputs are not known to be safe; trying on another connection");
        }
        match super::secure(&*self.driver, &self.plan, SECURE_WITHIN).await {
            Ok(()) => info!(%device, "closed; outputs are in their safe state"),
            Err(error) => error!(%device, %error, "closed; an output may be on: see to it by hand"),
        }
    }

    /// Waits for `work` while there is no connection; whoever asks for something is told so at once.
    async fn while_refusing<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ShuttingDown> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(ShuttingDown),
                done = &mut work => return Ok(done),
                Some(command) = self.commands.recv() => {
                    let reason = match &*self.health.borrow() {
                        Health::Down { reason } => reason.clone(),
                        Health::Starting | Health::Up => "it is being connected".into(),
                    };
                    let refused = DeviceError::unreachable(&self.plan.device, &self.describe(&command), reason, false);
                    let _gone = command.reply.send(Err(refused));
                }
            }
        }
    }

    fn describe(&self, command: &Command) -> String {
        format!("actuate {:?}", self.plan.outputs[command.output].id)
    }

    fn up(&mut self, levels: &[bool], debounced: bool) {
        for (state, line) in self.inputs.iter_mut().zip(&self.plan.inputs) {
            state.debouncer = Debouncer::new(if debounced { Duration::ZERO } else { line.debounce });
        }
        for (state, line) in self.outputs.iter_mut().zip(&self.plan.outputs) {
            state.level.send_replace(Some(line.safe));
        }
        self.publish(levels, Instant::now());
        self.health.send_replace(Health::Up);
        info!(device = %self.plan.device, "up; outputs are in their safe state");
    }

    fn down(&mut self, error: &DeviceError) {
        let now = Instant::now();
        for state in &mut self.outputs {
            state.off_at = None;
            state.level.send_replace(None);
        }
        for state in &mut self.inputs {
            state.debouncer.forget();
            state.reading.send_if_modified(|reading| {
                let known = reading.value.take().is_some();
                if known {
                    reading.at = now;
                }
                known
            });
        }
        let reason = error.to_string();
        self.health.send_if_modified(|health| {
            if matches!(health, Health::Down { reason: told } if *told == reason) {
                return false;
            }
            warn!(%reason, "down; trying again in the background");
            *health = Health::Down { reason };
            true
        });
    }

    /// Works on a connection until it is lost (the error) or the controller shuts down.
    async fn serve(&mut self, mut bus: Box<dyn Bus>) -> Result<ShuttingDown, DeviceError> {
        let mut poll = interval(self.plan.timing.poll());
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut levels = vec![false; self.inputs.len()];
        loop {
            let pulse_end = self.outputs.iter().filter_map(|state| state.off_at).min();
            let settled = self.inputs.iter().filter_map(|state| state.debouncer.due()).min();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {
                    make_safe(&mut *bus, &self.plan).await?;
                    info!(device = %self.plan.device, "closed; outputs are in their safe state");
                    return Ok(ShuttingDown);
                }
                () = sleep_until(pulse_end.unwrap_or_else(Instant::now)), if pulse_end.is_some() => {
                    self.end_pulses(&mut *bus).await?;
                }
                Some(command) = self.commands.recv() => self.execute(&mut *bus, command).await?,
                changed = bus.changed(&mut levels) => self.publish(&levels, changed?),
                () = sleep_until(settled.unwrap_or_else(Instant::now)), if settled.is_some() => {
                    self.look(&mut *bus, &mut levels).await?;
                }
                _ = poll.tick() => self.look(&mut *bus, &mut levels).await?,
            }
        }
    }

    async fn look(&mut self, bus: &mut dyn Bus, levels: &mut [bool]) -> Result<(), DeviceError> {
        let request_timeout = self.plan.timing.request_timeout();
        self.plan.within(request_timeout, "read its inputs", bus.poll(levels)).await?;
        self.publish(levels, Instant::now());
        Ok(())
    }

    async fn end_pulses(&mut self, bus: &mut dyn Bus) -> Result<(), DeviceError> {
        let now = Instant::now();
        for (state, line) in self.outputs.iter_mut().zip(&self.plan.outputs) {
            if state.off_at.is_some_and(|at| at <= now) {
                let action = format!("end the pulse of {:?}", line.id);
                let write = bus.write(line.channel, line.electrical(false));
                self.plan.within(self.plan.timing.request_timeout(), &action, write).await?;
                state.off_at = None;
                state.level.send_replace(Some(false));
            }
        }
        Ok(())
    }

    /// Does what was asked, or answers why not. The error is for a connection that is of no further use.
    async fn execute(&mut self, bus: &mut dyn Bus, command: Command) -> Result<(), DeviceError> {
        // Late is worse than never for whatever acts, but never for the end of it: a lock that falls late still falls.
        let ends = matches!(command.action, Action::Set(false));
        if command.reply.is_closed() && !ends {
            return Ok(()); // the caller gave up before anything was sent
        }
        let left = command.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() && !ends {
            let late = DeviceError::Timeout {
                device: self.plan.device.clone(),
                action: self.describe(&command),
                after_ms: self.plan.timing.deliver_within().as_millis() as u64,
                sent: false,
            };
            let _gone = command.reply.send(Err(late));
            return Ok(());
        }
        let line = &self.plan.outputs[command.output];
        let (on, pulse) = match command.action {
            Action::Set(on) => (on, None),
            Action::Pulse(on_for) => (true, Some(on_for)),
        };
        let patience = self.plan.timing.request_timeout();
        let limit = if ends { patience } else { left.min(patience) };
        let (channel, high) = (line.channel, line.electrical(on));
        let write = async {
            match pulse {
                Some(on_for) => bus.pulse(channel, high, on_for).await,
                None => bus.write(channel, high).await,
            }
        };
        match self.plan.within(limit, &self.describe(&command), write).await {
            Ok(()) => {
                let at = Instant::now();
                let state = &mut self.outputs[command.output];
                state.off_at = pulse.map(|on_for| at + on_for);
                state.level.send_replace(Some(on));
                let _gone = command.reply.send(Ok(Actuated { at }));
                Ok(())
            }
            Err(error) => {
                let _gone = command.reply.send(Err(error.clone()));
                if error.ends_connection() { Err(error) } else { Ok(()) }
            }
        }
    }

    /// Takes levels that were seen at `now`.
    fn publish(&mut self, levels: &[bool], now: Instant) {
        for ((state, line), level) in self.inputs.iter_mut().zip(&self.plan.inputs).zip(levels) {
            if let Some((value, at)) = state.debouncer.feed(*level != line.active_low, now) {
                state.reading.send_modify(|reading| {
                    reading.rises += u64::from(value && reading.value == Some(false));
                    reading.value = Some(value);
                    reading.at = at;
                });
            }
        }
    }
}

impl Drop for Task {
    /// Also when the task has panicked: nobody is to go on by the last levels, or to believe in a board that is not driven.
    fn drop(&mut self) {
        self.down(&DeviceError::unreachable(&self.plan.device, "drive it", "its task has ended", false));
    }
}

/// Connects, makes the outputs safe before anything else, and reads the inputs once.
async fn open(driver: Arc<dyn Driver>, plan: Arc<Plan>) -> Result<(Box<dyn Bus>, Vec<bool>), DeviceError> {
    let mut bus = connect_safe(&*driver, &plan).await?;
    let mut levels = vec![false; plan.inputs.len()];
    plan.within(plan.timing.request_timeout(), "read its inputs", bus.poll(&mut levels)).await?;
    Ok((bus, levels))
}

/// Connects and makes the outputs safe. A board that has stopped answering is not asked for every output.
pub(super) async fn connect_safe(driver: &dyn Driver, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
    let mut bus = plan.within(plan.timing.request_timeout(), "connect", driver.connect(plan)).await?;
    for line in &plan.outputs {
        write_safe(&mut *bus, plan, line).await?;
    }
    Ok(bus)
}

/// Writes every output's safe state; tries all of them even if one fails.
async fn make_safe(bus: &mut dyn Bus, plan: &Plan) -> Result<(), DeviceError> {
    let mut result = Ok(());
    for line in &plan.outputs {
        result = result.and(write_safe(bus, plan, line).await);
    }
    result
}

async fn write_safe(bus: &mut dyn Bus, plan: &Plan, line: &OutputLine) -> Result<(), DeviceError> {
    let action = format!("put {:?} into its safe state", line.id);
    let write = bus.write(line.channel, line.electrical(line.safe));
    plan.within(plan.timing.request_timeout(), &action, write).await
}
