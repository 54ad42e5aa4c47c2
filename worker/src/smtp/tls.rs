//! Whom to trust, and what to say when the server can't be trusted.

use super::Settings;
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::sync::Arc;

/// The certificates to trust can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificates {
    /// Not PEM, or PEM without a certificate.
    #[error("no certificate in it; give one or more blocks of -----BEGIN CERTIFICATE-----")]
    NotPem,
    /// A certificate that can't be trusted at all.
    #[error("certificate {number} can't be used as an authority: {source}")]
    Unusable {
        /// Its number, from 1.
        number: usize,
        /// Why.
        source: rustls::Error,
    },
    /// The host is neither a name nor an address.
    #[error("\"{0}\" is not a host name")]
    NotAHost(String),
    /// TLS itself can't be set up.
    #[error("TLS can't be used: {0}")]
    Provider(rustls::Error),
}

/// The certificates in a PEM file, for [`Settings::extra_roots`].
///
/// # Errors
/// If there is none.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadCertificates> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(BadCertificates::NotPem)
}

/// What a connection needs to speak TLS with the server.
#[derive(Clone)]
pub(super) struct Trust {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Trust {
    pub(super) fn new(settings: &Settings) -> Result<Self, BadCertificates> {
        let name = ServerName::try_from(settings.host.clone())
            .map_err(|_| BadCertificates::NotAHost(settings.host.clone()))?;
        let mut roots = RootCertStore::empty();
        // Honours SSL_CERT_FILE and SSL_CERT_DIR. A system without any is fine: there may be extra roots.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for (index, certificate) in settings.extra_roots.iter().enumerate() {
            let unusable = |source| BadCertificates::Unusable { number: index + 1, source };
            roots.add(certificate.clone()).map_err(unusable)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(BadCertificates::Provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), name })
    }
}

/// An error of TLS as a sentence that says what to change.
pub(super) fn explain(error: &rustls::Error, host: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the certificate of {host} has expired: renew it on the server")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet: is this machine's clock right?")
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "the certificate of {host} is from an authority that is not known here: give the authority's certificate in smtp.ca"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate is not for {host}: set smtp.host to a name that it is for")
            }
            other => format!("the certificate of {host} is not accepted: {other}"),
        },
        rustls::Error::InvalidMessage(_) => {
            format!("{host} does not speak TLS on this port: check smtp.port and smtp.tls ({error})")
        }
        other => format!("TLS with {host} failed: {other}"),
    }
}
