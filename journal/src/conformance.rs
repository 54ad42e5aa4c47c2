//! The traits as tests.
