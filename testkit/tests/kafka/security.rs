//! TLS, logins and rights.
