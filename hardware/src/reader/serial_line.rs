//! Line readers on a serial or USB line: QR and barcode scanners, and card readers that behave like one.

use std::time::Duration;

use async_trait::async_trait;
use tokio::{
    io::AsyncReadExt as _,
    time::{Instant, timeout},
};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _};
use zeroize::Zeroizing;

use super::{
    Publisher, Source,
    line::{LineDecoder, LineRules},
};
use crate::DeviceError;

/// One reader on one device file.
pub(crate) struct SerialLine {
    pub(crate) path: std::path::PathBuf,
    pub(crate) baud: u32,
    pub(crate) rules: LineRules,
    /// How long a line may take.
    pub(crate) within: Duration,
}

#[async_trait]
impl Source for SerialLine {
    async fn serve(&self, publisher: &mut Publisher) -> DeviceError {
        self.follow(publisher).await.err().unwrap_or_else(|| {
            DeviceError::unreachable(publisher.device(), "listen to it", "the adapter is gone", false)
        })
    }
}

impl SerialLine {
    /// Ends without an error when the other side hangs up.
    async fn follow(&self, publisher: &mut Publisher) -> Result<(), DeviceError> {
        let device = publisher.device().to_owned();
        let lost = |error: &dyn std::fmt::Display| DeviceError::unreachable(&device, "listen to it", error, false);
        let opened = tokio_serial::new(self.path.to_string_lossy(), self.baud).open_native_async();
        let mut port =
            opened.map_err(|error| DeviceError::unreachable(&device, "open the serial port", error, false))?;
        // What was scanned while nobody listened is nobody's business any more.
        port.clear(ClearBuffer::Input).map_err(|error| lost(&error))?;
        publisher.up();
        let mut decoder = LineDecoder::new(self.rules.clone());
        let mut began = Instant::now();
        let mut chunk = Zeroizing::new([0; 256]);
        loop {
            let read = if decoder.under_way() {
                match timeout(self.within.saturating_sub(began.elapsed()), port.read(&mut *chunk)).await {
                    Ok(read) => read,
                    Err(_) => {
                        if let Some(partial) = decoder.silence() {
                            publisher.refused(partial);
                        }
                        continue;
                    }
                }
            } else {
                port.read(&mut *chunk).await
            };
            let count = read.map_err(|error| lost(&error))?;
            if count == 0 {
                return Ok(());
            }
            let now = Instant::now();
            for byte in &chunk[..count] {
                if !decoder.under_way() {
                    began = now;
                }
                match decoder.byte(*byte) {
                    Some(Ok(number)) => publisher.read(number, began),
                    Some(Err(refused)) => publisher.refused(refused),
                    None => {}
                }
            }
        }
    }
}
