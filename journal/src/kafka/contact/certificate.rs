//! Why a broker's certificate is not trusted. librdkafka only says that it isn't, so the broker is asked for it once more. Nothing is sent to it.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A broker that doesn't show its certificate by then is not asked further.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is wrong with the certificate of `host:port`, as the rest of a sentence that begins with it.
pub(super) fn fault(broker: &str, ca: Option<&Path>) -> Option<String> {
    let (host, _) = broker.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match shake_hands(broker, host, ca).err()? {
        rustls::Error::InvalidCertificate(why) => sentence(&why, host),
        _ => None,
    }
}

fn sentence(why: &CertificateError, host: &str) -> Option<String> {
    Some(match why {
        CertificateError::UnknownIssuer => {
            "is of an authority that is not trusted: give that authority's certificate with --kafka-ca".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired: it must be renewed at the broker".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: are the clocks right?".to_owned()
        }
        CertificateError::NotValidForName => {
            format!("is not for the name {host}: reach the broker by a name that it is for")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            // `DnsName("a.example.com")`
            let names: Vec<&str> = presented.iter().filter_map(|name| name.split('"').nth(1)).collect();
            let names = names.join(", ");
            format!("is not for the name {host}, but for {names}: reach the broker by such a name")
        }
        CertificateError::Revoked => "was revoked".to_owned(),
        CertificateError::UnknownRevocationStatus | CertificateError::ApplicationVerificationFailure => return None,
        other => format!("can't be used ({other})"),
    })
}

fn shake_hands(broker: &str, host: &str, ca: Option<&Path>) -> Result<(), rustls::Error> {
    let failed = |error: io::Error| rustls::Error::General(error.to_string());
    let name = ServerName::try_from(host.to_owned()).map_err(|error| rustls::Error::General(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca))
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut addresses = broker.to_socket_addrs().map_err(failed)?;
    let stream = addresses.find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok());
    let mut stream = stream.ok_or_else(|| failed(io::ErrorKind::NotConnected.into()))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    while client.is_handshaking() {
        if client.wants_write() {
            client.write_tls(&mut stream).map_err(failed)?;
        } else if client.read_tls(&mut stream).map_err(failed)? == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        } else {
            client.process_new_packets()?;
        }
    }
    Ok(())
}

/// The authorities of the file, or those of the system. What can't be read is not there: librdkafka has complained about it.
fn roots(ca: Option<&Path>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let found = CertificateDer::pem_file_iter(path).into_iter().flatten().flatten();
            roots.add_parsable_certificates(found);
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    roots
}
