//! Certificates for tests: an authority of the test's own, and server certificates that are good or bad in one way.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A certificate authority made for one test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// A new authority with a new key.
    ///
    /// # Panics
    /// If the machine can't make keys.
    #[expect(clippy::new_without_default, reason = "it makes a key, which is not a default value")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has a name of its own, as real ones have.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Test authority {number}"));
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { root: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// The authority's own certificate.
    pub fn root(&self) -> CertificateDer<'static> {
        self.root.clone()
    }

    /// The same as PEM, as `smtp.ca` takes it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server with a certificate for the given names (host names or IP addresses).
    ///
    /// # Panics
    /// If a name is no name.
    pub fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.sign(Self::params(names))
    }

    /// A server whose certificate expired in 2001.
    pub fn expired_server(&self, names: &[&str]) -> Arc<ServerConfig> {
        let mut params = Self::params(names);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(params)
    }

    /// A server's key and certificate for the given names, one after the other as PEM.
    ///
    /// # Panics
    /// If a name is no name.
    pub fn server_pem(&self, names: &[&str]) -> String {
        let (key, certificate) = self.certify(Self::params(names));
        key.serialize_pem() + &certificate.pem()
    }

    /// A client's certificate and its key, each as PEM. `name` is its common name.
    ///
    /// # Panics
    /// If the machine can't make keys.
    pub fn client_pem(&self, name: &str) -> (String, String) {
        self.client(name, None)
    }

    /// The same with an organization, which Kubernetes takes for a group.
    ///
    /// # Panics
    /// If the machine can't make keys.
    pub fn client_pem_in_group(&self, name: &str, group: &str) -> (String, String) {
        self.client(name, Some(group))
    }

    fn client(&self, name: &str, group: Option<&str>) -> (String, String) {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let (key, certificate) = self.certify(params);
        (certificate.pem(), key.serialize_pem())
    }

    fn params(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "Test server");
        params
    }

    fn certify(&self, params: CertificateParams) -> (KeyPair, Certificate) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (key, certificate)
    }

    fn sign(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let (key, certificate) = self.certify(params);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a server configuration");
        Arc::new(config)
    }
}
