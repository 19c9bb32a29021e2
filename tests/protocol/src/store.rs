//! The object store: what it holds, and requests that may still reach it.
//!
//! A request to create an object can be carried out long after its author gave up or died. It can also
//! get lost: then its place among the late requests is simply never used. So a lost request, a lost
//! answer and a late one need no rules of their own.

use std::collections::BTreeSet;

use crate::mutant::Mutant;
use crate::plan::{PerSlot, Plan, Slot};

/// What kind of object a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The results of all rows of the slot.
    Rows,
    /// An error row, in a slot of a single row.
    ErrorRow,
    /// No rows: they are in the slot's halves, now or later.
    Tombstone,
}

/// A set of kinds. Two requests for the same object are as good as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Kinds(u8);

impl Kinds {
    fn insert(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    fn remove(&mut self, kind: Kind) {
        self.0 &= !(1 << kind as u8);
    }

    fn iter(self) -> impl Iterator<Item = Kind> {
        let kinds = [Kind::Rows, Kind::ErrorRow, Kind::Tombstone];
        let is_in = move |kind: &Kind| self.0 & (1 << *kind as u8) != 0;
        kinds.into_iter().filter(is_in)
    }
}

/// What each slot holds, in a listing, in a manifest, or as far as somebody knows.
pub type Listing = PerSlot<Option<Kind>>;

/// A request to create an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Put {
    /// The slot.
    pub slot: Slot,
    /// The kind of object.
    pub kind: Kind,
}

/// An object in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    /// Its kind, which its footer says.
    pub kind: Kind,
    /// Whether its bytes are not those that were written. Only reading all of them shows it.
    pub is_damaged: bool,
}

/// The store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Store {
    objects: PerSlot<Option<Object>>,
    /// Objects with rows under other names than the slot's. Only [`Mutant::NamesByAttempt`] makes them.
    beside: PerSlot<u8>,
    /// Requests whose authors no longer wait.
    late: PerSlot<Kinds>,
    /// The manifest, once the job is sealed.
    manifest: Option<Listing>,
    /// Manifests whose authors no longer wait.
    late_manifests: BTreeSet<Listing>,
}

impl Store {
    /// Creates an object unless the slot holds one. Returns what the slot then holds.
    pub fn create(&mut self, put: Put, mutant: Option<Mutant>) -> Kind {
        if mutant == Some(Mutant::NamesByAttempt) && put.kind == Kind::Rows {
            // Two are enough to see that there may be too many.
            self.beside[put.slot] = 2.min(self.beside[put.slot] + 1);
            return Kind::Rows;
        }
        let is_free = self.objects[put.slot].is_none() || mutant == Some(Mutant::Overwrites);
        if is_free {
            self.objects[put.slot] = Some(Object {
                kind: put.kind,
                is_damaged: false,
            });
        }
        self.kind(put.slot).unwrap_or(put.kind)
    }

    /// Creates the manifest unless there is one.
    pub fn seal(&mut self, manifest: Listing) {
        self.manifest.get_or_insert(manifest);
        // None of those that come later can replace it.
        self.late_manifests.clear();
    }

    /// Keeps a request whose author no longer waits.
    pub fn keep_late(&mut self, put: Put) {
        self.late[put.slot].insert(put.kind);
    }

    /// Keeps a manifest whose author no longer waits.
    pub fn keep_late_manifest(&mut self, manifest: Listing) {
        if self.manifest.is_none() {
            self.late_manifests.insert(manifest);
        }
    }

    /// Forgets late requests for a slot.
    pub fn forget_late(&mut self, slot: Slot) {
        self.late[slot] = Kinds::default();
    }

    /// Carries out a late request.
    pub fn create_late(&mut self, put: Put, mutant: Option<Mutant>) {
        self.late[put.slot].remove(put.kind);
        self.create(put, mutant);
    }

    /// Damages the object in a slot.
    pub fn damage(&mut self, slot: Slot) {
        if let Some(object) = &mut self.objects[slot] {
            object.is_damaged = true;
        }
    }

    /// Deletes the object in a slot, as only a person does.
    pub fn delete(&mut self, slot: Slot) {
        self.objects[slot] = None;
    }

    /// Returns the kinds of objects for a slot whose authors no longer wait.
    pub fn late(&self, slot: Slot) -> impl Iterator<Item = Kind> + use<> {
        self.late[slot].iter()
    }

    /// Returns the manifests whose authors no longer wait.
    pub fn late_manifests(&self) -> impl Iterator<Item = Listing> {
        self.late_manifests.iter().copied()
    }

    /// Returns the manifest, once the job is sealed.
    pub fn manifest(&self) -> Option<Listing> {
        self.manifest
    }

    /// Returns the object in a slot.
    pub fn object(&self, slot: Slot) -> Option<Object> {
        self.objects[slot]
    }

    /// Returns the kind of what the listing has for a slot, as its footer says.
    pub fn kind(&self, slot: Slot) -> Option<Kind> {
        let beside = (self.beside[slot] > 0).then_some(Kind::Rows);
        self.objects[slot].map(|object| object.kind).or(beside)
    }

    /// Returns what a listing of the table shows.
    pub fn listing(&self, plan: &Plan) -> Listing {
        let mut listing = Listing::default();
        for slot in plan.slots() {
            listing[slot] = self.kind(slot);
        }
        listing
    }

    /// Returns how many objects hold the rows of exactly this slot.
    pub fn num_with_rows(&self, slot: Slot) -> usize {
        let own = self.objects[slot].is_some_and(|object| object.kind != Kind::Tombstone);
        usize::from(own) + usize::from(self.beside[slot])
    }

    /// Returns whether the table is what `manifest` lists: no object more or less, and none of another
    /// kind.
    pub fn is_listed_by(&self, plan: &Plan, manifest: Listing) -> bool {
        plan.slots().all(|slot| {
            let num_objects =
                usize::from(self.objects[slot].is_some()) + usize::from(self.beside[slot]);
            self.kind(slot) == manifest[slot] && num_objects <= 1
        })
    }
}

/// Returns whether every row of the plan is in an object, as far as `known` says.
pub fn is_complete(plan: &Plan, known: Listing) -> bool {
    plan.shards().all(|slot| is_filled(plan, known, slot))
}

fn is_filled(plan: &Plan, known: Listing, slot: Slot) -> bool {
    match (known[slot], plan.halves(slot)) {
        (None, _) | (Some(Kind::Tombstone), None) => false,
        (Some(Kind::Tombstone), Some(halves)) => {
            halves.into_iter().all(|half| is_filled(plan, known, half))
        }
        (Some(Kind::Rows | Kind::ErrorRow), _) => true,
    }
}
