//! The objects of jobs that had ended before this coordinator started; see `looking_up`.

use std::sync::Mutex;

use whence_schemas::JobId;

use crate::durable::recover::Objects;

/// The objects of the ended jobs that were not read so far.
#[derive(Debug, Default)]
pub(crate) struct Archive(Mutex<Objects>);

impl Archive {
    /// Makes an archive of these jobs.
    pub(crate) fn new(ended: Objects) -> Self {
        Self(Mutex::new(ended))
    }

    /// Returns the objects of a job; of none if it is not in the archive.
    pub(crate) fn get(&self, id: &JobId) -> Objects {
        let objects = self.0.lock().expect("no holder of the archive panics");
        let found = objects.get_key_value(id);
        let found = found.map(|(id, objects)| (id.clone(), objects.clone()));
        found.into_iter().collect()
    }

    /// Returns the objects of all jobs in the archive.
    pub(crate) fn all(&self) -> Objects {
        let objects = self.0.lock().expect("no holder of the archive panics");
        objects.clone()
    }

    /// Takes jobs out of the archive.
    pub(crate) fn remove<'i>(&self, ids: impl Iterator<Item = &'i JobId>) {
        let mut objects = self.0.lock().expect("no holder of the archive panics");
        for id in ids {
            objects.remove(id);
        }
    }
}
