//! The resource definition that is checked in is the one that the types make.

#[test]
fn the_definition_in_crds_is_up_to_date() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/mailcampaigns.mailcampaign.io.yaml");
    let checked_in = std::fs::read_to_string(file).expect("crds/mailcampaigns.mailcampaign.io.yaml can be read");
    assert!(
        checked_in == campaign::crd_yaml(),
        "crds/mailcampaigns.mailcampaign.io.yaml is not what campaign/src/spec declares: run `cargo xtask crds`"
    );
}
