//! Where a model computes: in main memory, or on a device.

use std::fmt;
use std::str::FromStr;

use super::cpu::gemm::Instructions;
use super::device::Device;
use super::driver::DriverError;
use super::driver::cuda::Cuda;
#[cfg(any(test, feature = "emulated"))]
use super::driver::emulated::Emulated;
use super::tensor::Tensor;
use crate::error::Result;

/// What a person asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The processor, with main memory.
    #[default]
    Cpu,
    /// The GPU of Nvidia with this number.
    Cuda(usize),
    /// The tests' own device, which runs a device's kernels in main memory.
    Emulated,
}

/// A text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a device; use `cpu`, `cuda` or `cuda:1`")]
pub struct UnknownDevice {
    text: String,
}

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownDevice> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        match (text, number) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            ("emulated", _) => Ok(Self::Emulated),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err(UnknownDevice {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Emulated => f.write_str("emulated"),
        }
    }
}

/// A device that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the device `{device}` cannot be used: {reason}")]
pub struct DeviceError {
    device: DeviceChoice,
    reason: String,
}

/// Where a model's numbers lie, and so where it computes. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Place(Option<Device>);

impl Place {
    /// Returns the main memory of this machine.
    pub fn memory() -> Self {
        Self(None)
    }

    /// Opens the device that a person asks for. Fails if it cannot be used.
    pub fn open(device: DeviceChoice) -> std::result::Result<Self, DeviceError> {
        let opened = match device {
            DeviceChoice::Cpu => return Ok(Self::memory()),
            DeviceChoice::Cuda(number) => Cuda::open(number).map(Device::new),
            DeviceChoice::Emulated => emulated(),
        };
        let place = opened.map(|device| Self(Some(device)));
        place.map_err(|error| DeviceError {
            device,
            reason: error.to_string(),
        })
    }

    /// Returns the numerics class of this place: workers of one class compute the same bits.
    ///
    /// In main memory, how a sum is cut depends on the width of the registers alone, so processors
    /// with the same instructions are of one class, and others need not agree in the last bit. On a
    /// device it depends on the kind of device.
    pub fn numerics_class(&self) -> String {
        match &self.0 {
            None => {
                let instructions = Instructions::best().name();
                format!("{}-{instructions}", std::env::consts::ARCH)
            }
            Some(device) => device.class(),
        }
    }

    /// Returns the same numbers here.
    pub(crate) fn put(&self, tensor: &Tensor) -> Result<Tensor> {
        match &self.0 {
            None => tensor.in_memory(),
            Some(device) => tensor.on(device).map(Tensor::from),
        }
    }
}

#[cfg(any(test, feature = "emulated"))]
fn emulated() -> std::result::Result<Device, DriverError> {
    Emulated::open().map(Device::new)
}

#[cfg(not(any(test, feature = "emulated")))]
fn emulated() -> std::result::Result<Device, DriverError> {
    Err(DriverError::Unusable {
        name: "emulated".to_owned(),
        reason: "it is for tests, and this program was built without it".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_is_written() {
        let choices = [
            (DeviceChoice::Cpu, "cpu"),
            (DeviceChoice::Cuda(3), "cuda:3"),
            (DeviceChoice::Emulated, "emulated"),
        ];
        for (choice, text) in choices {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:-1", ""] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_place_has_a_class_of_its_own() {
        let emulated = Place::open(DeviceChoice::Emulated).unwrap();
        assert_eq!(emulated.numerics_class(), "emulated");
        let memory = Place::open(DeviceChoice::Cpu).unwrap();
        assert!(memory.numerics_class().starts_with(std::env::consts::ARCH));
    }
}
