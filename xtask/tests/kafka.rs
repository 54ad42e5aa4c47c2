//! `cargo xtask kafka`, as a person uses it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use tempfile::TempDir;

/// A folder and ports of the test's own. What was started ends with it.
struct Rig {
    temporary: TempDir,
    port: u16,
}

impl Rig {
    fn new() -> Self {
        Self { temporary: TempDir::new().expect("a folder"), port: free_port() }
    }

    fn folder(&self) -> PathBuf {
        self.temporary.path().join("brokers")
    }

    fn xtask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("kafka").args(arguments).arg("--folder").arg(self.folder()).output().expect("it starts")
    }

    fn up(&self, brokers: &str) -> Output {
        self.xtask(&["up", "--brokers", brokers, "--port", &self.port.to_string()])
    }

    /// The ids of the brokers that run.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder();
        let is_ours = |process: &Path| {
            let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
        };
        let processes = std::fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
        let mut ours: Vec<_> = processes.filter(|process| is_ours(process)).collect();
        ours.sort();
        ours.iter().map(|process| process.file_name().expect("a name").to_string_lossy().into_owned()).collect()
    }

    fn kill_first(&self) {
        let killed = Command::new("kill").args(["-KILL", &self.processes()[0]]).status().expect("kill starts");
        assert!(killed.success());
    }

    fn answers(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.xtask(&["down"]);
    }
}

/// A port that is free, as are those that follow it; other tests of this program don't get it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 100).expect("a small number") * 80;
    loop {
        let first = 10_000 + own + NEXT.fetch_add(40, Ordering::Relaxed);
        if (first..first + 23).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return first;
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn up_prints_one_line_and_leaves_a_broker_that_a_second_up_doesn_t_touch_and_down_leaves_nothing() {
    let rig = Rig::new();
    let line = format!("KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{}\n", rig.port);
    let first = rig.up("1");
    assert_eq!((text(&first.stdout), first.status.success()), (line.clone(), true), "{}", text(&first.stderr));
    let running = rig.processes();
    assert_eq!(running.len(), 1);
    assert!(rig.answers());

    assert_eq!(text(&rig.up("1").stdout), line);
    assert_eq!(text(&rig.xtask(&["up"]).stdout), line, "the port is known without being told");
    assert_eq!(rig.processes(), running);

    let three = rig.up("3");
    assert!(!three.status.success());
    assert_eq!(text(&three.stdout), "");
    assert!(text(&three.stderr).contains("cargo xtask kafka down"), "{}", text(&three.stderr));
    assert_eq!(rig.processes(), running);

    for _ in 0..2 {
        assert!(rig.xtask(&["down"]).status.success());
        assert_eq!(rig.processes(), Vec::<String>::new());
        assert!(!rig.folder().exists() && !rig.answers());
    }
}

#[test]
fn up_clears_away_what_a_dead_broker_left_and_begins_anew() {
    let rig = Rig::new();
    assert!(rig.up("1").status.success());
    let first = rig.processes();
    rig.kill_first();
    let left = rig.folder().join("broker-1/data/left-over");
    std::fs::write(&left, "from before").expect("written");
    let again = rig.up("1");
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(rig.answers() && !left.exists());
    assert_eq!(rig.processes().len(), 1);
    assert_ne!(rig.processes(), first);
}

#[test]
fn up_brings_back_the_one_of_three_that_is_gone_with_its_data() {
    let rig = Rig::new();
    let three = rig.up("3");
    let bootstrap = [0, 1, 2].map(|place| format!("127.0.0.1:{}", rig.port + place)).join(",");
    assert_eq!(text(&three.stdout), format!("KAFKA_BOOTSTRAP_SERVERS={bootstrap}\n"), "{}", text(&three.stderr));
    let before = rig.processes();
    assert_eq!(before.len(), 3);
    rig.kill_first();
    let kept = rig.folder().join("broker-1/data/kept");
    std::fs::write(&kept, "from before").expect("written");
    assert_eq!(rig.up("3").stdout, three.stdout);
    let after = rig.processes();
    assert_eq!(after.len(), 3);
    assert_eq!(before.iter().filter(|process| after.contains(process)).count(), 2);
    assert!(kept.exists());
}

#[test]
fn up_says_which_port_is_taken() {
    let rig = Rig::new();
    let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, rig.port)).expect("the port was free");
    let refused = rig.up("1");
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains(&rig.port.to_string()), "{}", text(&refused.stderr));
    assert!(!rig.folder().exists());
}

/// Runs `cargo xtask test` with a program of the test's own in place of cargo, which says what broker it was told of and whether it answers.
fn test_step(bootstrap: Option<&str>) -> String {
    let folder = TempDir::new().expect("a folder");
    let cargo = folder.path().join("cargo");
    let script = r#"#!/bin/bash
[ "$1" = metadata ] && exec echo '{"packages": []}'
echo "told: $KAFKA_BOOTSTRAP_SERVERS"
(: </dev/tcp/${KAFKA_BOOTSTRAP_SERVERS/://}) && echo "it answers"
echo "test result: ok. 1 passed; 0 failed; 0 ignored""#;
    std::fs::write(&cargo, script).expect("written");
    std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("made a program");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.path().to_path_buf()).chain(std::env::split_paths(&path));
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["test", "--only", "tests"]).env("PATH", std::env::join_paths(folders).expect("a path"));
    command.env_remove("KAFKA_BOOTSTRAP_SERVERS");
    // The suites on a cluster may be running: it isn't this test's to end.
    command.env(testkit::kubernetes::STAYS, "yes");
    if let Some(bootstrap) = bootstrap {
        command.env("KAFKA_BOOTSTRAP_SERVERS", bootstrap);
    }
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn all_tests_get_one_broker_and_it_is_gone_afterwards() {
    let printed = test_step(None);
    let told = printed.lines().find_map(|line| line.strip_prefix("told: ")).expect("cargo ran");
    assert!(printed.contains("it answers"), "{printed}");
    assert!(TcpStream::connect(told).is_err(), "{told} still answers");
}

#[test]
fn a_broker_that_the_environment_names_is_the_one_that_tests_get() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = other.local_addr().expect("its address").to_string();
    assert!(test_step(Some(&address)).contains(&format!("told: {address}\n")));
}
