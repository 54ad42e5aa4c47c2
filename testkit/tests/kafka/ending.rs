//! Nothing is left, however the test's process ends.
