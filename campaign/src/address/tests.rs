//! Tables and laws for addresses.

use super::*;
use proptest::prelude::*;

#[test]
fn addresses_of_all_kinds_are_read() {
    let cases = [
        ("ann@example.com", "ann@example.com"),
        ("  ann@example.com ", "ann@example.com"),
        ("\u{a0}ann@example.com\u{200b}\u{feff}", "ann@example.com"),
        ("Ann.Lee+offers@EXAMPLE.Com", "Ann.Lee+offers@example.com"),
        ("o'neil/!#$%&*=?^_`{|}~-@a.example.co", "o'neil/!#$%&*=?^_`{|}~-@a.example.co"),
        ("\"ann lee\"@example.com", "\"ann lee\"@example.com"),
        ("\"a@b\"@example.com", "\"a@b\"@example.com"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@straße.example", "ann@xn--strae-oqa.example"),
        ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"),
        ("ünï@exämple.org", "ünï@xn--exmple-cua.org"),
        ("ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("ann@a--b.example.com", "ann@a--b.example.com"),
        ("ann@1.example.com", "ann@1.example.com"),
        ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
        ("ann@[IPv6:2001:DB8::1]", "ann@[IPv6:2001:db8::1]"),
    ];
    for (text, wanted) in cases {
        let address = EmailAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.to_string(), wanted, "{text}");
        assert_eq!(format!("{}@{}", address.local(), address.ascii_domain()), wanted, "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused_with_its_reason() {
    type Reason = fn(String) -> AddressError;
    let cases: [(&str, Reason); 33] = [
        ("", |_| AddressError::Empty),
        ("  ", |_| AddressError::Empty),
        ("ann", AddressError::NoAt),
        ("ann.example.com", AddressError::NoAt),
        ("a@b@example.com", AddressError::Ats),
        ("@example.com", AddressError::Local),
        (".ann@example.com", AddressError::Local),
        ("ann.@example.com", AddressError::Local),
        ("ann..lee@example.com", AddressError::Local),
        ("ann lee@example.com", AddressError::Local),
        ("mailto:ann@example.com", AddressError::Local),
        ("ann\u{200b}lee@example.com", AddressError::Local),
        ("ann\u{202e}@example.com", AddressError::Local),
        ("\"ann@example.com", AddressError::Local),
        ("\"an\"n\"@example.com", AddressError::Local),
        ("\"@example.com", AddressError::Local),
        ("ann@", AddressError::Domain),
        ("ann@localhost", AddressError::Domain),
        ("ann@example..com", AddressError::Domain),
        ("ann@example.com.", AddressError::Domain),
        ("ann@-example.com", AddressError::Domain),
        ("ann@example-.com", AddressError::Domain),
        ("ann@exam_ple.com", AddressError::Domain),
        ("ann@exam ple.com", AddressError::Domain),
        ("ann@192.0.2.1", AddressError::Domain),
        ("ann@[192.0.2.300]", AddressError::Domain),
        ("ann@xn--a.com", AddressError::Domain),
        ("Ann Lee <ann@example.com>", AddressError::Name),
        ("<ann@example.com>", AddressError::Name),
        ("ann(home)@example.com", AddressError::Comment),
        ("ann@example.com, bob@example.com", AddressError::Several),
        ("ann@example.com;bob@example.com", AddressError::Several),
        ("ann@example.com bob@example.com", AddressError::Several),
    ];
    for (text, reason) in cases {
        assert_eq!(EmailAddress::parse(text), Err(reason(text.to_owned())), "{text}");
    }
}

#[test]
fn line_breaks_and_control_characters_are_refused_everywhere_and_not_repeated() {
    for text in [
        "ann@example.com\n",
        "\tann@example.com",
        "ann@example.com\r\nBcc: eve@example.org",
        "an\0n@example.com",
        "\"an\nn\"@example.com",
        "ann@exam\u{2028}ple.com",
        "ann\u{7f}@example.com",
        "ann\u{85}@example.com",
    ] {
        let error = EmailAddress::parse(text).expect_err(text);
        assert!(matches!(error, AddressError::Control(_)), "{text:?}: {error:?}");
        assert!(!error.to_string().contains(error::is_line_break_or_control), "{error}");
    }
}

#[test]
fn lengths_are_those_of_rfc_5321() {
    let local = "a".repeat(64);
    assert!(EmailAddress::parse(&format!("{local}@example.com")).is_ok());
    assert!(EmailAddress::parse(&format!("{local}a@example.com")).is_err());
    let domain = format!("{}.{}.{}.", "d".repeat(60), "e".repeat(60), "f".repeat(60));
    assert!(EmailAddress::parse(&format!("{local}@{domain}com")).is_ok());
    let long = format!("{local}@{domain}{}.com", "g".repeat(20));
    assert_eq!(EmailAddress::parse(&long), Err(AddressError::TooLong(long)));
    assert!(EmailAddress::parse(&format!("ann@{}.com", "d".repeat(64))).is_err());
}

#[test]
fn only_a_local_part_beyond_ascii_needs_smtputf8() {
    for (text, needs) in [("ünï@exämple.org", true), ("uni@exämple.org", false), ("uni@example.org", false)] {
        assert_eq!(EmailAddress::parse(text).expect(text).needs_smtputf8(), needs, "{text}");
    }
}

#[test]
fn the_same_address_in_other_spellings_is_the_same_when_normalised() {
    for (one, other) in [
        ("Ann@Example.COM", "ann@example.com"),
        ("\"ann\"@example.com", "ann@example.com"),
        ("\"a\\nn lee\"@example.com", "\"ann lee\"@example.com"),
        ("ÜNÏ@exämple.org", "ünï@xn--exmple-cua.org"),
    ] {
        let normalised = |text| EmailAddress::parse(text).expect(text).normalised();
        assert_eq!(normalised(one), normalised(other));
    }
    let tagged = EmailAddress::parse("ann+tag@example.com").expect("an address").normalised();
    assert_eq!(tagged, "ann+tag@example.com", "tags are not ignored");
}

#[test]
fn json_holds_the_address_as_text_and_refuses_what_is_none() {
    let address = EmailAddress::parse("Ann@Example.com").expect("an address");
    let json = serde_json::to_string(&address).expect("text");
    assert_eq!(json, "\"Ann@example.com\"");
    assert_eq!(serde_json::from_str::<EmailAddress>(&json).expect("the same"), address);
    assert!(serde_json::from_str::<EmailAddress>("\"ann\"").is_err());
}

proptest! {
    #[test]
    fn parsing_never_panics(text in any::<String>()) {
        drop(EmailAddress::parse(&text));
    }

    #[test]
    fn what_is_read_reads_back_the_same(text in address()) {
        if let Ok(address) = EmailAddress::parse(&text) {
            prop_assert_eq!(EmailAddress::parse(&address.to_string()), Ok(address.clone()));
            prop_assert!(!address.as_str().contains(error::is_line_break_or_control));
            let normalised = address.normalised();
            let again = EmailAddress::parse(&normalised).map(|address| address.normalised());
            prop_assert_eq!(again, Ok(normalised));
        }
    }

    #[test]
    fn the_fast_path_agrees_with_the_full_one(text in address()) {
        if let Some(fast) = EmailAddress::parse_plain(&text) {
            prop_assert_eq!(EmailAddress::parse_fully(&text), Ok(fast));
        }
    }
}

/// Texts that are addresses, or nearly.
fn address() -> impl Strategy<Value = String> {
    let local = prop_oneof![
        "[a-zA-Z0-9.+'_-]{1,12}",
        "\"[a-z \\\\\"@.]{0,8}\"",
        "[a-zäöüßΣİ\u{200d}é.]{1,6}",
        any::<String>(),
    ];
    let domain = prop_oneof![
        "[a-zA-Z0-9-]{1,6}(\\.[a-zA-Z0-9-]{1,6}){0,3}",
        "[a-zäöüß。]{1,6}\\.[a-z]{2,3}",
        "xn--[a-z0-9-]{1,8}\\.com",
        "\\[[0-9.:a-f]{1,15}\\]",
        any::<String>(),
    ];
    (local, domain).prop_map(|(local, domain)| format!("{local}@{domain}"))
}
