//! What every program says about itself.
