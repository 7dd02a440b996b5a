//! Relays, locks, inputs, cameras and card readers: what a controller can switch, sense and see.
//!
//! There is one trait per kind of thing ([`Output`], [`Input`], [`Camera`], [`Reader`]) and one file per driver. A daemon never
//! meets a driver: it opens a [`Hardware`] from configuration and uses the logical names in it.
//!
//! ```text
//! HardwareConfig --open--> Hardware { outputs, inputs, cameras, readers } one task per board:
//!                                      |                                  connect -> safe state -> poll, pulse, poll …
//!                                      +-- Output::pulse --command------> |  lost: inputs unknown, outputs unknown,
//!                                      +-- Input::watch  <--readings----- |  reconnect with backoff, safe state first
//! ```
//!
//! # The rules every driver keeps
//! * **A late pulse is worse than none.** A command carries a deadline. A board that is down refuses at once; a command
//!   that was not sent by its deadline is an error and is never retried, queued or replayed.
//! * **Outputs have a safe state.** It is written before anything else whenever a connection is made (so a pulse that a
//!   lost connection left standing ends there), and again on shutdown.
//! * **A pulse ends by itself.** The board's task owns the end of a pulse; the caller may be cancelled at any time. Boards that
//!   can time a pulse themselves are told to, so that it ends even without this program.
//! * **Unknown is a value.** Inputs of a board that is not reachable read as unknown, never as their last level.
//!
//! # Adding a driver
//! For a board, implement the two small traits in `board/mod.rs` (`Driver` connects, `Bus` writes one output and reads the
//! inputs) in a file of its own, add its keys to [`config::BoardConfig`] and one arm to `site.rs`. Timeouts, pulses,
//! debouncing, safe states and health come from the board's task. For a camera, implement
//! [`Camera`] in a file under `camera/`, over its `Feed`; for one that reads plates itself, a reader under `anpr/`. For a card reader, see
//! [`reader`].
//!
//! The simulated site ([`sim`], program `cardea-sim`) speaks the real protocols, so the drivers are tested as they run.

pub mod anpr;
pub mod camera;
pub mod config;
pub mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod input;
pub mod output;
pub mod reader;
pub mod sim;

mod board;
mod gpio_cdev;
mod gpio_rppal;
mod http_camera;
mod mjpeg;
mod modbus;
mod serial;
mod site;

pub use anpr::{Course, Dated, PlateCamera, PlateEvent};
pub use camera::{Camera, Frame, ImageKind};
pub use config::HardwareConfig;
pub use error::{ConfigError, DeviceError};
pub use health::Health;
pub use input::{Input, Reading};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use modbus::fuzzing as fuzzing_boards;
pub use output::{Actuated, Output};
pub use reader::{Answer, CardNumber, Read, Reader, Reads};
pub use site::{Hardware, make_safe};
