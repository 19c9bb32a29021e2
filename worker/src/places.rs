//! The devices that a worker computes on, opened.
//!
//! A worker is one class for its coordinator, so its devices are of one kind and compute the same
//! bits.

use whence_engine::{DeviceChoice, DeviceError, Place};
use whence_schemas::WorkerClass;

use crate::memory;

/// Devices of one numerics class, at least one.
#[derive(Debug, Clone)]
pub struct Places {
    all: Vec<Place>,
    /// Working memory of one computation on one of them, in bytes.
    memory: Option<u64>,
}

/// Why the devices cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// One of them cannot be used.
    #[error(transparent)]
    Unusable(#[from] DeviceError),
    /// They do not compute the same bits.
    #[error(
        "`{first}` and `{other}` do not compute the same bits, so one worker cannot use both; start \
         a worker for each"
    )]
    Mixed {
        /// Numerics class of the first device.
        first: String,
        /// Numerics class of another one.
        other: String,
    },
}

impl Places {
    /// Opens `devices`. A computation on one of them may take `allowed` bytes; half of what the device
    /// has free, if it is absent. Fails if a device cannot be used, or if they are of different
    /// numerics classes.
    pub fn open(devices: &[DeviceChoice], allowed: Option<u64>) -> Result<Self, PlacesError> {
        let opened = devices.iter().map(|&device| Place::open(device));
        let all = opened.collect::<Result<Vec<_>, _>>()?;
        let first = all.first().map(Place::numerics_class).unwrap_or_default();
        let classes = all.iter().map(Place::numerics_class);
        if let Some(other) = classes.into_iter().find(|class| *class != first) {
            return Err(PlacesError::Mixed { first, other });
        }
        let free = all.iter().filter_map(Place::free_memory).min();
        let half = free.map_or_else(memory::half_of_free, |free| Some(free / 2));
        Ok(Self {
            all,
            memory: allowed.or(half),
        })
    }

    /// Returns what a worker with these devices computes with.
    pub fn class(&self) -> WorkerClass {
        let first = self.first();
        WorkerClass {
            device: first.kind().to_owned(),
            numerics: first.numerics_class(),
            memory: self.memory,
        }
    }

    /// Returns the first device.
    pub fn first(&self) -> Place {
        self.all.first().cloned().unwrap_or_default()
    }

    /// Returns how many devices there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Returns the devices.
    pub(crate) fn into_all(self) -> Vec<Place> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(devices: &[DeviceChoice]) -> Result<Places, PlacesError> {
        Places::open(devices, None)
    }

    #[test]
    fn a_worker_is_of_the_class_of_its_devices() {
        let class = open(&[DeviceChoice::Emulated; 2]).unwrap().class();
        assert_eq!(class.device, "emulated");
        assert_eq!(class.numerics, "emulated");
        assert_eq!(class.memory, Some(2 << 30));
        let class = open(&[DeviceChoice::Cpu]).unwrap().class();
        assert_eq!(class.device, "cpu");
        assert_eq!(class.numerics, whence_engine::numerics_class());
    }

    #[test]
    fn devices_that_compute_other_bits_are_refused() {
        let mixed = open(&[DeviceChoice::Emulated, DeviceChoice::Cpu]).unwrap_err();
        let message = mixed.to_string();
        assert!(
            message.contains("`emulated` and `x86_64")
                || message.contains("`emulated` and `aarch64"),
            "{message}"
        );
    }

    #[test]
    fn a_gpu_that_is_not_there_is_named_with_the_next_step() {
        let message = open(&[DeviceChoice::Cuda(907)]).unwrap_err().to_string();
        assert!(message.contains("`cuda:907` cannot be used"), "{message}");
    }
}
