//! GPIO through the kernel's character device (`/dev/gpiochipN`), on any board that runs Linux 5.10 or later.
//!
//! The calls are single ioctls of a few microseconds, so they are made on the board's task. Lines are requested with their
//! safe level, so that nothing twitches while they become outputs, and are driven to it again before they are released.
//!
//! Inputs are requested with edge detection and the kernel's debouncing, so that an edge is an event at once, dated by the
//! kernel; the level is read now and then all the same. The kernel dates a debounced edge when the debouncing is over
//! (`debounce_work_func` in drivers/gpio/gpiolib-cdev.c), so its time is taken off again. A chip without interrupts is only
//! polled.
//! Source: Documentation/userspace-api/gpio/chardev.rst of the Linux kernel.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use gpiocdev::{
    Request,
    line::{Bias as LineBias, EdgeDetection, EdgeKind, Value, Values},
};
use tokio::{io::unix::AsyncFd, time::Instant};

use crate::{
    DeviceError,
    board::{Bus, Driver, Plan},
    config::{Bias, GpioCdevConfig},
};

/// Opens lines of one GPIO chip.
pub(crate) struct GpioCdev {
    pub(crate) config: GpioCdevConfig,
}

#[async_trait]
impl Driver for GpioCdev {
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        if !self.config.chip.exists() {
            let reason = "there is no such device file (the command gpiodetect lists the chips of this machine)";
            return Err(DeviceError::unreachable(&plan.device, "open the chip", reason, false));
        }
        let failed = |what: &str, error: gpiocdev::Error| {
            DeviceError::unreachable(&plan.device, &format!("request {what}"), error, false)
        };
        let mut outputs = HashMap::new();
        for line in &plan.outputs {
            let safe = value(line.electrical(line.safe));
            let mut wanted = Request::builder();
            wanted.on_chip(&self.config.chip).with_consumer("cardea").with_line(line.channel).as_output(safe);
            let request = wanted.request().map_err(|error| failed(&format!("the line of {:?}", line.id), error))?;
            outputs.insert(line.channel, OutputLine { request, safe });
        }
        let inputs = self.inputs(plan).map_err(|error| failed("the lines of its inputs", error))?;
        let channels = plan.inputs.iter().map(|line| line.channel).collect();
        let debounces = plan.inputs.iter().map(|line| line.debounce).collect();
        Ok(Box::new(CdevBus { device: plan.device.clone(), outputs, inputs, channels, debounces }))
    }
}

impl GpioCdev {
    fn inputs(&self, plan: &Plan) -> gpiocdev::Result<Inputs> {
        if plan.inputs.is_empty() {
            return Ok(Inputs::None);
        }
        let wanted = |edges: bool| {
            let mut wanted = Request::builder();
            wanted.on_chip(&self.config.chip).with_consumer("cardea");
            for line in &plan.inputs {
                let bias = match line.bias {
                    Bias::Off => LineBias::Disabled,
                    Bias::PullUp => LineBias::PullUp,
                    Bias::PullDown => LineBias::PullDown,
                };
                wanted.with_line(line.channel).as_input().with_bias(bias);
                if edges {
                    wanted.with_edge_detection(EdgeDetection::BothEdges);
                    if !line.debounce.is_zero() {
                        wanted.with_debounce_period(line.debounce);
                    }
                }
            }
            wanted.request()
        };
        match wanted(true) {
            Ok(request) => Ok(Inputs::Edges(watched(request)?)),
            Err(error) => {
                tracing::info!(device = %plan.device, %error, "no edge detection; its inputs are polled");
                Ok(Inputs::Polled(wanted(false)?))
            }
        }
    }
}

struct OutputLine {
    request: Request,
    safe: Value,
}

impl Drop for OutputLine {
    fn drop(&mut self) {
        // The chip may be gone; then there is nothing left to make safe.
        let _ = self.request.set_lone_value(self.safe);
    }
}

/// The input lines, all in one request, whose events keep their order.
enum Inputs {
    None,
    Polled(Request),
    Edges(AsyncFd<Request>),
}

struct CdevBus {
    device: String,
    outputs: HashMap<u32, OutputLine>,
    inputs: Inputs,
    /// Of the inputs, in the plan's order.
    channels: Vec<u32>,
    debounces: Vec<Duration>,
}

#[async_trait]
impl Bus for CdevBus {
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError> {
        let Some(line) = self.outputs.get(&channel) else {
            return Err(DeviceError::unsupported(&self.device, "write a line", "the line was not requested"));
        };
        line.request
            .set_lone_value(value(high))
            .map_err(|error| DeviceError::unreachable(&self.device, "write a line", error, true))
    }

    async fn changed(&mut self, levels: &mut [bool]) -> Result<Instant, DeviceError> {
        let Inputs::Edges(lines) = &self.inputs else { return std::future::pending().await };
        let failed =
            |error: &dyn std::fmt::Display| DeviceError::unreachable(&self.device, "wait for an edge", error, false);
        loop {
            let mut ready = lines.readable().await.map_err(|error| failed(&error))?;
            if !lines.get_ref().has_edge_event().map_err(|error| failed(&error))? {
                ready.clear_ready();
                continue;
            }
            let edge = lines.get_ref().read_edge_event().map_err(|error| failed(&error))?;
            if let Some(index) = self.channels.iter().position(|channel| *channel == edge.offset) {
                levels[index] = edge.kind == EdgeKind::Rising;
                return Ok(began(edge.timestamp_ns, self.debounces[index], now()));
            }
        }
    }

    fn debounced(&self) -> bool {
        matches!(self.inputs, Inputs::Edges(_))
    }

    async fn poll(&mut self, levels: &mut [bool]) -> Result<(), DeviceError> {
        let request = match &self.inputs {
            Inputs::None => return Ok(()),
            Inputs::Polled(request) => request,
            Inputs::Edges(request) => request.get_ref(),
        };
        let mut read = Values::from_offsets(&self.channels);
        request
            .values(&mut read)
            .map_err(|error| DeviceError::unreachable(&self.device, "read its lines", error, true))?;
        for (level, channel) in levels.iter_mut().zip(&self.channels) {
            *level = read.get(*channel) == Some(Value::Active);
        }
        Ok(())
    }
}

#[expect(deprecated, reason = "what replaces it is unsafe; a request keeps its file open for as long as it lives")]
pub(crate) fn watched(request: Request) -> std::io::Result<AsyncFd<Request>> {
    AsyncFd::new(request)
}

/// Now, by the kernel's monotonic clock and by tokio's.
fn now() -> (Duration, Instant) {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (Duration::new(clock.tv_sec.unsigned_abs(), clock.tv_nsec.unsigned_abs() as u32), Instant::now())
}

/// When a level began that the kernel, by its monotonic clock, lets count after it stayed for `debounce`; never in the future.
fn began(timestamp_ns: u64, debounce: Duration, (since_boot, now): (Duration, Instant)) -> Instant {
    let ago = since_boot.saturating_sub(Duration::from_nanos(timestamp_ns)) + debounce;
    now.checked_sub(ago).unwrap_or(now)
}

/// Lines are requested active-high, so the kernel's value is the electrical level.
fn value(high: bool) -> Value {
    if high { Value::Active } else { Value::Inactive }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_dated_by_the_kernels_clock_and_by_when_its_level_began() {
        let (hour, ms) = (Duration::from_hours(1), Duration::from_millis);
        let now = Instant::now() + hour;
        let at = |stamp: Duration, debounce| began(stamp.as_nanos() as u64, debounce, (hour, now));
        assert_eq!(at(hour.saturating_sub(ms(5)), Duration::ZERO), now - ms(5));
        assert_eq!(at(hour.saturating_sub(ms(5)), ms(20)), now - ms(25), "it had stayed for the time of debouncing");
        assert_eq!(at(hour + ms(5), Duration::ZERO), now, "from the future is now");
    }
}
