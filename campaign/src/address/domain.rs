//! Mail domains: host names in their ASCII form, and address literals.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MAX_OCTETS: usize = 253;
const MAX_LABEL_OCTETS: usize = 63;

/// A domain in its ASCII form (UTS 46, non-transitional: A-labels, lower case); none if it is not a host name (RFC 1123) of at least two labels.
pub fn ascii_domain(domain: &str) -> Option<String> {
    if is_plain(domain.as_bytes()) {
        return Some(domain.to_ascii_lowercase());
    }
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .ok()?;
    let labels = ascii.rsplit_once('.')?;
    // A last label of digits only would make it an IPv4 address (RFC 3696 §2).
    (!labels.1.bytes().all(|byte| byte.is_ascii_digit())).then(|| ascii.into_owned())
}

/// Whether it is a host name of at least two labels, in ASCII and with no A-label, whose validity only IDNA can tell.
pub(super) fn is_plain(domain: &[u8]) -> bool {
    if domain.len() > MAX_OCTETS {
        return false;
    }
    let (mut labels, mut digits_only) = (0, false);
    for label in domain.split(|byte| *byte == b'.') {
        let is_label = label.len() <= MAX_LABEL_OCTETS
            && label.first().is_some_and(u8::is_ascii_alphanumeric)
            && label.last().is_some_and(u8::is_ascii_alphanumeric)
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && !label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"xn--"));
        if !is_label {
            return false;
        }
        (labels, digits_only) = (labels + 1, label.iter().all(u8::is_ascii_digit));
    }
    labels >= 2 && !digits_only
}

/// An address literal (RFC 5321 §4.1.3): `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
pub(super) fn literal(domain: &str) -> Option<String> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let address = match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => IpAddr::V6(inner[5..].parse::<Ipv6Addr>().ok()?),
        _ => IpAddr::V4(inner.parse::<Ipv4Addr>().ok()?),
    };
    Some(match address {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    })
}
