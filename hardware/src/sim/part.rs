//! The parts of the site that can break, and the servers they answer through: the table that everything else goes by.
//!
//! A part has a name, a fault switch, and what the world can do to it. The control API and scene files reach it by name
//! alone, so a part that is added here is in both at once:
//!
//! 1. a file beside this one, with a type that implements [`Part`] and a `start` like those of `modbus.rs`, which adds its
//!    parts and its servers to [`Parts`];
//! 2. a line for it in [`Parts::start`];
//! 3. where it needs settings, a field of `SimConfig`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{
    SimConfig, SimError, World, anpr, cameras,
    fault::{Fault, FaultSwitch},
    lcus, line_reader, modbus, rtsp, rtu, wiegand,
};

/// Something with a wire of its own that can break.
pub(super) trait Part: Send + Sync {
    /// Its name among the parts.
    fn name(&self) -> &str;

    /// Its fault.
    fn fault(&self) -> &FaultSwitch;

    /// The faults it knows besides `none`, by [`Fault::name`]; others are refused.
    fn faults(&self) -> &'static [&'static str];

    /// What the world can do to it, by name: `PUT /parts/{name}/{action}`.
    fn actions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Does one of [`Part::actions`]. A body that is not understood is [`SimError::Action`], and nothing is done.
    fn act(&self, action: &str, _body: Value) -> Result<(), SimError> {
        Err(self.unknown_action(action))
    }

    /// The error for an action that is not among [`Part::actions`].
    fn unknown_action(&self, action: &str) -> SimError {
        let known = self.actions().join(", ");
        SimError::UnknownAction { part: self.name().into(), action: action.into(), known }
    }
}

/// A part as the control API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    /// Its fault.
    pub fault: Fault,
    /// The faults it knows besides `none`.
    pub faults: Vec<String>,
    /// What can be done to it: `PUT /parts/{name}/{action}`.
    pub actions: Vec<String>,
}

/// Every part, every server, and where the servers answer.
#[derive(Default)]
pub(super) struct Parts {
    parts: BTreeMap<String, Arc<dyn Part>>,
    addresses: BTreeMap<String, String>,
    tasks: Vec<JoinHandle<()>>,
}

impl Parts {
    /// Starts everything there is: one line for each file with parts.
    pub(super) async fn start(config: &SimConfig, world: &Arc<World>) -> Result<Self, SimError> {
        let mut parts = Self::default();
        modbus::start(config, world, &mut parts).await?;
        rtu::start(config, world, &mut parts)?;
        lcus::start(config, world, &mut parts)?;
        line_reader::start(config, world, &mut parts)?;
        wiegand::start(config, world, &mut parts)?;
        cameras::start(config, world, &mut parts).await?;
        rtsp::start(config, world, &mut parts).await?;
        anpr::start(config, world, &mut parts).await?;
        Ok(parts)
    }

    /// Adds a part.
    pub(super) fn add(&mut self, part: Arc<dyn Part>) {
        self.parts.insert(part.name().into(), part);
    }

    /// Adds a server: the key and the address that `cardea-sim` prints (`host:port`, a URL, or the path of a terminal), and
    /// the task that ends with [`World::shutdown`].
    pub(super) fn serve(&mut self, key: &str, address: String, task: JoinHandle<()>) {
        self.addresses.insert(key.into(), address);
        self.tasks.push(task);
    }

    /// The servers' tasks, to be waited for.
    pub(super) fn take_tasks(&mut self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.tasks)
    }

    /// Where each server answers.
    pub(super) fn addresses(&self) -> &BTreeMap<String, String> {
        &self.addresses
    }

    /// The part of that name.
    pub(super) fn get(&self, name: &str) -> Result<&dyn Part, SimError> {
        let known = || self.parts.keys().cloned().collect::<Vec<_>>().join(", ");
        let part = self.parts.get(name).map(AsRef::as_ref);
        part.ok_or_else(|| SimError::UnknownPart { name: name.into(), known: known() })
    }

    /// Switches the fault of a part.
    pub(super) fn set_fault(&self, name: &str, fault: Fault) -> Result<(), SimError> {
        self.knows(name, fault)?.fault().set(fault);
        Ok(())
    }

    /// The part, if it knows the fault.
    pub(super) fn knows(&self, name: &str, fault: Fault) -> Result<&dyn Part, SimError> {
        let part = self.get(name)?;
        let known = part.faults();
        if fault != Fault::None && !known.contains(&fault.name()) {
            let (part, fault, known) = (name.into(), fault.name().into(), known.join(", "));
            return Err(SimError::UnknownFault { part, fault, known });
        }
        Ok(part)
    }

    /// Every part with its fault.
    pub(super) fn faults(&self) -> BTreeMap<String, Fault> {
        self.parts.iter().map(|(name, part)| (name.clone(), part.fault().get())).collect()
    }

    /// Every part as the control API shows it.
    pub(super) fn states(&self) -> BTreeMap<String, PartState> {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let state = |part: &dyn Part| PartState {
            fault: part.fault().get(),
            faults: names(part.faults()),
            actions: names(part.actions()),
        };
        self.parts.iter().map(|(name, part)| (name.clone(), state(part.as_ref()))).collect()
    }
}
