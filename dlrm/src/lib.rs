//! DLRM.
