//! The kept inputs, as ordinary tests.

use std::error::Error;
use std::path::Path;

#[test]
fn every_target_takes_every_kept_input() -> Result<(), Box<dyn Error>> {
    for (name, run) in fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut inputs = 0;
        for entry in std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            run(&std::fs::read(entry?.path())?);
            inputs += 1;
        }
        assert!(inputs > 0, "{}: a target starts from at least one input", folder.display());
    }
    Ok(())
}
