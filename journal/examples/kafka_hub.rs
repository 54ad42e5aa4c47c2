//! What it costs to look after many campaigns: `cargo run --release -p journal --example kafka_hub HOST:PORT [CAMPAIGNS [HANDLES]]`.
//!
//! Through one hub the topics of that many campaigns are made, made sure of again, and the siblings of one are looked for among them. Then some are opened and
//! surveyed again and again. At the end all of them are deleted. Times are medians in milliseconds, memory is of this process, in KiB.

use campaign::CampaignUid;
use journal::kafka::{Hub, Kafka, Options, Settings, Timing, Which};
use std::io::Write;
use std::time::{Duration, Instant};

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().ok_or("usage: kafka_hub HOST:PORT [CAMPAIGNS [HANDLES]]")?;
    let campaigns: usize = arguments.next().map_or(Ok(50), |count| count.parse())?;
    let handles: usize = arguments.next().map_or(Ok(20), |count| count.parse())?;
    let hub = Hub::connect(Settings::plaintext(bootstrap.clone()));
    let all: Vec<Options> = (0..campaigns).map(|_| options(&bootstrap)).collect();
    let Some(first) = all.first() else { return Ok(()) };

    let connecting = Instant::now();
    hub.find(&first.which).await?;
    tell("connect", connecting.elapsed())?;
    tell("ensure_new", median(&all, async |options| hub.ensure(options).await.map(drop)).await?)?;
    tell("ensure_again", median(&all, async |options| hub.ensure(options).await.map(drop)).await?)?;
    tell("find", median(&all, async |options| hub.find(&options.which).await.map(drop)).await?)?;
    tell("control_end", median(&all, async |options| hub.control_end(&options.which).await.map(drop)).await?)?;
    // The names of the topics are kept for two seconds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let looked = Instant::now();
    hub.siblings(&first.which).await?;
    tell("siblings", looked.elapsed())?;
    tell("siblings_again", median(&all, async |options| hub.siblings(&options.which).await.map(drop)).await?)?;

    state("hub")?;
    let mut open: Vec<Kafka> = Vec::new();
    let mut took = Vec::new();
    for options in all.iter().take(handles) {
        let begun = Instant::now();
        open.push(hub.open_existing(options).await?);
        took.push(begun.elapsed());
    }
    tell("open_existing", middle(took))?;
    state("opened")?;
    tell("survey_first", median(&open, async |journal| journal.survey().await.map(drop)).await?)?;
    tell("survey", median(&open, async |journal| journal.survey().await.map(drop)).await?)?;
    state("surveyed")?;
    drop(open);
    tokio::time::sleep(Duration::from_secs(3)).await;
    state("dropped")?;
    tell("delete", median(&all, async |options| hub.delete(&options.which).await).await?)?;
    Ok(())
}

fn options(bootstrap: &str) -> Options {
    let name = format!("hub-{}", uuid::Uuid::new_v4().simple());
    let uid = CampaignUid::alone(&format!("bench/{name}"), "", "", None);
    let which = Which { prefix: "bench".to_owned(), namespace: "bench".to_owned(), name, uid };
    let settings = Settings::plaintext(bootstrap);
    Options { settings, which, partitions: 1, replication: None, timing: Timing::default() }
}

/// How long one of several things takes.
async fn median<T>(
    things: &[T],
    mut deed: impl AsyncFnMut(&T) -> Result<(), journal::Error>,
) -> Result<Duration, journal::Error> {
    let mut took = Vec::new();
    for thing in things {
        let begun = Instant::now();
        deed(thing).await?;
        took.push(begun.elapsed());
    }
    Ok(middle(took))
}

fn middle(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

fn tell(what: &str, took: Duration) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{what}={:.2}", took.as_secs_f64() * 1e3)
}

/// Threads and memory of this process.
fn state(when: &str) -> std::io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("").trim().to_owned();
    writeln!(std::io::stdout(), "{when}: threads={} memory={}", of("Threads:"), of("VmRSS:"))
}
