//! The embedded journal does what every journal must.

use journal::conformance::Rig;
use journal::embedded::Embedded;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// State folders of one campaign: each crash leaves one behind.
struct InAFolder {
    root: TempDir,
    crashes: u32,
}

impl InAFolder {
    fn state(&self) -> PathBuf {
        self.root.path().join(self.crashes.to_string())
    }
}

impl Rig for InAFolder {
    type Journal = Embedded;

    async fn fresh() -> (Self, Embedded) {
        let rig = Self { root: tempfile::tempdir().expect("a folder"), crashes: 0 };
        let journal = Embedded::open(&rig.state()).expect("opened");
        (rig, journal)
    }

    /// What a killed process leaves is its files as they are: they are copied away from the living journal, which then may do
    /// in its own folder what it likes.
    async fn crash_and_reopen(&mut self, journal: Embedded) -> Embedded {
        let before = self.state();
        self.crashes += 1;
        let after = self.state();
        std::fs::create_dir_all(&after).expect("a folder");
        for name in ["journal.db", "journal.db-wal"] {
            copy_if_there(&before.join(name), &after.join(name));
        }
        drop(journal);
        Embedded::open(&after).expect("opened")
    }
}

fn copy_if_there(from: &Path, to: &Path) {
    match std::fs::copy(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        copied => drop(copied.expect("copied")),
    }
}

journal::conformance!(InAFolder);

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 96, max_shrink_iters: 2_000, ..Default::default() })]

    #[test]
    fn random_histories_with_crashes_end_as_the_model_says(history in journal::conformance::operations()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(journal::conformance::follows_the_model::<InAFolder>(history));
    }
}
