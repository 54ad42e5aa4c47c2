//! How many documents a second the DOCX merge makes: `docx_speed TEMPLATE.docx [SECONDS [THREADS]]`.
//!
//! Each column that the template uses gets a text that differs by document (so none may be written as a date or number). Prints one line of JSON.

use letter::{Engine, Rows, docx::DocxTemplate};
use serde_json::{Map, Value, json};
use std::{
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: docx_speed TEMPLATE.docx [SECONDS [THREADS]]")?;
    let time = Duration::from_secs_f64(arguments.next().map_or(Ok(2.0), |text| text.parse())?);
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;

    let template = DocxTemplate::compile(&std::fs::read(&path)?, &Engine::new())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let columns: Vec<&str> =
        template.usage().flat_map(|(_, usage)| &usage.columns).map(|column| column.name.as_str()).collect();

    let start = Instant::now();
    let made = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| make(&template, &columns, time))).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err("a thread ended early".to_owned())));
        joined.collect::<Result<Vec<_>, String>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let (documents, octets) = made.iter().fold((0, 0), |sum, made| (sum.0 + made.0, sum.1 + made.1));
    let result = json!({
        "documents": documents,
        "seconds": seconds,
        "documentsPerSecond": (f64::from(documents) / seconds).round(),
        "octetsPerDocument": octets / u64::from(documents.max(1)),
        "threads": threads,
    });
    println_json(&result);
    Ok(())
}

/// Documents for one row after the other until the time is over: how many, and their octets.
fn make(template: &DocxTemplate, columns: &[&str], time: Duration) -> Result<(u32, u64), String> {
    let rows = Rows::default();
    let start = Instant::now();
    let (mut documents, mut octets) = (0, 0);
    while start.elapsed() < time {
        for _ in 0..50 {
            let fields: Map<String, Value> =
                columns.iter().map(|&column| (column.to_owned(), json!(format!("{column} <{documents}>")))).collect();
            let document = template.render(&rows.row(&fields)).map_err(|error| error.to_string())?;
            // Else the compiler may see that nobody reads the document, and not write it.
            octets += black_box(&document).len() as u64;
            documents += 1;
        }
    }
    Ok((documents, octets))
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn println_json(value: &Value) {
    println!("{value}");
}
