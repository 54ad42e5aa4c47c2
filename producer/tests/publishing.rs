//! Rows in are rows accounted for: preflight and publishing over a journal that may stop at any chunk.

use campaign::{
    CampaignUid, Contents, SkipReason, Skipped,
    spec::{MessageSpec, Recipients},
};
use journal::{Checkpoint, Entry, Publisher};
use letter::Letters;
use producer::preflight::{Options, Refused};
use producer::{Input, ListFile, Plan, Preflight, Shard, Suppress, preflight, publish};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{ops::ControlFlow, path::PathBuf, sync::Arc};
use tempfile::NamedTempFile;

/// A journal in memory whose commits are atomic, and which may fail.
#[derive(Default)]
struct Memory {
    entries: Vec<Entry>,
    checkpoint: Checkpoint,
    chunks: usize,
    fails_after: Option<usize>,
}

impl Publisher for Memory {
    fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    async fn publish(&mut self, entries: Vec<Entry>, checkpoint: Checkpoint) -> Result<(), journal::Error> {
        if self.fails_after.is_some_and(|chunks| self.chunks >= chunks) {
            return Err(journal::Error::Fenced);
        }
        self.chunks += 1;
        self.entries.extend(entries);
        self.checkpoint = checkpoint;
        Ok(())
    }
}

fn input(file: ListFile, more: Value, suppress: &str, text: &str) -> Arc<Input> {
    let mut recipients = json!({"source": {}});
    recipients.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let recipients: Recipients = serde_json::from_value(recipients).expect("recipients");
    let message = json!({"from": "people@example.com", "subject": "Hello", "text": {"inline": text}});
    let message: MessageSpec = serde_json::from_value(message).expect("a message");
    let uid = CampaignUid::alone("hr/offers", "", "", None);
    let letters = match Letters::compile(&message, uid, &Contents::default()) {
        Ok(letters) => Arc::new(letters),
        Err(mistakes) => panic!("{mistakes:?}"),
    };
    let suppress = Suppress::read("suppress.csv", suppress.as_bytes()).expect("good lines");
    Arc::new(Input { list: file, recipients, suppress, letters, bodies: Vec::new() })
}

fn dirty() -> ListFile {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/offers-dirty.xlsx");
    ListFile { path, display_name: "offers-dirty.xlsx".to_owned() }
}

fn written(ending: &str, content: &str) -> (NamedTempFile, ListFile) {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), content).expect("written");
    let list = ListFile { path: file.path().to_owned(), display_name: format!("list.{ending}") };
    (file, list)
}

fn on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// The whole list.
fn plan(found: Preflight) -> Plan {
    Plan::whole(Arc::new(found), None)
}

/// Preflights and publishes, through a stop after every `stop`-th chunk; the journal at the end.
fn run(input: &Arc<Input>, stop: usize) -> Memory {
    let found = plan(preflight(input, Options::default(), on).expect("a good list"));
    let mut memory = Memory::default();
    while !memory.checkpoint.done {
        let mut chunks = 0;
        let progress = |_: &Checkpoint| {
            chunks += 1;
            if chunks == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        runtime().block_on(publish(&mut memory, input, &found, progress)).expect("published");
    }
    memory
}

fn skipped(memory: &Memory, wanted: impl Fn(&SkipReason) -> bool) -> Vec<u64> {
    let is_wanted = |entry: &&Entry| matches!(entry, Entry::Skipped(Skipped { reason, .. }) if wanted(reason));
    memory.entries.iter().filter(is_wanted).map(Entry::row).collect()
}

#[test]
fn every_row_of_a_dirty_list_is_accounted_for() {
    let input = input(dirty(), json!({}), "candidate001@example.org\n@example.net\n", "Dear {{ Position }}");
    let found = preflight(&input, Options::default(), on).expect("a good list");
    assert_eq!(found.tally.total(), 19);
    let memory = run(&input, usize::MAX);
    assert_eq!(memory.checkpoint.tally, found.tally);
    assert_eq!(memory.entries.len(), 19);
    assert_eq!(skipped(&memory, |r| matches!(r, SkipReason::Invalid { .. })), [5, 18]);
    assert_eq!(skipped(&memory, |r| matches!(r, SkipReason::Suppressed)), [3, 4, 6, 7, 8, 11]);
    assert_eq!(found.invalid.iter().map(|bad| bad.row).collect::<Vec<_>>(), [5, 18]);
    assert_eq!(found.invalid[0].place, "offers-dirty.xlsx: sheet \"offers-dirty\" row 5");
    assert_eq!(found.invalid[0].why, "column \"Email\": \"not-an-address\" has no @");
}

#[test]
fn the_same_address_in_other_case_is_a_duplicate_unless_that_is_wanted() {
    let once = run(&input(dirty(), json!({}), "", "Hello"), usize::MAX);
    assert_eq!(skipped(&once, |r| matches!(r, SkipReason::Duplicate)), [7]);
    let twice = run(&input(dirty(), json!({"dedupe": false}), "", "Hello"), usize::MAX);
    assert_eq!(twice.checkpoint.tally.duplicate, 0);
    assert_eq!(twice.checkpoint.tally.published, once.checkpoint.tally.published + 1);
}

#[test]
fn a_row_whose_letter_cannot_be_made_is_invalid_in_the_preflight_and_in_the_journal() {
    let input = input(dirty(), json!({}), "", "You earn {{ Salary - 1 }}");
    let found = preflight(&input, Options::default(), on).expect("a good list");
    assert_eq!(found.invalid.iter().map(|bad| bad.row).collect::<Vec<_>>(), [5, 14, 18]);
    let memory = run(&input, usize::MAX);
    assert_eq!(skipped(&memory, |r| matches!(r, SkipReason::Invalid { .. })), [5, 14, 18]);
    assert_eq!(memory.checkpoint.tally, found.tally);
}

#[test]
fn a_missing_column_is_one_mistake_and_nothing_is_published() {
    let input = input(dirty(), json!({}), "", "Dear {{ Nmae }}");
    let found = preflight(&input, Options::default(), on).expect("a good list");
    assert_eq!(found.mistakes.len(), 1);
    assert!(found.mistakes[0].to_string().contains("Name"), "{}", found.mistakes[0]);
    let mut memory = Memory::default();
    let published = runtime().block_on(publish(&mut memory, &input, &plan(found), |_| ControlFlow::Continue(())));
    assert!(matches!(published, Err(publish::Error::Refused(Refused::Mistakes(_)))) && memory.chunks == 0);
}

#[test]
fn a_column_of_ndjson_is_missing_only_if_no_row_has_it() {
    let text = "{\"email\":\"a@example.org\"}\n{\"email\":\"b@example.org\",\"Name\":\"Bob\"}\n";
    let (_file, list) = written("ndjson", text);
    let found =
        preflight(&input(list.clone(), json!({}), "", "Dear {{ Name }}"), Options::default(), on).expect("good");
    assert_eq!((found.mistakes.len(), found.tally.invalid, found.tally.published), (0, 1, 1));
    let found = preflight(&input(list, json!({}), "", "Dear {{ Title }}"), Options::default(), on).expect("good");
    assert_eq!(found.mistakes.len(), 1);
}

#[test]
fn with_fail_one_invalid_row_keeps_everything_from_being_published() {
    let input = input(dirty(), json!({"onInvalidRow": "Fail"}), "", "Hello");
    let found = plan(preflight(&input, Options::default(), on).expect("a good list"));
    let mut memory = Memory::default();
    let error =
        runtime().block_on(publish(&mut memory, &input, &found, |_| ControlFlow::Continue(()))).expect_err("refused");
    assert!(error.to_string().starts_with("2 rows"), "{error}");
    assert_eq!(memory.chunks, 0);
}

#[test]
fn a_sample_is_short_and_not_enough_to_publish() {
    let input = input(dirty(), json!({}), "", "Hello");
    let options = Options { sample: Some(5), ..Options::default() };
    let found = preflight(&input, options, on).expect("a good list");
    assert_eq!((found.tally.total(), found.is_complete), (5, false));
    let mut memory = Memory::default();
    let published = runtime().block_on(publish(&mut memory, &input, &plan(found), |_| ControlFlow::Continue(())));
    assert!(published.is_err() && memory.chunks == 0);
}

#[test]
fn a_preflight_can_be_stopped_and_lists_the_first_invalid_rows_only() {
    let text = "Email\n".to_owned() + &"nobody\n".repeat(3000);
    let (_file, list) = written("csv", &text);
    let input = input(list, json!({}), "", "Hello");
    let stopped = preflight(&input, Options::default(), |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(preflight::Error::Stopped)));
    let found = preflight(&input, Options { listed: Some(7), ..Options::default() }, on).expect("a good list");
    assert_eq!(found.tally.invalid, 3000);
    assert_eq!(found.invalid.iter().map(|bad| bad.row).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_row_too_long_for_the_journal_is_invalid_with_its_size_in_the_preflight_and_in_the_journal() {
    let text = format!("Email,Note\na@example.org,short\nb@example.org,{}\nb@example.org,short\n", "ü".repeat(600_000));
    let (_file, list) = written("csv", &text);
    let input = input(list, json!({}), "", "Hello {{ Note }}");
    let limit = Some(1_000_000);
    let found = preflight(&input, Options { max_message_bytes: limit, ..Options::default() }, on).expect("a good list");
    assert_eq!((found.tally.published, found.tally.invalid, found.tally.duplicate), (2, 1, 0));
    let why = found.invalid[0].why.clone();
    assert!(why.starts_with("its message is 1,200,0") && why.contains("takes 1,000,000 at most"), "{why}");
    let tally = found.tally;
    for preflight in [Some(Arc::new(found)), None] {
        let plan = Plan { preflight, ..Plan { shard: Shard::WHOLE, preflight: None, max_message_bytes: limit } };
        let mut memory = Memory::default();
        runtime().block_on(publish(&mut memory, &input, &plan, |_| ControlFlow::Continue(()))).expect("published");
        assert_eq!(memory.checkpoint.tally, tally);
        let expected = Entry::Skipped(Skipped { row: 3, reason: SkipReason::Invalid { why: why.clone() } });
        assert_eq!(memory.entries[1], expected);
    }
}

fn long_csv(rows: usize) -> String {
    let line = |row: usize| format!("someone{}@example.org,{row}\n", row % (rows - rows / 10));
    "Email,Number\n".to_owned() + &(0..rows).map(line).collect::<String>()
}

#[test]
fn a_run_that_is_stopped_after_each_chunk_writes_the_same_as_one_that_is_not() {
    let (_file, list) = written("csv", &long_csv(9000));
    let input = input(list, json!({}), "", "Hello {{ Number }}");
    let (straight, halting) = (run(&input, usize::MAX), run(&input, 1));
    assert_eq!(straight.entries, halting.entries);
    assert_eq!(straight.checkpoint, halting.checkpoint);
    assert_eq!(halting.checkpoint.tally.duplicate, 900);
    assert!(halting.chunks > 4);
}

#[test]
fn a_refused_chunk_ends_publishing_and_the_next_publisher_goes_on_there() {
    let (_file, list) = written("csv", &long_csv(9000));
    let input = input(list, json!({}), "", "Hello");
    let found = plan(preflight(&input, Options::default(), on).expect("a good list"));
    let mut memory = Memory { fails_after: Some(2), ..Memory::default() };
    let go_on = |_: &Checkpoint| ControlFlow::Continue(());
    let error = runtime().block_on(publish(&mut memory, &input, &found, go_on)).expect_err("refused");
    assert!(matches!(error, publish::Error::Journal(journal::Error::Fenced)));
    assert!(!memory.checkpoint.done && memory.checkpoint.tally.total() == memory.entries.len() as u64);
    memory.fails_after = None;
    runtime().block_on(publish(&mut memory, &input, &found, go_on)).expect("published");
    assert_eq!(memory.entries, run(&input, usize::MAX).entries);
    runtime().block_on(publish(&mut memory, &input, &found, go_on)).expect("nothing left to do");
    assert_eq!(memory.entries.len(), 9000);
}

#[test]
fn a_list_that_became_shorter_after_the_preflight_is_never_called_published() {
    let (file, list) = written("csv", &long_csv(5000));
    let input = input(list, json!({}), "", "Hello");
    let found = plan(preflight(&input, Options::default(), on).expect("a good list"));
    std::fs::write(file.path(), long_csv(4000)).expect("written");
    let mut memory = Memory::default();
    let error =
        runtime().block_on(publish(&mut memory, &input, &found, |_| ControlFlow::Continue(()))).expect_err("changed");
    assert!(error.to_string().contains("had 5000 rows and now has 4000"), "{error}");
    assert!(!memory.checkpoint.done);
}

/// Publishes a shard, with a crash after every `crash`-th chunk: what was not committed is done again.
fn run_shard(input: &Arc<Input>, plan: &Plan, crash: usize) -> Memory {
    let mut memory = Memory::default();
    while !memory.checkpoint.done {
        memory.fails_after = Some(memory.chunks + crash);
        let result = runtime().block_on(publish(&mut memory, input, plan, |_| ControlFlow::Continue(())));
        assert!(result.is_ok() || matches!(result, Err(publish::Error::Journal(journal::Error::Fenced))), "{result:?}");
    }
    memory
}

/// Address and note of some rows.
type CsvRows = Vec<(String, String)>;

/// A table with some rows at the beginning and some at the end of each stretch of 10,000 rows, and blank ones in between.
fn with_borders(stretches: &[(CsvRows, CsvRows)]) -> (String, usize) {
    let (mut text, mut rows) = ("Email,Note\n".to_owned(), 0);
    for (number, (first, last)) in stretches.iter().enumerate() {
        // The header is row 1 of the first stretch, row 0 there is none.
        let blank = 10_000 - first.len() - last.len() - if number == 0 { 2 } else { 0 };
        let lines = |rows: &[(String, String)]| {
            rows.iter().flat_map(|(address, note)| [address, ",", note, "\n"]).collect::<String>()
        };
        text += &(lines(first) + &"\n".repeat(blank) + &lines(last));
        rows += first.len() + last.len();
    }
    (text, rows)
}

#[test]
fn a_shard_that_owns_no_row_is_published_with_none() {
    let (_file, list) = written("csv", &long_csv(50));
    let input = input(list, json!({}), "", "Hello");
    let plan = Plan { shard: Shard::new(3, 4).expect("a shard"), preflight: None, max_message_bytes: None };
    let memory = run_shard(&input, &plan, 1);
    assert!(memory.entries.is_empty() && memory.checkpoint.done && memory.checkpoint.tally.total() == 0);
}

#[test]
fn publishing_can_be_stopped_while_rows_of_other_shards_are_read() {
    let (_file, list) = written("csv", &(long_csv(9_000) + &"\n".repeat(3_000_000)));
    let input = input(list, json!({}), "", "Hello");
    let plan = Plan { shard: Shard::new(1, 2).expect("a shard"), preflight: None, max_message_bytes: None };
    let mut memory = Memory::default();
    let last = runtime().block_on(publish(&mut memory, &input, &plan, |_| ControlFlow::Break(()))).expect("stopped");
    assert!(!last.done && memory.chunks == 0);
}

/// A row of the random lists: a value of the address column and one beside it.
fn any_row() -> impl Strategy<Value = (String, String)> {
    let address = prop_oneof![
        4 => "[a-c]{1,2}@example\\.(org|net)",
        1 => "[A-C]@EXAMPLE\\.org",
        1 => "[a-z@. \"ü,;\n]{0,12}",
    ];
    (address, prop_oneof![Just(String::new()), "\\PC{0,20}", "[\",;\r\n\ta-z]{0,10}"])
}

/// A row of a list without quotes; few addresses, so that many are duplicates.
fn a_good_or_bad_row() -> impl Strategy<Value = (String, String)> {
    ("[a-d]@example\\.(org|com|net)|nobody", "[a-z]{0,2}")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn assert_accounted(input: &Arc<Input>, rows: usize) -> Result<(), TestCaseError> {
    let found = preflight(input, Options::default(), on).expect("a readable list");
    let memory = run(input, 1);
    prop_assert_eq!(memory.entries.len(), rows);
    prop_assert_eq!(found.tally.total(), rows as u64);
    prop_assert_eq!(memory.checkpoint.tally, found.tally);
    prop_assert!(memory.entries.is_sorted_by_key(Entry::row));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn rows_in_are_rows_accounted_for_in_any_csv(
        rows in prop::collection::vec(any_row(), 1..40),
        separator in prop::sample::select(vec![',', ';', '\t', '|']),
        line_end in prop::sample::select(vec!["\n", "\r\n"]),
        blank_lines in any::<bool>(),
    ) {
        let blank = if blank_lines { line_end } else { "" };
        let line = |(address, note): &(String, String)| {
            format!("{}{separator}{}{line_end}{blank}", quoted(address), quoted(note))
        };
        let lines: Vec<String> = rows.iter().map(line).collect();
        let text = format!("Email{separator}Note{line_end}{}", lines.concat());
        let filled = rows.iter().filter(|(address, note)| !(address.trim().is_empty() && note.trim().is_empty())).count();
        prop_assume!(filled > 0);
        let (_file, list) = written("csv", &text);
        assert_accounted(&input(list, json!({}), "@example.net", "{{ Email }}"), filled)?;
    }

    #[test]
    fn rows_in_are_rows_accounted_for_in_any_ndjson(rows in prop::collection::vec((any_row(), 0..4), 1..40)) {
        let line = |((address, note), kind): &((String, String), i32)| {
            match kind {
                0 => format!("{}\n", json!({"email": address, "note": {"text": note}})),
                1 => format!("{{\"email\":{}\n\n", json!(address)),
                2 => format!("{}\r\n", json!([address])),
                _ => format!("  {}\n", json!({"note": note})),
            }
        };
        let lines: Vec<String> = rows.iter().map(line).collect();
        let text = "{\"email\":\"first@example.org\"}\n".to_owned() + &lines.concat();
        let (_file, list) = written("ndjson", &text);
        assert_accounted(&input(list, json!({}), "@example.net", "{{ email }}"), rows.len() + 1)?;
    }

    #[test]
    fn shards_together_publish_what_one_publisher_would_whatever_crashes(
        stretches in prop::collection::vec((prop::collection::vec(a_good_or_bad_row(), 0..6), prop::collection::vec(a_good_or_bad_row(), 0..6)), 1..6),
        shards in 1_u32..5,
        crash in 1_usize..3,
        preflighted in any::<bool>(),
    ) {
        let (text, rows) = with_borders(&stretches);
        prop_assume!(rows > 0);
        let (_file, list) = written("csv", &text);
        let input = input(list, json!({}), "@example.net", "Hello {{ Note | default('') }} {{ 7 / (Note | default('x') | length) }}");
        let found = Arc::new(preflight(&input, Options::default(), on).expect("a good list"));
        let alone = run(&input, usize::MAX);
        let mut together: Vec<Entry> = Vec::new();
        let mut total = 0;
        for index in 0..shards {
            // Shard 0 made the preflight, unless it was pinned by an earlier one.
            let preflight = (preflighted && index == 0).then(|| found.clone());
            let plan = Plan { shard: Shard::new(index, shards).expect("a shard"), preflight, max_message_bytes: None };
            let memory = run_shard(&input, &plan, crash);
            prop_assert!(memory.entries.iter().all(|entry| plan.shard.owns(entry.row())));
            prop_assert_eq!(memory.checkpoint.tally.total(), memory.entries.len() as u64);
            total += memory.checkpoint.tally.total();
            together.extend(memory.entries);
        }
        together.sort_by_key(Entry::row);
        prop_assert_eq!(together, alone.entries);
        prop_assert_eq!(total, found.tally.total());
    }

    #[test]
    fn no_bytes_make_a_list_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), ending in "(csv|ndjson|xlsx)") {
        let file = NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), [b"Email,a\n".as_slice(), &bytes].concat()).expect("written");
        let list = ListFile { path: file.path().to_owned(), display_name: format!("list.{ending}") };
        let _outcome = preflight(&input(list, json!({}), "", "Hello"), Options::default(), on);
    }

    #[test]
    fn no_damage_makes_a_workbook_panic(at in 0_usize..6898, with in any::<u8>(), length in 1_usize..8) {
        let mut bytes = std::fs::read(dirty().path).expect("the file");
        let end = (at + length).min(bytes.len());
        bytes[at..end].fill(with);
        let file = NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &bytes).expect("written");
        let list = ListFile { path: file.path().to_owned(), display_name: "list.xlsx".to_owned() };
        let _outcome = preflight(&input(list, json!({}), "", "Hello"), Options::default(), on);
    }
}
