//! How fast the SMTP client is alone: ready mails of 4 KB, many connections, a server on loopback.
//!
//! ```text
//! smtp-sink -c 127.0.0.1:2525 1000 &
//! cargo run --release -p worker --example smtp_speed -- 127.0.0.1:2525 [mails] [connections] [bytes] [threads]
//! ```
//! Prints mails a second and the processor time a mail, without the server's. Its peer is `smtp-source -d -s 20 -l 4000 -m 50000`.

use bytes::Bytes;
use campaign::{
    EmailAddress,
    spec::{SmtpTimeouts, Tls},
};
use std::{
    error::Error,
    io::Write,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use worker::{
    Gate,
    smtp::{Client, Mail, Settings},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().unwrap_or_else(|| "127.0.0.1:2525".to_owned()).parse()?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (mails, connections, size, threads) = (number(50_000)?, number(20)?, number(4000)?, number(1)?);
    let runtime = if threads == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
    };
    let started = Instant::now();
    runtime.block_on(send_all(address, mails, connections, size))?;
    let elapsed = started.elapsed();
    let processor = processor_time();
    let count = u32::try_from(mails)?;
    writeln!(
        std::io::stdout(),
        "{:.0} mails/s, {:.1} µs of processor time a mail",
        f64::from(count) / elapsed.as_secs_f64(),
        processor.as_secs_f64() * 1e6 / f64::from(count)
    )?;
    Ok(())
}

async fn send_all(address: SocketAddr, mails: usize, connections: usize, size: usize) -> Result<(), Box<dyn Error>> {
    let client = Arc::new(Client::new(Settings {
        host: address.ip().to_string(),
        port: address.port(),
        tls: Tls::None,
        credentials: None,
        helo: "speed.example.com".to_owned(),
        connections: u32::try_from(connections)?,
        messages_per_connection: u32::MAX,
        timeouts: SmtpTimeouts::default(),
        extra_roots: Vec::new(),
    })?);
    let line = format!("{}\r\n", "x".repeat(76));
    let data = Bytes::from(format!("Subject: speed\r\n\r\n{}", line.repeat(size.div_ceil(line.len()))).into_bytes());
    let mail = Mail {
        from: EmailAddress::parse("sender@example.com")?,
        to: EmailAddress::parse("recipient@example.org")?,
        data,
    };
    let gate = Gate::open();
    // More mails than connections, as in a campaign: each connection has its next one ready.
    let senders = connections * 4;
    let tasks: Vec<_> = (0..senders)
        .map(|sender| {
            let (client, mail, gate) = (Arc::clone(&client), mail.clone(), gate.clone());
            let share = mails / senders + usize::from(sender < mails % senders);
            tokio::spawn(async move {
                for _ in 0..share {
                    client.send(mail.clone(), &gate).await?;
                }
                Ok::<(), worker::smtp::Failure>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    client.close(Duration::from_secs(5)).await;
    Ok(())
}

/// Processor time of this process so far, user and system, from /proc/self/stat in ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
