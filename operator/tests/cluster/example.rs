//! The README's section "On a cluster", word for word.

use crate::cluster::{Use, cluster, workspace};
use crate::mailbox::mails_of;
use crate::world::{PATIENCE, until};
use campaign::CampaignUid;
use journal::kafka::{Hub, Settings, Which};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Instant;

/// What a person types there: the lines of blocks that begin with a command.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(workspace("README.md")).expect("README.md");
    let (_, section) = readme.split_once("\n## On a cluster\n").expect("README.md has a section \"On a cluster\"");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```").skip(1).step_by(2);
    let lines =
        blocks.flat_map(|block| block.trim().replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
    let is_typed = |line: &String| ["kubectl ", "helm "].iter().any(|program| line.starts_with(program));
    lines.filter(is_typed).collect()
}

fn only<'c>(commands: &'c [String], words: &str) -> &'c str {
    let found: Vec<_> = commands.iter().filter(|command| command.contains(words)).collect();
    assert_eq!(found.len(), 1, "{words:?} in {commands:?}");
    found[0]
}

/// A run before this one may have sent the example's mails; only here nobody minds.
async fn forget_earlier_runs() {
    cluster().prints("kubectl delete mc offers -n hr --ignore-not-found --timeout=60s; kubectl delete namespace hr --ignore-not-found --timeout=90s");
    let hub = Hub::connect(Settings::plaintext(cluster().kafka()));
    let which =
        |uid| Which { prefix: "mailcampaign".to_owned(), namespace: "hr".to_owned(), name: "offers".to_owned(), uid };
    let siblings = hub.siblings(&which(CampaignUid(uuid::Uuid::nil()))).await.expect("Kafka answers");
    for pin in siblings.into_iter().filter_map(|sibling| sibling.pin) {
        hub.delete(&which(pin.uid)).await.expect("its topics are deleted");
    }
}

#[tokio::test]
async fn e2e_the_readme_sends_200_different_letters_on_a_cluster() {
    let _installed = Use::shared().await;
    let commands = commands();
    forget_earlier_runs().await;
    cluster().prints(only(&commands, "helm test"));
    let begun = Instant::now();
    cluster().prints(only(&commands, "kubectl apply -k"));
    let watched = watch(only(&commands, "kubectl get mc"));
    println!("applied, and completed after {:.1} s", begun.elapsed().as_secs_f64());
    let header: Vec<&str> = watched[0].split_whitespace().collect();
    assert_eq!(header, ["NAME", "PHASE", "PROGRESS", "DELIVERED", "FAILED", "RATE", "ETA", "AGE"]);
    let last: Vec<&str> = watched.last().expect("a line").split_whitespace().take(5).collect();
    assert_eq!(last, ["offers", "Completed", "100", "200", "0"], "{watched:?}");

    let uid = cluster().prints("kubectl get mc offers -n hr -o jsonpath={.metadata.uid}");
    let mails = mails_of(&uid);
    let people: BTreeSet<_> = mails.iter().map(|mail| mail.to.clone()).collect();
    let letters: BTreeSet<String> =
        mails.iter().map(|mail| letter(&std::fs::read_to_string(&mail.file).expect("a mail"))).collect();
    assert_eq!((mails.len(), people.len(), letters.len()), (200, 200, 200));

    cluster().prints(only(&commands, "\"suspend\": true"));
    cluster().prints(only(&commands, "\"suspend\": false"));
    let story = cluster().prints(only_inline("kubectl describe mc"));
    for event in ["Validated", "TopicsReady", "Published", "Completed"] {
        assert!(story.contains(event), "{event} in {story}");
    }
    cluster().prints(only(&commands, "kubectl delete mc"));
    until("its pods are gone", PATIENCE, async || {
        cluster().prints("kubectl get pods -n hr -o name").is_empty().then_some(())
    })
    .await;
    assert_eq!(mails_of(&uid).len(), 200, "nobody got a second letter");
}

/// A command in the running text.
fn only_inline(beginning: &str) -> &'static str {
    let readme = std::fs::read_to_string(workspace("README.md")).expect("README.md");
    let found = readme.split('`').find(|piece| piece.starts_with(beginning)).expect("the README says so").to_owned();
    Box::leak(found.into_boxed_str())
}

/// The document of a mail, as it was encoded.
fn letter(mail: &str) -> String {
    let (_, part) = mail.split_once("wordprocessingml").expect("a mail has a document");
    let (_, content) = part.split_once("\r\n\r\n").expect("the document's content");
    content.split("\r\n--").next().unwrap_or_default().to_owned()
}

/// What `kubectl get -w` prints until the campaign is done.
fn watch(command: &str) -> Vec<String> {
    let mut shell = cluster().shell(&format!("exec timeout {} {command}", PATIENCE.as_secs()));
    let mut child = shell.stdout(Stdio::piped()).spawn().expect("a shell");
    let mut printed = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let line = line.expect("a line");
        println!("{line}");
        let is_done = line.contains("Completed") || line.contains("Failed ");
        printed.push(line);
        if is_done {
            break;
        }
    }
    child.kill().expect("it is ended");
    child.wait().expect("it has ended");
    printed
}
