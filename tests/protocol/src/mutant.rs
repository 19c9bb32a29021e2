//! Deliberate mistakes. Each breaks one rule of the protocol, and a test shows that the check finds it.
//!
//! A model that finds no mistake in the protocol says little until it is known to find mistakes.

/// A mistake that an implementation could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The store replaces an object instead of refusing to create it twice.
    Overwrites,
    /// The names of objects with rows contain the attempt, so each attempt creates its own.
    NamesByAttempt,
    /// A coordinator splits a slot in its memory and writes no tombstone.
    SplitsInMemory,
    /// A coordinator leases the halves of a slot while it still waits for the tombstone to be
    /// acknowledged.
    LeasesHalvesEarly,
    /// An attempt fills the halves of a slot while it still waits for its tombstone to be acknowledged.
    PublishesHalvesEarly,
    /// A coordinator whose tombstone was refused goes on with the halves, without a look at what is in
    /// the slot.
    TakesRefusalForSplit,
    /// An attempt whose object was refused reports a commit, and its process believes it without a look
    /// at the slot.
    TakesRefusalForCommit,
    /// An attempt that got no answer reports a commit, and its process believes it.
    TakesSilenceForCommit,
    /// A process seals a job once each shard's slot holds an object, even if that is a tombstone.
    SealsWithoutHalves,
    /// A process seals once the table is complete, with the manifest of an earlier listing.
    SealsFromOldListing,
    /// A process seals without reading the objects.
    SealsUnread,
    /// A process that reads an object compares its digest, but not whether it is of the kind that the
    /// process saw before.
    ReadsWithoutKind,
    /// The halves of a slot are left to the attempt that split it.
    LeavesHalvesToTheirAuthor,
    /// A person deletes a damaged tombstone, as if it were a file with rows. Its slot looks empty until
    /// somebody creates the tombstone again, although the halves may be filled.
    DeletesTombstones,
}
