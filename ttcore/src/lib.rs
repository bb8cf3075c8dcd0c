//! TT-Rec core.
