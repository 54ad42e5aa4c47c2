//! What a broker is told: `server.properties`.

use super::ports::Ports;
use super::{KafkaOptions, security};
use std::fmt::Write as _;
use std::path::Path;

/// Settings of every broker, before those that a test asks for.
const COMMON: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("inter.broker.listener.name", "INSIDE"),
    ("controller.listener.names", "CONTROLLER"),
    // A topic that is made by asking for it would hide a wrong name.
    ("auto.create.topics.enable", "false"),
    // Small and quick, for few clients on a busy machine.
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("log.cleaner.dedupe.buffer.size", "16777216"),
    ("offsets.topic.num.partitions", "8"),
    ("transaction.state.log.num.partitions", "8"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    // A broker that was killed comes back only when its old session is over.
    ("broker.session.timeout.ms", "4000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("controlled.shutdown.max.retries", "1"),
    // A group's members are missed within seconds.
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.consumer.min.session.timeout.ms", "6000"),
    ("group.consumer.session.timeout.ms", "6000"),
    ("group.consumer.min.heartbeat.interval.ms", "1000"),
    ("group.consumer.heartbeat.interval.ms", "1000"),
];

/// The file for broker `place` (from 0), with its data in `folder`.
pub(super) fn properties(place: usize, ports: &[Ports], options: &KafkaOptions, folder: &Path) -> String {
    let mut settings: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    for (name, value) in COMMON {
        set(name, (*value).to_owned());
    }
    let own = ports[place];
    let client = format!("CLIENT://127.0.0.1:{}", own.client);
    let inside = format!("INSIDE://127.0.0.1:{}", own.inside);
    set("node.id", node_id(place).to_string());
    let (listen, advertised) = options.second_address.as_ref().map_or_else(Default::default, |second| {
        (format!(",SECOND://{}", second.listen), format!(",SECOND://{}", second.advertised))
    });
    set("listeners", format!("{client},{inside},CONTROLLER://127.0.0.1:{}{listen}", own.controller));
    set("advertised.listeners", format!("{client},{inside}{advertised}"));
    let protocol = options.security.protocol();
    let map = format!("CLIENT:{protocol},INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT,SECOND:PLAINTEXT");
    set("listener.security.protocol.map", map);
    set("controller.quorum.voters", voters(ports));
    set("log.dirs", folder.join("data").display().to_string());
    let replicas = if ports.len() >= 3 { ("3", "2") } else { ("1", "1") };
    for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
        set(&format!("{topic}.replication.factor"), replicas.0.to_owned());
    }
    set("default.replication.factor", replicas.0.to_owned());
    for topic in ["transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr", "min.insync.replicas"] {
        set(topic, replicas.1.to_owned());
    }
    settings.extend(security::settings(&options.security, folder));
    settings.extend(options.properties.iter().cloned());
    settings.iter().fold(String::new(), |mut text, (name, value)| {
        // A setting that comes twice has its last value. A backslash begins an escape in this format.
        let _ = writeln!(text, "{name}={}", value.replace('\\', "\\\\"));
        text
    })
}

/// The number by which the brokers know broker `place`.
pub(super) fn node_id(place: usize) -> usize {
    place + 1
}

fn voters(ports: &[Ports]) -> String {
    let of = |(place, ports): (usize, &Ports)| format!("{}@127.0.0.1:{}", node_id(place), ports.controller);
    ports.iter().enumerate().map(of).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_with_a_second_address_tells_those_who_come_there_its_second_name() {
        let ports = [Ports { client: 1, inside: 2, controller: 3 }];
        let listen = "10.0.0.1:4".parse().expect("an address");
        let options = KafkaOptions::default().second_address(listen, "kafka.example.com:9092");
        let text = properties(0, &ports, &options, Path::new("broker"));
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("listeners=")).collect();
        let inner = "CLIENT://127.0.0.1:1,INSIDE://127.0.0.1:2";
        let second = format!("listeners={inner},CONTROLLER://127.0.0.1:3,SECOND://10.0.0.1:4");
        assert!(lines.contains(&second.as_str()), "{lines:?}");
        let advertised = format!("advertised.listeners={inner},SECOND://kafka.example.com:9092");
        assert!(lines.contains(&advertised.as_str()), "{lines:?}");
    }
}
