//! Where a model computes: in main memory, or on a device.

use std::fmt;
use std::str::FromStr;
use std::sync::Once;

use tracing::{info, warn};

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
    /// The first GPU if one can be used, else the processor.
    Auto,
    /// The tests' own device, which runs a device's kernels in main memory.
    Emulated,
}

/// A text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a device; use `cpu`, `cuda`, `cuda:1` or `auto`")]
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
            ("auto", _) => Ok(Self::Auto),
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
            Self::Auto => f.write_str("auto"),
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
            DeviceChoice::Auto => return Ok(Self::first()),
            DeviceChoice::Cuda(number) => Cuda::open(number).map(Device::new),
            DeviceChoice::Emulated => emulated(),
        };
        if let (DeviceChoice::Cuda(_), Ok(_)) = (device, &opened) {
            tell_untried();
        }
        let place = opened.map(|device| Self(Some(device)));
        place.map_err(|error| DeviceError {
            device,
            reason: error.to_string(),
        })
    }

    /// Returns the first GPU if one can be used, else main memory.
    fn first() -> Self {
        match Self::open(DeviceChoice::Cuda(0)) {
            Ok(place) => place,
            Err(error) => {
                info!(reason = %error, "computing on the processor");
                Self::memory()
            }
        }
    }

    /// Returns the device that tests compare with main memory: the emulated one, or what
    /// `WHENCE_TEST_DEVICE` names, such as `cuda`.
    #[cfg(test)]
    pub(crate) fn under_test() -> Self {
        static PLACE: std::sync::OnceLock<Place> = std::sync::OnceLock::new();
        let open = || {
            let name = std::env::var("WHENCE_TEST_DEVICE");
            let device = name.map_or(Ok(DeviceChoice::Emulated), |name| name.parse());
            Self::open(device.expect("WHENCE_TEST_DEVICE names a device")).expect("it can be used")
        };
        PLACE.get_or_init(open).clone()
    }

    /// Opens a device of the tests with `capacity` bytes of memory.
    #[cfg(test)]
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let device = Emulated::open(capacity).expect("tests have a C++ compiler");
        Self(Some(Device::new(device)))
    }

    /// Returns whether this is the main memory, where the processor computes.
    pub fn is_memory(&self) -> bool {
        self.0.is_none()
    }

    /// Returns what a job asks for that wants such a device: `cpu` or `cuda`.
    pub fn kind(&self) -> &'static str {
        self.0.as_ref().map_or("cpu", Device::kind)
    }

    /// Returns the free bytes of the device's own memory. `None` for main memory, which the operating
    /// system knows about.
    pub fn free_memory(&self) -> Option<u64> {
        let free = self.0.as_ref()?.free_memory();
        free.inspect_err(|error| warn!(%error, "the device does not tell its free memory"))
            .ok()
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

/// Tells once that the numbers of a GPU were never compared with anything.
fn tell_untried() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        warn!(
            "GPUs are new: no GPU was at hand when whence was tested, only an emulated one; compare \
             some examples with `--device cpu` before you rely on the numbers"
        );
    });
}

#[cfg(any(test, feature = "emulated"))]
fn emulated() -> std::result::Result<Device, DriverError> {
    /// As much as a small GPU has.
    const CAPACITY: usize = 4 << 30;
    Emulated::open(CAPACITY).map(Device::new)
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
    use candle_core::DType;

    use super::*;
    use crate::error::FullDevice;
    use crate::kernels::host;

    #[test]
    fn a_choice_is_read_as_it_is_written() {
        let choices = [
            (DeviceChoice::Cpu, "cpu"),
            (DeviceChoice::Cuda(3), "cuda:3"),
            (DeviceChoice::Auto, "auto"),
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
    fn a_device_counts_what_is_reserved_of_its_memory() {
        let place = Place::with_capacity(100);
        let put = |count: usize| place.put(&host::zeros(count, DType::F64).unwrap());
        let kept = put(4).unwrap();
        assert_eq!(place.free_memory(), Some(100 - 32));
        let full = put(9).unwrap_err();
        assert_eq!(FullDevice::find(&full).map(|full| full.bytes), Some(72));
        drop(kept);
        assert_eq!(place.free_memory(), Some(100));
        assert!(put(9).is_ok());
        assert_eq!(Place::memory().free_memory(), None);
    }

    #[test]
    fn each_place_has_a_class_of_its_own() {
        let emulated = Place::open(DeviceChoice::Emulated).unwrap();
        assert_eq!(emulated.numerics_class(), "emulated");
        let memory = Place::open(DeviceChoice::Cpu).unwrap();
        assert!(memory.numerics_class().starts_with(std::env::consts::ARCH));
    }
}
