//! x
#[tokio::main]
async fn main() {
    for _ in 0..4 {
        let t = std::time::Instant::now();
        let b = bundle::Bundle::open(std::path::Path::new("examples/offers/campaign.yaml")).await;
        eprintln!("open {:?} {}", t.elapsed(), b.is_ok());
    }
    let d: Vec<serde_json::Value> = serde_saphyr::from_multiple(&std::fs::read_to_string("examples/offers/campaign.yaml").expect("a")).expect("y");
    for _ in 0..3 { let t = std::time::Instant::now();
    let m = campaign::rules::check(&d[0]);
    eprintln!("check {:?} {}", t.elapsed(), m.len()); }
    let t = std::time::Instant::now();
    let r = regex::Regex::new("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"); eprintln!("regex {:?} {}", t.elapsed(), r.is_ok());
    let t = std::time::Instant::now();
    let r = regex::Regex::new("^([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$"); eprintln!("regex {:?} {}", t.elapsed(), r.is_ok());
    let t = std::time::Instant::now();
    let r = regex::Regex::new("^(?i)(from|to|cc|bcc|reply-to|subject|date|message-id|mime-version|content-.*|resent-.*|list-unsubscribe|list-unsubscribe-post|return-path|received|dkim-signature)$"); eprintln!("regex {:?} {}", t.elapsed(), r.is_ok());
    let text = std::fs::read_to_string("examples/offers/campaign.yaml").expect("a");
    let t = std::time::Instant::now();
    let a: Vec<String> = (0..1_000_000).map(|i| format!("Candidate.{i}@Example{}.org", i % 100)).collect();
    eprintln!("made {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let n: usize = a.iter().filter_map(|a| campaign::EmailAddress::parse(a).ok()).map(|a| a.normalised().len()).sum();
    eprintln!("parse+normalise 1M {:?} {n} {}", t.elapsed(), text.len());
}
